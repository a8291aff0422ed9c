"""Calibrations: thresholds that follow from how often evidence rose, and what of them stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.calibrations import HIGH, LOW, MAX_THRESHOLD, Calibrated, Calibration, is_warm, least_threshold
from streams.evidence import DetectorSettings, SiteState
from streams.settings import DAY_MS, HOUR_MS


def after(days: int, low_a_day: int, high_a_day: int, budget: float = 1.0) -> Calibration:
    """Calibration after days that were alike."""
    calibration = Calibration()
    for day in range(days):
        calibration.begin_day(day * DAY_MS, budget)
        for count, evidence in ((low_a_day - high_a_day, LOW + 0.1), (high_a_day, HIGH + 0.1)):
            for _ in range(count):
                calibration.see(0, evidence)
    calibration.begin_day(days * DAY_MS, budget)
    return calibration


def test_a_light_tail_keeps_to_the_least_threshold() -> None:
    calibration = after(14, 3, 0)
    assert (calibration.threshold, calibration.margin_noise) == (least_threshold(1.0), 1.0)


def test_a_heavy_tail_raises_the_threshold_and_the_margin_day_by_day() -> None:
    thresholds = [after(days, 4, 1).threshold for days in (0, 1, 3, 7)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] == least_threshold(1.0) < thresholds[-1]
    assert after(7, 4, 1).margin_noise > 1.5


def test_who_bears_more_alerts_gets_them_sooner() -> None:
    strict, usual, lax = (after(7, 5, 1, budget).threshold for budget in (0.5, 1.0, 10.0))
    assert strict > usual > lax >= HIGH


def test_real_faults_do_not_raise_it() -> None:
    quiet, faulty = after(14, 3, 0), after(14, 3, 0)
    for _ in range(20):
        level = 0
        for evidence in (3.0, 5.0, 9.0, 17.0, 24.0, 12.0, 18.0, 0.0):
            level = faulty.see(level, evidence)
    assert (faulty.low, faulty.high) == (quiet.low, quiet.high)


def test_an_excursion_counts_once_until_it_is_over() -> None:
    calibration, level = Calibration(), 0
    for evidence in (4.1, 3.0, 4.2, 0.5, 4.1, 0.49, 4.1):
        level = calibration.see(level, evidence)
    assert (calibration.low, calibration.high, level) == (2.0, 0.0, 1), "half a nat ends none, less does"


def test_what_was_long_ago_fades() -> None:
    calibration = after(7, 6, 3)
    noisy = calibration.threshold
    for day in range(8, 60):
        calibration.begin_day(day * DAY_MS, 1.0)
    assert calibration.threshold < noisy
    assert calibration.days < 20


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(-9.0, 200.0)), max_size=60), st.floats(0.01, 100.0))
def test_the_threshold_stays_within_its_bounds(seen: list[tuple[int, float]], budget: float) -> None:
    calibration, level, day = Calibration(), 0, 0
    for days, evidence in seen:
        day += days
        calibration.begin_day(day * DAY_MS, budget)
        level = calibration.see(level, evidence)
        assert HIGH <= calibration.threshold <= max(MAX_THRESHOLD, least_threshold(budget))
        assert 1.0 <= calibration.margin_noise <= 2.0


def test_without_a_budget_the_detector_decides_as_it_is() -> None:
    detector, calibration = DetectorSettings(threshold=11.0), Calibration()
    assert Calibrated(detector, None, 1.0).settings(calibration, 0) is detector
    calibrated = Calibrated(detector, 1.0, 1.0).settings(calibration, 0)
    assert (calibrated.threshold, calibrated.close) == (least_threshold(1.0), detector.close)


@pytest.mark.parametrize(("after_ms", "warm"), [(0, False), (DAY_MS - 1, False), (DAY_MS, True)])
def test_what_is_learned_first_says_nothing_yet(after_ms: int, warm: bool) -> None:
    assert is_warm(SiteState(start_ms=HOUR_MS), HOUR_MS + after_ms, DAY_MS) == warm
    assert not is_warm(SiteState(), 99 * DAY_MS, DAY_MS)
