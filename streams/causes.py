"""Causes: why visitors are lost, by what else is unusual; the first that holds, with the numbers that decided.

The rules and their bounds were found on made-up shops. X is what is lost: stalls beyond the expected.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.dead_end_alerts import AlertCause
from streams.symptoms import Contrast, Habits, Suspicion

CHECKOUT_TEMPLATES = frozenset({"cart", "checkout", "payment"})
ORPHANS_ABOVE = 0.15
"""Sessions that lost who they were, as a part of X, from which on the tag is to blame."""
ORDERS_ABOVE = 0.2
"""Orders that are missing, as a part of X, from which on it is the checkout."""
MIX_ABOVE, OTHERS_BELOW, OTHERS_PART = 1.5, 0.45, 0.5
"""A campaign: one source's share of the views grew so many times, and the others' logit of excess is below this and
below this part of that source's."""
ELSEWHERE_ABOVE = 0.25
"""Logit of excess of first views elsewhere, from which on it is the site."""
IDLE_BELOW = 0.8
"""Where more of the usual stalls are idle, nobody reports what is done on pages: then idleness says nothing."""
PRIOR = 2.0
"""Variance that draws logits of few views towards zero."""


class Cause(NamedTuple):
    """What seems to be behind it, and the numbers that decided."""

    cause: AlertCause
    numbers: dict[str, float]


def cause_of(
    scope: str, template: str, suspicion: Suspicion, habits: Habits, usual_share: float, elsewhere: float
) -> Cause:
    """Name the cause of an alert.

    Parameters
    ----------
    scope, template
        Kind of the scope (``page``, ``site``, …), and template of the page, or of the scope.
    suspicion, habits
        What is counted of it, and what is usual there.
    usual_share
        Of a source: its usual share of the site's views; elsewhere not looked at.
    elsewhere
        Logit of excess of first views elsewhere just now.

    Examples
    --------
    Forty more were lost than was to be expected, and forty more than usual did nothing at all.

    >>> habits = Habits(views=1000.0, stalls=400.0, idle=100.0)
    >>> found = cause_of("page", "help", Suspicion(100, 80, 40.0, 24.0, idle=50), habits, 0.0, 0.0)
    >>> found.cause, found.numbers["idle_part"]
    ('bot_wave', 1.0)
    """
    lost = suspicion.excess
    if lost <= 0.0 or not suspicion.views:
        return Cause("unknown", {})
    numbers: dict[str, float] = {}

    def note(name: str, value: float) -> float:
        numbers[name] = round(value, 3)
        return value

    usually_idle = habits.idle / habits.stalls if habits.stalls > 0.0 else 1.0
    idle_part = note("idle_part", (suspicion.idle - usually_idle * suspicion.expected) / lost)
    if usually_idle < IDLE_BELOW and idle_part > 0.5 + usually_idle / 2:
        return Cause("bot_wave", {**numbers, "usually_idle": round(usually_idle, 3)})
    orphans = habits.orphans / habits.views if habits.views > 0.0 else 0.0
    if note("orphans_part", (suspicion.orphans - orphans * suspicion.views) / lost) > ORPHANS_ABOVE:
        return Cause("tag_broke", numbers)
    missing = note("missing_orders_part", suspicion.missing_orders / lost)
    if template in CHECKOUT_TEMPLATES and scope in ("page", "template"):
        return Cause("checkout_outage", numbers)
    if missing > ORDERS_ABOVE and scope in ("page", "template"):
        return Cause("checkout_outage", numbers)
    if scope in ("page", "template") and note("elsewhere_logit", elsewhere) > ELSEWHERE_ABOVE:
        return Cause("site_change", numbers)
    if scope == "source" and usual_share > 0.0:
        growth = note("share_growth", suspicion.views / max(1, suspicion.of_all) / usual_share)
        return Cause("campaign_mix" if growth >= MIX_ABOVE else "site_change", numbers)
    if scope == "page":
        mix = _mix(suspicion, habits)
        numbers.update((name, round(value, 3)) for name, value in mix.items())
        if (
            mix.get("share_growth", 0.0) >= MIX_ABOVE
            and mix["others_logit"] < OTHERS_BELOW
            and mix["others_logit"] < OTHERS_PART * mix["source_logit"]
        ):
            return Cause("campaign_mix", numbers)
    return Cause("page_broke" if scope in ("page", "template") else "site_change", numbers)


def _mix(suspicion: Suspicion, habits: Habits) -> dict[str, float]:
    """How much the share of the source that loses most has grown, and how much it and the others lose."""
    sources = {
        name.removeprefix("source:"): contrast
        for name, contrast in suspicion.by.items()
        if name.startswith("source:")
    }
    if not sources:
        return {}
    top = max(sources, key=lambda source: (sources[source].stalls - sources[source].expected, source))
    others = Contrast()
    for source, contrast in sources.items():
        if source != top:
            others.views += contrast.views
            others.stalls += contrast.stalls
            others.expected += contrast.expected
    # A source that the page never had: as if it had been half a view of it.
    usual = (habits.sources.get(top, 0.0) + 0.5) / (habits.views + 0.5)
    return {
        "share_growth": sources[top].views / suspicion.views / usual,
        "source_logit": logit_of(sources[top]),
        "others_logit": logit_of(others),
    }


def logit_of(contrast: Contrast) -> float:
    """Logit by which stalls are more than was to be expected: one Newton step, drawn towards zero.

    >>> logit_of(Contrast(views=100, stalls=62, expected=50.0)) < 0.45 < logit_of(Contrast(100, 63, 50.0))
    True
    """
    if not contrast.views:
        return 0.0
    variance = contrast.expected * (1.0 - min(1.0, contrast.expected / contrast.views))
    return (contrast.stalls - contrast.expected) / (variance + PRIOR)
