"""Adapting as a process: raw records of one Kafka topic become records of the input topics.

Each record's ids depend on its content and place alone, and its place is committed only when all that came of it
is acknowledged. So a process that is killed sends some of it again under the same ids, which count once, and loses
nothing.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, KafkaError
from kafka.structs import OffsetAndMetadata

from agents.grants import RawTopic, lacking, missing_grants
from agents.publisher import Publisher
from agents.security import OPEN, Security
from agents.settings import WorkerSettings
from streams.adapters import Adaptation

BATCH = 500
"""So many raw records at most are read, sent and committed together."""
POLL_MS = 500
SAID_EVERY_S = 30.0

log = logging.getLogger(__name__)


class AdaptError(Exception):
    """A raw topic can't be adapted; one line that says what to do."""


def check_rights(settings: WorkerSettings, raw: RawTopic) -> None:
    """Look whether Kafka lets us read the raw topic and write the input topics.

    Raises
    ------
    AdaptError
        It does not.
    TopicError
        It can't be asked.
    """
    missing = missing_grants(settings, "adapter", raw)
    if missing:
        raise AdaptError(
            f"{settings.kafka}: this user lacks {lacking(missing)}: culdesac topics --acls prints the commands"
        )


class TopicAdapter:
    """Reads a raw topic as one of a group; several share its partitions.

    Parameters
    ----------
    kafka, prefix, security
        Where the input topics are, and what stands before their names. The raw topic has its own whole name.
    topic
        Raw topic.
    adaptation
        Reads its records.
    group
        Consumer group, by which a process that follows goes on where this one was.
    session_timeout_ms
        After so long without a sign of life its partitions are given to others.
    publisher
        Sends; by default one of its own.

    Raises
    ------
    AdaptError
        There is no such topic.
    """

    def __init__(
        self,
        kafka: str,
        topic: str,
        adaptation: Adaptation,
        group: str,
        prefix: str = "",
        security: Security = OPEN,
        session_timeout_ms: int = 10_000,
        publisher: Publisher | None = None,
    ) -> None:
        self.adaptation = adaptation
        self._topic = topic
        self._publisher = publisher or Publisher(kafka, prefix, security=security)
        self._consumer = KafkaConsumer(
            bootstrap_servers=kafka.split(","),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BATCH,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 3,
            **security.arguments(),
        )
        if not self._consumer.partitions_for_topic(topic):
            self.close()
            raise AdaptError(f"--from-topic: there is no topic {topic!r}: create it, or name another")
        self._consumer.subscribe([topic])

    def step(self) -> int:
        """Read a batch, send what comes of it, wait for the acknowledgement, and commit; give its size.

        Raises
        ------
        PublishError
            Kafka does not take what is sent; nothing of the batch is committed.
        """
        polled = self._consumer.poll(timeout_ms=POLL_MS, max_records=BATCH)
        events: list[tuple[int, str, bytes, int | None]] = []
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        size = 0
        for place, records in polled.items():
            for record in records:
                for topic, value, time_ms in self.adaptation.of_record(
                    record.value, self._topic, record.partition, record.offset
                ):
                    events.append((2**62 if time_ms is None else time_ms, topic, value, time_ms))
            size += len(records)
            offsets[place] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
        # In order of time, as far as a batch goes: what is ahead must not make the rest late.
        for _, topic, value, time_ms in sorted(events, key=lambda event: event[0]):
            self._publisher.send(topic, value, time_ms)
        self._publisher.push()
        if offsets:
            try:
                self._consumer.commit(offsets)
            except CommitFailedError:
                # The partitions are another's by now, who sends the same again under the same ids.
                log.info("the batch was handed over before it was committed; it is sent again")
        return size

    def lag(self) -> int:
        """Count records that are still to be read, as far as the last batch has told."""
        places = self._consumer.assignment()
        known = [(self._consumer.highwater(place), self._consumer.position(place)) for place in places]
        return sum(max(0, end - at) for end, at in known if end is not None and at is not None)

    def close(self) -> None:
        """Leave the group and disconnect; what was not committed is read again by whoever follows."""
        self._consumer.close(autocommit=False)
        self._publisher.close()


def adapt_topic(
    adapter: TopicAdapter,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    on_step: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Go on until SIGTERM or SIGINT; say now and then how far it is.

    Parameters
    ----------
    adapter
        What is carried on.
    say
        Told lines for people.
    clock
        In seconds.
    on_step
        Told after each batch how many raw records are left.

    Returns
    -------
    dict
        What was read, written and refused, as plain JSON values.

    Raises
    ------
    AdaptError
        The broker is gone for good.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    said_at = clock()
    try:
        while not over.is_set():
            adapter.step()
            if on_step is not None:
                on_step(adapter.lag())
            if clock() - said_at >= SAID_EVERY_S:
                said_at = clock()
                say(_progress(adapter.adaptation))
    except KafkaError as error:
        raise AdaptError(f"Kafka does not answer any more ({error}): start it, and this again") from None
    finally:
        adapter.close()
    say(_progress(adapter.adaptation))
    return adapter.adaptation.report()


def _progress(adaptation: Adaptation) -> str:
    written, refused = adaptation.written.total(), adaptation.rejected.total()
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in adaptation.rejected.items())
    return (
        f"{adaptation.records:,} raw records read, {written:,} events written, {refused:,} rejected"
        f"{f' ({reasons})' if reasons else ''}."
    )
