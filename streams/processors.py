"""Processors carry a stage over its records, one partition each; both runners use them, neither adds to them.

They hold what every stage needs alike: dropping what was delivered before (origins), time (marks, watermark,
deadlines), refusing what can't be read, and the fence that moves together with the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from schemas.marks import UNKNOWN_MS, Mark, Progress
from streams.rejections import rejection
from streams.stages import Context, LogStage, Output, SourceStage
from streams.states import Backing, KeyedState
from streams.watermarks import Watermark

PART = 100
"""Deadlines acted on in one go (about 10 ms). A mark that closes a million sessions is applied in parts."""


class Fence(msgspec.Struct):
    """How far a log has been applied; written with the state that it belongs to, never alone.

    Attributes
    ----------
    format
        Of the state that it belongs to; see `StateFormat`. A fence without one is of the first.
    offset
        Last applied offset of the log, -1 before the first.
    origins
        Upstream partition to the (offset, number) of its newest record that was applied.
    """

    format: int = 1
    offset: int = -1
    watermark: Watermark = msgspec.field(default_factory=Watermark)
    origins: dict[str, tuple[int, int]] = {}


def _all(outputs: Iterable[Output]) -> Sequence[Output]:
    """Carry a step through to its end, if it is a generator; most give a list or nothing."""
    return outputs if outputs.__class__ is list or outputs.__class__ is tuple else list(outputs)


class SourceProcessor:
    """Carries a stage without state over one partition of a foreign topic, and knows how far its time has come.

    Parameters
    ----------
    stage
        What to do with a record.
    topic, partition
        What is read.
    out_of_orderness_ms
        How much later than its successors an event may come without being late.
    """

    def __init__(self, stage: SourceStage, topic: str, partition: int, out_of_orderness_ms: int) -> None:
        self.stage = stage
        self.topic = topic
        self.partition = partition
        self.upstream = f"{topic}/{partition}"
        self.context = Context(KeyedState({}), self.upstream)
        self._out_of_orderness_ms = out_of_orderness_ms
        self._greatest_ms = UNKNOWN_MS
        self.next_offset = 0

    def apply(self, offset: int, append_ms: int, value: bytes | None) -> list[Output]:
        """Return the outputs of one record. `append_ms` (ms) bounds the event time that it may prove."""
        context = self.context
        context.offset, context.append_ms, context.number = offset, append_ms, 0
        result = self.stage.read(context, self.topic, self.partition, value)
        self.next_offset = offset + 1
        if result.time_ms is not None:
            self._greatest_ms = max(self._greatest_ms, min(result.time_ms, append_ms))
        if result.runs_on_to_ms is not None:
            self._greatest_ms = max(self._greatest_ms, result.runs_on_to_ms)
        return result.outputs

    def progress(self, silence_ms: int = -1) -> Progress:
        """Tell how far this partition has come, after all that was applied."""
        greatest = self._greatest_ms
        time_ms = UNKNOWN_MS if greatest == UNKNOWN_MS else greatest - self._out_of_orderness_ms
        return Progress(self.upstream, self.next_offset, time_ms, silence_ms)


class LogProcessor:
    """Carries a stage with state over one partition of its log.

    Parameters
    ----------
    stage
        What to do with a record and with a deadline.
    partition
        Of the log.
    backing, capacity
        See `KeyedState`.
    fence
        Where to go on; None: from the beginning.
    """

    def __init__(
        self,
        stage: LogStage,
        partition: int,
        backing: Backing | None = None,
        capacity: int | None = None,
        fence: Fence | None = None,
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.fence = fence or Fence(format=stage.state_format.number)
        self.context = Context(
            KeyedState(stage.state_types, backing, capacity),
            f"{stage.log}/{partition}",
            watermark=self.fence.watermark.time_ms,
        )
        self._decode = msgspec.json.Decoder(stage.record_type | Mark).decode
        self._rest: Iterator[list[Output]] | None = None

    def apply(self, offset: int, append_ms: int, value: bytes | None) -> Sequence[Output]:
        """Return the outputs of the record at `offset`, which must follow the last one that was applied."""
        return self._whole(self.begin(offset, append_ms, value))

    def apply_record(self, offset: int, append_ms: int, record: Any) -> Sequence[Output]:
        """Do the same with a record that is decoded already, of the types of the stage's log."""
        context = self.context
        context.offset, context.append_ms, context.number = offset, append_ms, 0
        self.fence.offset = offset
        outputs = self._fold(record, append_ms)
        return outputs if self._rest is None else self._whole(outputs)

    def begin(self, offset: int, append_ms: int, value: bytes | None) -> Sequence[Output]:
        """Do the same as `apply`, but where time has come for much return the first part: see `is_unfinished`."""
        context = self.context
        context.offset, context.append_ms, context.number = offset, append_ms, 0
        self.fence.offset = offset
        try:
            record = self._decode(value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            context.count("rejected", "schema_violation")
            return [rejection(context, "schema_violation", str(error), self.stage.log, self.partition, value)]
        return self._fold(record, append_ms)

    @property
    def is_unfinished(self) -> bool:
        """Whether outputs of the last record are yet to come, by `go_on`. Until then the state is of no offset."""
        return self._rest is not None

    def go_on(self) -> Sequence[Output]:
        """Return the next part of the outputs of a record that is unfinished."""
        return [] if self._rest is None else next(self._rest)

    def _whole(self, outputs: Sequence[Output]) -> Sequence[Output]:
        if self._rest is None:
            return outputs
        whole = list(outputs)
        while self._rest is not None:
            whole += next(self._rest)
        return whole

    def _fold(self, record: Any, append_ms: int) -> Sequence[Output]:
        if record.__class__ is Mark:
            return self._advance(record, append_ms)
        fence = self.fence
        upstream, at, number = record.origin
        newest = fence.origins.get(upstream)
        if newest is not None and (at, number) <= newest:
            self.context.count("redelivered")
            return []
        fence.origins[upstream] = (at, number)
        fence.watermark.saw(upstream, at)
        return _all(self.stage.step(self.context, record))

    def _advance(self, mark: Mark, append_ms: int) -> Sequence[Output]:
        watermark = self.fence.watermark
        before_ms = watermark.time_ms
        if not watermark.update(mark, append_ms):
            return []
        self.context.watermark = watermark.time_ms
        self._rest = self._parts(before_ms)
        return self.go_on()

    def _parts(self, before_ms: int) -> Iterator[list[Output]]:
        """Act on all deadlines that have passed, then on time itself."""
        context, state, due = self.context, self.context.state, self.stage.due
        outputs: list[Output] = []
        until = state.popped + PART
        for key, deadline in state.pop_due(context.watermark):
            outputs.extend(due(context, key, deadline))
            # A stage may have taken more of them.
            if state.popped >= until:
                yield outputs
                outputs, until = [], state.popped + PART
        outputs.extend(self.stage.advanced(context, before_ms))
        self._rest = None
        yield outputs
