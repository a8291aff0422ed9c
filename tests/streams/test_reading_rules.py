"""Reading rules: known intervals, and what counts as a page that is left because it was read."""

from __future__ import annotations

import pytest

from streams import reading_rules
from streams.engagement import BUCKETS
from streams.reading_rules import (
    LEAST,
    Known,
    Rise,
    Sides,
    Strata,
    completes,
    informs,
    sells,
    stratum_of,
    threshold_of,
)

ALL_KNOWN = Known(left=100.0, stayed=100.0)
CERTAIN = Rise(0.2, 0.1, 0.3)


@pytest.mark.parametrize(
    ("sides", "low", "high"),
    [
        (Sides(70, 56, 80, 48), 0.0524, 0.3339),
        (Sides(10, 9, 10, 3), 0.1705, 0.8090),
        (Sides(10, 10, 20, 0), 0.6791, 1.0),
    ],
)
def test_an_interval_is_that_of_the_publication(
    monkeypatch: pytest.MonkeyPatch, sides: Sides, low: float, high: float
) -> None:
    monkeypatch.setattr(reading_rules, "QUANTILE", 1.959964)
    rise = sides.rise()
    assert [rise.low, rise.high] == pytest.approx([low, high], abs=1e-4)


def test_pages_that_differ_show_nothing_that_none_of_them_shows() -> None:
    # A long page that most leave, and a short one that few leave: whoever is on the long one stays longer.
    long, short = Sides(400.0, 320.0, 100.0, 80.0), Sides(100.0, 20.0, 400.0, 80.0)
    together = Sides(*(a + b for a, b in zip(_values(long), _values(short), strict=True)))
    assert together.rise().low > 0.25
    strata = stratum_of(long)
    strata.add(stratum_of(short))
    rise = strata.rise()
    assert rise.difference == pytest.approx(0.0)
    assert rise.low < 0.0 < rise.high
    strata.add(stratum_of(short), -1)
    assert strata.rise() == pytest.approx(stratum_of(long).rise())


def _values(sides: Sides) -> tuple[float, ...]:
    return sides.above, sides.above_left, sides.below, sides.below_left


@pytest.mark.parametrize("sides", [Sides(), Sides(above=3.0, above_left=1.0), Sides(below=3.0)])
def test_a_page_without_views_on_one_side_adds_nothing(sides: Sides) -> None:
    assert stratum_of(sides) == Strata()


def test_a_threshold_is_never_below_thirty_seconds_and_drawn_to_the_template() -> None:
    short, long = [0.0] * BUCKETS, [0.0] * BUCKETS
    short[2], short[LEAST - 1] = 900.0, 900.0
    assert threshold_of(short, short) == LEAST
    long[14] = 1000.0
    assert threshold_of(long, short) == 14
    few = [0.0] * BUCKETS
    few[LEAST] = 10.0
    assert threshold_of(few, [0.0] * BUCKETS) == LEAST
    assert threshold_of(few, long) == 14
    few[LEAST] = 20.0
    assert threshold_of(few, long) == LEAST


@pytest.mark.parametrize(
    ("rise", "leading", "known", "is_new", "stays"),
    [
        (CERTAIN, 0.0, ALL_KNOWN, True, True),
        (Rise(0.2, 0.05, 0.3), 0.0, ALL_KNOWN, False, True),
        (Rise(0.2, 0.0, 0.3), 0.0, ALL_KNOWN, False, False),
        (Rise(-0.2, -0.3, -0.1), 0.0, ALL_KNOWN, False, False),
        (CERTAIN, 15.0, ALL_KNOWN, False, True),
        (CERTAIN, 20.0, ALL_KNOWN, False, False),
        (CERTAIN, 0.0, Known(left=100.0, left_unknown=60.0, stayed=100.0), False, False),
        (CERTAIN, 0.0, Known(left=100.0, left_unknown=60.0, stayed=100.0, stayed_unknown=50.0), True, True),
        (CERTAIN, 0.0, Known(stayed=100.0), False, False),
    ],
)
def test_a_page_is_listed_beyond_doubt_and_stays_as_long_as_it_may(
    rise: Rise, leading: float, known: Known, is_new: bool, stays: bool
) -> None:
    assert completes(rise, leading, 400.0, known, is_listed=False) == is_new
    assert completes(rise, leading, 400.0, known, is_listed=True) == stays


def test_a_page_without_views_neither_informs_nor_sells() -> None:
    assert not informs(0.0, 0.0)
    assert not sells(0.0, 0.0)
