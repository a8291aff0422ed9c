"""Final exits: how the sessions ended that came to a page under suspicion, and whether the page is a dead end.

An alert opens on stalls, five minutes after a view. Whether visitors left for good shows when their sessions close.
Then two hypotheses are weighed: as many visits end on the page in a dead end as usual; or more of them do, by as
much as stalls have risen. The logarithm of their likelihood ratio is a sequential test (Wald, 1945, *Sequential
Tests of Statistical Hypotheses*), tempered in blocks of an hour like the detector's (`streams.blocks`).

Those who left have closed sessions before those who went on: a page would look worse the younger its views are. So
views count when a while has passed in which those who go on come to their end as well.
"""

from __future__ import annotations

from bisect import bisect_left
from math import exp, log, log1p
from operator import attrgetter
from typing import NamedTuple

import msgspec

from schemas.site_events import SessionExample
from streams.arrivals import Arrivals
from streams.regressions import probability
from streams.sample_paths import SamplePath
from streams.settings import HOUR_MS, MINUTE_MS
from streams.symptoms import MAX_BUCKETS, Contrast, Suspicion

DECIDED = 4.0
"""Nats from which the test has decided: by Wald's bound at most e⁻⁴, two in a hundred, are decided wrongly. Three
would be five in a hundred; and to withdraw the alert of a broken page costs more than to wait for more sessions."""
SHIFT_PRIOR = 2.0
"""Variance that draws the logit of few stalls towards zero."""
MIN_SHIFT, MAX_SHIFT = 0.5, 3.0
"""Bounds of the logit that stalls show: visitors may go on even where nearly all stall."""
LEAST = 1e-4
"""A rate is not nearer to 0 or 1."""
LEAST_RATE = 0.02
"""Where dead ends are usually rarer than this, for the rules call what becomes of visitors something else, it says
nothing that there are none."""

_start_of = attrgetter("start_ms")


class FinalBucket(msgspec.Struct, array_like=True, gc=False):
    """Views of a stretch of time whose sessions have closed; `start_ms` is its beginning.

    Attributes
    ----------
    views, exits
        How many, and how many of them were dead ends.
    expected, variance
        Dead ends that were to be expected, Σp, and Σp(1 − p).
    returning, returning_exits, returning_expected
        The same of visitors who had been there before.
    """

    start_ms: int
    views: int = 0
    exits: int = 0
    expected: float = 0.0
    variance: float = 0.0
    returning: int = 0
    returning_exits: int = 0
    returning_expected: float = 0.0

    def add(self, more: FinalBucket) -> None:
        """Add the counts of another stretch."""
        self.views += more.views
        self.exits += more.exits
        self.expected += more.expected
        self.variance += more.variance
        self.returning += more.returning
        self.returning_exits += more.returning_exits
        self.returning_expected += more.returning_expected


class FinalCounts(NamedTuple):
    """What is known of the views since a time: of new visitors, and of those who had been there before."""

    new: Contrast
    returning: Contrast

    @property
    def whole(self) -> Contrast:
        """Both together."""
        new, returning = self
        return Contrast(
            new.views + returning.views, new.stalls + returning.stalls, new.expected + returning.expected
        )


class FinalExits(msgspec.Struct, array_like=True):
    """Closed sessions that came to a page since it is suspected. At most 120 stretches and 25 paths.

    Attributes
    ----------
    since_ms
        First minute of the suspicion that it belongs to.
    usual
        Logit by which dead ends are more frequent on this page than in its context, as it was then; 0 for a page
        that is too young to have a usual: then its template's pages are the measure.
    touched_ms
        When the last of the sessions closed.
    until_ms
        Views before (<) this time count.
    series, width_ms
        Counts by the time of the view, each of so many ms.
    ended, continued
        Paths of the latest sessions that ended on the page in a dead end, and that went on from it.
    arrivals
        By which pages they came.
    """

    since_ms: int
    usual: float
    touched_ms: int = 0
    until_ms: int = 0
    series: list[FinalBucket] = []
    width_ms: int = MINUTE_MS
    ended: list[SamplePath] = []
    continued: list[SamplePath] = []
    arrivals: Arrivals = msgspec.field(default_factory=Arrivals)

    def add(self, at_ms: int, logit: float, left: int, returning: bool) -> None:
        """Count a view.

        Parameters
        ----------
        at_ms
            When it was.
        logit
            By which it was to be expected to be a dead end, by its context, without the page.
        left
            1 if it was a dead end, else 0.
        returning
            Whether the visitor had been there before.

        Examples
        --------
        >>> final = FinalExits(since_ms=0, usual=0.0, until_ms=HOUR_MS)
        >>> for minute in range(10):
        ...     final.add(minute * MINUTE_MS, 0.0, left=minute % 5 > 0, returning=minute > 7)
        >>> final.counts(2 * MINUTE_MS).whole
        Contrast(views=8, stalls=7, expected=4.0)
        """
        p = probability(logit + self.usual)
        one = FinalBucket(at_ms - at_ms % self.width_ms, 1, left, p, p * (1.0 - p))
        if returning:
            one.returning, one.returning_exits, one.returning_expected = 1, left, p
        series = self.series
        place = bisect_left(series, one.start_ms, key=_start_of)
        if place < len(series) and series[place].start_ms == one.start_ms:
            series[place].add(one)
            return
        series.insert(place, one)
        while len(self.series) > MAX_BUCKETS:
            self._widen()

    def counts(self, from_ms: int) -> FinalCounts:
        """Sum up the views that count, of the stretches that begin at `from_ms` or later (≥)."""
        total = FinalBucket(from_ms)
        for bucket in self._since(from_ms):
            total.add(bucket)
        returning = Contrast(total.returning, total.returning_exits, total.returning_expected)
        new = Contrast(
            total.views - returning.views,
            total.exits - returning.stalls,
            # Of sums in another order the difference of nothing may be −1e-17.
            max(0.0, total.expected - returning.expected),
        )
        return FinalCounts(new, returning)

    def evidence(self, from_ms: int, shift: float, noise_variance: float) -> float:
        """Weigh the hypotheses by the views since a time: above 0 more visits end here than usual.

        Of an hour with n views, X dead ends, Σp expected and V = Σp(1 − p), and of a shift δ the logarithm of the
        likelihood ratio is L = δX − n·log(1 + (Σp/n)(e^δ − 1)), by Jensen's inequality at most what the views by
        themselves would say; of it L/(1 + σ²V) counts. As stalls tell the shift roughly only, and some of those who
        stall go on, the whole shift and half of it are mixed with equal weights.

        Parameters
        ----------
        from_ms
            First stretch.
        shift
            δ, a logit.
        noise_variance
            σ², of the page from hour to hour.

        Examples
        --------
        >>> usual, worse = FinalExits(0, 0.0, until_ms=HOUR_MS), FinalExits(0, 0.0, until_ms=HOUR_MS)
        >>> for number in range(40):
        ...     usual.add(0, 0.0, left=number % 2, returning=False)
        ...     worse.add(0, 0.0, left=number % 5 > 0, returning=False)
        >>> round(usual.evidence(0, 2.0, 0.04), 2), round(worse.evidence(0, 2.0, 0.04), 2)
        (-4.12, 4.96)
        """
        half = shift / 2.0
        sum_half = sum_whole = 0.0
        blocks: dict[int, FinalBucket] = {}
        for bucket in self._since(from_ms):
            hour = bucket.start_ms // HOUR_MS
            blocks.setdefault(hour, FinalBucket(hour)).add(bucket)
        for block in blocks.values():
            n, exits, mean = block.views, block.exits, block.expected / block.views
            share = 1.0 / (1.0 + noise_variance * block.variance)
            sum_half += share * (half * exits - n * log1p(mean * (exp(half) - 1.0)))
            sum_whole += share * (shift * exits - n * log1p(mean * (exp(shift) - 1.0)))
        top = max(sum_half, sum_whole)
        return top + log((exp(sum_half - top) + exp(sum_whole - top)) / 2.0)

    def _since(self, from_ms: int) -> list[FinalBucket]:
        last_ms = self.until_ms - self.width_ms
        return [bucket for bucket in self.series if from_ms <= bucket.start_ms <= last_ms]

    def _widen(self) -> None:
        self.width_ms *= 2
        joined: list[FinalBucket] = []
        for bucket in self.series:
            start_ms = bucket.start_ms - bucket.start_ms % self.width_ms
            if not joined or start_ms > joined[-1].start_ms:
                joined.append(FinalBucket(start_ms))
            joined[-1].add(bucket)
        self.series = joined


def last_of(example: SessionExample) -> int:
    """Place (from 1) of the view with which a session ended in a dead end; 0 where it ended in another way.

    Where only what was learned of reading says that the visitor was served, it counts as a dead end here: what is
    learned changes from day to day, which must not look like a fault or a repair, and a page that breaks makes
    visitors stay longer and leave, which looks like reading.
    """
    return len(example.views) if example.learned or example.exit.reason == "dead_end" else 0


def stall_logit(suspicion: Suspicion, from_ms: int) -> float:
    """Tell by which logit stalls are more than was to be expected, since a time (≥); `prior` draws it towards zero.

    >>> from streams.symptoms import Bucket
    >>> round(stall_logit(Suspicion(series=[Bucket(0, 100, 75, 50.0, 25.0)]), 0), 2)
    1.0
    """
    views = stalls = 0
    expected = 0.0
    for bucket in suspicion.series:
        if bucket.start_ms >= from_ms:
            views += bucket.views
            stalls += bucket.stalls
            expected += bucket.expected
    if views <= 0:
        return 0.0
    mean = max(LEAST, min(1.0 - LEAST, expected / views))
    unseen = SHIFT_PRIOR / (mean * (1.0 - mean))
    rate = max(LEAST, min(1.0 - LEAST, (stalls + unseen * mean) / (views + unseen)))
    return log(rate / (1.0 - rate)) - log(mean / (1.0 - mean))


def shift_of(logit: float) -> float:
    """Give the shift of dead ends that is weighed, of the logit that stalls show.

    >>> shift_of(0.1), shift_of(1.2), shift_of(7.0)
    (0.5, 1.2, 3.0)
    """
    return max(MIN_SHIFT, min(MAX_SHIFT, logit))
