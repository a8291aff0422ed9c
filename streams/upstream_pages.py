"""Upstream pages: the page that lost visitors is not always the one where they left; it may be the one before.

The bounds of the rule on who else is lost are those by which a campaign is told from a page that broke.
"""

from __future__ import annotations

from math import exp, log, sqrt
from typing import NamedTuple

from streams.arrivals import ENTERED, REST, Arrivals, join
from streams.causes import OTHERS_BELOW, OTHERS_PART, logit_of
from streams.symptoms import Contrast

LEAST = 10
"""Sessions that were lost behind the page before (≥), and views that came by others (≥)."""
EXCESS_PART = 0.5
"""Part of all that is lost beyond the usual, above which (>) a page before stands for it."""
LIFT_ABOVE, LIFT_QUANTILE, LIFT_PRIOR = 1.5, 1.645, 5.0
"""The lower end of the 90 % interval of the lift has to be at least this (≥); and views by which both shares are
drawn to that of all: a page by which hardly anyone came who went on would have a lift without end."""


class UpstreamPage(NamedTuple):
    """A page by which those came who are lost on another.

    Attributes
    ----------
    share, usual_share
        Part of those lost that came by it, and of those that were not lost; as counted.
    lift, lift_low
        How many times the one is the other, and the lower end of its 90 % interval; both shrunk.
    """

    page: str
    share: float
    usual_share: float
    lift: float
    lift_low: float


def upstream_of(arrivals: Arrivals) -> UpstreamPage | None:
    """Name the page before that stands for what a page loses; None where it loses whoever comes, or too few.

    Looked at is the page by which most are lost beyond the expected. It is named when that is more than half of all
    that is, when hardly more of the others are lost than usual, and when it brings far more of those lost than of
    those who were not. Where a page loses more of one page's visitors than of others' and always did, this alone
    names nobody: when the page breaks, it loses the others too.

    Parameters
    ----------
    arrivals
        What is counted.

    Examples
    --------
    A link on ``home`` is broken: of its visitors nearly all are lost, of the others as many as ever.

    >>> found = upstream_of(Arrivals({"home": Contrast(40, 38, 16.0), "list": Contrast(60, 25, 24.0)}))
    >>> found.page, round(found.share, 2), round(found.usual_share, 2), round(found.lift_low, 1)
    ('home', 0.6, 0.05, 2.8)
    >>> upstream_of(Arrivals({"home": Contrast(40, 38, 16.0), "list": Contrast(60, 57, 24.0)})) is None
    True
    """
    ways = arrivals.before
    named = [name for name in ways if name not in (ENTERED, REST)]
    if not named:
        return None
    page = max(named, key=lambda name: (ways[name].stalls - ways[name].expected, name))
    mine, others = ways[page], Contrast()
    for name in sorted(ways):
        if name != page:
            join(others, ways[name])
    if mine.stalls < LEAST or others.views < LEAST:
        return None
    excess, logit, others_logit = mine.stalls - mine.expected, logit_of(mine), logit_of(others)
    if excess <= EXCESS_PART * (excess + max(0.0, others.stalls - others.expected)):
        return None
    if others_logit >= OTHERS_BELOW or others_logit >= OTHERS_PART * logit:
        return None
    found = _lift(page, mine, others)
    return found if found.lift_low >= LIFT_ABOVE else None


def _lift(page: str, mine: Contrast, others: Contrast) -> UpstreamPage:
    """Compare the shares under a prior Beta(5s, 5(1 − s)), s that of all views; their interval by the delta method.

    The variance of the logarithm of x successes in n is about 1/x − 1/n, that of the difference of two is the sum.
    """
    lost, kept = mine.stalls, mine.views - mine.stalls
    all_lost, all_kept = lost + others.stalls, kept + others.views - others.stalls
    drawn = LIFT_PRIOR * mine.views / (mine.views + others.views)
    lift = log((lost + drawn) / (all_lost + LIFT_PRIOR)) - log((kept + drawn) / (all_kept + LIFT_PRIOR))
    variance = 1.0 / (lost + drawn) - 1.0 / (all_lost + LIFT_PRIOR)
    variance += 1.0 / (kept + drawn) - 1.0 / (all_kept + LIFT_PRIOR)
    usual = kept / all_kept if all_kept else 0.0
    low = lift - LIFT_QUANTILE * sqrt(variance)
    return UpstreamPage(page, lost / all_lost, usual, exp(lift), exp(low))
