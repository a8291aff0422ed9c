"""Scores of a page view by exported weights, with the sums of features that recur kept beside the weights.

Most features of a view are ones that many views share: those of the session (source, device, …) and those of
the view's kind (template, the one before, depth, cart). For given weights their sums are always the same, so
a score costs two look-ups, the page, and the few features that have a size.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import log1p
from typing import Any

import msgspec

from schemas.visitor_events import ModelWeights
from streams.features import (
    COUNTS,
    LOGS,
    MOST,
    Journey,
    depth_word,
    of_session,
    of_view,
    page_feature,
    probability,
)

_MAX_SUMS = 8192
"""Sums kept of a kind; beyond, all are forgotten: whatever templates come, memory stays bounded."""
_Pair = tuple[float, float]


class SiteWeights(msgspec.Struct, dict=True):
    """The newest weights of a site's two models, as far as they are known; replaced, never changed."""

    purchase: ModelWeights | None = None
    exit: ModelWeights | None = None

    @property
    def version(self) -> int | None:
        """The greater of the two versions."""
        versions = [weights.version for weights in (self.purchase, self.exit) if weights is not None]
        return max(versions, default=None)

    @cached_property
    def scorer(self) -> Scorer:
        """What scores by them, made when it is first asked for; it lives as long as this record does."""
        return Scorer(self)


class Scorer:
    """Scores the latest view of journeys by a site's weights.

    Gives the numbers of `streams.features.score`, but for the order in which they are summed up.

    Parameters
    ----------
    weights
        Of the site. A model without weights scores None.

    Examples
    --------
    >>> weights = ModelWeights(("site-events/0", 7, 0), "shop.example", "p_exit", 1, 0.0, {"depth:0": -2.0})
    >>> journey = Journey.start("paid", "mobile", returning=False, known_customer=False, started_at=0)
    >>> journey.view(0, "shop.example", "home")
    >>> Scorer(SiteWeights(exit=weights)).score(journey)
    (None, 0.5)
    """

    def __init__(self, weights: SiteWeights) -> None:
        both = weights.purchase, weights.exit
        self._purchase, self._exit = ({} if known is None else known.weights for known in both)
        self._intercepts = tuple(0.0 if known is None else known.intercept for known in both)
        self._scores_purchase, self._scores_exit = (known is not None for known in both)
        self._sums: dict[Any, _Pair] = {}
        self._counts = [self._sum((name,)) for name in COUNTS]
        self._depth, self._elapsed, self._gap = (self._sum((name,)) for name in ("depth", "elapsed", "gap"))

    def score(self, journey: Journey) -> tuple[float | None, float | None]:
        """Probabilities of a purchase and of an exit at the journey's latest view. About 2 µs."""
        sums = self._sums
        depth = journey.depth
        session = (journey.source, journey.device, journey.returning, journey.known_customer)
        known = sums.get(session)
        if known is None:
            known = self._keep(session, of_session(*session))
        purchase, exit_ = known
        view = (
            journey.template,
            journey.came_from,
            depth_word(depth),
            journey.in_cart > 0,
            journey.purchased,
        )
        known = sums.get(view)
        if known is None:
            known = self._keep(view, of_view(*view))
        purchase += known[0]
        exit_ += known[1]
        known = sums.get(journey.page)
        if known is None:
            known = self._keep(journey.page, (page_feature(journey.page),))
        size = LOGS[depth if depth < MOST else MOST]
        purchase += known[0] + self._depth[0] * size
        exit_ += known[1] + self._depth[1] * size
        for count, weight in zip(journey.counts, self._counts, strict=False):
            if count:
                size = LOGS[count if count < MOST else MOST]
                purchase += weight[0] * size
                exit_ += weight[1] * size
        if depth > 1:
            elapsed = (journey.viewed_at - journey.started_at) / 1000
            size = log1p(elapsed if elapsed > 0.0 else 0.0) / 6
            gap = log1p(journey.gap_ms / 1000) / 6
            purchase += self._elapsed[0] * size + self._gap[0] * gap
            exit_ += self._elapsed[1] * size + self._gap[1] * gap
        for name, size in journey.rare_sizes():
            purchase += self._purchase.get(name, 0.0) * size
            exit_ += self._exit.get(name, 0.0) * size
        return (
            probability(purchase + self._intercepts[0]) if self._scores_purchase else None,
            probability(exit_ + self._intercepts[1]) if self._scores_exit else None,
        )

    def _sum(self, names: Iterable[str]) -> _Pair:
        purchase, exit_ = self._purchase.get, self._exit.get
        return sum(purchase(name, 0.0) for name in names), sum(exit_(name, 0.0) for name in names)

    def _keep(self, key: Any, names: Iterable[str]) -> _Pair:
        if len(self._sums) >= _MAX_SUMS:
            self._sums.clear()
        found = self._sums[key] = self._sum(names)
        return found
