"""Calibrations: thresholds that follow from how often evidence rose, and what of them stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.calibrations import (
    LEVELS,
    MAX_THRESHOLD,
    PACE_MS,
    PAGES_PRIOR,
    SHORT_MS,
    Calibrated,
    Calibration,
    is_warm,
    lasted_ms,
    least_threshold,
    level_of,
)
from streams.evidence import DetectorSettings, SiteState
from streams.following import note_excursion
from streams.page_records import PageRecord
from streams.settings import DAY_MS, HOUR_MS
from streams.symptoms import Bucket, MinuteCounts, Suspicion


def after(days: int, tops: list[float], budget: float = 1.0, hours: int = 1) -> Calibration:
    """Calibration after days that had excursions to these tops."""
    calibration = Calibration()
    for day in range(days):
        for quarter in range(4):
            calibration.begin_period(day * DAY_MS + quarter * PACE_MS, budget)
        for top in tops:
            calibration.count(top, hours * HOUR_MS)
    calibration.begin_period(days * DAY_MS, budget)
    return calibration


def test_a_light_tail_comes_down_to_the_least_threshold() -> None:
    thresholds = [after(days, [4.5]).threshold for days in (0, 4, 14, 60)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > 11.0
    assert least_threshold(1.0) <= thresholds[-1] < 9.5
    assert after(14, [4.5, 5.0]).heaviness == 1.0


def test_a_heavy_tail_raises_the_threshold_and_the_margin_day_by_day() -> None:
    heavy = [4.5, 7.0, 9.0, 13.0]
    thresholds = [after(days, heavy).threshold for days in (1, 3, 7)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1] <= MAX_THRESHOLD
    assert after(0, heavy).heaviness == 1.0
    assert after(7, heavy).heaviness >= 1.4


def test_who_bears_more_alerts_gets_them_sooner() -> None:
    strict, usual, lax = (after(7, [4.5, 4.5, 7.0], budget).threshold for budget in (0.5, 1.0, 10.0))
    assert strict > usual > lax


@pytest.mark.parametrize(
    ("top", "lasted", "counts"),
    [
        (MAX_THRESHOLD, SHORT_MS, True),
        (MAX_THRESHOLD, SHORT_MS + 1, False),
        (MAX_THRESHOLD + 9.0, SHORT_MS, True),
    ],
)
def test_what_stays_does_not_raise_it_and_what_is_over_soon_does_though_not_without_bounds(
    top: float, lasted: int, counts: bool
) -> None:
    calibration = Calibration()
    calibration.count(top, lasted)
    assert calibration.reached == [float(counts)] * len(LEVELS)
    assert calibration.excess == (MAX_THRESHOLD - LEVELS[-1]) * counts


def test_what_never_rose_as_high_as_a_fault_counts_however_long_it_was() -> None:
    calibration = Calibration()
    calibration.count(8.0, 99 * HOUR_MS)
    assert calibration.reached == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(("usual", "counts"), [(True, 1.0), (False, 0.0)])
def test_what_belongs_to_something_wider_does_not_count(usual: bool, counts: float) -> None:
    calibration, record = Calibration(), PageRecord("product")
    rising = record.suspicion
    rising.gather(MinuteCounts(views=9, stalls=9), 4.0, 0)
    note_excursion(calibration, record, rising, None, 7.0, is_usual=True)
    note_excursion(calibration, record, rising, None, 6.0, is_usual=usual)
    record.suspicion = Suspicion()
    note_excursion(calibration, record, rising, None, 0.0, is_usual=True)
    assert calibration.reached == [counts, counts, 0.0]


def test_what_was_long_ago_fades() -> None:
    calibration = after(7, [7.0, 9.0, 13.0])
    noisy = calibration.threshold
    for period in range(4 * 8, 4 * 60):
        calibration.begin_period(period * PACE_MS, 1.0)
    assert calibration.threshold < noisy
    assert calibration.days < 20


def test_a_fault_lasts_until_no_more_is_lost() -> None:
    stalls = [5, 5, *[9] * 12, *[5, 4] * 10]
    series = [Bucket(hour * HOUR_MS, 10, count, 5.0) for hour, count in enumerate(stalls)]
    assert lasted_ms(Suspicion(series=series, width_ms=HOUR_MS)) == 14 * HOUR_MS
    assert lasted_ms(Suspicion()) == 0


COUNTS = st.lists(st.floats(0.0, 1e6), min_size=len(LEVELS), max_size=len(LEVELS))


@given(COUNTS, st.floats(0.1, 12.0), st.floats(1e-6, 1e6))
def test_fewer_excursions_come_up_to_a_level_that_is_higher(
    counts: list[float], mean: float, most: float
) -> None:
    falling = [1e-6 + sum(counts[number:]) for number in range(len(LEVELS))]
    assert level_of(falling, mean, most) >= level_of(falling, mean, 2 * most)


def test_one_great_excursion_raises_it_less_than_many() -> None:
    none, one, many = (after(7, [4.5], 1.0) for _ in range(3))
    one.count(18.0, HOUR_MS)
    for _ in range(7):
        many.count(18.0, HOUR_MS)
    for calibration in (none, one, many):
        calibration.begin_period(7 * DAY_MS + PACE_MS, 1.0)
    assert none.threshold + 1.0 < one.threshold < 17.0
    assert many.threshold == MAX_THRESHOLD


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.0, 200.0), st.integers(0, 20)), max_size=60),
    st.floats(0.01, 100.0),
)
def test_the_threshold_stays_within_its_bounds(seen: list[tuple[int, float, int]], budget: float) -> None:
    calibration, day = Calibration(), 0
    for days, top, hours in seen:
        day += days
        calibration.begin_period(day * DAY_MS, budget)
        calibration.count(top, hours * HOUR_MS)
        assert LEVELS[0] < calibration.threshold <= max(MAX_THRESHOLD, least_threshold(budget))
        assert 1.0 <= calibration.heaviness <= 2.0


def test_without_a_budget_the_detector_decides_as_it_is() -> None:
    detector, calibration = DetectorSettings(threshold=13.0), Calibration()
    assert Calibrated(detector, None, 1.0, PAGES_PRIOR).settings(calibration, 0) is detector
    calibrated = Calibrated(detector, 1.0, 1.0, PAGES_PRIOR).settings(calibration, 0)
    assert (calibrated.threshold, calibrated.close) == (calibration.threshold, detector.close)
    assert least_threshold(1.0) < calibration.threshold < detector.threshold


@pytest.mark.parametrize(("after_ms", "warm"), [(0, False), (DAY_MS - 1, False), (DAY_MS, True)])
def test_what_is_learned_first_says_nothing_yet(after_ms: int, warm: bool) -> None:
    assert is_warm(SiteState(start_ms=HOUR_MS), HOUR_MS + after_ms, DAY_MS) == warm
    assert not is_warm(SiteState(), 99 * DAY_MS, DAY_MS)
