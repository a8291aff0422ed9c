"""What the dead-end detector keeps: its settings, and one record a page, a template and a site.

Evidence is gathered within blocks of an hour and closed into the record when the next block begins. A block
is also the unit of noise: real pages vary from hour to hour by more than counting explains (a banner, a
newsletter, a stock-out elsewhere), so the page's own variance between blocks, σ̂², is learned and sets both
the margin of the test and how much a whole block may count.

All times are epoch milliseconds of event time. Decayed sums carry the time that they refer to, so a minute
of one page touches its own record, its template's and its site's, and no other.
"""

from __future__ import annotations

from math import exp, log
from typing import Literal

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: Alternatives of the mixture: the stall logit is higher by one of these.
SHIFTS = (0.5, 1.0, 2.0)

#: Bounds of a page's noise variance σ̂², and the blocks of pooled noise that a young page starts from.
MIN_NOISE, MAX_NOISE, START_NOISE, POOLED_BLOCKS = 0.0025, 1.0, 0.04, 24.0
#: What a block's noise sums keep per block: of a page (half-life a week) and of the site (over its pages).
NOISE_KEPT, POOLED_KEPT = 0.996, 0.9999
#: Evidence at a block's end above which a page of more than this information learns nothing from the block.
FROZEN_ABOVE, FROZEN_INFORMATION = 3.0, 25.0
#: Information from which a page's effect counts for its template's spread, and the spread's prior weight.
COUNTED_INFORMATION, SPREAD_PRIOR, MIN_SPREAD = 10.0, 8.0, 0.04
#: Greatest carried evidence of the newborn test and of the recovery test.
NEWBORN_CAP, RECOVERY_CAP = 12.0, 20.0
#: A page's effect is a logit: beyond this it says no more, and exp() could overflow.
MAX_EFFECT = 8.0

Triple = tuple[float, float, float]
ZERO: Triple = (0.0, 0.0, 0.0)


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the detector decides. Evidence is in nats, margins are logits.

    A wider scope (a template, a whole site, a device, a source) uses the same detector with
    ``common=False``, since there the common movement is the finding, and ``margin=0.2`` (0.1 for a template).

    Parameters
    ----------
    threshold, threshold_newborn, watch, close, recover
        An alert opens above ``threshold`` (of the newborn test: ``threshold_newborn``), is worth watching above
        ``watch``, and resolves below ``close`` or when the evidence for recovery is above ``recover``.
    left_out
        From this evidence on a page stays out of the sums that say how its template and site move.
    margin, margin_effect, margin_noise, noise_whole, margin_newborn
        κ is the sum of ``margin``, of ``margin_effect`` standard errors of the page's effect (a newborn
        page: ``margin_newborn`` spreads of its template), and of ``margin_noise`` σ̂·min(1, σ̂/``noise_whole``): what
        noise adds to evidence grows with its variance, and evidence is tempered beyond.
    prior_variance
        τ², how much pages of a template differ, as a variance of logits.
    block_ms, memory_ms, half_life_ms
        Length of a block; memory of a page's effect; half-life of the common movement.
    warm_ms, newborn_after_ms, newborn_age_ms
        No alert before ``warm_ms`` after the site's start. A page first seen later than
        ``newborn_after_ms`` after it is newborn until ``newborn_age_ms`` old.
    wealth_cap
        Greatest evidence carried from block to block; it bounds how long a false suspicion lasts.
    common, common_prior, common_limit
        Whether the common movement is taken out; its prior weight (a variance Σm(1−m)); its greatest logit.

    Raises
    ------
    ValueError
        When a length is not positive or the levels are not ``close`` < ``threshold``, or those of the newborn test
        not ``close`` < ``threshold_newborn`` < 12, above which no evidence is carried.

    Examples
    --------
    >>> DetectorSettings(close=11.0)
    Traceback (most recent call last):
    ...
    ValueError: detector: close (11.0) must be below threshold (10.0)
    """

    threshold: float = 10.0
    threshold_newborn: float = 8.0
    watch: float = 6.0
    close: float = 4.0
    recover: float = 3.5
    left_out: float = 9.0
    margin: float = 0.1
    margin_effect: float = 0.5
    margin_noise: float = 1.0
    noise_whole: float = 0.4
    margin_newborn: float = 1.0
    prior_variance: float = 0.16
    block_ms: int = HOUR_MS
    memory_ms: int = 7 * DAY_MS
    half_life_ms: int = HOUR_MS // 2
    warm_ms: int = DAY_MS
    newborn_after_ms: int = DAY_MS
    newborn_age_ms: int = 7 * DAY_MS
    wealth_cap: float = 25.0
    common: bool = True
    common_prior: float = 50.0
    common_limit: float = 1.5

    def __post_init__(self) -> None:
        for name in ("prior_variance", "block_ms", "memory_ms", "half_life_ms", "common_prior"):
            if not getattr(self, name) > 0:
                raise ValueError(f"detector: {name} ({getattr(self, name)}) must be greater than 0")
        if not self.close < self.threshold:
            raise ValueError(f"detector: close ({self.close}) must be below threshold ({self.threshold})")
        if not self.close < self.threshold_newborn < NEWBORN_CAP:
            raise ValueError(
                f"detector: threshold_newborn ({self.threshold_newborn}) must be above close ({self.close}) "
                f"and below {NEWBORN_CAP}"
            )


class DecayedSums(msgspec.Struct, array_like=True, gc=False):
    """Residual Σ(y − m) and variance Σm(1 − m), halved every half-life, as of ``at_ms``.

    Examples
    --------
    >>> sums = DecayedSums(residual=4.0, variance=8.0, at_ms=0)
    >>> sums.decay_to(1_800_000, half_life_ms=1_800_000)
    >>> sums
    DecayedSums(residual=2.0, variance=4.0, at_ms=1800000)
    """

    residual: float = 0.0
    variance: float = 0.0
    at_ms: int = 0

    def decay_to(self, at_ms: int, half_life_ms: int) -> None:
        """Move the sums to a later time; an earlier one leaves them where they are."""
        passed = at_ms - self.at_ms
        if passed > 0:
            # After a thousand half-lives this is 0.0; a weight that grew instead would overflow by then.
            kept = 0.5 ** (passed / half_life_ms)
            self.residual *= kept
            self.variance *= kept
            self.at_ms = at_ms

    def add(self, residual: float, variance: float, at_ms: int, half_life_ms: int) -> None:
        """Add to the sums at a time that is not before the last one."""
        passed, kept = at_ms - self.at_ms, 1.0
        if passed > 0:
            kept = 0.5 ** (passed / half_life_ms)
            self.at_ms = at_ms
        self.residual = self.residual * kept + residual
        self.variance = self.variance * kept + variance

    def as_of(self, at_ms: int, half_life_ms: int) -> DecayedSums:
        """Give the sums at a later time, and leave these as they are."""
        sums = DecayedSums(self.residual, self.variance, self.at_ms)
        sums.decay_to(at_ms, half_life_ms)
        return sums


class PageState(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a page. A page never seen is ``PageState()``."""

    born_ms: int | None = None
    newborn: bool = False
    block: int | None = None
    # Learned at the end of blocks: β, Λ, the noise sums Σωr and Σω, σ̂², and the margins κ that follow.
    effect: float = 0.0
    information: float = 0.0
    noise: float = 0.0
    noise_weight: float = 0.0
    noise_variance: float = START_NOISE
    margin: float = 0.0
    margin_newborn: float = 0.0
    counted: bool = False
    # The block that runs: R, V, and L for each shift.
    residual: float = 0.0
    variance: float = 0.0
    gain: Triple = ZERO
    gain_newborn: Triple = ZERO
    gain_recovery: float = 0.0
    # Carried from block to block: W for each shift.
    wealth: Triple = ZERO
    wealth_newborn: Triple = ZERO
    wealth_recovery: float = 0.0
    recovery_shift: float = 0.0
    alert: Literal["open", "open_new"] | None = None
    common: DecayedSums = msgspec.field(default_factory=DecayedSums)
    # Blocks in which nothing is learned of noise, for a person has moved the effect.
    settling: int = 0


class TemplateState(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a template: how it moves now, and how much its pages differ (Σβ² of so many pages)."""

    common: DecayedSums = msgspec.field(default_factory=DecayedSums)
    effect_squares: float = 0.0
    effects: int = 0


class SiteState(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a site: when it began, how it moves now, and the noise pooled over its pages."""

    start_ms: int | None = None
    common: DecayedSums = msgspec.field(default_factory=DecayedSums)
    noise: float = 2.0
    noise_weight: float = 50.0


def log_mean_exp(a: float, b: float, c: float) -> float:
    """Return the log of the mean of three exponentials, without overflow.

    Examples
    --------
    >>> log_mean_exp(1000.0, 1000.0, 1000.0)
    1000.0
    """
    top = a if a >= b and a >= c else b if b >= c else c
    return top + log((exp(a - top) + exp(b - top) + exp(c - top)) / 3.0)


def clear_evidence(page: PageState) -> None:
    """Forget all evidence of a page, for and against, and keep what was learned about it."""
    page.wealth = page.gain = page.wealth_newborn = page.gain_newborn = ZERO
    page.wealth_recovery = page.gain_recovery = 0.0
