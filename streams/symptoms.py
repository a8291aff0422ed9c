"""Symptoms: what is counted while something is suspected, and what is usual, so that a cause can be named.

Counted are the minutes since suspicion began: by time, by who it was, what was not done, and which orders did not
come. Habits are the same counts of the past in which nothing was suspected.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from schemas.site_events import Cell
from streams.evidence import DecayedSums
from streams.settings import DAY_MS, MINUTE_MS

HABITS_KEPT = 0.7
"""What habits keep a day: half of them are of the last two."""
MAX_BUCKETS = 120
"""Of more (>) those that lie side by side become one and each holds twice as long a time, as often as it takes."""
MAX_CONTRASTS = 40


class MinuteCounts(msgspec.Struct, array_like=True, gc=False):
    """Counts of a page or a scope in a minute; see `Cell`.

    Attributes
    ----------
    expected, variance
        Stalls that were to be expected, without the common movement, and Σm(1 − m).
    expected_orders
        Orders that views of these templates usually bring.
    """

    views: int = 0
    stalls: int = 0
    expected: float = 0.0
    variance: float = 0.0
    idle: int = 0
    orphans: int = 0
    orders: int = 0
    expected_orders: float = 0.0


class Habits(msgspec.Struct, array_like=True, gc=False):
    """Counts of the last days in which nothing was suspected; `sources` are views by source."""

    views: float = 0.0
    stalls: float = 0.0
    idle: float = 0.0
    orphans: float = 0.0
    orders: float = 0.0
    sources: dict[str, float] = {}
    day: int = 0

    def learn(self, counts: MinuteCounts, minute_ms: int, cells: Iterable[Cell] = ()) -> None:
        """Take a minute in.

        >>> habits = Habits()
        >>> habits.learn(MinuteCounts(views=10, stalls=4), 0)
        >>> habits.learn(MinuteCounts(views=2), DAY_MS)
        >>> habits.views, habits.stalls
        (9.0, 2.8)
        """
        day = minute_ms // DAY_MS
        if day > self.day:
            kept = HABITS_KEPT ** (day - self.day)
            self.day = day
            self.views *= kept
            self.stalls *= kept
            self.idle *= kept
            self.orphans *= kept
            self.orders *= kept
            self.sources = {source: views * kept for source, views in self.sources.items() if views > 0.1}
        self.views += counts.views
        # More often than not there is none of these, and to change a record costs more than to ask.
        if counts.stalls:
            self.stalls += counts.stalls
        if counts.idle:
            self.idle += counts.idle
        if counts.orphans:
            self.orphans += counts.orphans
        if counts.orders:
            self.orders += counts.orders
        sources = self.sources
        for cell in cells:
            source = cell.source
            sources[source] = sources.get(source, 0.0) + cell.views


class Contrast(msgspec.Struct, array_like=True, gc=False):
    """Views of some visitors, how many of them stalled, and how many were to be expected to."""

    views: int = 0
    stalls: int = 0
    expected: float = 0.0


class Bucket(msgspec.Struct, array_like=True, gc=False):
    """Counts of a stretch of time; `start_ms` is its beginning."""

    start_ms: int
    views: int = 0
    stalls: int = 0
    expected: float = 0.0
    variance: float = 0.0

    def add(self, views: int, stalls: int, expected: float, variance: float) -> None:
        """Add to the counts."""
        self.views += views
        self.stalls += stalls
        self.expected += expected
        self.variance += variance


class Suspicion(msgspec.Struct, array_like=True, gc=False):
    """Counts since evidence began to gather.

    Attributes
    ----------
    expected, variance
        With the common movement.
    since_ms
        First minute of it; None while there is none.
    of_all
        Views of the whole site in the same minutes, where it is about a wider scope.
    by
        The same counts by ``source:…``, ``device:…``, ``view:first`` and ``view:later``, of a page.
    series, width_ms
        The same counts by time, each of so many ms.
    """

    views: int = 0
    stalls: int = 0
    expected: float = 0.0
    variance: float = 0.0
    since_ms: int | None = None
    idle: int = 0
    orphans: int = 0
    orders: int = 0
    expected_orders: float = 0.0
    of_all: int = 0
    by: dict[str, Contrast] = {}
    series: list[Bucket] = []
    width_ms: int = MINUTE_MS

    @property
    def excess(self) -> float:
        """Stalls beyond the expected."""
        return self.stalls - self.expected

    def sums_since(self, at_ms: int) -> DecayedSums:
        """Stalls beyond the expected, and their variance, of the stretches that begin at a time or later (≥)."""
        since = [bucket for bucket in self.series if bucket.start_ms >= at_ms]
        excess = sum(bucket.stalls - bucket.expected for bucket in since)
        return DecayedSums(excess, sum(bucket.variance for bucket in since), at_ms)

    @property
    def missing_orders(self) -> float:
        """Orders that were to be expected and did not come, at least 0."""
        return max(0.0, self.expected_orders - self.orders)

    def gather(self, counts: MinuteCounts, expected: float, minute_ms: int, of_all: int = 0) -> None:
        """Take a minute in, with the stalls to be expected of it."""
        views, stalls = counts.views, counts.stalls
        variance = max(0.0, expected * (1.0 - expected / views)) if views else 0.0
        if self.since_ms is None:
            self.since_ms = minute_ms
        self.views += views
        self.stalls += stalls
        self.expected += expected
        self.variance += variance
        self.expected_orders += counts.expected_orders
        # More often than not there is none of these, and to change a record costs more than to ask.
        if counts.idle:
            self.idle += counts.idle
        if counts.orphans:
            self.orphans += counts.orphans
        if counts.orders:
            self.orders += counts.orders
        if of_all:
            self.of_all += of_all
        series, start_ms = self.series, minute_ms - minute_ms % self.width_ms
        if not series or start_ms > series[-1].start_ms:
            series.append(Bucket(start_ms))
        series[-1].add(views, stalls, expected, variance)
        while len(self.series) > MAX_BUCKETS:
            self._widen()

    def gather_by(self, cells: Iterable[tuple[Cell, float]]) -> None:
        """Take in who it was: cells, and the stalls to be expected of each."""
        by = self.by
        for cell, expected in cells:
            views, stalls = cell.views, cell.stalls
            for name in _names_of(cell.source, cell.device, cell.first_view):
                known = by.get(name)
                if known is not None:
                    by[name] = Contrast(known.views + views, known.stalls + stalls, known.expected + expected)
                elif len(by) < MAX_CONTRASTS:
                    by[name] = Contrast(views, stalls, expected)

    def _widen(self) -> None:
        self.width_ms *= 2
        joined: list[Bucket] = []
        for bucket in self.series:
            start_ms = bucket.start_ms - bucket.start_ms % self.width_ms
            if not joined or start_ms > joined[-1].start_ms:
                joined.append(Bucket(start_ms))
            joined[-1].add(bucket.views, bucket.stalls, bucket.expected, bucket.variance)
        self.series = joined


@lru_cache(maxsize=4096)
def _names_of(source: str, device: str, first_view: bool) -> tuple[str, str, str]:
    return f"source:{source}", f"device:{device}", "view:first" if first_view else "view:later"


class Change(NamedTuple):
    """When it began: the start of the bucket, and of the counts from there on their excess and variance."""

    at_ms: int
    excess: float
    variance: float


def change_of(suspicion: Suspicion) -> Change | None:
    """Tell when what is suspected began, by the counts themselves; None before there are any.

    The start k that makes R²/2V greatest, R = Σ(y − m) and V of all that came from k on: the logarithm of the
    likelihood ratio of a step at k (Page, 1955, *A Test for a Change in a Parameter Occurring at an Unknown Point*,
    to the second order). Only k with R > 0 are looked at; where there are none it is the first.

    Examples
    --------
    >>> suspicion = Suspicion()
    >>> for minute, stalls in enumerate((5, 4, 6, 9, 10, 9)):
    ...     suspicion.gather(MinuteCounts(views=10, stalls=stalls), 5.0, minute * MINUTE_MS)
    >>> change_of(suspicion)
    Change(at_ms=180000, excess=13.0, variance=7.5)
    """
    best, greatest = None, 0.0
    excess = variance = 0.0
    for bucket in reversed(suspicion.series):
        excess += bucket.stalls - bucket.expected
        variance += bucket.variance
        ratio = excess * excess / (variance + 1e-9)
        if best is None or (excess > 0.0 and ratio >= greatest):
            best = Change(bucket.start_ms, excess, variance)
            greatest = ratio if excess > 0.0 else 0.0
    return best
