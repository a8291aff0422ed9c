"""Processors: what is delivered again changes nothing, what no one can read is told, who resumes goes on."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.marks import UNKNOWN_MS, Mark, Progress
from schemas.rejected_events import RejectedEvent
from schemas.timestamps import MAX_MS, MIN_MS
from schemas.visitor_events import Origin
from streams.formats import StateFormat
from streams.processors import PART, Fence, LogProcessor, SourceProcessor
from streams.rejections import rejection
from streams.stages import Context, LogStage, Output, SourceResult

NOON = 1_700_000_000_000
WAIT_MS = 3_000


class Click(msgspec.Struct, tag_field="type", tag="click", frozen=True):
    origin: Origin
    visitor: str
    at: int


class Visit(msgspec.Struct):
    clicks: int
    last: int


class Visits:
    """Counts the clicks of each visitor until none has come for a while."""

    name = "visits"
    log = "clicks"
    outputs: tuple[str, ...] = ("visits",)
    state_types: Mapping[str, type] = {"v": Visit}
    state_format = StateFormat(1)
    record_type: Any = Click

    def step(self, context: Context, record: Click) -> Iterable[Output]:
        if record.at < context.watermark:
            context.count("late")
            return
        visit = context.state.get(f"v{record.visitor}") or Visit(0, record.at)
        visit.clicks += 1
        visit.last = max(visit.last, record.at)
        context.state.put(f"v{record.visitor}", visit, visit.last + WAIT_MS)
        yield Output("visits", record.visitor, ("click", record.visitor, visit.clicks), "", record.at)

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        visit = context.state.get(key)
        context.state.delete(key)
        yield Output("visits", key[1:], ("over", key[1:], visit.clicks, deadline_ms), "", deadline_ms)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        return (Output("visits", "", ("time", before_ms, context.watermark), "", context.watermark),)


class Run:
    """Carries the stage over a log, and keeps what it says."""

    def __init__(self, capacity: int | None = None) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.capacity = capacity
        self.processor = LogProcessor(Visits(), 2, self.rows, capacity)
        self.said: list[Any] = []
        self.offset = 0

    def append(self, *entries: Click | Mark | bytes | None) -> Run:
        for entry in entries:
            value = msgspec.json.encode(entry) if isinstance(entry, Click | Mark) else entry
            self.said.extend(output.value for output in self.processor.apply(self.offset, NOON, value))
            self.offset += 1
        return self

    def flush(self) -> None:
        state = self.processor.context.state
        for key, row in state.drain():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        state.settle()

    def resume(self) -> None:
        """Flush, and go on in a processor that knows only what was flushed."""
        self.flush()
        fence = msgspec.json.decode(msgspec.json.encode(self.processor.fence), type=Fence)
        self.processor = LogProcessor(Visits(), 2, self.rows, self.capacity, fence)
        self.processor.context.state.restore(self.rows.items())


def click(
    visitor: str, after: int, upstream: str = "page-views/0", offset: int = 0, number: int = 0
) -> Click:
    return Click((upstream, offset, number), visitor, NOON + after)


def mark(after: int, upstream: str = "page-views/0", next_offset: int = 0, upstreams: int = 1) -> Mark:
    return Mark(upstreams, (Progress(upstream, next_offset, NOON + after),))


def test_the_toy_is_a_stage() -> None:
    stage: LogStage = Visits()
    assert stage.log == "clicks"


def test_deadlines_fire_when_the_watermark_is_greater_then_time_is_told() -> None:
    run = Run().append(click("ann", 0), click("bob", 0, offset=1), click("abe", 1, offset=2))
    run.said.clear()
    run.append(mark(WAIT_MS))
    assert [entry[0] for entry in run.said] == ["time"]
    run.append(mark(WAIT_MS + 2))
    assert run.said[1:] == [
        ("over", "ann", 1, NOON + WAIT_MS),
        ("over", "bob", 1, NOON + WAIT_MS),
        ("over", "abe", 1, NOON + WAIT_MS + 1),
        ("time", NOON + WAIT_MS, NOON + WAIT_MS + 2),
    ]


def test_a_mark_that_moves_nothing_says_nothing() -> None:
    run = Run().append(mark(5))
    assert len(run.said) == 1
    run.append(mark(5), mark(4))
    assert len(run.said) == 1


def test_the_records_of_one_upstream_record_are_told_apart_by_their_number() -> None:
    run = Run().append(click("ann", 0, offset=4, number=0), click("ann", 0, offset=4, number=1))
    run.append(click("ann", 0, offset=4, number=0), click("ann", 0, offset=4, number=1))
    run.append(click("ann", 0, offset=3, number=7))
    assert run.said == [("click", "ann", 1), ("click", "ann", 2)]
    assert run.processor.context.counts["redelivered", ""] == 3


def test_upstream_partitions_do_not_hide_each_other() -> None:
    run = Run().append(click("ann", 0, "page-views/0", 9), click("ann", 0, "page-views/1", 2))
    assert len(run.said) == 2


def test_a_claim_of_silence_from_before_a_record_in_the_log_does_not_let_time_pass_it() -> None:
    silence = Mark(2, (Progress("orders/0", 3, NOON, silence_ms=60_000),))
    run = Run().append(mark(0, "orders/0", 3, 2), click("ann", 0, "orders/0", 3), silence)
    run.append(mark(9_000, "page-views/0", 1, 2))
    assert run.processor.context.watermark == NOON


Sequence = list[Click | Mark]


@st.composite
def sequences(draw: st.DrawFn) -> list[Sequence]:
    """Draw what each of up to three upstream partitions sends: clicks and marks, in order."""
    count = draw(st.integers(1, 3))
    said = []
    for upstream in range(count):
        name, offset, time, sequence = f"page-views/{upstream}", 0, 0, Sequence()
        for visitor, later, records, is_mark in draw(
            st.lists(
                st.tuples(st.sampled_from("abc"), st.integers(0, 2_000), st.integers(0, 2), st.booleans()),
                max_size=8,
            )
        ):
            time += later
            for number in range(records):
                sequence.append(click(visitor, time, name, offset, number))
            offset += 1
            if is_mark:
                sequence.append(mark(time - 500, name, offset, count))
        sequence.append(mark(10**6, name, offset, count))
        said.append(sequence)
    return said


def deliveries(said: list[Sequence], data: st.DataObject) -> Iterator[tuple[bool, Click | Mark]]:
    """Deliver each sequence by up to three senders, who begin anywhere that has been reached; is it new?"""
    reached = [0] * len(said)
    senders = [[0, 0, 0] for _ in said]
    moves = st.lists(
        st.tuples(st.integers(0, len(said) - 1), st.integers(0, 2), st.none() | st.integers(0, 30)),
        max_size=40,
    )
    rest = [
        (upstream, 0, reached) for upstream, sequence in enumerate(said) for reached in range(len(sequence))
    ]
    for upstream, sender, begin in [*data.draw(moves), *rest]:
        sequence, places = said[upstream], senders[upstream]
        if begin is not None:
            places[sender] = min(begin, reached[upstream])
        if places[sender] < len(sequence):
            yield places[sender] == reached[upstream], sequence[places[sender]]
            places[sender] += 1
            reached[upstream] = max(reached[upstream], places[sender])


@given(sequences(), st.data())
def test_whatever_crashed_and_frozen_senders_send_again_changes_nothing(
    said: list[Sequence], data: st.DataObject
) -> None:
    once, again = Run(), Run()
    for is_new, record in deliveries(said, data):
        again.append(record)
        if is_new:
            once.append(record)
    assert again.said == once.said
    assert once.processor.fence.watermark.time_ms == NOON + 10**6
    for run in (once, again):
        run.flush()
    assert again.rows == once.rows == {}
    again.processor.fence.offset = once.processor.fence.offset
    assert again.processor.fence == once.processor.fence
    counts = [run.processor.context.counts for run in (once, again)]
    assert counts[0]["late", ""] == counts[1]["late", ""]


@given(sequences(), st.data(), st.sampled_from([None, 0, 2]))
def test_who_resumes_at_any_record_says_the_same(
    said: list[Sequence], data: st.DataObject, capacity: int | None
) -> None:
    straight, resumed = Run(), Run(capacity)
    for _, record in deliveries(said, data):
        straight.append(record)
        resumed.append(record)
        if data.draw(st.booleans()):
            resumed.resume()
    assert resumed.said == straight.said
    assert resumed.processor.fence == straight.processor.fence


def test_who_reads_again_from_the_fence_says_the_same_under_the_same_names() -> None:
    log: list[Click | Mark] = [
        click("ann", 0),
        click("bob", 1, offset=1),
        mark(WAIT_MS + 1),
        mark(WAIT_MS + 9),
    ]
    run = Run().append(*log[:2])
    run.resume()
    run.append(*log[2:])
    later = run.said[2:]
    # Crashed before anything behind the second record was flushed.
    again = Run()
    again.rows = {**run.rows}
    fence = Fence(offset=1, origins={"page-views/0": (1, 0)})
    again.processor = LogProcessor(Visits(), 2, again.rows, fence=fence)
    again.processor.context.state.restore(again.rows.items())
    again.offset = 2
    assert again.append(*log[2:]).said == later


POISON: dict[str, bytes | None] = {
    "no value": None,
    "empty": b"",
    "no JSON": b"\xff\x00poison",
    "JSON of another kind": b"[1, 2]",
    "an unknown type": b'{"type":"clack","origin":["p/0",0,0]}',
    "without origin": b'{"type":"click","visitor":"ann","at":5}',
    "an origin of two": b'{"type":"click","visitor":"ann","at":5,"origin":["p/0",0]}',
    "half a record": b'{"type":"click","visitor":"ann"',
    "nested without end": b'{"type":"click","visitor":"ann","at":' + b"[" * 200_000,
    "nested in a field that nobody knows": b'{"type":"mark","x":' + b"[" * 200_000,
    "wrong encoding": b'{"type":"click","visitor":"\xe9","at":5,"origin":["p/0",0,0]}',
    "half a mark": b'{"type":"mark","upstreams":1}',
}


@pytest.mark.parametrize("value", POISON.values(), ids=POISON.keys())
def test_what_is_no_record_of_the_log_is_told_with_its_position(value: bytes | None) -> None:
    run = Run().append(click("ann", 0), mark(0))
    before = msgspec.json.encode((run.processor.fence.watermark, run.processor.fence.origins))
    run.said.clear()
    run.append(value)
    (rejected,) = run.said
    assert isinstance(rejected, RejectedEvent)
    assert (rejected.id, rejected.reason) == ("clicks/2/2", "schema_violation")
    assert (rejected.topic, rejected.partition, rejected.offset) == ("clicks", 2, 2)
    assert base64.b64decode(rejected.payload or "") == (value or b"")[: 16 * 1024]
    assert run.processor.fence.offset == 2
    assert msgspec.json.encode((run.processor.fence.watermark, run.processor.fence.origins)) == before
    assert run.processor.context.counts["rejected", "schema_violation"] == 1


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_rejected_and_nothing_is_raised(value: bytes) -> None:
    (rejected,) = Run().append(value).said
    assert msgspec.json.decode(msgspec.json.encode(rejected), type=RejectedEvent) == rejected


@pytest.mark.parametrize(
    ("append_ms", "shown"), [(10**18, MAX_MS), (-(10**18), MIN_MS), (-1, -1)], ids=["ahead", "before", "none"]
)
def test_a_rejection_can_be_told_whatever_time_its_producer_gave(append_ms: int, shown: int) -> None:
    context = Context(Run().processor.context.state, "clicks/0", 7, append_ms)
    output = rejection(context, "not_json", "x" * 900, "clicks", 0, b"x")
    assert output.time_ms == shown
    assert len(output.value.detail) == 500


def test_much_that_is_due_comes_in_parts_that_make_up_the_whole() -> None:
    count = 2 * PART + 7
    clicks = [click(f"v{number}", number % 5, offset=number) for number in range(count)]
    whole, run = Run().append(*clicks), Run().append(*clicks)
    whole.said.clear()
    whole.append(mark(WAIT_MS + 9))
    record = msgspec.json.encode(mark(WAIT_MS + 9))
    parts = [run.processor.begin(run.offset, NOON, record)]
    while run.processor.is_unfinished:
        parts.append(run.processor.go_on())
    assert [len(part) for part in parts] == [PART, PART, 8]
    assert [output.value for part in parts for output in part] == whole.said
    assert run.processor.fence == whole.processor.fence
    assert run.processor.context.number == whole.processor.context.number
    assert run.processor.go_on() == []


def test_few_deadlines_leave_nothing_unfinished() -> None:
    run = Run().append(*(click(f"v{number}", 0, offset=number) for number in range(PART - 1)))
    run.processor.begin(run.offset, NOON, msgspec.json.encode(mark(WAIT_MS + 9)))
    assert not run.processor.is_unfinished


class Times:
    """Reads a number: the event's time; ``to …`` says how far time has come; anything else is nothing."""

    name = "times"
    inputs: tuple[str, ...] = ("page-views",)
    outputs: tuple[str, ...] = ("clicks",)

    def read(self, context: Context, topic: str, partition: int, value: bytes | None) -> SourceResult:
        said = [Output("clicks", "", context.origin(), "", 0) for _ in range(2)]
        if value is None:
            return SourceResult([])
        if value.startswith(b"to "):
            return SourceResult([], runs_on_to_ms=int(value[3:]))
        return SourceResult(said, time_ms=int(value))

    def time_of(self, value: bytes | None) -> int | None:
        return None


def test_a_partition_of_which_nothing_is_known_has_no_time() -> None:
    source = SourceProcessor(Times(), "page-views", 3, 10)
    assert source.progress() == Progress("page-views/3", 0, UNKNOWN_MS)
    assert source.apply(5, 99, None) == []
    assert source.progress(7) == Progress("page-views/3", 6, UNKNOWN_MS, 7)


def test_its_time_is_the_greatest_event_time_less_the_out_of_orderness() -> None:
    source = SourceProcessor(Times(), "page-views", 3, 10)
    for offset, value in enumerate((b"100", b"90", b"95")):
        source.apply(offset, 1_000, value)
    assert source.progress() == Progress("page-views/3", 3, 90)


def test_an_event_proves_no_time_beyond_its_append_time_but_the_end_of_a_log_may_be_said() -> None:
    source = SourceProcessor(Times(), "page-views", 3, 10)
    source.apply(0, 1_000, b"5000")
    assert source.progress().time_ms == 990
    source.apply(1, 1_000, b"to 7000")
    assert source.progress().time_ms == 6_990
    source.apply(2, 1_100, b"to 3000")
    assert source.progress().time_ms == 6_990


def test_what_a_record_gives_rise_to_is_numbered_from_0() -> None:
    source = SourceProcessor(Times(), "page-views", 3, 10)
    for offset in (4, 5):
        origins = [output.value for output in source.apply(offset, 1_000, b"1")]
        assert origins == [("page-views/3", offset, 0), ("page-views/3", offset, 1)]
