"""Source units: a stage without state over all input partitions of a worker, with one batch for all of them.

What the partitions give goes out in the order in which it was folded, so that a visitor's clicks, which come by
several topics, stand in the visitors' log nearly as they happened.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from faust.types import TP

from agents.units import Fetched, Outlet, Unit
from schemas.marks import Progress
from streams.processors import SourceProcessor
from streams.stages import SourceStage


class InputPartition:
    """One input partition of a source unit.

    Attributes
    ----------
    next_offset
        First offset to fold.
    done_offset
        First offset whose outputs are not yet acknowledged.
    acknowledged
        How far the partition had come when `done_offset` was reached; None before the first time.
    marked_offset
        First offset of which no mark has told yet. Only up to there the partition may be committed: whoever goes on
        behind a record that only told the time, as the last one does, would never know of that time.
    heard_at
        When the last record was folded (s, monotonic).
    """

    def __init__(self, unit: SourceUnit, tp: TP, processor: SourceProcessor) -> None:
        self.unit = unit
        self.tp = tp
        self.processor = processor
        self.done_offset = self.marked_offset = processor.next_offset
        self.acknowledged: Progress | None = None
        self.heard_at = time.monotonic()

    @property
    def next_offset(self) -> int:
        """First offset to fold."""
        return self.processor.next_offset

    @property
    def name(self) -> str:
        """Name by which marks speak of it, such as ``page-views/0``."""
        return self.processor.upstream

    def time_of(self, fetched: Fetched) -> int:
        """Event time of a record (ms) as far as a glance tells, at most its append time; 0 where it does not."""
        at = self.processor.stage.time_of(fetched.value)
        return 0 if at is None else min(at, fetched.timestamp)

    @property
    def is_idle(self) -> bool:
        """Whether all that was folded is acknowledged."""
        return self.done_offset == self.processor.next_offset


class SourceUnit(Unit):
    """A stage without state on all input partitions of this worker.

    Parameters
    ----------
    stage
        What to do with a record.
    out_of_orderness_ms
        See `SourceProcessor`.
    outlet
        What it writes through.
    """

    def __init__(self, stage: SourceStage, out_of_orderness_ms: int, outlet: Outlet) -> None:
        super().__init__(stage.name, outlet)
        self._source_stage = stage
        self._out_of_orderness_ms = out_of_orderness_ms
        self.inputs: dict[TP, InputPartition] = {}

    def open(self, tp: TP, topic: str, next_offset: int) -> InputPartition:
        """Take on a partition of a topic, whose name without prefix is `topic`, from an offset on."""
        processor = SourceProcessor(self._source_stage, topic, tp.partition, self._out_of_orderness_ms)
        processor.next_offset = next_offset
        opened = self.inputs[tp] = InputPartition(self, tp, processor)
        return opened

    def fold(self, records: Sequence[tuple[int, TP, Fetched]]) -> None:
        """Apply (time, partition, record), each partition's in order. Takes no turn of the event loop."""
        began = time.thread_time()
        inputs, take = self.inputs, self._take
        for _, tp, fetched in records:
            take(inputs[tp].processor.apply(fetched.offset, fetched.timestamp, fetched.value))
        now = time.monotonic()
        for tp in {tp for _, tp, _ in records}:
            inputs[tp].heard_at = now
        self._folded(len(records), began)

    async def _flush(self) -> None:
        reached = [
            (opened, opened.next_offset, opened.processor.progress())
            for opened in self.inputs.values()
            if not opened.is_idle
        ]
        await self._send_outputs()
        await self._step("stored")
        for opened, next_offset, progress in reached:
            opened.done_offset, opened.acknowledged = next_offset, progress
            self._count(opened.processor.context)
