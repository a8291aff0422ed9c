"""Sending: records to partitions in whole batches, in order, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from schemas.timestamps import format_ms
from schemas.topics import partition
from streams.stages import EVERY_PARTITION, Output

MAX_BATCH_BYTES = 768 * 1024
"""Below the broker's default limit for a batch (1 MiB)."""

Headers = list[tuple[str, bytes]]
"""A list, for aiokafka's builder takes no other sequence."""


class Record(NamedTuple):
    """A record ready for the wire."""

    key: bytes
    value: bytes | None
    headers: Headers


class RecordTooLargeError(RuntimeError):
    """A record does not fit into a batch."""


_encode = msgspec.json.Encoder(order="deterministic").encode


def encode(
    output: Output, partitions: Mapping[str, int], source: bytes
) -> tuple[list[tuple[str, int]], Record]:
    """Record of an output as CloudEvents in binary mode, and the partitions that it goes to.

    Parameters
    ----------
    output
        What a stage wrote.
    partitions
        Topic to its number of partitions.
    source
        The stage, as ``/culdesac/sessions``.
    """
    topic, key = output.topic, output.key.encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{output.id}:{output.revision}".encode()),
        ("ce_type", f"culdesac.{topic}".encode()),
        ("ce_source", source),
        ("ce_time", format_ms(output.time_ms).encode()),
        ("content-type", b"application/json"),
    ]
    count = partitions[topic]
    if output.partition is None:
        targets = [(topic, partition(key, count))]
    elif output.partition == EVERY_PARTITION:
        targets = [(topic, number) for number in range(count)]
    else:
        targets = [(topic, output.partition)]
    return targets, Record(key, _encode(output.value), headers)


class Sender:
    """An idempotent producer that keeps order and gives up rather than lose.

    Parameters
    ----------
    kafka
        Bootstrap servers.
    prefix
        Of all topics' names.
    timeout_s
        How long a broker may hang before sending fails.
    """

    def __init__(self, kafka: str, prefix: str = "", timeout_s: float = 75.0) -> None:
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._kafka = kafka
        self._producer: AIOKafkaProducer

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
            linger_ms=0,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect; what is not acknowledged yet may be lost, and will be sent again by whoever goes on."""
        await self._producer.stop()

    async def send(self, batches: Mapping[tuple[str, int], Sequence[Record]]) -> dict[tuple[str, int], int]:
        """Send records and wait until all are acknowledged; return each partition's last offset.

        Raises
        ------
        RecordTooLargeError
            One record is larger than a batch may be.
        TimeoutError
            The broker did not answer in time.
        """
        pending: list[tuple[tuple[str, int], asyncio.Future[Any], int]] = []
        async with asyncio.timeout(self._timeout_s):
            for (topic, number), records in batches.items():
                for batch, count in self._batches(topic, records):
                    future = await self._producer.send_batch(batch, self._prefix + topic, partition=number)
                    pending.append(((topic, number), future, count))
            last: dict[tuple[str, int], int] = {}
            for target, future, count in pending:
                last[target] = (await future).offset + count - 1
        return last

    def _batches(self, topic: str, records: Sequence[Record]) -> list[tuple[Any, int]]:
        now_ms = int(time.time() * 1000)
        create = self._producer.create_batch
        batches: list[tuple[Any, int]] = []
        batch, count = create(), 0
        for key, value, headers in records:
            if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                batch.close()
                batches.append((batch, count))
                batch, count = create(), 0
                if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                    raise RecordTooLargeError(f"a record for {topic} of {len(value or b'')} bytes")
            count += 1
        if count:
            batch.close()
            batches.append((batch, count))
        return [(built, n) for built, n in batches if n]
