"""Stalls: the label of a view at its horizon, the minutes that are sent, and what corrects them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.site_events import Cell
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from tests.streams.sessions_oracle import Truth
from tests.streams.visitor_logs import BEGINNING, FIVE_MINUTES, ONE_MINUTE, Run, action, identity, order, view

LABELS: dict[str, tuple[list[Any], int]] = {
    "nothing follows": ([view(0)], 1),
    "a view at the horizon": ([view(0), view(FIVE_MINUTES)], 0),
    "a view one millisecond behind": ([view(0), view(FIVE_MINUTES + 1)], 1),
    "an order at the horizon": ([view(0), order(FIVE_MINUTES)], 0),
    "an order one millisecond behind": ([view(0), order(FIVE_MINUTES + 1)], 1),
    "an order at the same time": ([view(0), order(0)], 0),
    "an order before, in the session": ([action(-9), order(-5), view(0)], 0),
    "an order before the session": ([order(-5), view(0)], 1),
    "a cancelled order": ([view(0), order(5), order(6, status="cancelled", revision=2)], 0),
    "an order that was placed long ago": ([view(0), order(5, status="paid", revision=2)], 1),
    "a registration at the horizon": ([view(0), identity(FIVE_MINUTES, "registered")], 0),
    "a registration before, in the session": ([action(-9), identity(-5, "registered"), view(0)], 0),
    "a log-in": ([view(0), identity(5, "logged_in", customer_id="c")], 1),
    "a search": ([view(0), action(5, "search")], 0),
    "a search at the same time": ([view(0), action(0, "search")], 0),
    "a search before": ([action(-1, "search"), view(0)], 1),
    "into the cart": ([view(0), action(5, "add_to_cart")], 0),
    "to the checkout": ([view(0), action(5, "checkout_started")], 0),
    "handed off": ([view(0), action(5, "phone_tap")], 0),
    "handed off behind the horizon": ([view(0), action(FIVE_MINUTES + 1, "phone_tap")], 1),
    "engagement": ([view(0), action(5, "engagement")], 1),
    "an error": ([view(0), action(5, "error")], 1),
    "rage": ([view(0), action(5, "rage_click")], 1),
    "out of the cart": ([view(0), action(5, "remove_from_cart")], 1),
    "a bot's view": ([view(0), view(5, is_bot=True)], 0),
}


def first_minute(run: Run) -> Any:
    """Sum of what was sent of the beginning's minute."""
    cells = run.end().cells()
    return {name[1:]: counts for name, counts in cells.items() if name[0] == BEGINNING}


@pytest.mark.parametrize(("events", "stalls"), LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("arrival", ["in order", "turned", "late"])
def test_a_view_is_labelled_by_what_follows(events: list[Any], stalls: int, arrival: str) -> None:
    run = Run(Settings(stall_after_ms=FIVE_MINUTES))
    for event in reversed(events) if arrival == "turned" else events:
        run.send(event)
        if arrival == "late":
            run.mark(3 * HOUR_MS)
    truth = Truth(events, run.settings).cells
    assert +run.end().counts() == +truth
    first = [
        (what, n) for ((minute, *_, is_first), what), n in truth.items() if minute == BEGINNING and is_first
    ]
    assert [n for what, n in first if what in ("views", "stalls")] == [1, stalls]


def test_bots_get_no_label() -> None:
    run = Run().send(view(0, is_bot=True), view(1, "cart"))
    assert list(first_minute(run).values()) == [(1, 1)]
    assert [len(minute.cells) for minute in run.kept.minutes] == [1]


def test_a_minute_is_sent_once_when_its_labels_are_complete_cells_in_canonical_order() -> None:
    run = Run().send(
        view(0, visitor="cy", source="paid"), view(1, visitor="bob"), view(59_999, visitor="ann")
    )
    run.mark(ONE_MINUTE + FIVE_MINUTES)
    assert run.kept.minutes == []
    run.mark(ONE_MINUTE + FIVE_MINUTES + 1)
    (minute,) = run.kept.minutes
    assert (minute.page, minute.template, minute.minute_ms) == ("shop.example/home", "home", BEGINNING)
    assert (minute.due_ms, minute.correction) == (BEGINNING + ONE_MINUTE + FIVE_MINUTES, False)
    assert minute.cells == (Cell("organic", "mobile", True, 2, 2, 2), Cell("paid", "mobile", True, 1, 1, 1))
    assert len(run.end().minutes) == 1


def test_what_comes_before_the_minute_is_sent_changes_it_silently() -> None:
    run = Run().send(view(0), view(5 * ONE_MINUTE, "cart")).mark(ONE_MINUTE + FIVE_MINUTES)
    run.send(view(2 * ONE_MINUTE, "help"), view(30_000, "home"))
    run.end()
    assert [minute.correction for minute in run.kept.minutes] == [False] * 3


def test_a_minute_is_open_while_the_watermark_is_at_its_due_time() -> None:
    run = Run().send(view(0)).mark(ONE_MINUTE + FIVE_MINUTES).send(view(1, visitor="bob"))
    assert [(minute.correction, minute.cells[0].views) for minute in run.end().minutes] == [(False, 2)]


def test_a_stall_ends_once() -> None:
    run = Run().send(view(0), action(3, "search"), identity(2, "logged_in"), view(6, "cart"))
    assert run.end().cells()[BEGINNING, "shop.example/home", "organic", "mobile", True] == (1, 0)


def test_late_events_correct_a_sent_minute_by_the_difference_at_once() -> None:
    run = Run().send(view(0)).mark(HOUR_MS)
    run.send(view(ONE_MINUTE, "cart"))
    corrections = [minute for minute in run.kept.minutes if minute.correction]
    assert [(m.page, m.minute_ms - BEGINNING, m.cells) for m in corrections] == [
        ("shop.example/home", 0, (Cell("organic", "mobile", True, 0, -1, -1),)),
        ("shop.example/cart", ONE_MINUTE, (Cell("organic", "mobile", False, 1, 1, 1),)),
    ]
    assert [m.due_ms for m in corrections] == [m.minute_ms + ONE_MINUTE + FIVE_MINUTES for m in corrections]


def test_a_late_first_view_moves_the_views_of_its_session_to_other_cells() -> None:
    run = Run().send(view(0)).mark(HOUR_MS).send(view(-1, "landing", source="paid"))
    (moved,) = [m for m in run.kept.minutes if m.correction and m.page == "shop.example/home"]
    assert moved.cells == (
        Cell("organic", "mobile", True, -1, -1, -1),
        Cell("paid", "mobile", False, 1, 1, 1),
    )


def test_a_minute_that_comes_to_nothing_is_not_sent() -> None:
    run = Run().send(view(0, "home", id="e"), view(0, "about", id="e"))
    assert [minute.page for minute in run.end().minutes] == ["shop.example/about"]


def test_labels_do_not_wait_for_the_session() -> None:
    run = Run(Settings(gap_ms=MINUTE_MS, order_wait_ms=0)).send(view(0)).mark(4 * MINUTE_MS)
    assert len(run.kept.revisions) == 1
    run.send(view(5 * MINUTE_MS, "cart"))
    assert run.end().cells()[BEGINNING, "shop.example/home", "organic", "mobile", True] == (1, 0)


def counted(run: Run, kind: str) -> dict[str, int]:
    """How many of a kind each page has, all cells together."""
    sums: Counter[str] = Counter()
    for ((_, page, *_), what), n in run.end().counts().items():
        if what == kind:
            sums[page.removeprefix("shop.example/")] += n
    return dict(+sums)


@pytest.mark.parametrize(
    ("events", "idle"),
    [
        ([view(0)], {"home": 1}),
        ([view(0), action(ONE_MINUTE, "engagement")], {}),
        ([view(0), action(FIVE_MINUTES, "engagement")], {}),
        ([view(0), action(FIVE_MINUTES + 1, "engagement")], {"home": 1}),
        ([view(0), view(FIVE_MINUTES + 1, "cart"), action(3, "engagement")], {"cart": 1}),
        (
            [view(0), view(FIVE_MINUTES + 2, "cart"), action(FIVE_MINUTES + 1, "error")],
            {"home": 1, "cart": 1},
        ),
        ([view(0), action(FIVE_MINUTES + 9), action(7)], {}),
        ([view(0), view(1, "cart"), action(FIVE_MINUTES + 1)], {}),
        ([view(0), order(2), view(3, "cart")], {}),
    ],
)
def test_a_stall_is_idle_until_anything_is_done_there(events: list[Any], idle: dict[str, int]) -> None:
    assert counted(Run().send(*events), "idle") == idle


def test_whoever_lost_his_session_is_an_orphan_of_the_page_that_he_came_from() -> None:
    home = "shop.example/home"
    events = view(0), view(1, "cart", came_from=home), view(9, "cart", visitor="bob", came_from=home)
    assert counted(Run().send(*events), "orphans") == {"home": 1}
    assert counted(Run().send(*events, view(8, visitor="bob")), "orphans") == {}


def test_an_order_counts_for_the_view_before_it_if_it_comes_in_time() -> None:
    events = [view(0), view(1, "checkout"), order(FIVE_MINUTES + 1), view(FIVE_MINUTES + 2, "thanks")]
    assert counted(Run().send(*events), "orders") == {"checkout": 1}
    assert counted(Run().send(view(0), order(FIVE_MINUTES + 1)), "orders") == {}
