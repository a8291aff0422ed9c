"""Alert rates: how many alerts a week a log gave, and how sure that is; on a log without faults all are false."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log

import msgspec

WEEK_MS = 7 * 24 * 60 * 60 * 1000
TAIL = 0.05
"""On either side of the interval."""


class AlertRate(msgspec.Struct, frozen=True):
    """Alerts that stood, site-weeks in which they could open, and alerts a week with their 90 % interval."""

    alerts: int
    site_weeks: float
    a_week: float | None
    low: float | None
    high: float | None


def rate_of(alerts: int, watched_ms: int) -> AlertRate:
    """Give the rate of alerts over a time.

    The interval is exact for a Poisson count (Garwood, 1936, *Fiducial Limits for the Poisson Distribution*).

    Parameters
    ----------
    alerts
        That opened and were not withdrawn.
    watched_ms
        Event time in which alerts could open, of all sites together (ms); without any there is no rate.

    Examples
    --------
    >>> rate_of(3, 2 * WEEK_MS)
    AlertRate(alerts=3, site_weeks=2.0, a_week=1.5, low=0.409, high=3.877)
    >>> rate_of(0, 4 * WEEK_MS).high
    0.749
    """
    weeks = watched_ms / WEEK_MS
    if not weeks > 0.0:
        return AlertRate(alerts, 0.0, None, None, None)
    low = _solve(lambda mean: 1.0 - _at_most(alerts - 1, mean) >= TAIL) if alerts else 0.0
    high = _solve(lambda mean: _at_most(alerts, mean) <= TAIL)
    return AlertRate(
        alerts, round(weeks, 2), round(alerts / weeks, 3), round(low / weeks, 3), round(high / weeks, 3)
    )


def _at_most(count: int, mean: float) -> float:
    """Probability that a Poisson count of this mean is ≤ `count`."""
    if not mean > 0.0:
        return 1.0
    # By logarithms: exp(-mean) alone is 0.0 from 746 on.
    return sum(exp(number * log(mean) - mean - lgamma(number + 1)) for number in range(count + 1))


def _solve(holds: Callable[[float], bool]) -> float:
    """Least mean for which something holds that holds for all greater ones."""
    low, high = 0.0, 1.0
    while not holds(high):
        low, high = high, 2.0 * high
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
