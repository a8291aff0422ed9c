"""Session differences: what another setting makes of a log, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from streams.session_differences import NOT_COMPARED, Group, difference_of, exits_of, groups
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from tests.streams.compared_logs import compared
from tests.streams.visitor_logs import FIVE_MINUTES, ONE_MINUTE, THE_GAP, action, order, ran, view

USUAL = Settings()
SHORT_GAP = Settings(gap_ms=FIVE_MINUTES)


def differing(**changes: Any) -> tuple[Settings, Settings]:
    return USUAL, Settings(**changes)


TWO_PARTS = [view(0), view(ONE_MINUTE, "sizes"), view(11 * ONE_MINUTE, "cart"), view(12 * ONE_MINUTE)]
THREE_PARTS = [view(0), view(10 * ONE_MINUTE), view(20 * ONE_MINUTE)]


@pytest.mark.parametrize(
    ("records", "settings", "shapes"),
    [
        (TWO_PARTS, (USUAL, SHORT_GAP), [("split", 1, 2)]),
        (TWO_PARTS, (SHORT_GAP, USUAL), [("joined", 2, 1)]),
        (THREE_PARTS, (USUAL, SHORT_GAP), [("split", 1, 3)]),
        (TWO_PARTS, differing(gap_ms=10 * ONE_MINUTE), []),
        (TWO_PARTS, differing(gap_ms=10 * ONE_MINUTE - 1), [("split", 1, 2)]),
        # From 0 on sessions of 15 minutes begin at 0 and 20, those of 25 at 0 and 30.
        (
            [view(at * ONE_MINUTE) for at in (0, 10, 20, 30, 40)],
            (Settings(max_length_ms=15 * ONE_MINUTE), Settings(max_length_ms=25 * ONE_MINUTE)),
            [("recut", 3, 2)],
        ),
        # Two visits of one visitor, of which one is cut.
        ([*TWO_PARTS, view(3 * HOUR_MS)], (USUAL, SHORT_GAP), [("split", 1, 2)]),
        # Another visitor at the same time is another matter.
        ([view(0), view(ONE_MINUTE, visitor="bob")], (USUAL, SHORT_GAP), []),
        # Too late for the shorter retention, and a session of its own.
        (
            [view(5 * HOUR_MS), 5 * HOUR_MS, view(2 * HOUR_MS)],
            differing(retention_ms=HOUR_MS),
            [("only_before", 1, 0)],
        ),
        (
            [view(5 * HOUR_MS), 5 * HOUR_MS, view(2 * HOUR_MS)],
            (Settings(retention_ms=HOUR_MS), USUAL),
            [("only_after", 0, 1)],
        ),
    ],
)
def test_sessions_are_matched_by_what_they_share(
    records: list[Any], settings: tuple[Settings, Settings], shapes: list[tuple[str, int, int]]
) -> None:
    assert compared(records, *settings).shapes == shapes


@pytest.mark.parametrize(
    ("records", "settings", "fields"),
    [
        (
            [view(0), view(ONE_MINUTE, "sizes")],
            differing(served_templates=("sizes",)),
            ("exit_reason", "exit_rule"),
        ),
        (
            [view(0), action(ONE_MINUTE, "store_finder")],
            differing(handed_off_names=()),
            ("exit_reason", "exit_rule"),
        ),
        (
            [view(0), order(20 * ONE_MINUTE)],
            differing(order_wait_ms=19 * ONE_MINUTE),
            ("outcome", "exit_reason", "exit_rule", "order_ids", "revenue", "currency"),
        ),
        # Late and refused on one side: the session begins later, and has another id.
        (
            [view(3 * HOUR_MS), 5 * HOUR_MS, view(3 * HOUR_MS - ONE_MINUTE, "sizes")],
            differing(retention_ms=HOUR_MS),
            ("session_id", "started_at", "page_views", "entry_page", "pages"),
        ),
        (
            [view(0), view(1), view(2, "sizes")],
            differing(max_views=2),
            ("exit_page", "pages", "exit_reason", "exit_rule", "capped"),
        ),
    ],
)
def test_a_session_that_changes_says_in_which_fields(
    records: list[Any], settings: tuple[Settings, Settings], fields: tuple[str, ...]
) -> None:
    [difference] = compared(records, *settings).sessions
    assert difference.kind == "changed"
    assert set(difference.fields) == set(fields)
    [before], [after] = difference.before, difference.after
    assert all(getattr(before, name) != getattr(after, name) for name in fields)


def test_how_often_a_session_was_written_is_no_difference() -> None:
    [once] = ran(view(0)).final()
    [again] = ran(view(0)).final()
    again.revision, again.status = 3, "revised"
    assert set(NOT_COMPARED) == {"id", "revision", "status"}
    assert difference_of(Group((once,), (again,), once.ended_at)) is None
    again.page_views = 2
    difference = difference_of(Group((once,), (again,), once.ended_at))
    assert difference is not None
    assert difference.fields == ("page_views",)


def test_the_last_exit_of_a_group_is_on_both_sides_and_no_other() -> None:
    records = [view(0, "help"), view(10 * ONE_MINUTE, "cart"), view(20 * ONE_MINUTE, "help")]
    [difference] = compared(records, USUAL, SHORT_GAP).sessions
    group = Group(difference.before, difference.after, difference.before[-1].ended_at)
    assert exits_of(group) == [("served", "served"), (None, "served"), (None, "dead_end")]
    assert exits_of(Group(difference.after, difference.before, group.ended_at)) == [
        ("served", "served"), ("served", None), ("dead_end", None),
    ]  # fmt: skip


def test_the_last_exits_are_the_same_also_when_one_side_has_missed_the_last_click() -> None:
    records = [view(3 * HOUR_MS), 5 * HOUR_MS, view(3 * HOUR_MS + ONE_MINUTE, "help")]
    [difference] = compared(records, USUAL, Settings(retention_ms=HOUR_MS)).sessions
    group = Group(difference.before, difference.after, difference.before[-1].ended_at)
    assert exits_of(group) == [("served", "dead_end")]


def test_sessions_of_one_side_that_only_touch_the_other_sides_are_one_group() -> None:
    clicks = [view(at * MINUTE_MS) for at in (0, 10, 20, 30)]
    by_two = ran(*clicks, settings=Settings(max_length_ms=10 * MINUTE_MS)).final()
    whole = ran(*clicks, settings=Settings(gap_ms=THE_GAP)).final()
    [group] = groups(by_two, whole)
    assert (len(group.before), len(group.after)) == (2, 1)
    assert [len(group.before) for group in groups(by_two, [])] == [1, 1]


def test_a_group_has_one_name_from_both_sides() -> None:
    [one], [other] = ran(view(0, id="b")).final(), ran(view(0, id="a")).final()
    names = set()
    for before, after in ((one, other), (other, one)):
        [group] = groups([before], [after])
        difference = difference_of(group)
        assert difference is not None
        names.add(difference.id)
    assert names == {min(one.session_id, other.session_id)}
