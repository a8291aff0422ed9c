"""Settled sessions: compared early or at the end is the same, sides mirror each other, and all is forgotten."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streams.session_differences import SESSION_KINDS, SessionDifference
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.settled_sessions import EXAMPLES, SettledSessions, settle_ms
from tests.streams.compared_logs import Compared, compared
from tests.streams.visitor_logs import BEGINNING, action, order, ran, view

MIRRORED = {"split": "joined", "joined": "split", "only_before": "only_after", "only_after": "only_before"}

SETTINGS = st.builds(
    Settings,
    gap_ms=st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS]),
    max_length_ms=st.sampled_from([10 * MINUTE_MS, 2 * HOUR_MS]),
    order_wait_ms=st.sampled_from([0, 10 * MINUTE_MS]),
    retention_ms=st.sampled_from([10 * MINUTE_MS, HOUR_MS]),
    served_templates=st.sampled_from([("help",), ("cart", "help"), ()]),
    max_views=st.sampled_from([3, 500]),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Any]:
    """Events of two visitors over some hours, up to two hours late, with copies that contradict, and marks."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    at, records = 0, list[Any]()
    late_ones = draw(st.sampled_from([0, 0.1, 0.5]))
    for number in range(draw(st.sampled_from([80, 81, 82, 20, 1, 0]))):
        at += int(rng.choice([0, 0.5, 1, 4, 5, 9, 14, 14, 45]) * MINUTE_MS)
        late = rng.choice([3, 8, 50, 120]) * MINUTE_MS if rng.random() < late_ones else 0
        name = {"id": f"e{rng.randrange(number + 1)}" if rng.random() < 0.2 else f"e{number}"}
        time_ms, visitor = max(0, at - late), rng.choice(["ann", "bob"])
        build = rng.choice([view, view, view, action, order])
        page = {"page": rng.choice(["home", "help", "cart"])} if build is view else {}
        if build is order:
            name["order_id"] = name.pop("id")
        records.append(build(time_ms, visitor=visitor, **name, **page))
        if rng.random() < 0.7:
            records.append(at)
    return records


def as_set(result: Compared) -> Counter[bytes]:
    return Counter(msgspec.json.encode(difference, order="deterministic") for difference in result.written)


def mirrored(result: Compared) -> Counter[bytes]:
    swapped = [
        msgspec.structs.replace(
            difference,
            kind=MIRRORED.get(difference.kind, difference.kind),
            before=difference.after,
            after=difference.before,
        )
        for difference in result.sessions
    ]
    return Counter(msgspec.json.encode(difference, order="deterministic") for difference in swapped)


@hypothesis_settings(deadline=None, max_examples=100)
@given(log=logs(), before=SETTINGS, after=SETTINGS)
def test_what_settles_early_is_what_stands_at_the_end(
    log: list[Any], before: Settings, after: Settings
) -> None:
    early, late = compared(log, before, after), compared(log, before, after, settles=False)
    assert as_set(early) == as_set(late)
    assert early.figures == late.figures


@hypothesis_settings(deadline=None, max_examples=20)
@given(log=logs(), before=SETTINGS, after=SETTINGS)
def test_swapped_sides_give_mirrored_differences(log: list[Any], before: Settings, after: Settings) -> None:
    one, other = compared(log, before, after), compared(log, after, before)
    assert mirrored(one) == as_set(other)
    exits = {(pair["before"], pair["after"]): pair["sessions"] for pair in one.figures["exit_reasons"]}
    back = {(pair["after"], pair["before"]): pair["sessions"] for pair in other.figures["exit_reasons"]}
    assert exits == back


@hypothesis_settings(deadline=None, max_examples=15)
@given(log=logs(), settings=SETTINGS)
def test_a_log_does_not_differ_from_itself(log: list[Any], settings: Settings) -> None:
    result = compared(log, settings, settings)
    sessions = result.figures["sessions"]
    assert result.written == []
    assert sessions["same"] == sessions["before"] == sessions["after"]
    assert all(pair["before"] == pair["after"] for pair in result.figures["exit_reasons"])


@hypothesis_settings(deadline=None, max_examples=20)
@given(log=logs(), before=SETTINGS, after=SETTINGS)
def test_every_session_is_counted_once_on_its_side(log: list[Any], before: Settings, after: Settings) -> None:
    result = compared(log, before, after)
    sessions = result.figures["sessions"]
    for side in ("before", "after"):
        differing = sum(len(getattr(difference, side)) for difference in result.sessions)
        exits = [pair for pair in result.figures["exit_reasons"] if pair[side] is not None]
        assert sessions[side] == sessions["same"] + differing
        assert sessions[side] == sum(pair["sessions"] for pair in exits)
        assert sessions[side] == sum(sides[side] for sides in sessions["outcomes"].values())
    assert sum(sessions[kind] for kind in SESSION_KINDS) == len(result.sessions)


def test_what_is_held_does_not_grow_with_the_log() -> None:
    before, after = Settings(), Settings(gap_ms=5 * MINUTE_MS)

    def log(hours: int) -> list[Any]:
        records: list[Any] = []
        for hour in range(hours):
            at = hour * HOUR_MS
            records += [view(at, visitor=f"v{hour}"), view(at + 10 * MINUTE_MS, visitor=f"v{hour}"), at]
        return records

    most = compared(log(200), before, after).most_held
    assert most == compared(log(300), before, after).most_held
    # One before and two after an hour; the last may not be closed yet.
    assert most <= 3 * (settle_ms(before, after) // HOUR_MS + 2)


def test_equal_sessions_of_both_sides_are_one_record_in_memory() -> None:
    [session] = ran(view(0)).final()
    settled = SettledSessions(HOUR_MS, lambda _: None)
    for side in (0, 1):
        settled.take(side, msgspec.structs.replace(session))
    [(before, after)] = settled._visitors.values()
    assert before[session.session_id] is after[session.session_id]
    settled.take(1, msgspec.structs.replace(session, revision=2, status="revised", page_views=9))
    assert before[session.session_id].page_views == 1
    assert settled.held == 2
    settled.finish()
    assert (settled.held, settled._visitors, settled._due) == (0, {}, [])
    assert settled.figures()["sessions"]["fields"] == {"page_views": 1}


def test_a_session_is_settled_when_the_watermark_is_beyond_its_time_and_not_at_it() -> None:
    first, second = ran(view(0), view(2 * HOUR_MS)).final()
    settled = SettledSessions(HOUR_MS, lambda _: None)
    settled.take(0, first)
    settled.take(0, second)
    for after, held in ((HOUR_MS, 2), (HOUR_MS + 1, 1), (3 * HOUR_MS, 1), (3 * HOUR_MS + 1, 0)):
        settled.advance(BEGINNING + after)
        assert settled.held == held


def test_a_session_waits_for_a_longer_one_of_the_other_side() -> None:
    before = Settings(gap_ms=MINUTE_MS, order_wait_ms=0, retention_ms=10 * MINUTE_MS, max_length_ms=HOUR_MS)
    after = msgspec.structs.replace(before, gap_ms=30 * MINUTE_MS)
    log: list[Any] = []
    for at in (0, 14, 28, 42, 56, 70, 84, 98):
        log += [view(at * MINUTE_MS), at * MINUTE_MS]
    # The first one closes after a minute; the hour that it is a part of, an hour and a half later.
    assert compared(log, before, after).shapes == [("joined", 5, 1), ("joined", 3, 1)]


def test_examples_are_those_that_move_most_money_and_then_views() -> None:
    records: list[Any] = []
    for number in range(EXAMPLES + 3):
        records += [view(at, visitor=f"v{number}") for at in range(number + 1)]
    records += [view(0, visitor="rich"), order(20 * MINUTE_MS, visitor="rich", total="99.5")]
    served = Settings(served_templates=("home",), order_wait_ms=MINUTE_MS)
    result = compared(records, Settings(), served)
    shown = result.figures["sessions"]["examples"]["changed"]
    views = [example["before"][0]["page_views"] for example in shown]
    assert views == [1, *range(EXAMPLES + 3, 4, -1)]
    assert len(shown) == EXAMPLES
    assert shown[0]["before"][0]["revenue"] == "99.5"
    assert result.figures["sessions"]["revenue"] == {"EUR": {"before": "99.5", "after": "0"}}
    assert len(result.sessions) == EXAMPLES + 4, "but all of them are written"


def test_a_session_that_a_late_event_opens_again_is_waited_for() -> None:
    before = Settings(gap_ms=5 * MINUTE_MS, order_wait_ms=0, retention_ms=HOUR_MS, max_length_ms=2 * HOUR_MS)
    after = msgspec.structs.replace(before, gap_ms=30 * MINUTE_MS)
    log: list[Any] = [view(0), 55 * MINUTE_MS, view(28 * MINUTE_MS)]
    for at in (50, 75, 100):
        log += [view(at * MINUTE_MS), at * MINUTE_MS]
    # What was written of the first click alone is older than gap and retention by now, and not what holds.
    assert compared(log, before, after).shapes == [("joined", 5, 1)]


@pytest.mark.parametrize(
    ("one", "other", "hours"),
    [
        (Settings(), Settings(), 24.5),
        (Settings(gap_ms=2 * HOUR_MS), Settings(retention_ms=30 * HOUR_MS), 32),
        (
            Settings(max_length_ms=HOUR_MS),
            Settings(max_length_ms=2 * HOUR_MS, order_wait_ms=3 * HOUR_MS),
            27,
        ),
    ],
)
def test_a_session_waits_for_all_that_either_side_waits_for(
    one: Settings, other: Settings, hours: float
) -> None:
    assert settle_ms(one, other) == settle_ms(other, one) == hours * HOUR_MS


def test_a_difference_is_written_as_plain_json() -> None:
    [difference] = compared([view(0), view(10 * MINUTE_MS)], Settings(), Settings(gap_ms=MINUTE_MS)).sessions
    line = msgspec.json.encode(difference)
    assert msgspec.json.decode(line, type=SessionDifference) == difference
    plain = msgspec.json.decode(line)
    assert plain["schema"] == "session-differences/1"
    assert list(plain) == ["schema", "id", "kind", "site", "visitor_id", "fields", "before", "after"]
