"""Takeover: units for the partitions that a worker has been given, brought to where their last owner was.

Stores are brought up to date from their changelogs first, deadlines are restored from the stores, and each unit
begins behind the fence of its state; an input partition begins where its offset was committed.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from faust.types import TP

from agents.changelogs import FENCE_KEY, StoreError
from agents.deployments import Deployment
from agents.log_units import LogUnit
from agents.pump import PumpConsumer
from agents.recovery import recover
from agents.sending import Sender
from agents.source_units import InputPartition, SourceUnit
from agents.stores import Store
from agents.units import Outlet, Unit
from streams.processors import LogProcessor
from streams.stages import LogStage

log = logging.getLogger(__name__)

RECORDS_IN_MEMORY = 50_000
"""State records held decoded per unit; the rest is read from the local store."""
ROWS_AT_ONCE = 2_000
"""Rows whose deadlines are restored between two looks at the event loop (some 6 ms); few, for they are gone through
twice while the processor's cache holds them."""


@dataclass
class Owned:
    """What a worker owns in one generation of the group.

    Attributes
    ----------
    inputs
        Input partitions, each of one of the source units.
    log_units
        Partitions of logs to the units that read them.
    """

    inputs: dict[TP, InputPartition] = field(default_factory=dict)
    log_units: dict[TP, list[LogUnit]] = field(default_factory=lambda: defaultdict(list))
    source_units: list[SourceUnit] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    def units(self) -> list[Unit]:
        """All units."""
        return [*self.source_units, *itertools.chain.from_iterable(self.log_units.values())]

    def partitions(self) -> list[TP]:
        """Partitions that units read."""
        return [*self.inputs, *self.log_units]

    def done_offset(self, tp: TP) -> int | None:
        """Offset from which on someone else would have to go on; None if no unit reads the partition."""
        if tp in self.inputs:
            return self.inputs[tp].marked_offset
        return min((unit.done_offset for unit in self.log_units.get(tp, ())), default=None)

    async def close(self) -> None:
        """End all units, then close their stores."""
        for unit in self.units():
            await unit.stop()
        self.inputs.clear()
        self.log_units.clear()
        self.source_units.clear()
        while self.stores:
            self.stores.pop().close()


class Takeover:
    """Makes the units of a generation.

    Parameters
    ----------
    deployment
        Which stages.
    sender
        For what the units write.
    crash, check
        See `Outlet`.
    progress
        Called whenever the takeover has got on.
    """

    def __init__(
        self,
        deployment: Deployment,
        sender: Sender,
        crash: Callable[[int, str], None],
        check: Callable[[], None],
        progress: Callable[[], None],
    ) -> None:
        self._deployment = deployment
        self._outlet = Outlet(sender, deployment.partitions, crash, deployment.checkpoint, check)
        self._progress = progress

    async def fill(self, owned: Owned, consumer: PumpConsumer) -> None:
        """Make units for all that is assigned now. Whoever breaks this off closes `owned`.

        Raises
        ------
        StoreError
            The state can't be used.
        """
        deployment = self._deployment
        assignment = sorted(consumer.assignment())
        began = time.monotonic()
        stores: dict[tuple[str, int], Store] = {}
        for stage in deployment.logs:
            for tp in assignment:
                if tp.topic == deployment.prefix + stage.log:
                    store = Store(
                        deployment.data_dir / "state" / stage.name / str(tp.partition), stage.state_format
                    )
                    stores[self._changelog_of(stage, tp)] = store
                    owned.stores.append(store)
                    # To open one takes some 30 ms, and there may be hundreds.
                    self._progress()
                    await asyncio.sleep(0)
        recovered = await recover(
            deployment.kafka, stores, progress=self._progress, security=deployment.security
        )
        earliest = await consumer.earliest_offsets(*assignment) if assignment else {}
        committed = await consumer.seek_to_committed() if assignment else {}
        self._add_inputs(owned, {tp: max(earliest.get(tp) or 0, committed.get(tp) or 0) for tp in assignment})
        for stage in deployment.logs:
            for tp in assignment:
                if tp.topic == deployment.prefix + stage.log:
                    target = self._changelog_of(stage, tp)
                    unit = await self._log_unit(
                        stage, tp, stores[target], earliest.get(tp) or 0, committed.get(tp)
                    )
                    if heal := recovered.heal[target]:
                        log.info("writing %d rows of %s again", len(heal), unit)
                        await unit.write_again([key.decode() for key in heal if key != FENCE_KEY])
                    owned.log_units[tp].append(unit)
        log.info("took over %d partitions in %.2f s, %d changelog records read", len(assignment),
                 time.monotonic() - began, recovered.records)  # fmt: skip

    def _changelog_of(self, stage: LogStage, tp: TP) -> tuple[str, int]:
        return self._deployment.prefix + self._deployment.changelog(stage.name), tp.partition

    def _add_inputs(self, owned: Owned, begin: dict[TP, int]) -> None:
        deployment = self._deployment
        for source in deployment.sources:
            unit = SourceUnit(source, deployment.out_of_orderness_ms, self._outlet)
            for tp, offset in begin.items():
                topic = tp.topic.removeprefix(deployment.prefix)
                if topic in source.inputs:
                    owned.inputs[tp] = unit.open(tp, topic, offset)
            owned.source_units.append(unit)

    async def _log_unit(
        self, stage: LogStage, tp: TP, store: Store, first: int, committed: int | None
    ) -> LogUnit:
        deployment = self._deployment
        fence = store.fence
        if fence is None and (committed or 0) > first:
            raise StoreError(
                f"{tp.topic}/{tp.partition} was read up to {committed}, but {stage.name} has no state: either its "
                f"changelog {deployment.prefix}{deployment.changelog(stage.name)} was lost, or {deployment.app_id} "
                f"has run without {stage.name} until now, and what it has read is not read again for a stage that "
                "comes later; bring the topic back, or start anew under another app_id and topic_prefix"
            )
        processor = LogProcessor(stage, tp.partition, store, RECORDS_IN_MEMORY, fence)
        rows = store.rows()
        while chunk := list(itertools.islice(rows, ROWS_AT_ONCE)):
            processor.context.state.restore(chunk)
            await asyncio.sleep(0)
        next_offset = first if fence is None else fence.offset + 1
        return LogUnit(processor, next_offset, store, deployment.changelog(stage.name), self._outlet)
