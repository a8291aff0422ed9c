"""Replay: the same stages in one process, without Kafka; for files, for tests, and as the oracle.

Records are taken in one by one, in one order of arrival for all topics; what they give rise to is followed
through all stages at each mark. Every log is kept as Kafka would keep it (partitions, offsets), but records stay as
they are, and only until they are read. Event time alone counts: no record has an append time of its own, so
none comes from the future, and the marks of the single arrival order speak of one upstream partition,
``files/0``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.marks import UNKNOWN_MS, Mark, Progress
from schemas.rejected_events import RejectedEvent
from schemas.timestamps import MAX_MS
from schemas.topics import TOPICS
from schemas.topics import partition as partition_of
from streams.event_files import REJECTED, UNKNOWN
from streams.memory_states import MemoryState
from streams.processors import LogProcessor, SourceProcessor
from streams.settings import Settings
from streams.stages import EVERY_PARTITION, LogStage, Output

if TYPE_CHECKING:
    from streams.flow import Flow

UPSTREAM = "files/0"
"""What the marks of a replay speak of: the one order of arrival."""
MARKED_LOG = "visitor-events"
_LOGS = frozenset(name for name, topic in TOPICS.items() if topic.internal)
MARK_EVERY_MS = 10_000
MARK_EVERY_EVENTS = 1_000
"""Pace of marks, whichever comes first. Finer ones change no result: they cost a tenth more at one a
second."""

Write = Callable[[Output, bytes], None]
"""Takes an output and its encoded record."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Replay:
    """Carries a flow over input records.

    Parameters
    ----------
    flow
        The stages.
    settings
        How far events may be out of order, and how far time runs on at the end.
    partitions
        Topic to its number of partitions; 1 where it names none. The result is the same for any.
    write
        Called with each output for a topic that no stage reads, in order.
    write_logs
        Called with each record of a log, marks included; None: nobody asks.

    Examples
    --------
    >>> from streams.flow import stages
    >>> settings = Settings(pseudonymise=False)
    >>> topics = []
    >>> flow = stages(settings, "", {"visitor-events": 1})
    >>> replay = Replay(flow, settings, {}, lambda output, line: topics.append(output.topic))
    >>> replay.feed("page-views", b'nonsense')
    >>> topics
    ['rejected-events']
    """

    def __init__(
        self,
        flow: Flow,
        settings: Settings,
        partitions: Mapping[str, int],
        write: Write,
        write_logs: Write | None = None,
    ) -> None:
        self._flow = flow
        self._out_of_orderness_ms = settings.out_of_orderness_ms
        self._run_on_ms = settings.run_on_ms
        self._write = write
        self._write_logs = write_logs
        self._sources: dict[str, SourceProcessor] = {}
        self._partitions = {log: partitions.get(log, 1) for log in flow.logs}
        self._readers = {
            log: [
                [_reader(stage, number) for stage in flow.stages if stage.log == log]
                for number in range(count)
            ]
            for log, count in self._partitions.items()
        }
        self._next_offsets = {log: [0] * count for log, count in self._partitions.items()}
        self._waiting: deque[tuple[list[LogProcessor], int, int, Any]] = deque()
        self._now_ms = UNKNOWN_MS
        self._marked_ms = UNKNOWN_MS
        self._since_mark = 0
        self.fed = 0
        self._refused: Counter[str] = Counter()

    @property
    def now_ms(self) -> int:
        """Greatest event time so far (ms), `UNKNOWN_MS` before the first."""
        return self._now_ms

    @property
    def watermark(self) -> int:
        """How far every stage has come (ms)."""
        return min(
            reader.context.watermark for parts in self._readers.values() for part in parts for reader in part
        )

    def feed(self, topic: str, value: bytes | None, occurred_at: int | None = None) -> None:
        """Take one input record in.

        Parameters
        ----------
        topic, value
            As on Kafka; of another topic than the inputs, it is rejected. A finished record for
            ``rejected-events`` is passed on.
        occurred_at
            Its event time (ms), if it tells one.
        """
        if topic == REJECTED:
            # A line of a file that could not even be read as a record: nothing is left to do with it.
            self._refuse(value or b"")
            return
        if occurred_at is not None and occurred_at > self._now_ms:
            self._now_ms = occurred_at
        source = self._sources.get(topic)
        if source is None:
            source = self._source(topic)
        append_ms = 0 if self._now_ms == UNKNOWN_MS else min(self._now_ms, MAX_MS)
        self.fed += 1
        self._emit(source.apply(source.next_offset, append_ms, value), append_ms)
        self._since_mark += 1
        if self._since_mark >= MARK_EVERY_EVENTS or self._now_ms - self._marked_ms >= MARK_EVERY_MS:
            self._mark(self._now_ms)
            # Not before: a stage that has many records in a row costs a fifth less than stages by turns.
            self._drain()

    def finish(self) -> None:
        """Let time run on until everything is closed."""
        if self._now_ms == UNKNOWN_MS:
            return
        self._mark(self._now_ms)
        self._drain()
        self._now_ms += self._run_on_ms
        self._mark(self._now_ms)
        self._drain()

    def counts(self) -> dict[str, Counter[tuple[str, str]]]:
        """Add up what the stages have counted, by stage."""
        refused = Counter({("rejected", reason): number for reason, number in self._refused.items()})
        counts = {self._flow.intake.name: refused}
        for source in self._sources.values():
            counts[source.stage.name].update(source.context.counts)
        for parts in self._readers.values():
            for part in parts:
                for reader in part:
                    counts.setdefault(reader.stage.name, Counter()).update(reader.context.counts)
        return counts

    def _refuse(self, value: bytes) -> None:
        rejected = msgspec.json.decode(value, type=RejectedEvent)
        self._refused[rejected.reason] += 1
        self._write(Output(REJECTED, rejected.id, rejected, rejected.id, max(self._now_ms, 0)), value)

    def _source(self, topic: str) -> SourceProcessor:
        known = topic if topic in self._flow.intake.inputs else UNKNOWN
        source = self._sources.get(known)
        if source is None:
            source = SourceProcessor(self._flow.intake, known, 0, self._out_of_orderness_ms)
            self._sources[known] = source
        return source

    def _mark(self, now_ms: int) -> None:
        """Tell every partition of the visitors' log how far time has come."""
        self._since_mark, self._marked_ms = 0, now_ms
        if now_ms == UNKNOWN_MS:
            return
        progress = Progress(UPSTREAM, self.fed, now_ms - self._out_of_orderness_ms)
        mark = Mark(1, (progress,))
        self._append(
            Output(MARKED_LOG, "", mark, "mark", now_ms, partition=EVERY_PARTITION), min(now_ms, MAX_MS)
        )

    def _emit(self, outputs: Sequence[Output], append_ms: int) -> None:
        for output in outputs:
            topic = output.topic
            if topic in self._readers:
                self._append(output, append_ms)
            elif topic not in _LOGS:
                self._write(output, _encode(output.value))

    def _append(self, output: Output, append_ms: int) -> None:
        topic, record = output.topic, output.value
        count = self._partitions[topic]
        targets: tuple[int, ...] | range = (0,)
        if count > 1:
            if output.partition == EVERY_PARTITION:
                targets = range(count)
            elif output.partition is not None:
                targets = (output.partition,)
            else:
                targets = (partition_of(output.key.encode(), count),)
        readers, next_offsets = self._readers[topic], self._next_offsets[topic]
        for number in targets:
            offset = next_offsets[number]
            next_offsets[number] = offset + 1
            self._waiting.append((readers[number], offset, append_ms, record))
            if self._write_logs is not None:
                self._write_logs(output, _encode(record))

    def _drain(self) -> None:
        waiting = self._waiting
        while waiting:
            readers, offset, append_ms, record = waiting.popleft()
            for reader in readers:
                outputs = reader.apply_record(offset, append_ms, record)
                if outputs:
                    self._emit(outputs, append_ms)


def _reader(stage: LogStage, number: int) -> LogProcessor:
    reader = LogProcessor(stage, number)
    reader.context.state = MemoryState(stage.state_types)
    return reader
