"""Wider scopes than a page: a template, a source, a device, first views, the site; and which of them it is.

What breaks for all mobiles breaks on every page a little. Each scope has the same detector as a page, without the
common movement, for here that is the finding. A minute of a scope is one cell: n views of which Σm should stall, m
with the effects of the pages. Π(1 + mᵢg) ≤ (1 + m̄g)ⁿ by Jensen's inequality, so what is put together weighs less
than what it is made of, and the test stays on the safe side.

One fault moves many scopes. The alert goes to the narrowest one inside of which it is, that is: outside of which
there is little. All others are held until it is over.
"""

from __future__ import annotations

from math import sqrt
from typing import Literal

from streams.evidence import DAY_MS, FROZEN_ABOVE, DecayedSums, DetectorSettings

SITE = "site:"
FIRST_VIEW = "first_view:first"
MARGINS = {"site": 0.2, "template": 0.1, "source": 0.2, "device": 0.2, "first_view": 0.2}
"""κ₀ of each kind."""
THRESHOLD, ERRORS, NOISE_WHOLE = 8.0, 1.0, 0.0
"""Evidence for an alert where no budget says another; what κ has of a scope's own standard error; and its noise
counts whole, for of many views it is nearly all. With wider margins than pages they need less evidence."""
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
        margin_effect=ERRORS,
        noise_whole=NOISE_WHOLE,
        warm_ms=page.warm_ms,
        newborn_after_ms=NEVER_MS,
        threshold=THRESHOLD,
        watch=FROZEN_ABOVE,
        close=page.close,
    )


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
