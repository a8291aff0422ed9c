"""Chronic dead ends: pages that have long lost more visitors than their context explains.

Alerts find what changed. A page that was always bad never changes, so it is ranked instead: by how many
exits it costs beyond what the same visitors would do on an average page of its template, with shrinkage, so
that small pages do not win by luck. This is empirical Bayes on rates (Efron and Morris, 1975, *Data Analysis
Using Stein's Estimator and Its Generalizations*), with the between-page variance by the moment estimator of
DerSimonian and Laird (1986, *Meta-Analysis in Clinical Trials*).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

import msgspec

from streams.regressions import probability

#: A page has a chance of one in ten to be better than the score says.
SCORE_QUANTILE = 1.28
#: Of the nominal 90 % interval, and by how much it is widened: on simulated shops the plain one covered 70 %.
INTERVAL_QUANTILE, INTERVAL_WIDENING = 1.645, 1.6
#: Smallest variance between pages of a template, as a variance of probabilities (one point).
MIN_SPREAD = 1e-4
#: Views and hours below which a page's figures are not called settled.
SETTLED_VIEWS, SETTLED_BLOCKS = 100, 24


class PageTotals(msgspec.Struct, array_like=True, gc=False):
    """Sums over a page's labelled views: views n, exits O, expected exits E, variance V, hour blocks.

    Expected exits come from context *without* the page's effect, or a page would excuse itself. All but the
    block are plain sums, so a correction is a negative count and a window is a difference.

    Examples
    --------
    >>> totals = PageTotals()
    >>> totals.add([(0.0, 10, 7), (0.0, 10, 6)], block=491_000)
    >>> totals
    PageTotals(views=20, exits=13, expected=10.0, variance=5.0, blocks=1, last_block=491000)
    """

    views: int = 0
    exits: int = 0
    expected: float = 0.0
    variance: float = 0.0
    blocks: int = 0
    last_block: int = -1

    def add(self, cells: Iterable[tuple[float, int, int]], block: int) -> None:
        """Add cells (expected logit without page, views, exits) of one hour block, blocks in order."""
        for logit, n, y in cells:
            p = probability(logit)
            self.views += n
            self.exits += y
            self.expected += n * p
            self.variance += n * p * (1.0 - p)
        if block > self.last_block:
            self.blocks += 1
            self.last_block = block

    def add_view(self, p: float, left: int, block: int) -> None:
        """Add one view that was expected to be an exit with probability `p`, and is one or not (1 or 0).

        >>> totals = PageTotals()
        >>> totals.add_view(0.5, 1, block=491_000)
        >>> totals
        PageTotals(views=1, exits=1, expected=0.5, variance=0.25, blocks=1, last_block=491000)
        """
        self.views += 1
        self.exits += left
        self.expected += p
        self.variance += p * (1.0 - p)
        if block > self.last_block:
            self.blocks += 1
            self.last_block = block


class PageRank(msgspec.Struct, frozen=True, gc=False):
    """A page's place among chronic dead ends.

    Parameters
    ----------
    page
        The page.
    excess_exits, excess_low, excess_high
        Exits beyond expectation among the views seen, shrunk, and their interval.
    rank_score
        Exits that the page costs at least, with nine chances in ten; negative for pages without finding.
    money_at_stake_minor
        Purchases lost by the excess, in minor units of the currency; 0 where there is no excess.
    settled
        Whether there is enough data to show the page without a caveat.
    """

    page: str
    excess_exits: float
    excess_low: float
    excess_high: float
    rank_score: float
    money_at_stake_minor: int
    settled: bool


def sampling_variance(totals: PageTotals, noise_variance: float) -> float:
    """Return s² = (V + σ²V²/blocks)/n², the variance of a page's excess rate d = (O − E)/n.

    The second term is the noise between hours, σ² as a variance of logits, which does not shrink with more
    views in the same hours.

    Examples
    --------
    >>> sampling_variance(PageTotals(views=100, variance=25.0, blocks=25), noise_variance=0.0)
    0.0025
    >>> sampling_variance(PageTotals(views=100, variance=25.0, blocks=25), noise_variance=0.04)
    0.0026
    """
    variance = totals.variance
    noise = noise_variance * variance * variance / max(1, totals.blocks)
    return (variance + noise) / totals.views**2


def spread(template: Sequence[PageTotals], noise_variance: float) -> float:
    """Return τ²_T, how much the true excess rates of a template's pages differ.

    The mean of d² − s², weighted by 1/(s² + MIN_SPREAD) so that pages with three views do not decide, and
    at least 1e-4. Pages without views are left out; an empty template has the least spread.

    Examples
    --------
    >>> pages = [PageTotals(1000, 600, 500.0, 250.0, 24), PageTotals(1000, 400, 500.0, 250.0, 24)]
    >>> round(spread(pages, noise_variance=0.0), 6)
    0.00975
    """
    total = weights = 0.0
    for totals in template:
        weight, excess = spread_terms(totals, noise_variance)
        weights += weight
        total += excess
    return spread_of(weights, total)


def spread_terms(totals: PageTotals, noise_variance: float) -> tuple[float, float]:
    """Return what a page adds to the two sums that make a template's spread: w and w(d² − s²).

    >>> spread_terms(PageTotals(), noise_variance=0.0)
    (0.0, 0.0)
    """
    if totals.views <= 0:
        return 0.0, 0.0
    variance = sampling_variance(totals, noise_variance)
    rate = (totals.exits - totals.expected) / totals.views
    weight = 1.0 / (variance + MIN_SPREAD)
    return weight, weight * (rate * rate - variance)


def spread_of(weights: float, excess: float) -> float:
    """Return τ²_T of its two sums."""
    return max(MIN_SPREAD, excess / weights) if weights > 0.0 else MIN_SPREAD


def rank_page(
    page: str,
    totals: PageTotals,
    spread: float,
    noise_variance: float,
    p_purchase: float,
    average_order_minor: float,
) -> PageRank:
    """Return the place of one page.

    With B = τ²/(τ² + s²) the excess rate is Bd ± √B·s, the score n(Bd − 1.28√B·s), the interval
    n(Bd ± 1.6·1.645·√B·s), and the money Bdn · P(purchase | continue) · average order value.

    Parameters
    ----------
    page, totals
        The page and its sums.
    spread
        τ²_T of its template.
    noise_variance
        σ², from the detector's record of the page or site.
    p_purchase
        Probability that a visitor who goes on from this page purchases.
    average_order_minor
        Average order value in minor units.

    Examples
    --------
    >>> rank = rank_page("shop/size-guide", PageTotals(1000, 620, 500.0, 250.0, 100), 0.01, 0.04, 0.03, 5_000)
    >>> round(rank.excess_exits), round(rank.rank_score), rank.money_at_stake_minor
    (117, 96, 17518)
    """
    n = totals.views
    if n <= 0:
        return PageRank(page, 0.0, 0.0, 0.0, 0.0, 0, False)
    variance = sampling_variance(totals, noise_variance)
    shrinkage = spread / (spread + variance)
    excess = shrinkage * (totals.exits - totals.expected)
    error = n * sqrt(shrinkage * variance)
    reach = INTERVAL_WIDENING * INTERVAL_QUANTILE * error
    return PageRank(
        page=page,
        excess_exits=excess,
        excess_low=excess - reach,
        excess_high=excess + reach,
        rank_score=excess - SCORE_QUANTILE * error,
        money_at_stake_minor=round(max(0.0, excess) * p_purchase * average_order_minor),
        settled=n >= SETTLED_VIEWS and totals.blocks >= SETTLED_BLOCKS,
    )


def rank(
    templates: Mapping[str, Mapping[str, PageTotals]],
    noise_variance: float,
    p_purchase: float,
    average_order_minor: float,
) -> list[PageRank]:
    """Return the places of all pages of a site, worst first; equal scores in the order of the page.

    Parameters
    ----------
    templates
        Totals of each page, by template and page.
    noise_variance, p_purchase, average_order_minor
        As in `rank_page`, for the site.

    Examples
    --------
    >>> small, great = PageTotals(4, 4, 2.0, 1.0, 4), PageTotals(900, 540, 450.0, 225.0, 90)
    >>> [place.page for place in rank({"product": {"small": small, "great": great}}, 0.04, 0.03, 5_000)]
    ['great', 'small']
    """
    places = []
    for pages in templates.values():
        between = spread(list(pages.values()), noise_variance)
        places += [
            rank_page(page, totals, between, noise_variance, p_purchase, average_order_minor)
            for page, totals in pages.items()
        ]
    return sorted(places, key=lambda place: (-place.rank_score, place.page))
