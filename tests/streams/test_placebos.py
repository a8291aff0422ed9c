"""The placebo is where informing pages are, in the same sessions whoever asks, and does nothing."""

from collections import Counter

import pytest

from streams.credits import MAX_FIRST_VIEWS, FirstView
from streams.placebos import Placebo, count_places, place_of

KNOWN = ("paid", False, "0", "0", "0", "0")


def views(*templates: str) -> list[FirstView]:
    return [FirstView(f"/{number}", (template, *KNOWN)) for number, template in enumerate(templates)]


PATHS = [
    views("home", "product", "help"),
    views("content"),
    views("product"),
    views("home", "search", "help"),
]


def test_it_is_seen_where_informing_pages_are_first_seen() -> None:
    placebo, seen = Placebo(pages=1), Counter[int | None]()
    for number in range(8_000):
        path = PATHS[number % len(PATHS)]
        seen[place_of(placebo, f"session-{number}", len(path))] += 1
        count_places(placebo, path)
    assert placebo.reached == [8_000, 4_000, 2_000]
    assert placebo.informed == [2_000, 2_000, 2_000]
    # A quarter at once; half, then all of the rest where sessions go on, as half of them do.
    shares = [seen[place] / 8_000 for place in (0, 1, 2)]
    assert shares == pytest.approx([0.25, 0.19, 0.19], abs=0.02)


def test_it_is_never_behind_the_end_of_a_session_and_first_sessions_see_none() -> None:
    assert place_of(Placebo(), "s1", 5) is None
    placebo = Placebo(reached=[10, 10, 10], informed=[0, 0, 10], pages=1)
    assert {place_of(placebo, f"s{number}", 2) for number in range(50)} == {None}
    assert {place_of(placebo, f"s{number}", 3) for number in range(50)} == {2}


def test_it_is_seen_as_often_as_one_of_the_pages_that_inform() -> None:
    seen = [
        sum(
            place_of(Placebo(reached=[100], informed=[80], pages=pages), f"s{n}", 1) == 0
            for n in range(4_000)
        )
        for pages in (0, 1, 4)
    ]
    assert [n / 4_000 for n in seen] == pytest.approx([0.0, 0.8, 0.2], abs=0.03)


def test_the_same_session_sees_it_at_the_same_place() -> None:
    placebo = Placebo(reached=[100, 80, 60], informed=[20, 20, 20], pages=2)
    places = [place_of(placebo, f"s{number}", 3) for number in range(300)]
    assert places == [place_of(placebo, f"s{number}", 3) for number in range(300)]
    assert set(places) == {None, 0, 1, 2}


def test_its_memory_is_bounded() -> None:
    placebo = Placebo()
    count_places(placebo, views(*["product"] * 400))
    assert len(placebo.reached) == len(placebo.informed) == MAX_FIRST_VIEWS
