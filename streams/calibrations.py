"""Calibration: the threshold and the noise margin that keep false alerts within a budget, from a site's own past.

How often evidence rises to two levels tells how heavy its tail is: above `LOW` it falls off exponentially (peaks
over a threshold: Pickands, 1975, *Statistical Inference Using Extreme Order Statistics*), so of excursions that end
between `LOW` and `HIGH` and between `HIGH` and `TOP`, two apart each, there are n and n·exp(−2/m). From m follows
how many a week reach h, and h from the budget. What rises above `TOP` is not counted: that is where faults are, and
a site must not grow deaf by having many.

Where the tail is heavy (m above 1), single hours are noisier than the noise that was learned: the margin grows as
well, and m is taken m times, since such a tail falls off ever more slowly.
"""

from __future__ import annotations

from math import log

import msgspec

from streams.evidence import DetectorSettings, SiteState
from streams.settings import DAY_MS

LOW, HIGH, TOP = 4.0, 6.0, 8.0
"""Levels of evidence between which excursions are counted."""
OVER_BELOW = 0.5
"""Below this evidence an excursion is over."""
PRIOR_LOW, PRIOR_HIGH = 15.0, 1.5
"""Excursions that are counted in at the beginning: a tail with m of .87, as on made-up shops with usual noise."""
PRIOR_DAYS = 3.0
KEPT = 0.95
"""What counts keep a day: half of them are of the last two weeks."""
MAX_THRESHOLD = 16.0
HEAVY, HEAVIEST = 1.0, 1.5
"""m between which the margin for noise grows, to twice as much at most."""
PAGES_PART, WIDE_PART = 0.75, 0.25
"""Parts of the budget for alerts about pages, and about wider scopes."""


class Calibration(msgspec.Struct, array_like=True):
    """What is known of a site's quiet past, of its pages or of its wider scopes.

    Attributes
    ----------
    low, high
        Excursions of evidence that came up to between `LOW` and `HIGH`, and between `HIGH` and `TOP`, fading.
    days, day
        How many days they come from, fading alike; the day that runs, None before the first.
    threshold, margin_noise
        What follows, from the beginning of the day that runs.
    """

    low: float = 0.0
    high: float = 0.0
    days: float = 0.0
    day: int | None = None
    threshold: float = 0.0
    margin_noise: float = 1.0

    def see(self, level: int, evidence: float) -> int:
        """Count the evidence of a minute, and return the level of its excursion: how many levels it has reached.

        Examples
        --------
        >>> calibration, level = Calibration(), 0
        >>> for evidence in (1.0, 4.5, 3.0, 6.5, 0.4, 5.0, 0.4, 7.0, 80.0):
        ...     level = calibration.see(level, evidence)
        >>> calibration.low, calibration.high
        (1.0, 1.0)
        """
        if evidence > LOW:
            if level == 0:
                self.low += 1.0
                level = 1
            if level == 1 and evidence > HIGH:
                self.low = max(0.0, self.low - 1.0)
                self.high += 1.0
                level = 2
            if level == 2 and evidence > TOP:
                self.high = max(0.0, self.high - 1.0)
                level = 3
        elif evidence < OVER_BELOW:
            level = 0
        return level

    def begin_day(self, minute_ms: int, budget: float, part: float = 1.0) -> None:
        """Take a minute's time; where a day begins, set the threshold anew.

        Parameters
        ----------
        minute_ms
            Start of the minute (ms).
        budget, part
            Alerts a week in all, and what part of them these may be.

        Examples
        --------
        Two quiet weeks keep to the least threshold, a noisy one does not.

        >>> quiet, noisy = Calibration(low=40.0, high=4.0, days=14.0, day=13), Calibration(24.0, 8.0, 7.0, 6)
        >>> quiet.begin_day(14 * DAY_MS, 1.0), noisy.begin_day(7 * DAY_MS, 1.0)
        (None, None)
        >>> quiet.threshold, noisy.threshold, noisy.margin_noise
        (8.0, 10.75, 1.8)
        """
        day = minute_ms // DAY_MS
        if self.day is not None and day <= self.day:
            return
        if self.day is not None:
            passed = day - self.day
            kept = KEPT**passed
            self.low *= kept
            self.high *= kept
            self.days = self.days * kept + 1.0
        self.day = day
        mean = (HIGH - LOW) / log((self.low + PRIOR_LOW) / (self.high + PRIOR_HIGH))
        a_week = 7.0 * (self.low + self.high + PRIOR_LOW + PRIOR_HIGH) / (self.days + PRIOR_DAYS)
        # Coarse, so that few detectors stand for all days.
        tail = round(4.0 * (LOW + mean * max(1.0, mean) * log(max(1.0, a_week / (budget * part))))) / 4.0
        self.threshold = min(MAX_THRESHOLD, max(least_threshold(budget), tail))
        heavy = max(0.0, min(1.0, (mean - HEAVY) / (HEAVIEST - HEAVY)))
        self.margin_noise = 1.0 + round(10.0 * heavy) / 10.0


def least_threshold(budget: float) -> float:
    """Give the threshold that is kept to however light the tail.

    >>> least_threshold(1.0), least_threshold(5.0), least_threshold(0.1)
    (8.0, 6.5, 10.25)
    """
    return max(HIGH, round(4.0 * (8.0 - log(budget))) / 4.0)


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
    """

    def __init__(self, detector: DetectorSettings, budget: float | None, part: float) -> None:
        self._detector = detector
        self._budget = budget
        self._part = part
        self._known: dict[tuple[float, float], DetectorSettings] = {}

    def settings(self, calibration: Calibration, minute_ms: int) -> DetectorSettings:
        """Give the settings for a minute."""
        if self._budget is None:
            return self._detector
        calibration.begin_day(minute_ms, self._budget, self._part)
        asked = calibration.threshold, calibration.margin_noise
        known = self._known.get(asked)
        if known is None:
            threshold, margin_noise = asked
            known = self._known[asked] = msgspec.structs.replace(
                self._detector, threshold=threshold, margin_noise=margin_noise
            )
        return known
