"""The board's feed: records of a replay's folder, or of Kafka's topics, into the hub."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents import board_metrics
from agents.board_hub import Hub
from agents.security import security_of
from agents.settings import WorkerSettings
from agents.topics import partition_counts
from streams.board import TAIL_TOPICS, TOPICS
from streams.event_files import EventFileError

TAIL_BYTES = 128 << 20
"""Of files of which the end is enough, not more than this is read."""
TAIL_RECORDS = 100_000
"""Of topics of which the end is enough, so many records a partition at most are read at the start."""
LINES_AT_ONCE = 500
"""Then whoever looks at the board has a turn."""
POLL_MS = 200
PROBE_EVERY_S = 1.0
ANSWER_S = 3.0
"""A broker that is silent for longer counts as gone."""
PAUSE_S = 1.0

log = logging.getLogger(__name__)


def folder_files(folder: Path) -> list[tuple[str, Path]]:
    """Find what a replay wrote: topics with their files.

    Raises
    ------
    EventFileError
        The folder holds no results of a replay.
    """
    found = [(topic, folder / f"{topic}.ndjson") for topic in TOPICS]
    there = [(topic, file) for topic, file in found if file.is_file()]
    if not there:
        raise EventFileError(f"{folder}: holds no results: name a folder that culdesac replay --out wrote")
    return there


async def read_folder(hub: Hub, files: Iterable[tuple[str, Path]]) -> None:
    """Read the files into the hub, in steps, so that the board answers meanwhile."""
    try:
        for topic, file in files:
            for lines in _lines(file, topic in TAIL_TOPICS):
                for line in lines:
                    hub.board.take(topic, line)
                hub.tell()
                await asyncio.sleep(0)
    except OSError as error:
        hub.breaks(f"{error.filename}: can't be read ({error.strerror})", _now())
    hub.loaded()


def _lines(file: Path, tail: bool) -> Iterator[list[bytes]]:
    with file.open("rb") as stream:
        if tail and (size := file.stat().st_size) > TAIL_BYTES:
            stream.seek(size - TAIL_BYTES)
            stream.readline()
        lines = []
        for line in stream:
            lines.append(line.rstrip(b"\n"))
            if len(lines) >= LINES_AT_ONCE:
                yield lines
                lines = []
        if lines:
            yield lines


class KafkaFeed:
    """Follows the topics of a Kafka, from the first record on, or near the end where that is enough.

    Parameters
    ----------
    hub
        Told of everything.
    settings
        Where Kafka is.

    Raises
    ------
    TopicError
        Kafka can't be asked, or has no such topic.
    """

    def __init__(self, hub: Hub, settings: WorkerSettings) -> None:
        self._hub = hub
        self._settings = settings
        prefix = settings.topic_prefix
        counts = partition_counts(settings.kafka, [prefix + topic for topic in TOPICS], security_of(settings))
        self._topics = {
            TopicPartition(name, number): name.removeprefix(prefix)
            for name, count in counts.items()
            for number in range(count)
        }
        # Next offset of each partition: who connects again goes on there, and counts nothing twice.
        self._next: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] | None = None

    async def run(self) -> None:
        """Read on for ever; a Kafka that goes away is waited for."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, TimeoutError) as error:
                self._hub.breaks(f"Kafka can't be read ({type(error).__name__})", _now())
            await asyncio.sleep(PAUSE_S)

    async def _follow(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            client_id="culdesac-board",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            metadata_max_age_ms=10_000,
            max_partition_fetch_bytes=8 << 20,
            **security_of(self._settings).arguments(),
        )
        probing: asyncio.Task[None] | None = None
        try:
            await consumer.start()
            consumer.assign(list(self._topics))
            await self._seek(consumer)
            probing = asyncio.create_task(self._probe(consumer))
            while True:
                polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=LINES_AT_ONCE)
                for partition, records in polled.items():
                    topic = self._topics[partition]
                    for record in records:
                        self._hub.board.take(topic, record.value)
                    self._next[partition] = records[-1].offset + 1
                    board_metrics.records.labels(topic).inc(len(records))
                if polled:
                    self._hub.tell()
                    await asyncio.sleep(0)
                elif probing.done():
                    raise OSError("the probe has ended")
                if self._hub.loading and self._is_whole():
                    self._hub.loaded()
        finally:
            if probing is not None:
                probing.cancel()
            await consumer.stop()

    async def _seek(self, consumer: AIOKafkaConsumer) -> None:
        firsts = await consumer.beginning_offsets(list(self._topics))
        ends = await consumer.end_offsets(list(self._topics))
        if self._ends is None:
            self._ends = ends
        for partition, topic in self._topics.items():
            first = firsts[partition]
            if topic in TAIL_TOPICS:
                first = max(first, ends[partition] - TAIL_RECORDS)
            place = self._next.setdefault(partition, first)
            consumer.seek(partition, max(firsts[partition], min(place, ends[partition])))

    def _is_whole(self) -> bool:
        return all(self._next[partition] >= end for partition, end in (self._ends or {}).items())

    async def _probe(self, consumer: AIOKafkaConsumer) -> None:
        """Ask Kafka every second whether it is there: a consumer itself waits in silence."""
        partition = next(iter(self._topics))
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await consumer.end_offsets([partition])
            except (KafkaError, OSError, TimeoutError):
                self._hub.breaks("Kafka does not answer", _now())
            else:
                self._hub.heals()
            await asyncio.sleep(PROBE_EVERY_S)


def _now() -> str:
    return time.strftime("%H:%M:%S", time.gmtime())
