"""Prequential measures: how good the probabilities were that a model gave before it learned the answer.

To predict, then learn, makes every example a test that the model has never seen (Dawid, 1984, *Present
Position and Potential Developments: Some Personal Views: Statistical Theory: The Prequential Approach*). A
card keeps counts in bins of log-odds and nothing of the examples, so it is small, plain and of fixed size.
"""

from __future__ import annotations

from math import log, log1p
from typing import Final

import msgspec

BINS: Final = 200
"""Bins of 0.1 log-odds from -10 to +10; the outermost take what lies beyond."""
COARSE: Final = 10
"""Bins that are taken together when calibration is measured: one unit of log-odds."""
FLOOR: Final = 1e-6
"""Probabilities are kept so far from 0 and 1, or a single surprise would cost infinitely."""

_MOST_UNIT = 1e100


class Scorecard(msgspec.Struct):
    """Measures of probabilities against what happened.

    All sums are weighted. Where `growth` is above 1, each update weighs so much more than the one before,
    which is the same as forgetting exponentially: with 2 ** (1 / h), what was h updates ago counts half.

    Attributes
    ----------
    positives, negatives
        Weight by bin of log-odds.
    expected
        Sum of weighted probabilities by coarse bin.
    loss
        Weighted sum of -log of the probability given to what happened (natural logarithm).
    total, positive
        Sum of weights, of all and of the positives.
    updates, happenings
        Number of updates, of all and of the positives; unweighted.
    growth, unit
        Factor by which an update outweighs the one before, and the weight that the next one starts from.

    Examples
    --------
    >>> card = Scorecard()
    >>> for p, happened in ((0.9, True), (0.8, True), (0.7, False), (0.1, False)):
    ...     card.update(p, happened)
    >>> card.auprc(), card.positive_rate(), round(card.log_loss(), 3)
    (1.0, 0.5, 0.409)
    """

    positives: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    negatives: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    expected: list[float] = msgspec.field(default_factory=lambda: [0.0] * (BINS // COARSE))
    loss: float = 0.0
    total: float = 0.0
    positive: float = 0.0
    updates: int = 0
    happenings: int = 0
    growth: float = 1.0
    unit: float = 1.0

    def update(self, p: float, happened: bool, weight: float = 1.0) -> None:
        """Take in a probability that was given before it was known what happened. About 1 µs.

        Parameters
        ----------
        p
            Probability, from 0 to 1; cut to `FLOOR` from either end.
        happened
            What came of it.
        weight
            How many of its kind it stands for, above 0.
        """
        p = FLOOR if p < FLOOR else (1.0 - FLOOR if p > 1.0 - FLOOR else p)
        weight *= self.unit
        place = int((log(p / (1.0 - p)) + 10.0) * 10.0)
        place = 0 if place < 0 else (BINS - 1 if place >= BINS else place)
        if happened:
            self.positives[place] += weight
            self.positive += weight
            self.happenings += 1
            self.loss -= weight * log(p)
        else:
            self.negatives[place] += weight
            self.loss -= weight * log1p(-p)
        self.expected[place // COARSE] += weight * p
        self.total += weight
        self.updates += 1
        if self.growth != 1.0:
            self.unit *= self.growth
            if self.unit > _MOST_UNIT:
                self._rescale()

    def positive_rate(self) -> float | None:
        """Share that happened: also the AUPRC of a score that knows nothing. None before any update."""
        return self.positive / self.total if self.total else None

    def auprc(self) -> float | None:
        """Area under the precision-recall curve, as average precision; scores of one bin count as equal.

        The sum over thresholds of precision times the recall gained there, without interpolation, which
        would flatter (Davis and Goadrich, 2006, *The Relationship Between Precision-Recall and ROC
        Curves*). None before the first positive.
        """
        if not self.positive:
            return None
        area = above = hits = 0.0
        for positive, negative in zip(reversed(self.positives), reversed(self.negatives), strict=True):
            hits += positive
            above += positive + negative
            if positive:
                area += positive * hits / above
        return min(1.0, area / hits)

    def auroc(self) -> float | None:
        """Chance that a positive scored above a negative; equal scores, those of one bin, count half.

        None before there is one of each.
        """
        negatives = sum(self.negatives)
        if not self.positive or not negatives:
            return None
        area = below = 0.0
        for positive, negative in zip(self.positives, self.negatives, strict=True):
            area += positive * (below + negative / 2)
            below += negative
        return min(1.0, area / (sum(self.positives) * negatives))

    def log_loss(self) -> float | None:
        """Mean of -log of the probability given to what happened, in nats. None before any update."""
        return self.loss / self.total if self.total else None

    def constant_log_loss(self) -> float | None:
        """Log-loss of the best constant, which is known only afterwards: a baseline that knows nothing else.

        The entropy of the positive rate, in nats. None before any update.
        """
        rate = self.positive_rate()
        if rate is None:
            return None
        return -sum(share * log(share) for share in (rate, 1.0 - rate) if share > 0.0)

    def calibration_error(self) -> float | None:
        """Calibration error: the mean over coarse bins of |mean probability - share that happened|.

        Bins of equal width in log-odds, weighted by what fell into them (the measure of Naeini, Cooper and
        Hauskrecht, 2015, *Obtaining Well Calibrated Probabilities Using Bayesian Binning*, which has bins of
        equal width in probability: for rare outcomes all would fall into one). None before any update.
        """
        if not self.total:
            return None
        error = 0.0
        for number, expected in enumerate(self.expected):
            happened = sum(self.positives[number * COARSE : (number + 1) * COARSE])
            error += abs(expected - happened)
        return min(1.0, error / self.total)

    def _rescale(self) -> None:
        unit = self.unit
        self.positives = [weight / unit for weight in self.positives]
        self.negatives = [weight / unit for weight in self.negatives]
        self.expected = [weight / unit for weight in self.expected]
        self.loss /= unit
        self.total /= unit
        self.positive /= unit
        self.unit = 1.0
