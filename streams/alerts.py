"""Life of a dead-end alert: opened, updated while it is open, resolved. One open alert a page.

Every record is a function of page-minutes in canonical order: its id names the page and the moment of opening,
its revisions count up, its times are event time.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b
from math import sqrt

from schemas.dead_end_alerts import AlertStatus, DeadEndAlert
from schemas.money import format_amount
from schemas.timestamps import MAX_MS, format_ms
from streams.page_records import OpenAlert, PageRecord
from streams.rankings import INTERVAL_QUANTILE, INTERVAL_WIDENING
from streams.settings import DAY_MS, MINUTE_MS
from streams.stages import Output

UPDATE_EVERY_MS = 15 * MINUTE_MS
"""Pace of ``updated`` while an alert is open (event time)."""
QUIET_MS = 3 * DAY_MS
"""An alert on a page that nobody has seen for so long is resolved: there is nothing left to lose there."""


def alert_id(site: str, scope: str, value: str, opened_ms: int) -> str:
    """Name of an alert: 16 hexadecimal digits that depend on what it is about and when it opened.

    >>> alert_id("shop", "page", "shop.example/sizes", 0) == alert_id("shop", "page", "shop.example/sizes", 0)
    True
    """
    return blake2b(f"{site}|{scope}|{value}|{opened_ms}".encode(), digest_size=8).hexdigest()


def open_alert(site: str, page: str, at_ms: int, evidence: float) -> OpenAlert:
    """Open the alert of a page at an event time."""
    return OpenAlert(alert_id(site, "page", page, at_ms), 1, at_ms, at_ms, at_ms, evidence)


def alert_record(
    site: str,
    page: str,
    record: PageRecord,
    alert: OpenAlert,
    status: AlertStatus,
    at_ms: int,
    p_purchase: float,
    average_minor: float,
    currency: str | None,
) -> Output:
    """Say what has come of an alert.

    The excess is stalls beyond expectation since suspicion began; its 90 % interval counts binomial variance
    and the page's noise between hours, widened like that of the ranking. Money at stake is the excess times the
    probability that a visitor of such a page purchases if he goes on, times the average order value.

    Parameters
    ----------
    site, page, record, alert
        What it is about.
    status, at_ms
        What happened, and when (event time).
    p_purchase, average_minor, currency
        For the money at stake; `average_minor` in hundredths.
    """
    suspicion = record.suspicion
    excess = suspicion.stalls - suspicion.expected
    variance = suspicion.variance
    error = sqrt(variance + record.state.noise_variance * variance * variance)
    reach = INTERVAL_WIDENING * INTERVAL_QUANTILE * error
    money = max(0.0, excess) * p_purchase * average_minor
    at = format_ms(min(at_ms, MAX_MS))
    value = DeadEndAlert(
        id=alert.alert_id,
        alert_id=alert.alert_id,
        revision=alert.revision,
        status=status,
        page=page,
        template=record.template,
        site=site,
        scope="page",
        opened_at=format_ms(min(alert.opened_ms, MAX_MS)),
        updated_at=at,
        resolved_at=at if status == "resolved" else None,
        cause="unknown",
        log_evidence=round(alert.evidence, 3),
        views=suspicion.views,
        exits=suspicion.stalls,
        expected_exits=round(suspicion.expected, 2),
        excess_low=round(excess - reach, 2),
        excess_high=round(excess + reach, 2),
        money_at_stake=None if currency is None else format_amount(Decimal(round(money)).scaleb(-2)),
        currency=currency,
    )
    return Output("dead-end-alerts", f"page:{page}", value, alert.alert_id, at_ms, alert.revision)
