"""The pump: what it rests on inside Faust and aiokafka, and that it passes no record over."""

from __future__ import annotations

import asyncio
import inspect
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiokafka
import pytest
from aiokafka.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, Fetcher, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalStateError
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents import pump as pump_module
from agents.lanes import Lanes
from agents.merging import ENOUGH, HOLD_S, Merge
from agents.pump import PumpApp, PumpConsumer, WholeAssignor
from agents.units import SLICE

# ---- names

HELD = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
"""Versions that the names below were looked up in."""


@pytest.fixture(autouse=True)
def versions() -> None:
    """Name what was upgraded, if anything was, beside whatever fails."""
    for name, held in HELD.items():
        if (found := metadata.version(name)) != held:
            print(f"{name} {found} is installed, and these names were looked up in {held}")  # noqa: T201  # shown with a failure


def test_the_versions_that_the_names_were_looked_up_in_are_those_that_are_pinned() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = dict(line.split("==") for line in project["project"]["dependencies"] if "==" in line)
    assert pinned == HELD, "after an upgrade: see that all tests here are green, then write its version above"


METHODS = [
    (Consumer, "_drain_messages", ["fetcher"], "no records are handed over"),
    (Consumer, "_wait_next_records", ["timeout"], "records can't be fetched"),
    (Consumer, "_new_offset", ["tp"], "offsets are committed that were not applied"),
    (Consumer, "_commit_offsets", ["offsets", "start_new_transaction"], "failed commits count as done"),
    (Consumer, "wait_empty", [], "the last batch is cut off at every rebalance and stop"),
    (Consumer, "stop_flow", [], "records are folded while partitions are taken away"),
    (Consumer, "seek", ["partition", "offset"], "what was fetched in vain is not read again"),
    (
        Consumer,
        "_getmany",
        ["active_partitions", "timeout"],
        "inputs that are ahead are fetched all the same",
    ),
    (driver.Consumer, "_new_consumer_thread", [], "fetches are asked for without a pace"),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", [], "fetches are asked for without a pace"),
    (
        Fetcher,
        "_proc_fetch_request",
        ["assignment", "node_id", "request"],
        "fetches are asked for without a pace",
    ),
    (driver.Consumer, "highwater", ["tp"], "inputs that are behind are not waited for"),
    (driver.Consumer, "seek_to_committed", [], "a takeover can't begin"),
    (driver.Consumer, "earliest_offsets", ["partitions"], "a takeover can't begin"),
    (driver.Consumer, "highwaters", ["partitions"], "neither silence nor a stall can be told"),
    (driver.Consumer, "assignment", [], "a takeover can't begin"),
    (App, "_new_transport", [], "the pump is not used at all"),
    (App, "on_stop", [], "the sender is not stopped"),
    (Recovery, "_resume_streams", ["generation_id"], "nobody says that partitions were taken over"),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters", "broken"), METHODS, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_method_of_faust_is_where_the_pump_expects_it(
    owner: type, name: str, parameters: list[str], broken: str
) -> None:
    method = getattr(owner, name, None)
    assert callable(method), f"{owner.__name__}.{name} is gone: {broken}"
    found = list(inspect.signature(method).parameters)[1:]
    assert found == parameters, f"{owner.__name__}.{name} takes {found} now, not {parameters}: {broken}"


ATTRIBUTES = {
    "_acked": "offsets would never be committed",
    "_read_offset": "Faust's own position would be wrong",
    "_committed_offset": "the watchdog would not see commits",
    "_thread": "membership could not be told",
    "flow_active": "records would be folded while partitions are taken away",
    "can_resume_flow": "the pump would not wait for the flow",
    "not_waiting_next_records": "the pump would not wait for the flow",
    "_stopped": "the pump would not end",
    "_active_partitions": "paused partitions would be read",
}


@pytest.fixture
def consumer() -> Iterator[PumpConsumer]:
    """A consumer as Faust makes it, never started."""

    async def make() -> PumpConsumer:
        app = PumpApp("test-pump", broker="kafka://127.0.0.1:1", web_enabled=False, autodiscover=False)
        made = app.consumer
        assert isinstance(made, PumpConsumer), (
            "app.consumer is not ours: App._new_transport is not used any more"
        )
        return made

    consumer = asyncio.run(make())
    yield consumer
    consumer._thread.thread_loop.close()


@pytest.mark.parametrize(("name", "broken"), ATTRIBUTES.items(), ids=list(ATTRIBUTES))
def test_an_attribute_of_fausts_consumer_is_there(consumer: PumpConsumer, name: str, broken: str) -> None:
    assert hasattr(consumer, name), f"Consumer.{name} is gone: {broken}"


def test_fausts_books_make_entries_when_they_are_looked_at(consumer: PumpConsumer) -> None:
    for name in ("_acked", "_read_offset", "_committed_offset"):
        assert isinstance(getattr(consumer, name), defaultdict), f"Consumer.{name} is no defaultdict any more"
    tp = TP("t", 0)
    _ = consumer._acked[tp]
    found = list(consumer._filter_tps_with_pending_acks())
    consumer._acked.clear()
    assert found == [tp], "Faust commits other partitions than those in _acked"


def test_fetched_records_are_what_the_clients_decoder_makes() -> None:
    batch = BatchBuilder(1_000, 0)
    batch.append(timestamp=7, key=b"k", value=b"v", headers=[("n", b"1")])
    memory = MemoryRecords(bytes(batch._build()))
    found = list(PartitionRecords(TP("t", 0), memory, [], 0, None, None, True, READ_UNCOMMITTED))
    assert "_consumer_record" in vars(PartitionRecords), "records are made elsewhere: each is copied again"
    assert [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in found] == [
        (0, 7, b"k", b"v", [("n", b"1")])
    ]
    assert not isinstance(found[0], ConsumerRecord), "each record is copied again"


def test_the_client_asks_for_records_where_the_pace_is_put_between() -> None:
    assert "self._fetcher = Fetcher(" in inspect.getsource(AIOKafkaConsumer.start)
    asked = inspect.getsource(Fetcher._fetch_requests_routine)
    assert "self._proc_fetch_request(assignment, node_id, request)" in asked


def test_membership_is_told_by_the_coordinators_generation(consumer: PumpConsumer) -> None:
    assert hasattr(consumer._thread, "_consumer"), "the thread's client is gone: membership can't be told"
    assert "_coordinator" in inspect.getsource(aiokafka.AIOKafkaConsumer), "the coordinator is gone"
    assert "self.generation" in inspect.getsource(GroupCoordinator), "the coordinator's generation is gone"
    assert hasattr(consumer.app, "consumer_generation_id"), "App.consumer_generation_id is gone"
    client = SimpleNamespace(_coordinator=SimpleNamespace(generation=4))
    consumer._thread._consumer, consumer.app.consumer_generation_id = client, 4
    assert consumer.is_member(4)
    client._coordinator.generation = -1
    assert not consumer.is_member(4), "expelled, and did not notice"
    consumer._thread._consumer = None
    assert not consumer.is_member(4)


def test_faust_takes_over_in_the_order_that_the_runner_rests_on() -> None:
    """First our handler, then a look at the generation, and only then are partitions resumed."""
    done: list[str] = []
    app = SimpleNamespace(consumer_generation_id=1)

    async def send() -> None:
        done.append("handler")
        app.consumer_generation_id = 2

    app.on_rebalance_complete = SimpleNamespace(send=send)
    app.consumer = SimpleNamespace(
        assignment=lambda: {TP("t", 0)}, resume_partitions=lambda _: done.append("resumed")
    )
    log = SimpleNamespace(warning=lambda *_: None, dev=lambda *_: None, info=lambda *_: None)
    asyncio.run(Recovery._resume_streams(SimpleNamespace(app=app, log=log), generation_id=1))  # type: ignore[arg-type]  # a stand-in
    assert done == ["handler"], "partitions are resumed although another rebalance has begun"


def test_faust_takes_a_failed_commit_for_done_which_is_why_the_pump_mends_it() -> None:
    source = inspect.getsource(Consumer._commit_offsets)
    assert "self._committed_offset.update(committable_offsets)" in source, (
        "Faust keeps book of commits in another way: PumpConsumer._commit_offsets may not be needed any more"
    )


def test_batches_of_the_client_library_tell_the_size_of_a_record() -> None:
    batch = BatchBuilder(1_000, 0, is_transactional=False, key_serializer=None, value_serializer=None)
    first = batch.append(timestamp=1, key=b"k", value=b"x" * 5_000, headers=[])
    assert first is not None, "a batch refuses its first record now: RecordTooLargeError has another way"
    assert first.size >= 5_000, (
        "the size of a record is not told any more: too large ones would crash-loop unnamed"
    )
    assert batch.append(timestamp=1, key=b"k", value=b"x", headers=[]) is None, "a full batch takes more"


def test_a_batch_that_was_handed_over_is_sent_although_nobody_waits_any_more() -> None:
    assert "asyncio.shield(batch.future)" in inspect.getsource(MessageAccumulator.add_batch), (
        "who stops waiting for a batch cancels it now: a unit that is killed would leave holes behind"
    )


# ---- handing over


class FakeUnit:
    """What the pump sees of a unit; where `inputs` is set, of one that reads inputs."""

    def __init__(self, next_offset: int = 0) -> None:
        self.next_offset = next_offset
        self.dead = False
        self.parts = 0
        self.folded: list[int] = []
        self.order: list[tuple[str, int]] = []
        self.slices = 0
        self.during: Any = None
        self.inputs: dict[TP, SimpleNamespace] = {}
        self.room = asyncio.Event()
        self.room.set()

    def open(self, tp: TP, next_offset: int = 0) -> None:
        self.inputs[tp] = SimpleNamespace(
            next_offset=next_offset, unit=self, time_of=lambda record: record.timestamp
        )

    @property
    def is_unfinished(self) -> bool:
        return self.parts > 0

    def fold(self, records: Sequence[Any]) -> int:
        self.slices += 1
        if self.parts:
            self.parts -= 1
            return 0
        if self.inputs:
            for _, tp, record in records:
                assert record.offset >= self.inputs[tp].next_offset, "folded twice"
                self.inputs[tp].next_offset = record.offset + 1
                self.order.append((tp.topic, record.offset))
            self.folded += [record.offset for *_, record in records]
        else:
            assert records[0].offset == self.next_offset
            self.folded += [record.offset for record in records]
            self.next_offset = records[-1].offset + 1
        if self.during is not None:
            self.during()
        return len(records)


class CrashError(Exception):
    """Stands in for the end of the process."""


class FakeRunner:
    def __init__(self, *units: FakeUnit) -> None:
        self.held = list(units)
        self.is_open = True
        self.lanes: set[str] = set()
        inputs = {tp: opened for unit in units for tp, opened in unit.inputs.items()}
        self.owned = SimpleNamespace(inputs=inputs)

    def log_units_of(self, tp: TP) -> list[FakeUnit]:
        return self.held if self.is_open and not self.owned.inputs else []

    def input_of(self, tp: TP) -> Any:
        return self.owned.inputs.get(tp) if self.is_open else None

    def is_urgent(self, topic: str) -> bool:
        return topic not in self.lanes

    def rank(self, topic: str) -> int:
        return ["visitor-events", "page-views", "orders"].index(topic)

    def crash(self, code: int, reason: str) -> None:
        raise CrashError(code, reason)


PARTITION = TP("visitor-events", 0)
VIEWS, ORDERS = TP("page-views", 0), TP("orders", 0)


class Pump:
    """A pump without Faust behind it."""

    def __init__(self, *units: FakeUnit) -> None:
        self.runner = FakeRunner(*units)
        made: Any = PumpConsumer.__new__(PumpConsumer)
        self.consumer = made
        self.consumer._epoch, self.consumer._seek_back, self.consumer._sought = 0, set(), {}
        self.consumer._merge = Merge()
        self.consumer._lanes = Lanes(self._failed)
        self.ends: dict[TP, int] = {}
        self.consumer.highwater = self.ends.get
        self.consumer.flow_active = True
        self.consumer._acked, self.consumer._read_offset = defaultdict(list), {}
        self.consumer.app = SimpleNamespace(runner=self.runner)
        self.consumer.assignment = lambda: {PARTITION}
        self.sought: list[int] = []
        self.consumer.seek = self._seek
        self.refuses = False

    def _failed(self, error: BaseException) -> None:
        raise error

    async def _seek(self, tp: TP, offset: int) -> None:
        if self.refuses:
            raise IllegalStateError
        self.sought.append(offset)

    def hand_over(self, *offsets: int, active: set[TP] | None = None, epoch: int = 0) -> None:
        batch = [SimpleNamespace(offset=offset) for offset in offsets]
        asyncio.run(self.consumer._hand_over(PARTITION, batch, active, epoch))

    def fetch(self, *records: tuple[TP, int, int], active: set[TP] | None = None, epoch: int = 0) -> None:
        """Records of inputs (partition, offset, time) as one fetch brings them."""
        batches: dict[TP, list[Any]] = defaultdict(list)
        for tp, offset, at in records:
            batches[tp].append(SimpleNamespace(offset=offset, timestamp=at, value=b""))

        async def hand_over() -> None:
            for tp, batch in sorted(batches.items(), key=self.consumer._rank):
                await self.consumer._hand_over(tp, batch, active, epoch)
            await self.consumer._fold_inputs(active, epoch)

        asyncio.run(hand_over())

    def go_back(self) -> list[int]:
        """Where the next fetch begins, if it was sought."""
        before = len(self.sought)
        asyncio.run(self.consumer._go_back())
        return self.sought[before:]


def test_records_are_folded_in_slices_and_their_partition_may_be_committed() -> None:
    unit = FakeUnit(5)
    pump = Pump(unit)
    pump.hand_over(*range(5, 5 + 2 * SLICE + 1))
    assert unit.folded == list(range(5, 5 + 2 * SLICE + 1))
    assert unit.slices == 3
    assert PARTITION in pump.consumer._acked
    assert pump.go_back() == []


def test_a_record_that_is_applied_in_part_is_gone_on_with_before_the_fetch_counts_as_folded() -> None:
    unit = FakeUnit(5)
    pump = Pump(unit)

    def begin_a_long_one() -> None:
        unit.parts, unit.during = 3, None

    unit.during = begin_a_long_one
    pump.hand_over(5)
    assert (unit.folded, unit.slices, unit.parts) == ([5], 4, 0)


def test_a_rebalance_in_the_middle_of_a_long_record_leaves_it() -> None:
    unit = FakeUnit(5)
    pump = Pump(unit)

    def begin_a_long_one() -> None:
        unit.parts, pump.consumer._epoch = 3, 1

    unit.during = begin_a_long_one
    pump.hand_over(5, 6)
    assert unit.slices == 1
    assert PARTITION not in pump.consumer._acked


def test_what_was_folded_before_is_skipped() -> None:
    unit = FakeUnit(7)
    pump = Pump(unit)
    pump.hand_over(5, 6)
    pump.hand_over(5, 6, 7, 8)
    assert unit.folded == [7, 8]


def test_two_stages_on_one_log_each_go_on_where_they_are() -> None:
    behind, ahead = FakeUnit(3), FakeUnit(6)
    pump = Pump(behind, ahead)
    pump.hand_over(3, 4, 5, 6, 7)
    assert behind.folded == [3, 4, 5, 6, 7]
    assert ahead.folded == [6, 7]


@pytest.mark.parametrize("reason", ["not open", "not active", "flow stopped", "another epoch", "dead"])
def test_what_may_not_be_folded_is_read_again(reason: str) -> None:
    unit = FakeUnit(5)
    pump = Pump(unit)
    pump.runner.is_open = reason != "not open"
    pump.consumer.flow_active = reason != "flow stopped"
    pump.consumer._epoch = 1 if reason == "another epoch" else 0
    unit.dead = reason == "dead"
    pump.hand_over(5, 6, active=set() if reason == "not active" else {PARTITION})
    assert unit.folded == []
    assert PARTITION not in pump.consumer._acked
    pump.runner.is_open = True
    assert pump.go_back() == [5]
    assert pump.go_back() == []


def test_a_rebalance_between_two_slices_leaves_the_rest_to_be_read_again() -> None:
    unit = FakeUnit(0)
    pump = Pump(unit)
    unit.during = lambda: setattr(pump.consumer, "_epoch", 1)
    pump.hand_over(*range(3 * SLICE))
    assert unit.next_offset == SLICE
    assert pump.go_back() == [SLICE]


def test_while_nothing_is_open_the_seek_waits() -> None:
    pump = Pump(FakeUnit(5))
    pump.runner.is_open = False
    pump.hand_over(9, 10)
    assert pump.go_back() == []
    pump.runner.is_open = True
    assert pump.go_back() == [5]


def test_a_seek_that_comes_too_late_is_tried_again_or_forgotten() -> None:
    pump = Pump(FakeUnit(5))
    pump.hand_over(9, 10)
    pump.refuses = True
    assert pump.go_back() == []
    pump.refuses = False
    assert pump.go_back() == [5]
    pump.hand_over(5, active=set())
    pump.consumer.assignment = set
    assert pump.go_back() == []
    pump.consumer.assignment = lambda: {PARTITION}
    assert pump.go_back() == [], "what is not ours any more is forgotten"


def test_the_seek_goes_to_the_unit_that_is_furthest_behind() -> None:
    pump = Pump(FakeUnit(6), FakeUnit(3))
    pump.hand_over(9)
    assert pump.go_back() == [3]


def test_records_that_lack_in_a_log_are_asked_for_once_more_then_the_worker_ends() -> None:
    unit = FakeUnit(5)
    pump = Pump(unit)
    pump.hand_over(8, 9)
    assert pump.go_back() == [5]
    with pytest.raises(CrashError) as crash:
        pump.hand_over(8, 9)
    assert crash.value.args[0] == 73
    assert "visitor-events/0 lacks records from 5 to 7" in crash.value.args[1]
    assert unit.folded == []


def test_a_fetch_that_was_skipped_is_mended_by_asking_once_more() -> None:
    unit = FakeUnit(5)
    pump = Pump(unit)
    pump.hand_over(8, 9)
    pump.go_back()
    pump.hand_over(5, 6, 7, 8, 9)
    assert unit.folded == [5, 6, 7, 8, 9]
    pump.hand_over(12)
    assert pump.go_back() == [10], "another gap is asked for again"


def test_a_hole_inside_a_batch_of_a_log_ends_the_worker() -> None:
    unit = FakeUnit(5)
    with pytest.raises(CrashError) as crash:
        Pump(unit).hand_over(5, 6, 8)
    assert crash.value.args[0] == 73
    assert unit.folded == []


# ---- inputs


def inputs(views: int = 0, orders: int = 0) -> tuple[FakeUnit, Pump]:
    unit = FakeUnit()
    unit.open(VIEWS, views)
    unit.open(ORDERS, orders)
    pump = Pump(unit)
    pump.consumer.assignment = lambda: {VIEWS, ORDERS}
    return unit, pump


def test_inputs_are_folded_in_the_order_in_which_things_happened() -> None:
    unit, pump = inputs()
    pump.fetch((VIEWS, 0, 10), (VIEWS, 1, 30), (ORDERS, 0, 20), (ORDERS, 1, 30))
    assert unit.order == [("page-views", 0), ("orders", 0), ("page-views", 1), ("orders", 1)]
    assert pump.consumer._acked.keys() == {VIEWS, ORDERS}
    assert pump.consumer._read_offset == {VIEWS: 1, ORDERS: 1}


def test_what_is_ahead_of_an_input_that_is_behind_waits_for_it() -> None:
    unit, pump = inputs()
    pump.ends[VIEWS] = 1_000
    pump.fetch((VIEWS, 0, 10), (ORDERS, 0, 5), (ORDERS, 1, 90))
    assert unit.order == [("orders", 0), ("page-views", 0)]
    pump.fetch((VIEWS, 1, 100))
    assert unit.order[2:] == [("orders", 1), ("page-views", 1)]


def test_an_input_that_is_behind_and_does_not_answer_is_waited_for_with_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit, pump = inputs()
    now = [0.0]
    monkeypatch.setattr(pump_module, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    pump.ends[VIEWS] = 1_000
    pump.fetch((ORDERS, 0, 5))
    assert unit.order == []
    now[0] = HOLD_S
    pump.fetch()
    assert unit.order == [("orders", 0)]


def test_of_an_input_that_is_far_ahead_no_more_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, pump = inputs()
    asked: list[set[TP]] = []

    async def getmany(self: Any, active_partitions: set[TP], timeout: float) -> None:
        asked.append(active_partitions)

    monkeypatch.setattr(driver.Consumer, "_getmany", getmany)
    pump.ends[VIEWS] = 1_000
    pump.fetch(*((ORDERS, offset, offset) for offset in range(ENOUGH)))
    asyncio.run(pump.consumer._getmany({VIEWS, ORDERS}, 1.0))
    asyncio.run(pump.consumer._getmany({ORDERS}, 1.0))
    assert asked == [{VIEWS}, {ORDERS}], "to ask for no partition would be to ask for all"
    assert unit.order == []


@pytest.mark.parametrize("when", ["before it is folded", "between two slices", "while it is held"])
def test_what_is_held_of_inputs_when_a_rebalance_begins_is_read_again(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, pump = inputs(views=4)
    monkeypatch.setattr(Consumer, "stop_flow", lambda _: None)
    batch = [(VIEWS, offset, offset) for offset in range(4, 4 + 2 * SLICE)]
    if when == "before it is folded":
        pump.fetch(*batch, epoch=-1)
    elif when == "between two slices":
        unit.during = pump.consumer.stop_flow
        pump.fetch(*batch)
    else:
        pump.ends[ORDERS] = 1_000
        pump.fetch(*batch)
        pump.consumer.stop_flow()
    assert len(unit.folded) == (SLICE if when == "between two slices" else 0)
    assert pump.consumer._merge.end(VIEWS) is None
    assert pump.go_back() == [4 + len(unit.folded)]


def test_an_input_may_have_holes_for_its_producers_may_compact_or_delete() -> None:
    unit, pump = inputs(views=5)
    batch = [(VIEWS, offset, 0) for offset in (8, 9, 11)]
    pump.fetch(*batch)
    assert unit.folded == []
    assert pump.go_back() == [5]
    pump.fetch(*batch)
    assert unit.folded == [8, 9, 11]
    assert unit.inputs[VIEWS].next_offset == 12


def test_a_hole_behind_what_is_held_is_asked_for_again_without_giving_that_up() -> None:
    unit, pump = inputs()
    pump.ends[ORDERS] = 1_000
    pump.fetch((VIEWS, 0, 0))
    pump.fetch((VIEWS, 3, 0))
    assert pump.go_back() == [1]
    pump.fetch((VIEWS, 3, 0))
    pump.ends[ORDERS] = 0
    pump.fetch()
    assert unit.folded == [0, 3]


def test_what_is_held_and_comes_again_is_folded_once() -> None:
    unit, pump = inputs()
    pump.ends[ORDERS] = 1_000
    pump.fetch((VIEWS, 0, 0), (VIEWS, 1, 0))
    pump.fetch((VIEWS, 1, 0), (VIEWS, 2, 0))
    pump.ends[ORDERS] = 0
    pump.fetch()
    assert unit.folded == [0, 1, 2]


def test_a_worker_s_own_name_reaches_the_group_and_it_does_not_leave_when_it_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        "faust.transport.drivers.aiokafka.aiokafka.AIOKafkaConsumer",
        lambda **arguments: given.update(arguments),
    )

    async def make() -> None:
        app = PumpApp(
            "test-names",
            broker="kafka://127.0.0.1:1",
            web_enabled=False,
            autodiscover=False,
            consumer_group_instance_id="worker-0",
        )
        made = app.consumer
        assert isinstance(made, PumpConsumer)
        thread: Any = made._thread
        thread._create_worker_consumer(app.transport)
        thread.thread_loop.close()

    asyncio.run(make())
    assert given["group_instance_id"] == "worker-0", "Faust does not pass the name on any more"
    assert "self._group_instance_id is None" in inspect.getsource(GroupCoordinator._maybe_leave_group), (
        "a worker with a name of its own leaves the group when it stops: every restart is a rebalance again"
    )


def test_a_full_unit_holds_the_pump_until_there_is_room() -> None:
    async def run() -> None:
        unit = FakeUnit(0)
        unit.room.clear()
        pump = Pump(unit)
        handing = asyncio.ensure_future(
            pump.consumer._hand_over(PARTITION, [SimpleNamespace(offset=0)], None, 0)
        )
        await asyncio.sleep(0.01)
        assert unit.folded == []
        unit.room.set()
        await handing
        assert unit.folded == [0]

    asyncio.run(run())


def test_a_full_unit_of_a_log_that_nobody_waits_for_holds_nothing_up_but_itself() -> None:
    unit = FakeUnit()
    pump = Pump(unit)
    pump.runner.lanes = {PARTITION.topic}
    fetched: list[set[TP]] = []

    async def fetch(self: Any, wanted: set[TP], timeout: float) -> None:
        fetched.append(wanted)

    async def scenario() -> None:
        unit.room.clear()
        await pump.consumer._hand_over(PARTITION, [SimpleNamespace(offset=0)], None, 0)
        await asyncio.sleep(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(driver.Consumer, "_getmany", fetch)
            await pump.consumer._getmany({PARTITION, VIEWS}, 1.0)
            unit.room.set()
            while unit.next_offset == 0 or pump.consumer._lanes.busy():
                await asyncio.sleep(0)
            await pump.consumer._getmany({PARTITION, VIEWS}, 1.0)

    asyncio.run(scenario())
    assert fetched == [{VIEWS}, {PARTITION, VIEWS}]
    assert pump.consumer._read_offset == {PARTITION: 0}


def test_a_commit_that_failed_is_not_taken_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Pump()
    pump.consumer._committed_offset = defaultdict(lambda: None, {PARTITION: 3})

    async def fail(self: Any, offsets: dict[TP, int], start_new_transaction: bool = True) -> bool:
        self._committed_offset.update(offsets)
        return False

    monkeypatch.setattr(Consumer, "_commit_offsets", fail)
    assert asyncio.run(pump.consumer._commit_offsets({PARTITION: 9})) is False
    assert pump.consumer.committed(PARTITION) == 3


def test_agents_are_named_after_what_they_do() -> None:
    async def run() -> list[str]:
        app = PumpApp("test-names", broker="kafka://127.0.0.1:1", web_enabled=False, autodiscover=False)
        app.subscribe("read_intake", ["page-views"])
        return list(app.agents)

    assert asyncio.run(run()) == ["read_intake"]


def test_who_leads_ends_itself_rather_than_share_out_what_a_broker_does_not_know_yet() -> None:
    class CrashError(Exception):
        pass

    def crash(code: int, reason: str) -> None:
        raise CrashError(code, reason)

    assignor = WholeAssignor(
        cast(Any, SimpleNamespace(tracer=None, tables=None, runner=SimpleNamespace(crash=crash)))
    )
    known: dict[str, set[int]] = {"page-views": {0, 1}}
    cluster = SimpleNamespace(partitions_for_topic=known.get)
    members = {"one": SimpleNamespace(subscription=["page-views", "orders"])}
    with pytest.raises(CrashError, match="no partitions of orders"):
        assignor.assign(cluster, members)
