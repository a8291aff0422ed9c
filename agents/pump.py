"""The pump: Faust's consumer, handing whole fetched batches of a partition to units.

Faust keeps what it does well: the app, its agents' subscriptions, group membership, rebalancing, commits, timers
and signals. Its path for single messages (queues, streams, acknowledgements) is left out, for it loses events at
restart and costs ten times the work. All private names of Faust and aiokafka that this project rests on stand in
this file; `tests/agents/test_pump.py` holds each of them.

What must never happen is that a record is passed over in silence. Hence: a unit folds only the record at its own
next offset; a lower one was folded before; a higher one makes the consumer seek back, and if that does not help,
ends the worker. What was fetched but can't be used (a rebalance began meanwhile) has moved the position of the
client library, so its partition is sought back before the next fetch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import faust
from aiokafka.consumer import fetcher as client_fetcher
from aiokafka.errors import IllegalStateError, KafkaError
from faust.assignor import PartitionAssignor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.lanes import Lanes
from agents.log_units import LogUnit
from agents.merging import LAG, LIVE_MS, Merge
from agents.pacing import paced
from agents.source_units import InputPartition
from agents.units import SLICE, Unit

if TYPE_CHECKING:
    from agents.runner import Runner

log = logging.getLogger(__name__)

FETCH_S = 0.25
"""How long a fetch waits for records. Faust's consumer thread does one thing at a time, so commits and questions
for end offsets wait for it."""
DRAIN_S = 4.0
"""How long units may finish what they have folded when partitions are taken away or the worker stops."""
COMMIT_S = 10.0
"""How long the last commit may take; the client library can lose its coordinator for good after a crash."""


def _as_decoded(_: Any, __: Any, record: Any) -> Any:
    return record


# A record's offset, time, key, value and headers are in what the C decoder makes. The client library would copy
# them into an object with six fields more, which costs as much as the decoding itself.
client_fetcher.PartitionRecords._consumer_record = _as_decoded


class _PacedThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, whose client does not ask for each record by itself."""

    async def on_start(self) -> None:
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher
        fetcher._proc_fetch_request = paced(fetcher._proc_fetch_request)


class PumpConsumer(driver.Consumer):
    """Consumer that feeds units instead of streams.

    Attributes
    ----------
    round_at
        When it last began to fetch, or saw that it should not (s, monotonic).
    """

    app: PumpApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.round_at = time.monotonic()
        self._epoch = 0
        self._seek_back: set[TP] = set()
        self._sought: dict[TP, tuple[int, int]] = {}
        self._merge = Merge()
        self._lanes = Lanes(self._fail)
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> _PacedThread:
        return _PacedThread(self, loop=self.loop, beacon=self.beacon)

    # ---- what the runner asks

    def is_member(self, generation: int) -> bool:
        """Whether this worker still is in the group, in that generation."""
        client = self._thread._consumer
        return (
            client is not None
            and self.app.consumer_generation_id == generation
            and client._coordinator.generation == generation
        )

    def committed(self, tp: TP) -> int:
        """Source offset that was committed last, 0 if none."""
        return self._committed_offset[tp] or 0

    def stands_s(self, now: float) -> float:
        """For how long no fetch has begun although records may flow (s); `now` is monotonic."""
        if not self.flow_active:
            self.round_at = now
        return now - self.round_at

    # ---- what Faust calls

    def stop_flow(self) -> None:
        """Stop folding: a rebalance begins, or the worker stops."""
        self._epoch += 1
        self._seek_back |= self._merge.drop()
        super().stop_flow()

    async def wait_empty(self) -> None:
        """Let units finish, then commit; called when partitions are revoked and when the worker stops."""
        runner = self.app.runner
        await runner.drain(DRAIN_S)
        for tp in runner.owned.partitions():
            # Faust forgets revoked partitions before their last commit: make it look at them once more.
            _ = self._acked[tp]
        try:
            await asyncio.wait_for(super().wait_empty(), COMMIT_S)
        except TimeoutError:
            runner.crash(79, "the last commit got no answer")
        finally:
            await runner.release()

    def _new_offset(self, tp: TP) -> int | None:
        return self.app.runner.owned.done_offset(tp)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        before = {tp: self._committed_offset[tp] for tp in offsets}
        done: bool = await super()._commit_offsets(offsets, start_new_transaction)
        if not done:
            # Faust takes them for committed all the same: it would not try again, nor the watchdog notice.
            self._committed_offset.update(before)
        return done

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        wanted = active_partitions
        if active_partitions:
            # No partitions would mean all of them.
            wanted = active_partitions - self._merge.full() - self._lanes.busy() or active_partitions
        return await super()._getmany(wanted, timeout)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                    if self.should_stop:
                        break
                self.round_at = time.monotonic()
                await self._go_back()
                epoch = self._epoch
                records, active = await self._wait_next_records(FETCH_S)
                await asyncio.sleep(0)
                if self.should_stop:
                    break
                # Logs first, then page views before what was done on them.
                for tp, batch in sorted((records or {}).items(), key=self._rank):
                    await self._hand_over(TP(tp.topic, tp.partition), batch, active, epoch)
                await self._fold_inputs(active, epoch)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                self.app.runner.crash(70, "the broker connection stopped")
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise
        except BaseException as error:  # noqa: BLE001  # a dead consumer would be a silent stall
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.app.runner.crash(70, f"consuming failed: {error!r}")

    # ---- handing over

    def _rank(self, item: tuple[Any, list[Any]]) -> tuple[int, str, int]:
        tp = item[0]
        return self.app.runner.rank(tp.topic), tp.topic, tp.partition

    def _may_fold(self, unit: Unit, epoch: int) -> bool:
        return not unit.dead and epoch == self._epoch and self.flow_active

    async def _hand_over(self, tp: TP, batch: list[Any], active: set[TP] | None, epoch: int) -> None:
        opened = self.app.runner.input_of(tp)
        units = self.app.runner.log_units_of(tp)
        if not (opened or units) or (active is not None and tp not in active):
            self._seek_back.add(tp)
        elif opened is not None:
            self._hold(tp, opened, batch)
        elif self.app.runner.is_urgent(tp.topic):
            await self._fold_log(tp, units, batch, epoch)
        else:
            await self._lanes.begin(tp, lambda: self._fold_log(tp, units, batch, epoch))

    async def _fold_log(self, tp: TP, units: list[LogUnit], batch: list[Any], epoch: int) -> None:
        for unit in units:
            records = self._from_next(tp, batch, unit.next_offset)
            if records is None:
                return
            if records and records[-1].offset - records[0].offset != len(records) - 1:
                self._lacks(tp, records[0].offset, records[-1].offset)
            start = 0
            while start < len(records) or unit.is_unfinished:
                await self._wait_for_room(unit)
                # No turn of the event loop between this check and the fold.
                if not self._may_fold(unit, epoch):
                    self._seek_back.add(tp)
                    return
                start += unit.fold(records[start : start + SLICE])
                await asyncio.sleep(0)
        _ = self._acked[tp]
        self._read_offset[tp] = batch[-1].offset

    def _hold(self, tp: TP, opened: InputPartition, batch: list[Any]) -> None:
        """Keep fetched records of an input until those of the others are there, too."""
        records = self._from_next(tp, batch, self._merge.end(tp) or opened.next_offset, is_input=True)
        if records:
            time_of = opened.time_of
            size = sum(len(record.value or b"") for record in records)
            self._merge.add(
                tp, [(time_of(record), record) for record in records], records[-1].offset + 1, size
            )

    async def _fold_inputs(self, active: set[TP] | None, epoch: int) -> None:
        """Fold what is held of the inputs, in order of event time."""
        runner, merge = self.app.runner, self._merge
        if epoch != self._epoch or not runner.is_open:
            self._seek_back |= merge.drop()
            return
        live_ms = int(time.time() * 1000) - LIVE_MS
        records = merge.take(self._behind(active), time.monotonic(), live_ms)
        for start in range(0, len(records), SLICE):
            part = records[start : start + SLICE]
            unit = runner.owned.inputs[part[0][1]].unit
            await self._wait_for_room(unit)
            if not self._may_fold(unit, epoch):
                self._seek_back |= merge.drop() | {tp for _, tp, _ in records[start:]}
                return
            unit.fold(part)
            for _, tp, record in part:
                self._read_offset[tp] = record.offset
            await asyncio.sleep(0)
        for tp in {tp for _, tp, _ in records}:
            _ = self._acked[tp]

    def _behind(self, active: set[TP] | None) -> set[TP]:
        """Input partitions of which more stands in the log than has been fetched, as far as is known."""
        behind = set()
        for tp, opened in self.app.runner.owned.inputs.items():
            if active is None or tp in active:
                try:
                    end = self.highwater(tp)
                except IllegalStateError:
                    continue  # taken away just now, which the next look will see
                fetched = self._merge.end(tp) or opened.next_offset
                if end is not None and end - fetched > LAG:
                    behind.add(tp)
        return behind

    async def _wait_for_room(self, unit: Unit) -> None:
        while not unit.room.is_set() and not unit.dead:
            await unit.room.wait()

    def _from_next(
        self, tp: TP, batch: list[Any], next_offset: int, is_input: bool = False
    ) -> list[Any] | None:
        """Cut off what was taken before; None if records lack before the rest, which has to be asked for again."""
        start = 0
        while start < len(batch) and batch[start].offset < next_offset:
            start += 1
        records = batch[start:]
        if not records or records[0].offset == next_offset:
            return records
        if self._accept_gap(tp, next_offset, records[0].offset, is_input):
            return records
        self._seek_back.add(tp)
        return None

    def _accept_gap(self, tp: TP, next_offset: int, found: int, is_input: bool) -> bool:
        """Ask once more before believing that records are missing."""
        if self._sought.get(tp) != (self._epoch, next_offset):
            return False
        if is_input:
            # Compaction, an aborted transaction, or retention: the producers' log has no such records.
            log.warning("%s/%d has no records from %d to %d", tp.topic, tp.partition, next_offset, found - 1)
            return True
        self._lacks(tp, next_offset, found - 1)
        return False

    def _lacks(self, tp: TP, first: int, last: int) -> None:
        self.app.runner.crash(
            73,
            f"{tp.topic}/{tp.partition} lacks records from {first} to {last}: they were deleted before they were "
            "applied (see the topic's retention.ms); start anew under another app id",
        )

    async def _go_back(self) -> None:
        runner, assignment = self.app.runner, self.assignment() if self._seek_back else ()
        for tp in list(self._seek_back):
            opened = runner.input_of(tp)
            nexts = [unit.next_offset for unit in runner.log_units_of(tp)]
            if opened is not None:
                nexts.append(self._merge.end(tp) or opened.next_offset)
            if tp not in assignment:
                self._seek_back.discard(tp)
            elif nexts:
                offset = min(nexts)
                try:
                    await self.seek(tp, offset)
                except IllegalStateError:
                    continue  # taken away just now, which the next look will see
                self._sought[tp] = (self._epoch, offset)
                self._seek_back.discard(tp)


class _PumpTransport(driver.Transport):
    Consumer = PumpConsumer


class WholeAssignor(PartitionAssignor):
    """Shares out all partitions, or none: Faust's own leaves out topics that a broker does not know yet.

    A broker that has just come back knows none for a moment. Nobody would get anything, and as the group is at rest
    after that, every worker would take itself for a spare until somebody joins.
    """

    def assign(self, cluster: Any, member_metadata: Any) -> Any:
        """Share out what the group reads; ends this worker where partitions of a topic are not known."""
        topics = {topic for member in member_metadata.values() for topic in member.subscription}
        unknown = sorted(topic for topic in topics if not cluster.partitions_for_topic(topic))
        if unknown:
            cast(PumpApp, self.app).runner.crash(
                72, f"the broker knows no partitions of {', '.join(unknown)} (yet)"
            )
        return super().assign(cluster, member_metadata)


class PumpApp(faust.App):
    """Faust app whose consumer is a pump."""

    runner: Runner
    watch: Callable[[], Coroutine[Any, Any, None]] | None = None

    async def start(self) -> None:
        """Start; a broker that has gone since its topics were looked at is said in one line."""
        try:
            await super().start()
        except KafkaError as error:
            self.runner.crash(72, f"the broker does not answer ({type(error).__name__}: {error})")

    async def on_start(self) -> None:
        """Begin to watch at once: what Faust calls its tasks would wait for the first takeover to end."""
        await super().on_start()
        if self.watch is not None:
            self.add_future(self.watch())

    def _new_transport(self) -> Any:
        return _PumpTransport(self.conf.broker_consumer, self, loop=self.loop)

    async def on_stop(self) -> None:
        """Stop the sender too, after the last commit."""
        await super().on_stop()
        await self.runner.sender.stop()

    def subscribe(self, name: str, topics: Iterable[str]) -> None:
        """Declare one agent that consumes these topics; the pump hands their records over, past its stream."""
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }

        async def past_the_stream(stream: Any) -> None:
            async for _ in stream:
                self.runner.crash(78, f"a record reached the stream of {name}, past the pump")

        past_the_stream.__qualname__ = name  # what Faust's log calls it
        self.agent(self.topic(*topics, **raw), name=name)(past_the_stream)
