"""Publisher: events to the input topics of a Kafka, keyed and acknowledged, with word of how far time has come.

A rare topic holds the watermark back: who sees no order for a minute can't know whether one is on its way.
So, while time moves, the publisher puts a progress record into every partition of every input topic, which
says that it has sent all up to some event time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.security import OPEN, Security
from agents.topics import partition_counts
from schemas.cloud_events import envelope
from schemas.topics import partition
from streams.event_files import INPUTS, REJECTED

PAUSE_S = 3.0
"""After so long without a push inputs are told first that time goes on: workers take them for silent after 5 s."""
PROGRESS_EVERY_S = 0.25
"""Pace of progress records (wall clock) while event time moves."""
MAX_BATCH_BYTES = 1_000_000
"""A larger record would be refused by a broker that was not told otherwise."""
WAITING_RECORDS = 5_000
"""So many are gathered before they go out together."""
WAITING_BYTES = 16 << 20
"""And not more than this of them: a slow broker makes the sender wait, never its memory grow."""
TIMEOUT_S = 60.0
SOURCE = "/culdesac/publish"

log = logging.getLogger(__name__)


class PublishError(Exception):
    """Events can't be sent; one line that says what to do."""


class _Ids(msgspec.Struct):
    id: str | None = None
    order_id: str | None = None
    visitor_id: str | None = None
    customer_id: str | None = None


_ids = msgspec.json.Decoder(_Ids).decode


def key_of(topic: str, value: bytes | None) -> bytes | None:
    """Key of an input record: the order's id for orders, else the visitor's, else the customer's.

    Examples
    --------
    >>> key_of("page-views", b'{"visitor_id": "ann", "customer_id": "7"}'), key_of("orders", b"nonsense")
    (b'ann', None)
    """
    try:
        ids = _ids(value or b"")
    except (ValueError, RecursionError):
        return None
    own = ids.order_id if topic == "orders" else ids.id if topic == REJECTED else None
    key = own or ids.visitor_id or ids.customer_id
    return key.encode("utf-8", "replace") if key else None


def progress(time_ms: int) -> bytes:
    """Record that says how far event time (ms) has come in a partition.

    Examples
    --------
    >>> progress(7)
    b'{"culdesac_progress":7}'
    """
    return b'{"culdesac_progress":%d}' % time_ms


class Publisher:
    """Sends input records to Kafka; a context manager that waits until all is acknowledged.

    Records of a partition keep their order, also over retries. They are gathered, and go out when there are
    many, or when somebody asks.

    Parameters
    ----------
    kafka
        ``host:port`` of some brokers, separated by commas.
    prefix
        Before the name of every topic.
    clock
        Monotonic seconds; paces the progress records.
    security
        How to get in.

    Attributes
    ----------
    sent
        Records handed to Kafka, by topic; progress records apart.
    refused
        How many were left out: too large for a broker, or of no topic that there is.
    now_ms
        Greatest event time that was sent (ms); None before the first.

    Raises
    ------
    TopicError
        No Kafka answers, or a topic does not exist.
    PublishError
        The broker does not take what is sent.
    """

    def __init__(
        self,
        kafka: str,
        prefix: str = "",
        clock: Callable[[], float] = time.monotonic,
        security: Security = OPEN,
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.refused = 0
        self.now_ms: int | None = None
        self._kafka = kafka
        self._security = security
        self._prefix = prefix
        self._clock = clock
        self._told_ms: int | None = None
        self._told_at = clock()
        self._first_ms: int | None = None
        self._pushed_at: float | None = None
        names = partition_counts(kafka, (prefix + topic for topic in (*INPUTS, REJECTED)), security)
        self._counts = {name.removeprefix(prefix): count for name, count in names.items()}
        self._waiting: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = {}
        self._number = 0
        self._bytes = 0
        self._runner = asyncio.Runner()
        self._producer = self._run(self._start())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.tell()
                self.push()
        finally:
            self.close()

    def close(self) -> None:
        """Disconnect; what was not pushed is lost."""
        try:
            self._runner.run(asyncio.wait_for(self._producer.stop(), 5.0))
        except (KafkaError, TimeoutError):
            log.debug("the producer did not stop in time")
        finally:
            self._runner.close()

    def send(self, topic: str, value: bytes | None, occurred_at: int | None = None) -> None:
        """Take one record; `occurred_at` is its event time (ms), if it tells one."""
        count = self._counts.get(topic)
        if count is None or len(value or b"") > MAX_BATCH_BYTES - 1_000:
            self.refused += 1
            return
        key = key_of(topic, value)
        self._put((topic, partition(value or b"" if key is None else key, count)), key, value)
        self.sent[topic] += 1
        if occurred_at is not None:
            if self._first_ms is None or occurred_at < self._first_ms:
                self._first_ms = occurred_at
            if self.now_ms is None or occurred_at > self.now_ms:
                self.now_ms = occurred_at
        if self._number >= WAITING_RECORDS or self._bytes >= WAITING_BYTES:
            if self._clock() - self._told_at >= PROGRESS_EVERY_S:
                self.tell()
            self.push()

    def tell(self, time_ms: int | None = None) -> None:
        """Put a progress record into every partition of every input topic, if time has moved.

        Parameters
        ----------
        time_ms
            How far (event time, ms); None: as far as what was sent.
        """
        self._told_at = self._clock()
        time_ms = self.now_ms if time_ms is None else time_ms
        if time_ms is None or (self._told_ms is not None and time_ms <= self._told_ms):
            return
        self._told_ms = time_ms
        for target in self._targets():
            self._put(target, None, progress(time_ms))

    def push(self, telling: bool = False) -> None:
        """Send what was gathered, and wait until it is acknowledged.

        Parameters
        ----------
        telling
            Whether to put progress records behind it, when their time has come.

        Raises
        ------
        PublishError
            It is not within a minute, or was refused.
        """
        if telling and self._clock() - self._told_at >= PROGRESS_EVERY_S:
            self.tell()
        waiting, self._waiting = self._waiting, {}
        first_ms, self._first_ms = self._first_ms, None
        self._number = self._bytes = 0
        if waiting:
            if first_ms is not None and self._is_after_a_pause():
                # Inputs that were silent would not hold time back, and what comes for them now could be late.
                self._run(self._send({target: [(None, progress(first_ms))] for target in self._targets()}))
            self._run(self._send(waiting))
            self._pushed_at = self._clock()

    def _targets(self) -> list[tuple[str, int]]:
        """Every partition of every input topic."""
        return [(topic, number) for topic in INPUTS for number in range(self._counts[topic])]

    def _is_after_a_pause(self) -> bool:
        return self._pushed_at is None or self._clock() - self._pushed_at >= PAUSE_S

    def _put(self, target: tuple[str, int], key: bytes | None, value: bytes | None) -> None:
        self._waiting.setdefault(target, []).append((key, value))
        self._number += 1
        self._bytes += len(value or b"")

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=2 * MAX_BATCH_BYTES,
            **self._security.arguments(),
        )
        await producer.start()
        return producer

    async def _send(self, waiting: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]]) -> None:
        now_ms = int(time.time() * 1000)
        futures = []
        for (topic, number), records in waiting.items():
            batch = self._producer.create_batch()
            for key, value in records:
                refused = topic == REJECTED and key is not None
                headers = envelope(REJECTED, SOURCE, (key or b"").decode(), 1, now_ms) if refused else []
                if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                    batch.close()
                    futures.append(
                        await self._producer.send_batch(batch, self._prefix + topic, partition=number)
                    )
                    batch = self._producer.create_batch()
                    batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
            batch.close()
            futures.append(await self._producer.send_batch(batch, self._prefix + topic, partition=number))
        await asyncio.gather(*futures)

    def _run(self, work: Any) -> Any:
        async def in_time() -> Any:
            async with asyncio.timeout(TIMEOUT_S):
                return await work

        try:
            return self._runner.run(in_time())
        except (KafkaError, TimeoutError) as error:
            reason = "no answer for a minute" if isinstance(error, TimeoutError) else str(error)
            raise PublishError(f"{self._kafka}: Kafka does not take records ({reason})") from None
