"""Wider scopes than a page: a template, a source, a device, first views, the site; and which of them it is.

What breaks for all mobiles breaks on every page a little. Each scope has the same detector as a page, without the
common movement, for here that is the finding. A minute of a scope is one cell: n views of which Σm should stall, m
with the effects of the pages. Π(1 + mᵢg) ≤ (1 + m̄g)ⁿ by Jensen's inequality, so what is put together weighs less
than what it is made of, and the test stays on the safe side.

One fault moves many scopes. The alert goes to the narrowest one inside of which it is, that is: outside of which
there is little. All others are held until it is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import exp, sqrt
from typing import Literal

from schemas.site_events import Cell
from streams.evidence import DAY_MS, FROZEN_ABOVE, DecayedSums, DetectorSettings
from streams.regressions import MAX_LOGIT
from streams.symptoms import MinuteCounts

SITE = "site:"
FIRST_VIEW = "first_view:first"
MARGINS = {"site": 0.2, "template": 0.1, "source": 0.2, "device": 0.2, "first_view": 0.2}
"""κ₀ of each kind."""
INSIDE_BELOW, OUTSIDE_ABOVE = 0.5, 0.2
"""Parts of a scope's own logit; see `place_of`."""
PRIOR = 10.0
"""Variance that draws both towards zero."""
NEVER_MS = 10_000 * DAY_MS

Place = Literal["inside", "outside", "unknown"]


def detector_of(kind: str, page: DetectorSettings) -> DetectorSettings:
    """Return how scopes of a kind are judged, beside how pages are."""
    return DetectorSettings(
        common=False,
        margin=MARGINS[kind],
        warm_ms=page.warm_ms,
        newborn_after_ms=NEVER_MS,
        threshold=page.threshold,
        watch=FROZEN_ABOVE,
        close=page.close,
    )


@lru_cache(maxsize=4096)
def names_of(source: str, device: str, first_view: bool) -> tuple[str, ...]:
    """Scopes that a view is part of, whatever its page.

    >>> names_of("paid", "mobile", True)
    ('source:paid', 'device:mobile', 'first_view:first')
    """
    names = f"source:{source}", f"device:{device}", FIRST_VIEW
    return names if first_view else names[:2]


def add_cells(
    scopes: dict[str, MinuteCounts],
    template: str,
    effect: float,
    orders_per_view: float,
    seen: Iterable[tuple[float, int, int]],
    cells: Iterable[Cell],
    orphans: int = 0,
) -> MinuteCounts:
    """Add a page-minute to the scopes that it is part of, and return its own counts.

    Parameters
    ----------
    scopes
        Changed.
    template, effect, orders_per_view
        Of the page; the effect as a logit.
    seen, cells
        Expected logit without the page, views (≥ 1) and stalls of each cell; and the cells themselves.
    orphans
        See `Cell`.

    Examples
    --------
    >>> scopes: dict[str, MinuteCounts] = {}
    >>> page = add_cells(scopes, "help", 0.0, 0.0, [(0.0, 4, 3)], [Cell("paid", "mobile", True, 4, 3)])
    >>> sorted(scopes)
    ['device:mobile', 'first_view:first', 'site:', 'source:paid', 'template:help']
    >>> scopes["site:"] == page
    True
    >>> page.views, page.stalls, page.expected, page.variance
    (4, 3, 2.0, 1.0)
    """
    page = MinuteCounts(orphans=orphans)
    for (logit, n, y), cell in zip(seen, cells, strict=True):
        logit += effect
        odds = exp(MAX_LOGIT if logit > MAX_LOGIT else -MAX_LOGIT if logit < -MAX_LOGIT else logit)
        expected = n * odds / (1.0 + odds)
        variance = expected / (1.0 + odds)
        idle, orders = cell.idle, cell.orders
        page.count(n, y, expected, variance, idle, orders)
        for name in names_of(cell.source, cell.device, cell.first_view):
            known = scopes.get(name)
            if known is None:
                known = scopes[name] = MinuteCounts()
            known.count(n, y, expected, variance, idle, orders)
    page.expected_orders = page.views * orders_per_view
    for name in (SITE, f"template:{template}"):
        known = scopes.get(name)
        if known is None:
            known = scopes[name] = MinuteCounts()
        known.add(page)
    return page


def outside_of(inner: DecayedSums, outer: DecayedSums) -> tuple[float, float]:
    """Give the logit by which `outer` moves outside of `inner`, and its standard error."""
    rest = max(0.0, outer.variance - inner.variance)
    return (outer.residual - inner.residual) / (rest + PRIOR), sqrt(rest) / (rest + PRIOR)


def place_of(inner: DecayedSums, outer: DecayedSums) -> Place:
    """Tell whether a fault seen in `outer` is inside of `inner`, a part of it. Both as of the same time.

    With R and V the residual and the variance outside of the part, the logit by which the rest moves is R/(V + 10)
    ± √V/(V + 10): inside if even its upper end is less than half of the part's own logit; outside if even its
    lower end is more than a fifth of it.

    Examples
    --------
    Of 90 stalls too many on the site, 80 are on mobiles; then half of them, as of the views; then there are few.

    >>> place_of(DecayedSums(80.0, 200.0), DecayedSums(90.0, 400.0))
    'inside'
    >>> place_of(DecayedSums(45.0, 200.0), DecayedSums(90.0, 400.0))
    'outside'
    >>> place_of(DecayedSums(8.0, 20.0), DecayedSums(10.0, 40.0))
    'unknown'
    """
    if inner.residual <= 0.0:
        return "outside" if outer.residual > 0.0 else "unknown"
    inside = inner.residual / (inner.variance + PRIOR)
    outside, error = outside_of(inner, outer)
    if outside + error < INSIDE_BELOW * inside:
        return "inside"
    return "outside" if outside - error > OUTSIDE_ABOVE * inside else "unknown"
