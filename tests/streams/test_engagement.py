"""Engagement: which view a tracker's word belongs to, and what is no time at all."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan

import pytest

from streams.engagement import BUCKETS, EDGES, TROUBLED, UNKNOWN, bucket_of, engaged_buckets
from streams.visitors import Action, Click, Tail, View

AN_HOUR = 3600.0


def view(at: int, page: str) -> View:
    return View(at, f"0v{at}", page, "content", "organic", "mobile")


def engagement(at: int, seconds: float, page: str = "") -> Action:
    return Action(at, f"1e{at}", "engagement", page, seconds)


def went_wrong(at: int, name: str, page: str = "") -> Action:
    return Action(at, f"1w{at}", name, page)


def test_each_edge_begins_a_bucket_and_all_are_about_as_wide() -> None:
    assert [bucket_of(edge) for edge in EDGES] == list(range(1, BUCKETS))
    assert [bucket_of(edge - 0.001) for edge in EDGES] == list(range(BUCKETS - 1))
    assert all(1.2 < longer / shorter < 1.65 for shorter, longer in pairwise(EDGES))


@pytest.mark.parametrize("seconds", [0.0, -0.0, -7.0, nan, inf, -inf, 86_400.1, 1e308])
def test_what_is_no_time_is_unknown(seconds: float) -> None:
    assert bucket_of(seconds) == UNKNOWN
    assert engaged_buckets([view(0, "a"), engagement(1, seconds)]) == [UNKNOWN]


CASES: dict[str, tuple[list[Click], list[int]]] = {
    "nothing is said": ([view(0, "a"), view(9, "b")], [UNKNOWN, UNKNOWN]),
    "it names no page: of the latest view": (
        [view(0, "a"), engagement(1, AN_HOUR), view(2, "b"), engagement(3, 1.0)],
        [19, 0],
    ),
    "it comes after the next view": (
        [view(0, "a"), view(2, "b"), engagement(3, 30.0, "a"), engagement(4, 60.0, "b")],
        [7, 9],
    ),
    "the longest counts": ([view(0, "a"), engagement(1, 30.0), engagement(2, 10.0)], [7]),
    "of two views of a page the latest": (
        [view(0, "a"), view(2, "a"), engagement(3, 30.0, "a")],
        [UNKNOWN, 7],
    ),
    "of a page that was not seen": ([view(0, "a"), engagement(3, 30.0, "b")], [UNKNOWN]),
    "before the first view": ([engagement(0, 30.0), view(1, "a")], [UNKNOWN]),
    "an error spoils all views of its page": (
        [view(0, "a"), engagement(1, 30.0), view(2, "b"), view(3, "a"), went_wrong(4, "error", "a")],
        [TROUBLED, UNKNOWN, TROUBLED],
    ),
    "a rage click without a page is on the latest": (
        [view(0, "a"), view(2, "b"), went_wrong(3, "rage_click"), engagement(4, 30.0)],
        [UNKNOWN, TROUBLED],
    ),
    "other interactions say nothing": ([view(0, "a"), went_wrong(1, "search", "a")], [UNKNOWN]),
    "beyond what is kept": ([view(0, "a"), Tail(3, "0v3", 9, 4, 2)], [UNKNOWN]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_word_is_of_one_view(case: str) -> None:
    clicks, expected = CASES[case]
    assert engaged_buckets(clicks) == expected
