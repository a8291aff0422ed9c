"""Minute scopes: what a minute of a site comes to in each of its wider scopes, added up page by page.

This is where most of a page-minute's additions are made: so sums are kept in plain objects, for to change a struct
takes ten times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import exp

from schemas.site_events import Cell
from streams.regressions import MAX_LOGIT
from streams.scopes import FIRST_VIEW, SITE
from streams.symptoms import MinuteCounts


class ScopeSums:
    """`MinuteCounts` that grow."""

    __slots__ = ("expected", "expected_orders", "idle", "orders", "orphans", "stalls", "variance", "views")

    def __init__(self) -> None:
        self.views = self.stalls = self.idle = self.orphans = self.orders = 0
        self.expected = self.variance = self.expected_orders = 0.0

    def add(self, counts: MinuteCounts) -> None:
        """Add counts to the sums."""
        self.views += counts.views
        self.stalls += counts.stalls
        self.expected += counts.expected
        self.variance += counts.variance
        self.idle += counts.idle
        self.orphans += counts.orphans
        self.orders += counts.orders
        self.expected_orders += counts.expected_orders

    def counts(self) -> MinuteCounts:
        """Give the sums as they are kept."""
        return MinuteCounts(
            self.views,
            self.stalls,
            self.expected,
            self.variance,
            self.idle,
            self.orphans,
            self.orders,
            self.expected_orders,
        )


@lru_cache(maxsize=4096)
def names_of(source: str, device: str, first_view: bool) -> tuple[str, ...]:
    """Scopes that a view is part of, whatever its page.

    >>> names_of("paid", "mobile", True)
    ('source:paid', 'device:mobile', 'first_view:first')
    """
    names = f"source:{source}", f"device:{device}", FIRST_VIEW
    return names if first_view else names[:2]


class MinuteScopes:
    """Counts of a minute by scope.

    Parameters
    ----------
    known
        Counts so far.

    Examples
    --------
    >>> minute = MinuteScopes({})
    >>> page = minute.add("help", 0.0, 0.0, [(0.0, 4, 3)], [Cell("paid", "mobile", True, 4, 3)])
    >>> page.views, page.stalls, page.expected, page.variance
    (4, 3, 2.0, 1.0)
    >>> sorted(minute.counts())
    ['device:mobile', 'first_view:first', 'site:', 'source:paid', 'template:help']
    >>> minute.counts()["site:"] == page
    True
    """

    def __init__(self, known: Mapping[str, MinuteCounts]) -> None:
        self._sums: defaultdict[str, ScopeSums] = defaultdict(ScopeSums)
        for scope, counts in known.items():
            self._sums[scope].add(counts)

    def counts(self) -> dict[str, MinuteCounts]:
        """Give the counts by scope."""
        return {scope: sums.counts() for scope, sums in self._sums.items()}

    def add(
        self,
        template: str,
        effect: float,
        orders_per_view: float,
        seen: Sequence[tuple[float, int, int]],
        cells: Sequence[Cell],
        orphans: int = 0,
    ) -> MinuteCounts:
        """Add a page-minute to the scopes that it is part of, and return its own counts.

        Parameters
        ----------
        template, effect, orders_per_view
            Of the page; the effect as a logit.
        seen, cells
            Expected logit without the page, views (≥ 1) and stalls of each cell; and the cells themselves.
        orphans
            See `Cell`.
        """
        all_sums = self._sums
        views = stalls = idle = orders = 0
        expected = variance = 0.0
        for (logit, n, y), cell in zip(seen, cells, strict=True):
            logit += effect
            odds = exp(MAX_LOGIT if logit > MAX_LOGIT else -MAX_LOGIT if logit < -MAX_LOGIT else logit)
            m = n * odds / (1.0 + odds)
            v = m / (1.0 + odds)
            idled, ordered = cell.idle, cell.orders
            views += n
            stalls += y
            expected += m
            variance += v
            idle += idled
            orders += ordered
            is_more = y or idled or ordered
            for name in names_of(cell.source, cell.device, cell.first_view):
                sums = all_sums[name]
                sums.views += n
                sums.expected += m
                sums.variance += v
                if is_more:
                    sums.stalls += y
                    sums.idle += idled
                    sums.orders += ordered
        expected_orders = views * orders_per_view
        is_more = stalls or idle or orders or orphans
        for name in (SITE, f"template:{template}"):
            sums = all_sums[name]
            sums.views += views
            sums.expected += expected
            sums.variance += variance
            sums.expected_orders += expected_orders
            if is_more:
                sums.stalls += stalls
                sums.idle += idle
                sums.orphans += orphans
                sums.orders += orders
        return MinuteCounts(views, stalls, expected, variance, idle, orphans, orders, expected_orders)
