"""Marking: what is claimed of the inputs, and above all what is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from agents import marking
from agents.marking import ANSWER_S, DEAF_S, RENEW_S, SILENT_S, Marker
from agents.sending import Record, Sender
from agents.source_units import InputPartition, SourceUnit
from agents.takeover import Owned
from schemas.marks import UNKNOWN_MS, Mark, Progress
from streams.processors import SourceProcessor
from streams.stages import Context, SourceResult

VIEWS, ORDERS = "page-views/0", "orders/0"


class Nothing:
    """A stage that tells the time of a record and writes nothing."""

    name = "intake"
    inputs = ("page-views", "orders")
    outputs = ()

    def read(self, context: Context, topic: str, partition: int, value: bytes | None) -> SourceResult:
        return SourceResult([], time_ms=int(value or b"0"))

    def time_of(self, value: bytes | None) -> int | None:
        return None


class Partition(InputPartition):
    """An input partition without Kafka behind it."""

    def __init__(self, topic: str, next_offset: int = 0, heard_s_ago: float = 0.0) -> None:
        processor = SourceProcessor(Nothing(), topic, 0, out_of_orderness_ms=10)
        processor.next_offset = next_offset
        super().__init__(cast(SourceUnit, SimpleNamespace(dead=False)), TP(topic, 0), processor)
        self.heard_at = time.monotonic() - heard_s_ago

    def fold(self, time_ms: int) -> None:
        self.processor.apply(self.next_offset, 10**15, b"%d" % time_ms)
        self.heard_at = time.monotonic()

    def acknowledge(self) -> None:
        self.acknowledged = self.processor.progress()
        self.done_offset = self.next_offset


class FakeSender:
    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.partitions: list[int] = []
        self.fails = False

    async def send(self, batches: Mapping[tuple[str, int], Sequence[Record]]) -> None:
        if self.fails:
            raise TimeoutError
        self.partitions = [partition for topic, partition in batches if topic == "visitor-events"]
        [mark] = {records[0].value for records in batches.values()}
        self.marks.append(msgspec.json.decode(mark or b"", type=Mark))


class Bench:
    def __init__(self, *inputs: Partition) -> None:
        self.sender = FakeSender()
        self.ends: dict[str, int] = {}
        self.asked: Callable[[], None] = lambda: None
        self.marker = Marker(cast(Sender, self.sender), {"visitor-events": 3}, 2, lambda: inputs, self._ends)

    async def _ends(self, inputs: Sequence[InputPartition]) -> Mapping[str, int]:
        ends = dict(self.ends)
        self.asked()
        return ends

    def mark(self, later_s: float = 0.0) -> list[Progress]:
        """What one more look says, so many seconds after the last renewal."""
        self.marker._renewed_at = time.monotonic() - later_s
        before = len(self.sender.marks)
        asyncio.run(self.marker.mark())
        return [progress for mark in self.sender.marks[before:] for progress in mark.progress]


def test_one_record_into_each_partition_of_the_log_speaks_of_all_inputs() -> None:
    views, orders = Partition("page-views"), Partition("orders")
    bench = Bench(views, orders)
    for partition in (views, orders):
        partition.fold(5_000)
        partition.acknowledge()
    assert bench.mark() == [Progress(ORDERS, 1, 4_990), Progress(VIEWS, 1, 4_990)]
    assert bench.sender.partitions == [0, 1, 2]
    assert bench.sender.marks[0].upstreams == 2


def test_only_what_is_acknowledged_is_claimed() -> None:
    views = Partition("page-views")
    bench = Bench(views)
    views.fold(5_000)
    assert bench.mark() == []
    views.acknowledge()
    views.fold(9_000)
    assert bench.mark() == [Progress(VIEWS, 1, 4_990)]


def test_nothing_new_is_not_said_again() -> None:
    views = Partition("page-views")
    bench = Bench(views)
    views.fold(5_000)
    views.acknowledge()
    assert len(bench.mark()) == 1
    assert bench.mark() == []


def test_what_could_not_be_sent_is_said_again() -> None:
    views = Partition("page-views")
    bench = Bench(views)
    views.fold(5_000)
    views.acknowledge()
    bench.sender.fails = True
    with pytest.raises(TimeoutError):
        bench.mark()
    bench.sender.fails = False
    assert bench.mark() == [Progress(VIEWS, 1, 4_990)]


def test_a_partition_that_is_caught_up_and_was_silent_long_enough_is_silent() -> None:
    views = Partition("page-views", 7, heard_s_ago=SILENT_S + 1)
    bench = Bench(views)
    bench.ends = {VIEWS: 7}
    [progress] = bench.mark(RENEW_S)
    assert (progress.upstream, progress.next_offset, progress.time_ms) == (VIEWS, 7, UNKNOWN_MS)
    assert 1000 * SILENT_S <= progress.silence_ms < 1000 * SILENT_S + 2_000
    assert bench.mark() == [], "renewed at its own pace"
    assert len(bench.mark(RENEW_S)) == 1


def test_a_partition_in_which_there_never_was_a_record_is_silent_at_once() -> None:
    bench = Bench(Partition("orders"))
    bench.ends = {ORDERS: 0}
    [progress] = bench.mark(RENEW_S)
    assert progress.silence_ms >= 0


def _arrives(partition: Partition) -> None:
    partition.fold(6_000)


def _dies(partition: Partition) -> None:
    partition.unit.dead = True


@pytest.mark.parametrize(
    ("ends", "heard_s_ago", "asked"),
    [
        ({VIEWS: 8}, 60.0, None),
        ({}, 60.0, None),
        ({VIEWS: 7}, SILENT_S - 1, None),
        ({VIEWS: 7}, 60.0, _arrives),
        ({VIEWS: 7}, 60.0, _dies),
    ],
    ids=[
        "not caught up",
        "end unknown",
        "heard of lately",
        "a record came while asking",
        "given up while asking",
    ],
)
def test_no_silence_is_claimed_where_one_can_not_know(
    ends: dict[str, int], heard_s_ago: float, asked: Any
) -> None:
    views = Partition("page-views", 7, heard_s_ago)
    bench = Bench(views)
    bench.ends = ends
    if asked is not None:
        bench.asked = lambda: asked(views)
    assert bench.mark(RENEW_S) == []


def test_no_silence_is_claimed_by_an_answer_that_took_long(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Partition("page-views", 7, heard_s_ago=60.0))
    bench.ends = {VIEWS: 7}
    clock, waited = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + waited[0])
    bench.asked = lambda: waited.append(waited.pop() + ANSWER_S)
    assert bench.mark(RENEW_S) == []
    bench.asked = lambda: None
    assert len(bench.mark(RENEW_S)) == 1


class Hanging:
    """Views silent for long, orders that come, and a broker that does not say where the views end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(marking, "ANSWER_S", 0.01)
        self.views, self.orders = Partition("page-views", 7, heard_s_ago=60.0), Partition("orders")
        self.bench = Bench(self.views, self.orders)
        self.asked: list[asyncio.Future[Mapping[str, int]]] = []
        self.bench.marker._ends = self._ends

    async def _ends(self, inputs: Sequence[InputPartition]) -> Mapping[str, int]:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]

    async def mark(self, order_ms: int) -> list[str]:
        """What one more look tells, after one more order."""
        self.orders.fold(order_ms)
        self.orders.acknowledge()
        self.bench.marker._renewed_at -= RENEW_S
        await self.bench.marker.mark()
        return [progress.upstream for progress in self.bench.sender.marks[-1].progress]


@pytest.mark.parametrize("answer", [{VIEWS: 7}, KafkaTimeoutError()], ids=["late", "given up"])
def test_a_broker_that_does_not_say_where_partitions_end_holds_up_no_other_mark(
    monkeypatch: pytest.MonkeyPatch, answer: Mapping[str, int] | Exception
) -> None:
    async def play() -> None:
        hanging = Hanging(monkeypatch)
        for order_ms in (5_000, 6_000):
            assert await asyncio.wait_for(hanging.mark(order_ms), 10) == [ORDERS]
        [question] = hanging.asked
        question.set_exception(answer) if isinstance(answer, Exception) else question.set_result(answer)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await hanging.mark(7_000) == [ORDERS], "an old answer says nothing"
        assert len(hanging.asked) == 1, "one open question at most"
        monkeypatch.setattr(marking, "ANSWER_S", ANSWER_S)
        looking = asyncio.ensure_future(hanging.mark(8_000))
        while len(hanging.asked) == 1:
            await asyncio.sleep(0)
        hanging.asked[1].set_result({VIEWS: 7})
        assert await looking == [ORDERS, VIEWS]

    asyncio.run(play())


def test_while_the_broker_does_not_answer_nobody_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        hanging = Hanging(monkeypatch)
        await hanging.mark(5_000)
        hanging.bench.marker._looked_at -= DEAF_S
        await hanging.mark(6_000)
        hanging.asked[0].set_result({VIEWS: 7})
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for order_ms in (7_000, 8_000):
            assert await hanging.mark(order_ms) == [ORDERS]
        assert len(hanging.asked) == 1, "its silence begins anew: there is nothing to ask"

    asyncio.run(play())


def test_a_marker_that_ends_leaves_no_question_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        hanging = Hanging(monkeypatch)
        running = asyncio.ensure_future(hanging.bench.marker.run())
        while not hanging.asked:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})
        await asyncio.sleep(0)
        assert hanging.asked[0].cancelled()

    asyncio.run(play())


def test_the_first_record_after_a_silence_ends_it() -> None:
    views = Partition("page-views", 7, heard_s_ago=60.0)
    bench = Bench(views)
    bench.ends = {VIEWS: 7}
    assert bench.mark(RENEW_S)[0].silence_ms >= 0
    views.fold(8_000)
    views.acknowledge()
    assert bench.mark(RENEW_S) == [Progress(VIEWS, 8, 7_990, -1)]


def test_a_unit_that_was_given_up_is_not_spoken_of() -> None:
    views = Partition("page-views")
    bench = Bench(views)
    views.fold(5_000)
    views.acknowledge()
    views.unit.dead = True
    assert bench.mark(RENEW_S) == []


def test_a_time_in_which_nobody_could_be_heard_is_no_silence() -> None:
    orders = Partition("orders", next_offset=1, heard_s_ago=SILENT_S + 35)
    orders.acknowledge()
    bench = Bench(orders)
    bench.ends = {ORDERS: 1}
    bench.mark()
    bench.marker._looked_at -= DEAF_S
    assert bench.mark(RENEW_S) == [], "the broker may have hung for as long, and producers with it"
    bench.marker._listening_since -= SILENT_S + 1
    [progress] = bench.mark(RENEW_S)
    assert 1_000 * (SILENT_S + 1) <= progress.silence_ms < 1_000 * (SILENT_S + 30)


def test_an_input_may_be_committed_up_to_what_marks_have_told() -> None:
    views = Partition("page-views", next_offset=7)
    owned = Owned(inputs={views.tp: views})
    bench = Bench(views)
    views.fold(5_000)
    views.acknowledge()
    views.fold(6_000)
    assert owned.done_offset(views.tp) == 7
    bench.sender.fails = True
    with pytest.raises(TimeoutError):
        bench.mark()
    assert owned.done_offset(views.tp) == 7
    bench.sender.fails = False
    bench.mark()
    assert owned.done_offset(views.tp) == 8
