"""Sending: records to partitions in whole batches, in order, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from agents.security import OPEN, Security
from schemas.cloud_events import envelope
from schemas.topics import KAFKA_RECORD_BYTES, TOPICS, partition
from streams.stages import EVERY_PARTITION, Output

MAX_BATCH_BYTES = 768 * 1024
"""Below the broker's default limit for a batch (1 MiB); a larger record travels in a batch of its own."""

Headers = list[tuple[str, bytes]]
"""A list, for aiokafka's builder takes no other sequence."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record ready for the wire."""

    key: bytes
    value: bytes | None
    headers: Headers


class Span(NamedTuple):
    """Where records ended up in a partition: offsets of the first and of the last of them."""

    first: int
    last: int


class RecordTooLargeError(RuntimeError):
    """A record is larger than Kafka takes."""


_encode = msgspec.json.Encoder(order="deterministic").encode
_NO_HEADERS: Headers = []


@lru_cache(maxsize=4096)
def _only(topic: str, number: int) -> Sequence[tuple[str, int]]:
    return [(topic, number)]


def encode(
    output: Output, partitions: Mapping[str, int], source: str
) -> tuple[Sequence[tuple[str, int]], Record]:
    """Record of an output, and the partitions that it goes to; as CloudEvents in binary mode if others may read it.

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
    known = TOPICS.get(topic)
    # Of internal records nobody but us is a reader, and there are more of them than of all others: what an envelope
    # costs to write, to store and to read again is a quarter of the whole.
    headers = (
        _NO_HEADERS
        if known is not None and known.internal
        else envelope(topic, source, output.id, output.revision, output.time_ms)
    )
    count, wanted = partitions[topic], output.partition
    if wanted is None:
        targets = _only(topic, partition(key, count))
    elif wanted == EVERY_PARTITION:
        targets = [(topic, number) for number in range(count)]
    else:
        targets = _only(topic, wanted)
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
    security
        How to get in.
    """

    def __init__(
        self, kafka: str, prefix: str = "", timeout_s: float = 75.0, security: Security = OPEN
    ) -> None:
        self._prefix = prefix
        self._security = security
        self.timeout_s = timeout_s
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self) -> None:
        """Connect."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(self.timeout_s * 1000),
            linger_ms=0,
            **self._security.arguments(),
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self, seconds: float = 2.0) -> None:
        """Disconnect; what is not acknowledged by then may be lost, and will be sent again by whoever goes on."""
        if self._producer is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._producer.stop(), seconds)

    async def flush(self, seconds: float) -> bool:
        """Wait for all that is on its way, even of those who have stopped waiting; tell whether it has arrived."""
        if self._producer is not None:
            try:
                await asyncio.wait_for(self._producer.flush(), seconds)
            except TimeoutError:
                return False
        return True

    async def send(self, batches: Mapping[tuple[str, int], Sequence[Record]]) -> dict[tuple[str, int], Span]:
        """Send records and wait until all are acknowledged; tell where they are.

        Of each partition only one batch is on its way: none may arrive whose predecessor did not, for readers
        drop what comes after its successors.

        Raises
        ------
        RecordTooLargeError
            One record is larger than Kafka takes; nothing has been sent.
        TimeoutError
            The broker did not answer in time.
        """
        if self._producer is None:
            raise RuntimeError("start the sender first")
        queues = {target: self._batches(target[0], records) for target, records in batches.items()}
        spans: dict[tuple[str, int], Span] = {}
        async with asyncio.timeout(self.timeout_s):
            while queues := {target: queue for target, queue in queues.items() if queue}:
                pending: list[tuple[tuple[str, int], asyncio.Future[Any], int]] = []
                for (topic, number), queue in queues.items():
                    batch, count = queue.popleft()
                    future = await self._put(self._producer, topic, number, batch)
                    pending.append(((topic, number), future, count))
                for target, future, count in pending:
                    first = (await future).offset
                    begun = spans.get(target)
                    spans[target] = Span(first if begun is None else begun.first, first + count - 1)
        return spans

    async def _put(
        self, producer: AIOKafkaProducer, topic: str, number: int, batch: Any
    ) -> asyncio.Future[Any]:
        """Hand a batch to the client library when the one before it in its partition has arrived.

        The library would wait too, but it adds all former waits to each, and gives up after seconds where a
        hundred wait in line.
        """
        turn = self._turns[topic, number]
        await turn.acquire()
        try:
            future: asyncio.Future[Any] = await producer.send_batch(
                batch, self._prefix + topic, partition=number
            )
        except BaseException:
            turn.release()
            raise

        def arrived(future: asyncio.Future[Any]) -> None:
            # Nothing may follow a batch that failed. Who no longer waits for one has cancelled it, not the library.
            if future.cancelled() or future.exception() is None:
                turn.release()

        future.add_done_callback(arrived)
        return future

    def _batches(self, topic: str, records: Sequence[Record]) -> deque[tuple[Any, int]]:
        """Build closed batches, each with its number of records."""
        now_ms = int(time.time() * 1000)
        create = self._producer.create_batch  # type: ignore[union-attr]  # `send` has seen that it is there
        most = TOPICS[topic].max_record_bytes if topic in TOPICS else KAFKA_RECORD_BYTES
        batches: deque[tuple[Any, int]] = deque()
        batch, count = create(), 0
        for record in records:
            key, value, headers = record.key, record.value, record.headers
            added = batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
            if added is None:
                batch.close()
                batches.append((batch, count))
                batch, count = create(), 0
                added = batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
            # A batch takes its first record whatever its size, and the broker would refuse it.
            if added is None or added.size > most:
                raise RecordTooLargeError(
                    f"a record for {topic} of {len(value or b'')} bytes, key {key[:80]!r}"
                )
            count += 1
        if count:
            batch.close()
            batches.append((batch, count))
        return batches
