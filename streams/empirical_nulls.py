"""Empirical null: how far credits of pages that do nothing spread, and what is left of a page's credit beside it.

A page's sums give a one-step estimate of the log odds by which its visitors purchase more, d = R/V, of variance
1/V (Peto's one-step odds ratio; Yusuf and others, 1985, *Beta Blockade during and after Myocardial Infarction*).
Intent that nothing shows before a view moves d of pages that do nothing, too, and by no less on a page of many
sessions. So the pages of a site are taken for a mixture of two groups:

- most have no effect: d is of variance s² = 1/V + τ0². The bulk, τ0², comes from a median, which a few drivers
  don't move (the empirical null; Efron, 2004, *Large-Scale Simultaneous Hypothesis Testing: The Choice of a Null
  Hypothesis*);
- a share of them has one, of variance `EFFECTS`: d is of variance s² + τ1². The share comes by expectation and
  maximisation (two groups; Johnstone and Silverman, 2004, *Needles and Straw in Haystacks: Empirical Bayes
  Estimates of Possibly Sparse Sequences*).

A page's credit is the mean of its effect if it has one, τ1²/(τ1² + s²) · d, in purchases; how probable it is
that it has one stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, frexp, sqrt
from typing import NamedTuple

import msgspec

from streams.credits import PageCredit

SIZES, SIZES_PER_UNIT = 256, 20
"""Places into which |z| is counted in a band, and how many make 1; the last takes what lies beyond."""
BANDS = 16
"""Bands of V, each of twice the V of the one before; the first begins at `MIN_VARIANCE`, the last has no end."""
MIN_VARIANCE = 1.0
"""Pages of which less is known say nothing about how pages spread."""
NORMAL_MEDIAN = 0.6745
"""Median of |z| when z is standard normal."""
INTERVAL_QUANTILE, SCORE_QUANTILE = 1.96, 1.28
REFERENCE = 0.01
"""Spread (τ²) at which pages are weighed against each other for the bulk: a tenth of a logit up or down."""
MAX_BULK = 4.0
CALM_PAGES = 1.0
"""How many great pages without any bulk are thought beside those of a site: one page alone is no bulk."""
EFFECTS = 0.16
"""Spread (τ1²) of the effects of pages that have one: .4 of a logit up or down."""
PRIOR_SHARE, PRIOR_PAGES = 0.05, 10
"""Share of pages with an effect before anything is known, and how many pages that knowledge is worth."""
_HALVINGS, _STEPS = 24, 12
_MAX_LOG_RATIO = 50.0


class NullSpread(NamedTuple):
    """What pages of a site have in common: the bulk (a variance of logits), and the share with an effect."""

    bulk: float = 0.0
    share: float = PRIOR_SHARE


class CreditScore(msgspec.Struct, frozen=True, gc=False):
    """Purchases associated with a page beyond what was expected, their 95 % interval, and the rank score.

    `p_associated` is the probability that there is any association beyond those that all pages have.
    """

    credit: float
    credit_low: float
    credit_high: float
    score: float
    p_associated: float


def size_of(credit: PageCredit) -> int | None:
    """Return the place of a page's V and |z|, z = R/√max(Σr², V); None while V < `MIN_VARIANCE`.

    Examples
    --------
    >>> size_of(PageCredit(100, -5.0, 20.0, 25.0)), size_of(PageCredit(9, 9e9, 1.0, 1.0)), size_of(PageCredit())
    (1044, 255, None)
    >>> divmod(1044, SIZES)  # V from 16 to 32, |z| from 1.0 to 1.05
    (4, 20)
    """
    variance = credit.variance
    if not variance >= MIN_VARIANCE:
        return None
    band = min(BANDS, frexp(variance / MIN_VARIANCE)[1]) - 1
    size = abs(credit.residual) / sqrt(max(credit.squares, variance))
    return band * SIZES + int(min(SIZES - 1.0, SIZES_PER_UNIT * size))


def null_spread_of(sizes: Mapping[int, int]) -> NullSpread:
    """Return what a site's pages have in common, from how many there are at each place of `size_of`.

    τ0² is where the weighted median of |d|/√(1/V + τ0²) is that of a normal distribution, 0 if it is less
    already. A page weighs (Vτ²/(1 + Vτ²))² at a τ² of .01: small pages tell chance, not spread. A page of weight
    1 with d = 0 is added. About 30 µs a place.

    Parameters
    ----------
    sizes
        Place to the number of pages there.

    Examples
    --------
    >>> places = [size_of(PageCredit(900, z * 20.0, 400.0, 400.0)) for z in (-2.7, 1.35, 0.1, -1.3, 12.0)]
    >>> found = null_spread_of({place: 1 for place in places})
    >>> round(found.bulk, 3), round(found.share, 3)
    (0.008, 0.112)
    >>> null_spread_of({})
    NullSpread(bulk=0.0, share=0.05)
    """
    rows = [(*_middle(place), pages) for place, pages in sorted(sizes.items()) if pages > 0]
    bulk = _bulk(rows)
    ratios = [(_ratio(square / variance, 1.0 / variance + bulk), pages) for square, variance, pages in rows]
    share, all_pages = PRIOR_SHARE, PRIOR_PAGES + sum(pages for _, pages in ratios)
    for _ in range(_STEPS):
        odds = share / (1.0 - share)
        drivers = sum(pages * odds * ratio / (1.0 + odds * ratio) for ratio, pages in ratios)
        share = (PRIOR_SHARE * PRIOR_PAGES + drivers) / all_pages
    return NullSpread(bulk, share)


def score(credit: PageCredit, spread: NullSpread = NullSpread()) -> CreditScore:  # noqa: B008  # it never changes
    """Return a page's credit, in purchases.

    The credit is V times the mean effect, and its interval reaches 1.96·V·s to both sides: that is not shrunk,
    so that of pages that do nothing fewer than one in twenty seem to do something. Σr² stands for V in the
    variance of R where it is greater: V alone is too small for pages whose sessions were predicted badly. The
    score is R − 1.28·V·s.

    Parameters
    ----------
    credit
        The page's sums.
    spread
        From `null_spread_of`, over all pages of the site.

    Examples
    --------
    >>> found = score(PageCredit(100, 25.0, 20.0, 25.0))
    >>> round(found.credit, 1), round(found.credit_low, 1), round(found.credit_high, 1), round(found.score, 1)
    (20.0, 10.2, 29.8, 18.6)
    >>> round(found.p_associated, 3)
    0.998
    >>> found = score(PageCredit(100, 25.0, 20.0, 25.0), NullSpread(bulk=0.2))
    >>> round(found.credit, 1), round(found.credit_low, 1), round(found.p_associated, 3)
    (10.0, -14.0, 0.086)
    """
    variance = credit.variance
    if not variance > 0.0:
        return CreditScore(0.0, 0.0, 0.0, 0.0, spread.share)
    effect = credit.residual / variance
    error = max(credit.squares, variance) / (variance * variance) + spread.bulk
    mean = EFFECTS / (EFFECTS + error) * credit.residual
    spread_out = variance * sqrt(error)
    reach = INTERVAL_QUANTILE * spread_out
    odds = spread.share / (1.0 - spread.share) * _ratio(effect * effect, error)
    lowest = credit.residual - SCORE_QUANTILE * spread_out
    return CreditScore(mean, mean - reach, mean + reach, lowest, odds / (1.0 + odds))


def _middle(place: int) -> tuple[float, float]:
    """z² and V in the middle of a place."""
    band, size = divmod(place, SIZES)
    return ((size + 0.5) / SIZES_PER_UNIT) ** 2, MIN_VARIANCE * sqrt(2.0) * 2.0**band


def _ratio(square: float, error: float) -> float:
    """How much likelier d² is with an effect than without, at most e^50."""
    with_effect = error + EFFECTS
    exponent = 0.5 * square * (1.0 / error - 1.0 / with_effect)
    return sqrt(error / with_effect) * exp(min(_MAX_LOG_RATIO, exponent))


def _bulk(rows: list[tuple[float, float, int]]) -> float:
    weighed = []
    for square, variance, pages in rows:
        odds = variance * REFERENCE / (1.0 + variance * REFERENCE)
        weighed.append((square, variance, pages * odds * odds))
    half = (CALM_PAGES + sum(weight for _, _, weight in weighed)) / 2
    low, high = 0.0, MAX_BULK
    median = NORMAL_MEDIAN * NORMAL_MEDIAN

    def is_wide(bulk: float) -> bool:
        """Whether the greater half of the pages is beyond the median."""
        beyond = sum(
            weight for square, variance, weight in weighed if square > median * (1.0 + variance * bulk)
        )
        return beyond > half

    if not is_wide(0.0):
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_wide(middle) else (low, middle)
    return low
