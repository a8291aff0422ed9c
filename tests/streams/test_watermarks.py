"""Watermarks: how far time has come, from marks alone, however they are repeated and mixed."""

from __future__ import annotations

from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.marks import UNKNOWN_MS, Mark, Progress
from streams.watermarks import CLAIM_MS, REACH_MS, Watermark

NOON = 1_700_000_000_000
APPENDED = 1_800_000_000_000
VIEWS, ORDERS, CONSENTS = "page-views/0", "orders/0", "consents/0"


def active(upstream: str, next_offset: int, after: int) -> Progress:
    """Say that a partition has come to `after` ms after noon."""
    return Progress(upstream, next_offset, NOON + after)


def silent(upstream: str, next_offset: int, after: int | None, silence_ms: int) -> Progress:
    """Say that a partition is caught up and silent; with no time if nothing was ever seen."""
    return Progress(upstream, next_offset, UNKNOWN_MS if after is None else NOON + after, silence_ms)


class Log:
    """A watermark fed with marks of three partitions."""

    def __init__(self, upstreams: int = 3) -> None:
        self.watermark = Watermark()
        self.upstreams = upstreams

    def mark(self, *progress: Progress, at: int = 0) -> int | None:
        """Append a mark `at` ms after the first; tell the watermark in ms after noon, None while unknown."""
        before = self.watermark.time_ms
        grew = self.watermark.update(Mark(self.upstreams, progress), APPENDED + at)
        assert grew == (self.watermark.time_ms > before)
        assert self.watermark.time_ms >= before
        return None if self.watermark.time_ms == UNKNOWN_MS else self.watermark.time_ms - NOON


def test_time_is_the_least_of_all_upstreams() -> None:
    log = Log()
    log.mark(active(VIEWS, 9, 5_000), active(ORDERS, 2, 3_000))
    assert log.mark(active(CONSENTS, 1, 4_000)) == 3_000
    assert log.mark(active(ORDERS, 3, 9_000)) == 4_000


def test_time_waits_until_every_upstream_has_been_heard_of() -> None:
    log = Log()
    assert log.mark(active(VIEWS, 9, 5_000)) is None
    assert log.mark(silent(CONSENTS, 0, None, 99_000)) is None
    assert log.mark(active(ORDERS, 2, 3_000)) == 3_000


def test_an_upstream_that_is_active_and_has_no_time_yet_holds_time_back() -> None:
    log = Log(2)
    assert log.mark(active(VIEWS, 9, 5_000), Progress(ORDERS, 4, UNKNOWN_MS)) is None
    assert log.mark(active(ORDERS, 5, 1_000)) == 1_000


def test_the_silent_are_left_out() -> None:
    log = Log()
    progress = active(VIEWS, 9, 50_000), silent(ORDERS, 2, 3_000, 6_000), silent(CONSENTS, 0, None, 0)
    assert log.mark(*progress) == 50_000


def test_an_upstream_that_speaks_again_counts_again() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 9, 50_000), silent(ORDERS, 2, 3_000, 6_000))
    assert log.mark(active(ORDERS, 3, 55_000), active(VIEWS, 10, 70_000)) == 55_000
    assert log.mark(active(VIEWS, 11, 90_000)) == 55_000


def test_time_never_goes_back_for_an_upstream_that_was_left_out() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 9, 50_000), silent(ORDERS, 2, 3_000, 6_000))
    assert log.mark(active(ORDERS, 3, 20_000)) == 50_000


def test_when_all_are_silent_time_runs_on_by_the_length_of_the_silence() -> None:
    log = Log()
    nothing = silent(CONSENTS, 0, None, 10**9)
    assert log.mark(silent(VIEWS, 9, 5_000, 6_000), silent(ORDERS, 2, 3_000, 9_000), nothing) == 12_000
    assert log.mark(silent(VIEWS, 9, 5_000, 7_000), silent(ORDERS, 2, 3_000, 10_000), at=1_000) == 13_000


def test_where_nothing_was_ever_seen_there_is_no_time_to_run_on() -> None:
    log = Log()
    names = VIEWS, ORDERS, CONSENTS
    for second in range(0, 10**6, 99_999):
        assert log.mark(*(silent(name, 0, None, second * 1000) for name in names), at=second * 1000) is None


@pytest.mark.parametrize(("later", "expected"), [(CLAIM_MS, 9_000), (CLAIM_MS + 1, 5_000)])
def test_a_claim_of_silence_holds_for_so_long_after_it_was_appended(later: int, expected: int) -> None:
    log = Log(2)
    log.mark(active(VIEWS, 1, 5_000), silent(ORDERS, 2, 0, 6_000))
    assert log.mark(active(VIEWS, 2, 9_000), at=later) == expected


def test_a_claim_that_is_renewed_holds_on() -> None:
    log = Log(2)
    for second in range(60):
        claim = silent(ORDERS, 2, 0, 6_000 + 1000 * second)
        assert log.mark(active(VIEWS, second, 1000 * second), claim, at=1000 * second) == 1000 * second


def test_a_claim_lets_time_go_a_minute_beyond_what_was_known_when_it_was_made() -> None:
    log = Log(2)
    assert log.mark(active(VIEWS, 1, 5_000), silent(ORDERS, 2, 0, 6_000)) == 5_000
    assert log.mark(active(VIEWS, 2, 5_000 + REACH_MS), at=100) == 5_000 + REACH_MS
    assert log.mark(active(VIEWS, 3, 9 * REACH_MS), at=200) == 5_000 + REACH_MS
    assert log.mark(silent(ORDERS, 2, 0, 6_300), at=300) == 9 * REACH_MS


def test_a_leap_waits_for_what_has_spoken_meanwhile() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 1, 5_000), silent(ORDERS, 2, 0, 6_000))
    log.mark(active(VIEWS, 2, 9 * REACH_MS), at=200)
    assert log.mark(active(ORDERS, 3, 2 * REACH_MS), at=300) == 2 * REACH_MS


def test_a_claim_covers_what_is_told_in_the_same_mark() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 1, 5_000), silent(ORDERS, 2, 0, 6_000))
    assert log.mark(silent(ORDERS, 2, 0, 7_000), active(VIEWS, 2, 9 * REACH_MS), at=900) == 9 * REACH_MS


def test_where_nothing_is_known_yet_a_claim_waits_to_be_renewed() -> None:
    log = Log(2)
    log.mark(silent(ORDERS, 0, None, 6_000))
    assert log.mark(active(VIEWS, 1, 5_000), at=100) is None
    assert log.mark(silent(ORDERS, 0, None, 7_000), at=1_000) == 5_000


def test_a_claim_from_before_a_record_that_is_in_the_log_already_is_stale() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 1, 5_000), active(ORDERS, 2, 0))
    log.watermark.saw(ORDERS, 2)
    assert log.mark(active(VIEWS, 2, 9_000), silent(ORDERS, 2, 0, 6_000)) == 0
    assert log.mark(silent(ORDERS, 3, 0, 6_000)) == 9_000


def test_who_was_silent_counts_again_with_its_next_mark_and_not_before() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 1, 5_000), silent(ORDERS, 2, 0, 6_000))
    log.watermark.saw(ORDERS, 2)
    assert log.mark(active(VIEWS, 2, 9_000)) == 9_000
    assert log.mark(active(VIEWS, 3, 12_000), active(ORDERS, 3, 10_000)) == 10_000


def test_a_record_that_is_known_makes_no_claim_stale() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 1, 5_000), active(ORDERS, 2, 0))
    log.watermark.saw(ORDERS, 1)
    log.watermark.saw("never heard of", 7)
    assert log.mark(silent(ORDERS, 2, 0, 6_000)) == 5_000


def test_a_mark_of_a_worker_that_has_lost_the_partition_changes_nothing() -> None:
    log = Log(2)
    log.mark(active(VIEWS, 9, 5_000), active(ORDERS, 5, 6_000))
    before = msgspec.json.encode(log.watermark)
    assert log.mark(silent(ORDERS, 4, 2_000, 60_000), active(VIEWS, 7, 4_000), at=1) == 5_000
    assert msgspec.json.encode(log.watermark) == before


@st.composite
def partitions(draw: st.DrawFn) -> list[list[Progress]]:
    """Draw what up to four partitions say while they are active: offsets and times that grow."""
    said = []
    for number in range(draw(st.integers(1, 4))):
        steps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9_000)), min_size=1, max_size=6))
        offsets, times = accumulate(step[0] for step in steps), accumulate(step[1] for step in steps)
        said.append([active(f"in/{number}", *place) for place in zip(offsets, times, strict=True)])
    return said


@given(partitions(), st.data())
def test_the_order_and_repetition_of_marks_do_not_matter_in_the_end(
    said: list[list[Progress]], data: st.DataObject
) -> None:
    every = [progress for partition in said for progress in partition]
    repeated = data.draw(st.lists(st.sampled_from(every), max_size=10))
    log = Log(len(said))
    for progress in data.draw(st.permutations(every + repeated)):
        log.mark(progress)
    assert log.watermark.time_ms == min(partition[-1].time_ms for partition in said)


anything = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 5),
        st.none() | st.integers(0, 20_000),
        st.sampled_from([-1, -1, 0, 3_000, 60_000]),
        st.integers(0, 4_000),
        st.booleans(),
    ),
    max_size=40,
)


@given(anything)
def test_it_never_goes_back_and_never_passes_one_that_is_not_silent(
    said: list[tuple[int, int, int | None, int, int, bool]],
) -> None:
    log = Log()
    appended = 0
    for number, offset, after, silence_ms, later, is_record in said:
        appended += later
        before = log.watermark.time_ms
        if is_record:
            log.watermark.saw(f"in/{number}", offset)
            assert log.watermark.time_ms == before
            continue
        time_ms = UNKNOWN_MS if after is None else NOON + after
        log.mark(Progress(f"in/{number}", offset, time_ms, silence_ms), at=appended)
        if log.watermark.time_ms > before:
            known = log.watermark.upstreams
            assert len(known) == 3
            for upstream in known.values():
                age = APPENDED + appended - upstream.claimed_ms
                if upstream.silence_ms < 0 or age > CLAIM_MS:
                    assert log.watermark.time_ms <= upstream.time_ms


@given(anything, st.integers(0, 40))
def test_it_goes_on_from_its_json_as_if_nothing_had_happened(
    said: list[tuple[int, int, int | None, int, int, bool]], at: int
) -> None:
    straight, resumed = Log(), Log()
    for index, (number, offset, after, silence_ms, _, is_record) in enumerate(said):
        if index == at:
            resumed.watermark = msgspec.json.decode(msgspec.json.encode(resumed.watermark), type=Watermark)
        for log in (straight, resumed):
            if is_record:
                log.watermark.saw(f"in/{number}", offset)
            else:
                time_ms = UNKNOWN_MS if after is None else NOON + after
                log.mark(Progress(f"in/{number}", offset, time_ms, silence_ms), at=index * 1000)
    assert straight.watermark == resumed.watermark
