"""Evidence packs: what an alert shows beside its figures: its course, who leaves, and one sentence in words."""

from __future__ import annotations

from schemas.dead_end_alerts import AlertCause, AlertContrast, AlertCourse, DeadEndAlert
from schemas.timestamps import MAX_MS, format_ms
from streams.deploys import after_deploy
from streams.symptoms import Suspicion

CAUSES: dict[AlertCause, str] = {
    "page_broke": "it looks as if something broke there",
    "tag_broke": "visitors who go on come back as somebody new: the tracking tag is broken there",
    "bot_wave": "those beyond the usual do nothing at all: they look like programs",
    "campaign_mix": "they come by one source that brings many more than usual: it promises something else",
    "site_change": "it is the same elsewhere: something changed for the whole site, such as a consent banner",
    "checkout_outage": "orders that were to be expected are missing: the checkout does not work",
    "unknown": "why is not known",
}
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
    usual = f"{alert.expected_exits:,.0f} were to be expected"
    what = f"Of {alert.views:,} views of {where} {alert.exits:,} went no further, {usual}{since}"
    return f"{what}; {CAUSES[alert.cause]}{money}."
