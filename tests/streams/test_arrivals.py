"""Arrivals: pages before are bounded, and who goes back is told from who goes on."""

from __future__ import annotations

import pytest

from schemas.site_events import ExampleView
from streams.arrivals import MAX_BEFORE, QUICK_MS, Arrivals, note_backs


def test_what_is_kept_is_bounded_and_no_view_is_lost() -> None:
    arrivals = Arrivals()
    for number in range(500):
        arrivals.add(f"page-{number % 97}", number % 2, 0.25)
    assert len(arrivals.before) == MAX_BEFORE + 1
    counts = arrivals.before.values()
    assert sum(count.views for count in counts) == 500
    assert sum(count.stalls for count in counts) == 250
    assert sum(count.expected for count in counts) == pytest.approx(125.0)


@pytest.mark.parametrize(
    ("shown", "left", "pause_ms", "found"),
    [
        ("ABA", False, QUICK_MS, (1, 1)),
        ("ABA", False, QUICK_MS + 1, (0, 1)),
        ("ABA", True, QUICK_MS + 1, (1, 1)),
        ("ABAC", True, QUICK_MS + 1, (0, 1)),
        ("ABBA", False, QUICK_MS, (1, 1)),
        ("ABC", True, QUICK_MS, (0, 1)),
        ("AB", True, QUICK_MS, (0, 0)),
        ("BA", True, QUICK_MS, (0, 0)),
        ("BBA", True, QUICK_MS, (0, 0)),
        ("ABABA", True, QUICK_MS, (2, 2)),
    ],
)
def test_who_goes_back_at_once_or_to_leave_is_counted(
    shown: str, left: bool, pause_ms: int, found: tuple[int, int]
) -> None:
    arrivals = Arrivals()
    views = [ExampleView(number * pause_ms, name, "") for number, name in enumerate(shown)]
    note_backs(arrivals, shown, views, "B", 0, left)
    assert (arrivals.backs, arrivals.chances) == found


def test_views_from_before_the_suspicion_say_nothing_of_the_page() -> None:
    arrivals = Arrivals()
    views = [ExampleView(at, name, "") for at, name in ((0, "A"), (5, "B"), (9, "A"))]
    note_backs(arrivals, "ABA", views, "B", 6, left=False)
    assert arrivals == Arrivals()
