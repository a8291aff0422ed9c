"""Sender of the collector: what many requests bring, to Kafka in batches, and word to each when it is there.

While a batch of a partition is on its way, what comes gathers into the next: so batches grow with the load. What
waits is bounded in bytes, by what Kafka has not acknowledged and not by who still waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents import collect_metrics
from agents.security import OPEN, Security
from agents.sending import MAX_BATCH_BYTES
from agents.topics import TopicError, partition_counts
from schemas.cloud_events import envelope
from schemas.topics import partition
from streams.collected import REJECTED, TOPICS, CollectedRecord

OVERHEAD_BYTES: Final = 512
"""What a record that waits takes beside its bytes, about."""
TRY_AGAIN_S: Final = 0.5
REQUEST_S: Final = 30.0
"""How long the client library waits for an answer of a broker before it asks again."""

SOURCE: Final = "/culdesac/collector"

log = logging.getLogger(__name__)


class FullError(Exception):
    """No more may wait."""


class AwayError(Exception):
    """No Kafka has answered yet."""


class _Delivery:
    """Records of one request; `done` tells at last whether Kafka has all of them."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.taken = True
        # A result and no exception: nobody may be left to look at it.
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, taken: bool) -> None:
        self.left -= 1
        self.taken = self.taken and taken
        if not self.left and not self.done.done():
            self.done.set_result(self.taken)


class _Waiting(NamedTuple):
    record: CollectedRecord
    delivery: _Delivery
    cost: int


class CollectSender:
    """An idempotent producer that outlives its broker.

    Parameters
    ----------
    kafka
        Bootstrap servers.
    prefix
        Of all topics' names.
    most_bytes
        So much may wait.
    security
        How to get in.
    limit_s
        A batch that takes longer is given up, and its producer with it.

    Attributes
    ----------
    in_flight
        Bytes that wait.
    trouble
        Why nothing is taken, in one line; empty where it is.
    """

    def __init__(
        self, kafka: str, prefix: str, most_bytes: int, security: Security = OPEN, limit_s: float = 60.0
    ) -> None:
        self.in_flight = 0
        self.trouble = f"{kafka}: Kafka has not answered yet"
        self._kafka = kafka
        self._prefix = prefix
        self._most_bytes = most_bytes
        self._security = security
        self._limit_s = limit_s
        self._counts: dict[str, int] = {}
        self._producer: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._queues: dict[tuple[str, int], deque[_Waiting]] = {}
        self._flushes: dict[tuple[str, int], asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin to connect; tries until it succeeds."""
        self._connecting = asyncio.create_task(self._connect())

    @property
    def connected(self) -> bool:
        """Whether a Kafka has answered."""
        return self._connected.is_set()

    def deliver(self, records: Iterable[CollectedRecord]) -> asyncio.Future[bool]:
        """Take records; the future tells whether Kafka has all of them, and never fails.

        Raises
        ------
        FullError
            They would be more than may wait.
        AwayError
            No Kafka has answered yet.
        """
        if not self._counts:
            raise AwayError
        wanted = list(records)
        costs = [OVERHEAD_BYTES + len(record.key) + len(record.value) for record in wanted]
        if self.in_flight + sum(costs) > self._most_bytes:
            raise FullError
        delivery = _Delivery(len(wanted))
        if not wanted:
            delivery.done.set_result(True)
        self._account(sum(costs))
        for record, cost in zip(wanted, costs, strict=True):
            key = record.key.encode("utf-8", "replace")
            target = record.topic, partition(key, self._counts[record.topic])
            self._queues.setdefault(target, deque()).append(_Waiting(record, delivery, cost))
            if target not in self._flushes:
                self._flushes[target] = asyncio.create_task(self._flush(target))
        return delivery.done

    async def stop(self, seconds: float) -> bool:
        """Wait until all is acknowledged, then disconnect; tell whether it was in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._flushes:
                    await asyncio.wait(list(self._flushes.values()))
        clean = not self._flushes
        tasks = [task for task in (self._connecting, *self._flushes.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._disconnect()
        return clean

    def _account(self, cost: int) -> None:
        self.in_flight += cost
        collect_metrics.in_flight_bytes.labels().set(self.in_flight)

    async def _connect(self) -> None:
        names = [self._prefix + topic for topic in (*TOPICS, REJECTED)]
        while True:
            try:
                counts = await asyncio.to_thread(partition_counts, self._kafka, names, self._security)
                await self._make_producer()
            except (TopicError, KafkaError, OSError, RuntimeError, ValueError) as error:
                trouble = " ".join(str(error).split()) or type(error).__name__
                if trouble != self.trouble:
                    log.warning("%s", trouble)
                self.trouble = trouble
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            self._counts = {name.removeprefix(self._prefix): count for name, count in counts.items()}
            self.trouble = ""
            self._connected.set()
            collect_metrics.kafka_connected.labels().set(1)
            return

    async def _make_producer(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(REQUEST_S * 1000),
            retry_backoff_ms=100,
            linger_ms=0,
            **self._security.arguments(),
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def _disconnect(self) -> None:
        self._connected.clear()
        collect_metrics.kafka_connected.labels().set(0)
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError, OSError):
                await asyncio.wait_for(producer.stop(), 2.0)

    async def _renew(self, broken: AIOKafkaProducer) -> None:
        """Begin anew: after a batch that failed the library's producer may be of no more use."""
        if self._producer is broken:
            self.trouble = "what was sent last was not taken; connecting again"
            await self._disconnect()
            self.start()

    async def _flush(self, target: tuple[str, int]) -> None:
        """Send what gathers for a partition, a batch after the other, until nothing is left."""
        queue = self._queues[target]
        try:
            while queue:
                await self._connected.wait()
                producer = self._producer
                if producer is None:
                    continue
                batch, sent = self._batch(producer, queue)
                taken = False
                try:
                    # The library itself tries for ever, and may have got stuck.
                    async with asyncio.timeout(self._limit_s):
                        future: asyncio.Future[Any] = await producer.send_batch(
                            batch, self._prefix + target[0], partition=target[1]
                        )
                        await future
                    taken = True
                except (KafkaError, OSError) as error:
                    log.warning("%s does not take what was sent: %s", self._kafka, type(error).__name__)
                    await self._renew(producer)
                finally:
                    self._settle(sent, taken)
        finally:
            del self._flushes[target]

    def _batch(self, producer: AIOKafkaProducer, queue: deque[_Waiting]) -> tuple[Any, list[_Waiting]]:
        batch, sent = producer.create_batch(), []
        now_ms = int(time.time() * 1000)
        while queue:
            record = queue[0].record
            key = record.key.encode("utf-8", "replace") or None
            headers = envelope(REJECTED, SOURCE, record.key, 1, now_ms) if record.topic == REJECTED else []
            added = batch.append(timestamp=now_ms, key=key, value=record.value, headers=headers)
            # A batch takes its first record whatever its size; ours keep to 256 KiB.
            if added is None:
                break
            sent.append(queue.popleft())
        batch.close()
        return batch, sent

    def _settle(self, sent: list[_Waiting], taken: bool) -> None:
        topics: Counter[str] = Counter()
        for waiting in sent:
            topics[waiting.record.topic] += 1
            waiting.delivery.settle(taken)
        self._account(-sum(waiting.cost for waiting in sent))
        if taken:
            for topic, number in topics.items():
                collect_metrics.records.labels(topic).inc(number)
