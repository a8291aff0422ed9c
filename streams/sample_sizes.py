"""How many sessions an experiment needs to tell two rates of purchase apart."""

from __future__ import annotations

from math import ceil, sqrt

ALPHA_QUANTILE, POWER_QUANTILE = 1.96, 0.8416
"""Of the standard normal: two-sided 5 %, and a power of 80 %."""


def sessions_per_arm(usual: float, expected: float) -> int | None:
    """Return how many sessions each arm of an A/B test needs: 80 % power at 5 %, two-sided.

    n = (z_α/2 √(2·p̄·q̄) + z_β √(p1·q1 + p2·q2))²/(p2 − p1)², p̄ the mean of both rates (Fleiss, Levin and Paik,
    2003, *Statistical Methods for Rates and Proportions*, chapter 4), without the correction for continuity.

    Parameters
    ----------
    usual, expected
        Rates of purchase of the two arms, each from 0 to 1.

    Returns
    -------
    int or None
        None where the rates are equal, or one of them lies beyond 0 to 1.

    Examples
    --------
    >>> sessions_per_arm(0.05, 0.06), sessions_per_arm(0.6, 0.7), sessions_per_arm(0.05, 0.05)
    (8158, 356, None)
    """
    if expected == usual or not (0.0 <= usual <= 1.0 and 0.0 <= expected <= 1.0):
        return None
    mean = (usual + expected) / 2
    both = ALPHA_QUANTILE * sqrt(2 * mean * (1 - mean))
    each = POWER_QUANTILE * sqrt(usual * (1 - usual) + expected * (1 - expected))
    return ceil(((both + each) / (expected - usual)) ** 2)
