"""Units: the order of writes, folding ahead, and what is not written any more once a partition is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import pytest
from faust.types import TP

from agents import log_units, units
from agents.changelogs import FENCE_KEY, read_fence, read_headers
from agents.log_units import LogUnit
from agents.sending import Record, Sender, Span
from agents.source_units import SourceUnit
from agents.stores import ForeignWriterError, Store
from agents.units import FOLD_AHEAD, SLICE, Outlet
from schemas.marks import Mark, Progress
from schemas.visitor_events import VisitorInteraction
from streams.processors import PART, LogProcessor
from streams.stages import Context, Output
from tests.agents.toy_stages import GAP_MS, Letters, Times, Windows

COUNTS = {"visitor-events": 2, "sessions": 1, "site-events": 1, "rejected-events": 1}
CHANGELOG = "culdesac-sessions-changelog"


@dataclass
class Fetched:
    offset: int
    value: bytes | None
    timestamp: int = 10**13


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice is not cut short because the machine is busy."""
    monkeypatch.setattr(log_units, "FOLD_S", 60.0)


def letter(offset: int, visitor: str, time_ms: int) -> Fetched:
    origin = ("page-views/0", offset, 0)
    event = VisitorInteraction(origin, f"e{offset}", visitor, time_ms, "letter", "s")
    return Fetched(offset, msgspec.json.encode(event))


class Echo(Windows):
    """Windows that also say each letter at once."""

    outputs = ("sessions", "site-events")

    def step(self, context: Context, record: VisitorInteraction) -> list[Output]:
        super().step(context, record)
        return [Output("sessions", record.visitor_id, {"t": record.occurred_at}, record.event_id, 0)]


class Bench:
    """A unit whose writes are recorded, each of which may be held up or fail."""

    def __init__(self, next_offset: int = 0) -> None:
        self.writes: list[str] = []
        self.rows: list[tuple[bytes, bytes | None]] = []
        self.records: list[Record] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, Exception] = {}
        self.crashes: list[tuple[int, str]] = []
        self.checks = 0
        self.steps: list[str] = []
        self.changelog_end = 0
        outlet = Outlet(cast(Sender, self), COUNTS, self.crash, self.checkpoint, self.check)
        self.unit = LogUnit(LogProcessor(Echo(1), 0), next_offset, cast(Store, self), CHANGELOG, outlet)
        self.source = SourceUnit(Letters(), 0, outlet)

    def crash(self, code: int, reason: str) -> None:
        self.crashes.append((code, reason))

    def check(self) -> None:
        self.checks += 1

    async def checkpoint(self, stage: str, step: str) -> None:
        self.steps.append(step)

    async def send(self, batches: Mapping[tuple[str, int], Sequence[Record]]) -> dict[tuple[str, int], Span]:
        kind = "changelog" if (CHANGELOG, 0) in batches else "outputs"
        self.writes.append(f"{kind} sent")
        if kind in self.gates:
            await self.gates[kind].wait()
            self.gates[kind].clear()  # each opening lets one through
        if kind in self.failures:
            raise self.failures[kind]
        self.writes.append(f"{kind} acknowledged")
        self.records = [record for records in batches.values() for record in records]
        first = self.changelog_end
        if kind == "changelog":
            self.changelog_end += len(self.records)
        return {target: Span(first, first + len(records) - 1) for target, records in batches.items()}

    def write(
        self, rows: list[tuple[bytes, bytes | None]], fence: bytes, top: int, first: int, last: int
    ) -> None:
        if "store" in self.failures:
            raise self.failures["store"]
        self.rows = rows
        self.writes.append(f"stored up to {top}")

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


Test = Callable[[Bench], Coroutine[Any, Any, None]]


def with_bench(test: Test, next_offset: int = 0) -> None:
    async def run() -> None:
        bench = Bench(next_offset)
        await test(bench)
        await bench.unit.stop()
        await bench.source.stop()

    asyncio.run(run())


def test_outputs_then_changelog_then_store_then_the_source_offset() -> None:
    async def test(bench: Bench) -> None:
        for gate in ("outputs", "changelog"):
            bench.gates[gate] = asyncio.Event()
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000), letter(1, "bob", 2_000)])
        await bench.settle()
        assert bench.writes == ["outputs sent"]
        bench.gates["outputs"].set()
        await bench.settle()
        assert bench.writes[1:] == ["outputs acknowledged", "changelog sent"]
        assert bench.unit.done_offset == 0
        bench.gates["changelog"].set()
        await bench.settle()
        assert bench.writes[3:] == ["changelog acknowledged", "stored up to 1"]
        assert bench.unit.done_offset == 2
        assert bench.steps == ["folded", "outputs", "changelog", "stored"]
        assert bench.checks == 4
        assert bench.unit.idle.is_set()

    with_bench(test)


def test_the_changelog_holds_states_then_the_fence_each_with_the_offset_it_speaks_of() -> None:
    async def test(bench: Bench) -> None:
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000), letter(1, "bob", 2_000)])
        await bench.settle()
        keys = [record.key for record in bench.records]
        assert keys == [b"cann", b"cbob", FENCE_KEY]
        assert {read_headers(record.headers) for record in bench.records} == {(1, 1)}
        assert read_fence(bench.records[-1].value or b"").offset == 1
        assert bench.rows == [(record.key, record.value) for record in bench.records[:-1]]
        assert bench.rows[0][1] == msgspec.json.encode((1_000 + GAP_MS, Times([1_000])))

    with_bench(test)


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("outputs", ["outputs sent"]),
        ("changelog", ["outputs sent", "outputs acknowledged", "changelog sent"]),
        ("store", ["outputs sent", "outputs acknowledged", "changelog sent", "changelog acknowledged"]),
    ],
)
def test_a_write_that_fails_ends_the_worker_and_nothing_follows_it(place: str, written: list[str]) -> None:
    async def test(bench: Bench) -> None:
        bench.failures[place] = OSError("refused")
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000)])
        await bench.settle()
        assert bench.writes == written
        assert [code for code, _ in bench.crashes] == [70]
        assert "sessions/0 failed: OSError('refused')" in bench.crashes[0][1]
        assert bench.unit.done_offset == 0

    with_bench(test)


def test_another_writer_in_the_changelog_has_a_code_of_its_own() -> None:
    async def test(bench: Bench) -> None:
        bench.failures["store"] = ForeignWriterError("another worker")
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000)])
        await bench.settle()
        assert bench.crashes == [(76, "another worker")]
        assert bench.unit.done_offset == 0

    with_bench(test)


@pytest.mark.parametrize("place", ["outputs", "changelog"])
def test_a_unit_that_is_killed_while_it_writes_writes_nothing_more(place: str) -> None:
    async def test(bench: Bench) -> None:
        bench.gates[place] = asyncio.Event()
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000)])
        await bench.settle()
        bench.unit.kill()
        bench.gates[place].set()
        await bench.settle()
        assert bench.writes[-1] == f"{place} sent"
        assert bench.crashes == []
        assert bench.unit.done_offset == 0
        assert bench.unit.idle.is_set()
        assert bench.unit.room.is_set()

    with_bench(test)


def test_what_is_folded_during_a_flush_waits_for_the_next_one() -> None:
    async def test(bench: Bench) -> None:
        bench.gates["changelog"] = asyncio.Event()
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000)])
        await bench.settle()
        bench.unit.fold([letter(1, "ann", 2_000)])
        await bench.settle()
        bench.gates["changelog"].set()
        await bench.settle()
        assert bench.rows[0][1] == msgspec.json.encode((1_000 + GAP_MS, Times([1_000])))
        assert "stored up to 0" in bench.writes
        assert bench.unit.done_offset == 1
        bench.gates["changelog"].set()
        await asyncio.sleep(log_units.STORE_AT_REST_S * 1.5)
        assert bench.rows[0][1] == msgspec.json.encode((2_000 + GAP_MS, Times([1_000, 2_000])))
        assert bench.unit.done_offset == 2

    with_bench(test)


def test_outputs_go_out_at_once_and_state_at_a_pace_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_units, "STORE_AT_REST_S", 0.1)

    async def test(bench: Bench) -> None:
        bench.unit.start()
        for offset in range(4):
            bench.unit.fold([letter(offset, "ann", 1_000 + offset)])
            await bench.settle()
        assert bench.writes.count("outputs acknowledged") == 4
        assert bench.writes.count("changelog acknowledged") == 1
        assert bench.unit.done_offset == 1
        assert not bench.unit.idle.is_set(), "a drain would leave it unwritten"
        await asyncio.sleep(0.15)
        assert bench.writes[-1] == "stored up to 3"
        assert bench.unit.done_offset == 4
        assert bench.unit.idle.is_set()

    with_bench(test)


def test_a_unit_that_is_never_at_rest_stores_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_units, "STORE_AT_REST_S", 0.05)
    monkeypatch.setattr(log_units, "STORE_EVERY_S", 60.0)

    async def test(bench: Bench) -> None:
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000)])
        await bench.settle()
        gate = bench.gates["outputs"] = asyncio.Event()
        bench.unit.fold([letter(1, "ann", 1_001)])
        await bench.settle()
        for offset in (2, 3):
            bench.unit.fold([letter(offset, "ann", 1_000 + offset)])
            await asyncio.sleep(0.06)
            gate.set()
            await bench.settle()
        assert bench.writes.count("outputs acknowledged") == 3
        assert bench.writes.count("changelog acknowledged") == 1
        gate.set()
        await asyncio.sleep(0.1)
        assert bench.writes[-1] == "stored up to 3"

    with_bench(test)


def test_folding_ahead_is_bounded_while_a_batch_is_being_written() -> None:
    async def test(bench: Bench) -> None:
        bench.gates["outputs"] = asyncio.Event()
        bench.unit.start()
        bench.unit.fold([letter(0, "ann", 1_000)])
        await bench.settle()
        offset = 1
        while bench.unit.room.is_set():
            bench.unit.fold([letter(offset + n, f"v{n}", 1_000 + offset) for n in range(SLICE)])
            offset += SLICE
            await asyncio.sleep(0)
            assert offset <= FOLD_AHEAD + 2 * SLICE, "not bounded"
        assert offset > FOLD_AHEAD
        bench.gates["outputs"].set()
        await bench.settle()
        assert bench.unit.room.is_set()

    with_bench(test)


def test_outputs_that_wait_are_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        monkeypatch.setattr(units, "AHEAD_BYTES", 1_000)
        offset = 0
        while bench.unit.room.is_set():
            bench.unit.fold([letter(offset, "ann", 1_000 + offset)])
            offset += 1
            assert offset < 1_000
        assert 1_000 < bench.unit.pending_bytes < 1_100
        bench.unit.start()
        await bench.settle()
        assert bench.unit.room.is_set()
        assert bench.unit.pending_bytes == 0

    with_bench(test)


def test_records_that_take_long_give_others_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        monkeypatch.setattr(log_units, "FOLD_S", 0.0)
        assert bench.unit.fold([letter(offset, "ann", 1_000) for offset in range(3)]) == 1
        assert (bench.unit.next_offset, bench.unit.pending) == (1, 1)
        assert bench.unit.fold([letter(offset, "ann", 1_000) for offset in range(1, 3)]) == 1
        assert (bench.unit.next_offset, bench.unit.pending) == (2, 2)

    with_bench(test)


def test_a_touched_unit_writes_its_fence_again_although_nothing_came() -> None:
    async def test(bench: Bench) -> None:
        bench.unit.touch()
        bench.unit.start()
        await bench.settle()
        assert bench.writes == ["changelog sent", "changelog acknowledged", "stored up to 6"]
        assert [record.key for record in bench.records] == [FENCE_KEY]

    with_bench(test, next_offset=7)


def test_state_to_be_healed_is_written_without_any_record() -> None:
    async def test(bench: Bench) -> None:
        bench.unit.processor.context.state.touch(["cann"])
        bench.unit.start()
        await bench.settle()
        assert bench.rows == [(b"cann", None)]

    with_bench(test)


def test_a_record_that_is_applied_in_part_is_sent_as_it_goes_and_stored_when_it_is_whole() -> None:
    async def test(bench: Bench) -> None:
        visitors = 3 * PART
        bench.unit.start()
        bench.unit.fold([letter(n, f"v{n}", 1_000) for n in range(visitors)])
        await asyncio.sleep(log_units.STORE_AT_REST_S * 1.5)
        bench.writes.clear()
        progress = Progress("page-views/0", visitors, 1_000 + GAP_MS + 1)
        mark = Fetched(visitors, msgspec.json.encode(Mark(1, (progress,))))
        after = letter(visitors + 1, "late", 2_000)
        assert bench.unit.fold([mark, after]) == 1
        await asyncio.sleep(log_units.STORE_AT_REST_S * 1.5)
        assert bench.unit.is_unfinished
        assert bench.unit.next_offset == visitors
        assert bench.writes == ["outputs sent", "outputs acknowledged"], "state of no offset was kept"
        while bench.unit.is_unfinished:
            bench.unit.fold([])
        assert bench.unit.next_offset == visitors + 1
        await asyncio.sleep(log_units.STORE_AT_REST_S * 1.5)
        assert bench.writes[-1] == f"stored up to {visitors}"
        assert bench.unit.fold([after]) == 1
        assert not bench.crashes

    with_bench(test)


def test_the_outputs_of_a_long_record_are_bounded_while_the_broker_is_slow() -> None:
    async def test(bench: Bench) -> None:
        visitors = 2 * FOLD_AHEAD
        bench.unit.start()
        for begin in range(0, visitors, SLICE):
            bench.unit.fold([letter(n, f"v{n}", 1_000) for n in range(begin, begin + SLICE)])
            await bench.settle()
        bench.gates["outputs"] = asyncio.Event()
        progress = Progress("page-views/0", visitors, 1_000 + GAP_MS + 1)
        bench.unit.fold([Fetched(visitors, msgspec.json.encode(Mark(1, (progress,))))])
        while bench.unit.room.is_set():
            await asyncio.sleep(0)
            assert bench.unit.is_unfinished, "not bounded"
            bench.unit.fold([])

    with_bench(test)


VIEWS, ORDERS = TP("page-views", 0), TP("orders", 1)


def event(tp: TP, offset: int, time_ms: int) -> tuple[int, TP, Fetched]:
    return time_ms, tp, Fetched(offset, b'{"k": "ann", "t": %d}' % time_ms)


def test_progress_of_an_input_is_told_only_when_its_events_are_acknowledged() -> None:
    async def test(bench: Bench) -> None:
        bench.gates["outputs"] = asyncio.Event()
        views = bench.source.open(VIEWS, "page-views", 0)
        bench.source.start()
        bench.source.fold([event(VIEWS, 0, 1_000)])
        await bench.settle()
        assert views.acknowledged is None
        bench.source.fold([event(VIEWS, 1, 2_000)])
        bench.gates["outputs"].set()
        while views.acknowledged is None:
            await asyncio.sleep(0)
        assert views.acknowledged == Progress("page-views/0", 1, 1_000)
        assert not views.is_idle
        bench.gates["outputs"].set()
        await bench.settle()
        assert views.acknowledged == Progress("page-views/0", 2, 2_000)
        assert views.done_offset == 2
        assert views.is_idle
        assert bench.steps[:3] == ["folded", "outputs", "stored"]

    with_bench(test)


def test_events_of_all_inputs_stand_in_the_log_in_the_order_in_which_they_were_folded() -> None:
    async def test(bench: Bench) -> None:
        views, orders = bench.source.open(VIEWS, "page-views", 0), bench.source.open(ORDERS, "orders", 7)
        bench.source.start()
        bench.source.fold([event(VIEWS, 0, 1_000), event(ORDERS, 7, 2_000), event(VIEWS, 1, 3_000)])
        await bench.settle()
        assert [msgspec.json.decode(record.value or b"")["occurred_at"] for record in bench.records] == [
            1_000, 2_000, 3_000,
        ]  # fmt: skip
        assert (views.done_offset, orders.done_offset) == (2, 8)

    with_bench(test)


def test_an_input_that_is_quiet_is_idle_although_another_is_being_written() -> None:
    async def test(bench: Bench) -> None:
        bench.gates["outputs"] = asyncio.Event()
        views, orders = bench.source.open(VIEWS, "page-views", 0), bench.source.open(ORDERS, "orders", 7)
        bench.source.start()
        bench.source.fold([event(VIEWS, 0, 1_000)])
        await bench.settle()
        assert orders.is_idle, "silence of a rare topic could not be told under steady traffic"
        assert not views.is_idle

    with_bench(test)
