"""Reading rules: whether visitors leave a page because they have read it, and from how long a reading on.

How long a reader stays tells whether he was satisfied, from about 30 s on (Fox, Karnawat, Mydland, Dumais and
White, 2005, *Evaluating Implicit Measures to Improve Web Search*), but how long is long depends on the page (Kim,
Hassan, White and Zitouni, 2014, *Modeling Dwell Time to Predict Click-Level Satisfaction*), and that nothing
follows may be a good sign (Li, Huffman and Tokuda, 2009, *Good Abandonment in Mobile and PC Internet Search*). It
is one where reading completes the visit: who has read long leaves more often than who has not. Where reading leads
on it is less often, and who leaves there in spite of it has not found what he came for.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final, NamedTuple

import msgspec

from streams.engagement import EDGES

LEAST: Final = EDGES.index(30) + 1
"""No reading is shorter than this bucket, whose lower end is 30 s."""
READ_SHARE: Final = 0.25
"""Of all readings that are not shorter than `LEAST` this share, the shortest of them, do not count as read."""
PRIOR_VIEWS: Final = 50.0
"""So many readings of its template's pages are added to those of a page."""
QUANTILE: Final = 2.58
"""Of the standard normal: intervals cover 99 %, for each of hundreds of pages is asked each day."""
LEAST_RISE: Final = 0.05
"""Visitors who have read leave more often by more than this (>); what is less need not be due to reading."""
ENOUGH: Final = 50.0
"""Least number of views (≥) on each side, who have read and who have not."""
LEADS_BELOW: Final = 0.05
"""A page informs if less than so many (<) of its views lead to a cart or a checkout at once."""
LEAST_KNOWN: Final = 0.5
"""Where those who leave are known (<) so many times less often than those who go on, who is missing decides."""
LEAST_DAYS: Final = 7
"""Days of which something was learned, at least (≥): a fault is over sooner, or has an alert."""


class Rise(NamedTuple):
    """By how much the share that leaves is higher among those who have read; `low` and `high` its interval."""

    difference: float
    low: float
    high: float


class Sides(msgspec.Struct, array_like=True, gc=False):
    """Views of those who have read (`above` the threshold) and who have not (`below`); how many of each left."""

    above: float = 0.0
    above_left: float = 0.0
    below: float = 0.0
    below_left: float = 0.0

    @property
    def are_enough(self) -> bool:
        """Whether there are enough of both."""
        return self.above >= ENOUGH and self.below >= ENOUGH

    def rise(self) -> Rise:
        """Difference of two proportions with its interval, by the method 10 of Newcombe (1998).

        That combines Wilson's intervals of both (*Interval Estimation for the Difference Between Independent
        Proportions: Comparison of Eleven Methods*). There have to be views on each side.

        Examples
        --------
        >>> Rise(*(round(value, 2) for value in Sides(60.0, 48.0, 80.0, 36.0).rise()))
        Rise(difference=0.35, low=0.14, high=0.52)
        """
        p, p_low, p_high = wilson(self.above_left, self.above)
        q, q_low, q_high = wilson(self.below_left, self.below)
        low = sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
        high = sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
        return Rise(p - q, p - q - low, p - q + high)


class Strata(msgspec.Struct, array_like=True, gc=False):
    """Sums over pages of what each says of the difference between who has read and who has not.

    Pages of a template differ in how long they are and in how many leave. Put together they would show a difference
    where none of them has one; so each is compared with itself.

    Attributes
    ----------
    weight, excess, variance
        Σw, Σwd and the numerator of the variance; w = n₁n₀/(n₁ + n₀).
    above, below
        Views on each side.
    """

    weight: float = 0.0
    excess: float = 0.0
    variance: float = 0.0
    above: float = 0.0
    below: float = 0.0

    def add(self, more: Strata, sign: int = 1) -> None:
        """Add other pages, or take them away."""
        self.weight += sign * more.weight
        self.excess += sign * more.excess
        self.variance += sign * more.variance
        self.above += sign * more.above
        self.below += sign * more.below

    @property
    def are_enough(self) -> bool:
        """Whether there are enough views on both sides."""
        return self.above >= ENOUGH and self.below >= ENOUGH

    def rise(self) -> Rise:
        """Difference of Mantel and Haenszel, with the variance of Greenland and Robins (1985).

        *Estimation of a Common Effect Parameter from Sparse Follow-up Data*, for many small strata. There have to
        be views on each side.

        Examples
        --------
        >>> both = stratum_of(Sides(60.0, 48.0, 80.0, 36.0))
        >>> both.add(stratum_of(Sides(60.0, 24.0, 60.0, 12.0)))
        >>> Rise(*(round(value, 2) for value in both.rise()))
        Rise(difference=0.28, low=0.14, high=0.42)
        """
        difference = self.excess / self.weight
        error = QUANTILE * sqrt(max(0.0, self.variance)) / self.weight
        return Rise(difference, difference - error, difference + error)


def stratum_of(sides: Sides) -> Strata:
    """Give what one page adds; nothing where it has no views on one side."""
    n1, n0, x1, x0 = sides.above, sides.below, sides.above_left, sides.below_left
    n = n1 + n0
    if n1 <= 0.0 or n0 <= 0.0:
        return Strata()
    variance = (x1 * (n1 - x1) * n0**3 + x0 * (n0 - x0) * n1**3) / (n1 * n0 * n * n)
    return Strata(n1 * n0 / n, (x1 * n0 - x0 * n1) / n, variance, n1, n0)


def wilson(k: float, n: float) -> tuple[float, float, float]:
    """Share k/n with the interval of Wilson (1927, *Probable Inference, the Law of Succession …*); n is above 0.

    >>> [round(value, 3) for value in wilson(0.0, 125.0)]
    [0.0, 0.0, 0.051]
    """
    z2 = QUANTILE * QUANTILE
    p = k / n
    middle = p + z2 / (2.0 * n)
    half = QUANTILE * sqrt(max(0.0, p * (1.0 - p)) / n + z2 / (4.0 * n * n))
    return p, max(0.0, (middle - half) / (1.0 + z2 / n)), min(1.0, (middle + half) / (1.0 + z2 / n))


def threshold_of(readings: Sequence[float], usual: Sequence[float]) -> int:
    """Bucket from which (≥) a page counts as read: all but the shortest quarter of readings reach it.

    Parameters
    ----------
    readings
        Views of the page by bucket of engaged time.
    usual
        The same of its template's pages, to which it is drawn.

    Examples
    --------
    >>> long, none = [0.0] * 20, [0.0] * 20
    >>> long[2], long[12] = 500.0, 200.0
    >>> threshold_of(none, none), threshold_of(long, none), threshold_of(none, long), EDGES[12 - 1]
    (7, 12, 12, 170)
    """
    of_usual = sum(usual[LEAST:])
    weight = PRIOR_VIEWS / of_usual if of_usual > 0.0 else 0.0
    joined = [own + weight * other for own, other in zip(readings[LEAST:], usual[LEAST:], strict=True)]
    left_out = READ_SHARE * sum(joined)
    for place, views in enumerate(joined, LEAST):
        left_out -= views
        if left_out < 0.0:
            return place
    return LEAST


def sides_of(left: Sequence[float], stayed: Sequence[float], threshold: int) -> Sides:
    """Sum up histograms of engaged time, of views with which sessions ended and of others, on each side.

    >>> sides_of([1.0, 2.0, 5.0], [4.0, 0.0, 1.0], 2)
    Sides(above=6.0, above_left=5.0, below=7.0, below_left=3.0)
    """
    above_left, below_left = sum(left[threshold:]), sum(left[:threshold])
    return Sides(
        above_left + sum(stayed[threshold:]), above_left, below_left + sum(stayed[:threshold]), below_left
    )


class Known(msgspec.Struct, array_like=True, gc=False):
    """Of how many views it is known how long they were.

    Attributes
    ----------
    left, left_unknown, stayed, stayed_unknown
        Views with which sessions ended, and other ones; and how many of each nobody says how long they were.
    """

    left: float = 0.0
    left_unknown: float = 0.0
    stayed: float = 0.0
    stayed_unknown: float = 0.0

    @property
    def is_enough(self) -> bool:
        """Whether of those who left it is known about as often as of others how long they stayed.

        Who leaves at once may do so before any ``engagement`` is sent. Then those who left early are not seen, and
        leaving looks as if it came of reading.

        >>> Known(left=10.0, left_unknown=4.0, stayed=9.0).is_enough, Known(left=9.0, left_unknown=8.0).is_enough
        (True, False)
        """
        known_left = 1.0 - self.left_unknown / self.left if self.left else 0.0
        known_stayed = 1.0 - self.stayed_unknown / self.stayed if self.stayed else 1.0
        return known_left >= LEAST_KNOWN * known_stayed


def informs(leading: float, views: float) -> bool:
    """Whether hardly any view leads to a cart or a checkout, with all but certainty.

    >>> informs(0.0, 100.0), informs(0.0, 150.0), informs(1.0, 300.0)
    (False, True, True)
    """
    return views > 0.0 and wilson(leading, views)[2] < LEADS_BELOW


def sells(leading: float, views: float) -> bool:
    """Whether too many views lead to a cart or a checkout, as far as can be seen."""
    return leading >= LEADS_BELOW * max(1.0, views)


def completes(rise: Rise, leading: float, views: float, known: Known, *, is_listed: bool) -> bool:
    """Tell whether reading completes visits: beyond doubt, or, where it has been found so before, still.

    So a page at the limit does not come and go from day to day.

    >>> known = Known(left=100.0, stayed=300.0)
    >>> [
    ...     completes(Rise(0.2, low, 0.3), 0.0, 400.0, known, is_listed=is_listed)
    ...     for low in (0.06, 0.04)
    ...     for is_listed in (False, True)
    ... ]
    [True, True, False, True]
    """
    if is_listed:
        return rise.low > 0.0 and not sells(leading, views) and known.is_enough
    return rise.low > LEAST_RISE and informs(leading, views) and known.is_enough
