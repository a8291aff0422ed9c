"""Alert rates: exact intervals, and what counts as an alert and as time."""

from __future__ import annotations

from math import exp, factorial

import pytest

from streams.alert_rates import WEEK_MS, rate_of


@pytest.mark.parametrize("alerts", [0, 1, 4, 30])
def test_at_the_ends_of_the_interval_a_count_so_far_out_has_one_chance_in_twenty(alerts: int) -> None:
    def at_most(count: int, mean: float) -> float:
        return sum(exp(-mean) * mean**k / factorial(k) for k in range(count + 1))

    rate = rate_of(alerts, WEEK_MS)
    assert rate.low is not None
    assert rate.high is not None
    assert at_most(alerts, rate.high) == pytest.approx(0.05, abs=1e-3)
    if alerts:
        assert 1 - at_most(alerts - 1, rate.low) == pytest.approx(0.05, abs=1e-3)
    else:
        assert rate.low == 0


def test_very_many_alerts_have_an_interval_too() -> None:
    rate = rate_of(5_000, WEEK_MS)
    assert rate.low == pytest.approx(5_000 - 1.645 * 5_000**0.5, rel=1e-3)
    assert rate.high == pytest.approx(5_000 + 1.645 * 5_000**0.5, rel=1e-3)


def test_without_time_there_is_no_rate() -> None:
    assert rate_of(2, 0).a_week is None
