"""Evidence packs: what an alert shows beside its figures: its course, who leaves, and one sentence in words."""

from __future__ import annotations

from schemas.dead_end_alerts import AlertCause, AlertContrast, AlertCourse, DeadEndAlert
from schemas.timestamps import MAX_MS, format_ms
from streams.deploys import after_deploy
from streams.final_exits import FinalExits
from streams.sample_paths import paths_since
from streams.symptoms import Suspicion
from streams.upstream_pages import upstream_of

CAUSES: dict[AlertCause, str] = {
    "page_broke": "it looks as if something broke there",
    "tag_broke": "visitors who go on come back as somebody new: the tracking tag is broken there",
    "bot_wave": "those beyond the usual do nothing at all: they look like programs",
    "campaign_mix": "they come by one source that brings many more than usual: it promises something else",
    "site_change": "it is the same elsewhere: something changed for the whole site, such as a consent banner",
    "checkout_outage": "orders that were to be expected are missing: the checkout does not work",
    "orders_silent": "no page is to blame: look at the feed of orders first, then at the payment",
    "orders_late": "no page is to blame: orders come, but late",
    "unknown": "why is not known",
}
WENT_ON = "visitors went on later, or were served: no more of them than usual ended there in a dead end"
NAMES = {"site": "any page", "first_view": "the first page of a visit"}


def course_of(suspicion: Suspicion) -> list[AlertCourse]:
    """Give views and exits by time."""
    return [
        AlertCourse(
            at=format_ms(min(bucket.start_ms, MAX_MS)),
            views=bucket.views,
            exits=bucket.stalls,
            expected_exits=round(bucket.expected, 2),
        )
        for bucket in suspicion.series
    ]


def contrasts_of(suspicion: Suspicion) -> list[AlertContrast]:
    """Give views and exits by source, device and place in the session; in each the greatest excess first."""
    contrasts = [
        AlertContrast(
            by=name.partition(":")[0],
            value=name.partition(":")[2],
            views=contrast.views,
            exits=contrast.stalls,
            expected_exits=round(contrast.expected, 2),
        )
        for name, contrast in suspicion.by.items()
    ]
    return sorted(contrasts, key=lambda c: (c.by, c.expected_exits - c.exits, c.value))


def add_final(alert: DeadEndAlert, final: FinalExits, from_ms: int) -> None:
    """Add how the sessions ended that saw the page at a time or later (≥): counts, new and returning, paths.

    Pages before and quick-backs are of all since the page was suspected. No page before is named of an alert that
    is withdrawn: nobody was lost.

    Parameters
    ----------
    alert
        Changed.
    final
        What is known of them.
    from_ms
        When it seems to have begun.
    """
    counts = final.counts(from_ms)
    whole = counts.whole
    alert.final_views, alert.final_exits = whole.views, whole.stalls
    alert.expected_final_exits = round(whole.expected, 2)
    visitors = [
        AlertContrast(
            by="visitor",
            value=value,
            views=contrast.views,
            exits=contrast.stalls,
            expected_exits=round(contrast.expected, 2),
        )
        for value, contrast in (("new", counts.new), ("returning", counts.returning))
        if contrast.views
    ]
    alert.contrasts = [*(alert.contrasts or ()), *visitors] or None
    alert.paths_ended = paths_since(final.ended, from_ms) or None
    alert.paths_continued = paths_since(final.continued, from_ms) or None
    alert.sample_sessions = [path.session_id for path in alert.paths_ended or ()] or None
    arrivals = final.arrivals
    if arrivals.before:
        expected = arrivals.expected_backs
        alert.quick_backs = arrivals.backs
        alert.expected_quick_backs = None if expected is None else round(expected, 2)
    upstream = None if alert.status == "withdrawn" else upstream_of(arrivals)
    if upstream is not None:
        alert.upstream_page = upstream.page
        alert.upstream_share = round(upstream.share, 3)
        alert.upstream_usual_share = round(upstream.usual_share, 3)
        alert.upstream_lift = round(upstream.lift, 2)
        alert.upstream_lift_low = round(upstream.lift_low, 2)


def withdrawn_because(part_of: str | None) -> str:
    """Say why an alert is withdrawn; `part_of` is the wider one that stands for it."""
    return "a wider alert stands for it" if part_of is not None else WENT_ON


def summary_of(alert: DeadEndAlert) -> str:
    """Say in one sentence what an alert says in figures.

    Examples
    --------
    >>> noon = "2026-01-07T12:00:00.000Z"
    >>> alert = DeadEndAlert(id="a", alert_id="a", revision=1, status="opened", page="shop.example/sizes",
    ...     template="help", site="shop", scope="page", opened_at=noon, updated_at=noon, changed_at=noon,
    ...     cause="page_broke", log_evidence=9.1, views=100, exits=80, expected_exits=50.2,
    ...     money_at_stake="150", currency="EUR")
    >>> for part in summary_of(alert).split(", "):
    ...     print(part)
    Of 100 views of shop.example/sizes 80 went no further
    50 were to be expected
    since 2026-01-07 12:00 UTC; it looks as if something broke there; about 150 EUR at stake.
    """
    where = alert.page if alert.scope == "page" else NAMES.get(alert.scope, f"{alert.scope} {alert.value}")
    since = f", since {alert.changed_at[:16].replace('T', ' ')} UTC" if alert.changed_at else ""
    since += after_deploy(alert.deploys)
    money = ""
    if alert.money_at_stake is not None:
        money = f"; about {alert.money_at_stake} {alert.currency} at stake"
    final = ""
    if alert.confirmed_at is not None and alert.final_views:
        final = (
            f"; confirmed: of {alert.final_views:,} views {alert.final_exits:,} ended the visit, "
            f"{alert.expected_final_exits:,.0f} usually would have"
        )
    elif alert.withdrawn_because is not None:
        final = f"; withdrawn: {alert.withdrawn_because}"
    usual = f"{alert.expected_exits:,.0f} were to be expected"
    numbers = alert.cause_numbers or {}
    if "late_orders" in numbers:
        came = f"{numbers['orders']:,.0f} orders came in where {numbers['expected_orders']:,.0f} were usual"
        late = f", and {numbers['late_orders']:,.0f} late" if numbers["late_orders"] else ""
        return f"{came}{since}{late}; {CAUSES[alert.cause]}."
    what = f"Of {alert.views:,} views of {where} {alert.exits:,} went no further, {usual}{since}"
    upstream = ""
    if alert.upstream_page is not None:
        beyond = "" if (alert.upstream_share or 0.0) > 0.5 else " beyond the usual"
        upstream = f"; most of those lost{beyond} came by {alert.upstream_page}"
    return f"{what}; {CAUSES[alert.cause]}{upstream}{money}{final}."
