"""Calibration: the threshold and the noise margin that keep false alerts within a budget, from a site's own past.

Evidence that rises and falls again is an excursion. How many a week come up to each of some levels, and by how much
those rise beyond the last, tells what a threshold there would have cost: beyond a high level their number falls off
exponentially, to 1/e in their mean excess (peaks over a threshold: Pickands, 1975, *Statistical Inference Using
Extreme Order Statistics*), and the threshold is where it falls below the budget.

What rises as high as faults do and stays is a fault, and is not counted, nor is what somebody has acknowledged, or
an alert about something wider: a site must not grow deaf by having many. Nor is what pages show that are too young
to have a past: those differ from their peers, which is no noise. But what is over within hours on a page
and nobody cared for is what this site does by itself, as is what was dismissed.

Where numbers fall off slowly, single hours are noisier than the noise that was learned: then the margin grows too.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import msgspec

from streams.evidence import HOUR_MS, NEWBORN_CAP, DetectorSettings, SiteState
from streams.settings import DAY_MS
from streams.symptoms import Suspicion

LEVELS = (4.0, 6.0, 8.0)
"""Levels of evidence to which excursions are counted."""
FAULTS_ABOVE, SHORT_MS = LEVELS[-1], 8 * HOUR_MS
"""What rises higher and lasts longer (>) is a fault."""
PAGES_PRIOR, WIDE_PRIOR = (45.0, 6.5, 1.2), (30.0, 2.0, 0.4)
PRIOR_DAYS = 3.0
"""Excursions of pages and of wider scopes that are counted in at the beginning, and in how many days: more of the
great ones than on made-up shops with usual noise, so that it begins strictly and becomes quicker where a site has
shown that it is quiet."""
EXCESS_PRIOR, EXCESS_COUNT = 1.5, 3.0
"""Mean excess over the last level, in nats, and of how many excursions it is known at the beginning."""
KEPT = 0.95
"""What counts keep a day: half of them are of the last two weeks."""
PACE_MS = 6 * HOUR_MS
"""Period after which the threshold is set anew."""
LEAST_THRESHOLD, MAX_THRESHOLD = 7.0, 20.0
SPARED = 0.2
"""Part of the budget that is aimed at: counts are few, and often tell too little."""
HEAVY, HEAVIEST = 1.3, 2.0
"""Evidence in which numbers fall to 1/e, between which the margin for noise grows, to twice as much at most."""
PAGES_PART, WIDE_PART = 0.75, 0.25
"""Parts of the budget for alerts about pages, and about wider scopes."""


class Calibration(msgspec.Struct, array_like=True):
    """What is known of a site's past, of its pages or of its wider scopes.

    Attributes
    ----------
    reached
        Excursions that came up to each level, fading.
    excess
        By how much in all those rose beyond the last level that came up to it (nats), fading alike.
    days, period
        How many days they come from, fading alike; number of the period that runs, None before the first.
    threshold, heaviness
        What follows, from the beginning of the period that runs; the second from 1 (a usual tail) to 2.
    """

    reached: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(LEVELS))
    excess: float = 0.0
    days: float = 0.0
    period: int | None = None
    threshold: float = 0.0
    heaviness: float = 1.0

    def count(self, top: float, lasted_ms: int) -> None:
        """Count an excursion that is over: its greatest evidence, and for how long more was lost than usual (ms).

        Faults (evidence above 8 for longer than 8 h) don't count. What rises above the greatest threshold counts as
        if it came up to that.

        Examples
        --------
        >>> calibration = Calibration()
        >>> for top, hours in ((3.0, 1), (4.5, 1), (6.5, 20), (14.0, 2), (40.0, 12)):
        ...     calibration.count(top, hours * HOUR_MS)
        >>> calibration.reached
        [3.0, 2.0, 1.0]
        >>> calibration.excess
        6.0
        """
        if top > FAULTS_ABOVE and lasted_ms > SHORT_MS:
            return
        top = min(top, MAX_THRESHOLD)
        for number, level in enumerate(LEVELS):
            if top > level:
                self.reached[number] += 1.0
        self.excess += max(0.0, top - LEVELS[-1])

    def begin_period(
        self, minute_ms: int, budget: float, part: float = 1.0, prior: Sequence[float] = PAGES_PRIOR
    ) -> None:
        """Take a minute's time; where a period begins, set the threshold anew.

        Parameters
        ----------
        minute_ms
            Start of the minute (ms).
        budget, part
            Alerts a week in all, and what part of them these may be.
        prior
            Excursions to each level that are counted in.

        Examples
        --------
        After quiet weeks it is near the least threshold, after noisy ones it is not.

        >>> quiet = Calibration([20.0, 1.0, 0.0], 0.0, 14.0, 55)
        >>> noisy = Calibration([60.0, 35.0, 20.0], 50.0, 14.0, 55)
        >>> quiet.begin_period(14 * DAY_MS, 1.0), noisy.begin_period(14 * DAY_MS, 1.0)
        (None, None)
        >>> quiet.threshold, noisy.threshold, noisy.heaviness
        (9.25, 17.0, 2.0)
        """
        period = minute_ms // PACE_MS
        if self.period is not None:
            passed = period - self.period
            if passed <= 0:
                return
            kept = KEPT ** (passed * PACE_MS / DAY_MS)
            self.reached = [count * kept for count in self.reached]
            self.excess *= kept
            # In a time in which nobody came nothing was seen.
            self.days = self.days * kept + PACE_MS / DAY_MS
        self.period = period
        weeks = (self.days + PRIOR_DAYS) / 7.0
        a_week = [(count + more) / weeks for count, more in zip(self.reached, prior, strict=True)]
        # Coarse, so that few detectors stand for all periods.
        mean = (self.excess + EXCESS_COUNT * EXCESS_PRIOR) / (self.reached[-1] + EXCESS_COUNT)
        wanted = round(4.0 * level_of(a_week, mean, SPARED * budget * part)) / 4.0
        self.threshold = min(MAX_THRESHOLD, max(least_threshold(budget), wanted))
        falls = (LEVELS[-1] - LEVELS[0]) / log(a_week[0] / a_week[-1])
        heavy = max(0.0, min(1.0, (falls - HEAVY) / (HEAVIEST - HEAVY)))
        self.heaviness = 1.0 + round(10.0 * heavy) / 10.0


def level_of(a_week: Sequence[float], mean_excess: float, most: float) -> float:
    """Give the evidence to which so many excursions a week come up.

    Between levels the logarithm of their number is linear; beyond the last it falls by one in the mean excess.

    >>> level_of([100.0, 10.0, 1.0], 2.0, 10.0), round(level_of([100.0, 10.0, 1.0], 2.0, 0.1), 1)
    (6.0, 12.6)
    """
    at = next((n for n in range(1, len(LEVELS)) if a_week[n] <= most), None)
    if at is None:
        return LEVELS[-1] + mean_excess * log(a_week[-1] / most)
    low, high = LEVELS[at - 1], LEVELS[at]
    fall = log(a_week[at - 1] / a_week[at]) if a_week[at - 1] > a_week[at] else 1e-9
    return low + (high - low) * log(a_week[at - 1] / most) / fall


def lasted_ms(suspicion: Suspicion) -> int:
    """Tell for how long more was lost than usual (ms): until the sum of what was lost beyond it was greatest.

    >>> from streams.symptoms import Bucket
    >>> hours = [Bucket(hour * HOUR_MS, 10, stalls, 5.0) for hour, stalls in enumerate((9, 8, 4, 5))]
    >>> lasted_ms(Suspicion(series=hours, width_ms=HOUR_MS)) // HOUR_MS
    2
    """
    greatest = excess = 0.0
    until_ms = from_ms = suspicion.series[0].start_ms if suspicion.series else 0
    for bucket in suspicion.series:
        excess += bucket.stalls - bucket.expected
        if excess > greatest:
            greatest, until_ms = excess, bucket.start_ms + suspicion.width_ms
    return until_ms - from_ms


def least_threshold(budget: float) -> float:
    """Give the threshold that is kept to however light the tail.

    >>> least_threshold(1.0), least_threshold(5.0), least_threshold(0.1)
    (7.0, 5.5, 9.25)
    """
    return max(LEVELS[0] + 1.0, round(4.0 * (LEAST_THRESHOLD - log(budget))) / 4.0)


def newborn_threshold(budget: float) -> float:
    """Give the threshold of pages that are too young to have a past.

    How much their evidence rises is a matter of how much pages of a kind differ, not of a site's noise: excursions
    say nothing about it. It is a nat above the least threshold, and how sessions end has a say beside it.

    >>> newborn_threshold(1.0), newborn_threshold(0.1), newborn_threshold(0.001)
    (8.0, 10.25, 11.75)
    """
    return min(NEWBORN_CAP - 0.25, least_threshold(budget) + 1.0)


def is_warm(site: SiteState, minute_ms: int, warm_ms: int) -> bool:
    """Whether a site has been seen for so long that its evidence says something."""
    return site.start_ms is not None and minute_ms - site.start_ms >= warm_ms


class Calibrated:
    """A detector's settings as calibrations have them.

    Parameters
    ----------
    detector
        How pages or scopes are judged.
    budget, part
        Alerts a week in all (None: the detector decides as it is), and what part of them these may be.
    prior
        Excursions to each level that are counted in at the beginning.
    """

    def __init__(
        self, detector: DetectorSettings, budget: float | None, part: float, prior: Sequence[float]
    ) -> None:
        self._detector = detector
        self._budget = budget
        self._part = part
        self._prior = prior
        self._known: dict[tuple[float, float], DetectorSettings] = {}

    def settings(self, calibration: Calibration, minute_ms: int) -> DetectorSettings:
        """Give the settings for a minute."""
        if self._budget is None:
            return self._detector
        calibration.begin_period(minute_ms, self._budget, self._part, self._prior)
        asked = calibration.threshold, calibration.heaviness
        known = self._known.get(asked)
        if known is None:
            known = self._known[asked] = msgspec.structs.replace(
                self._detector,
                threshold=calibration.threshold,
                threshold_newborn=newborn_threshold(self._budget),
                margin_noise=calibration.heaviness * self._detector.margin_noise,
            )
        return known
