"""Life of a dead-end alert: opened, updated while it is open, resolved. One open alert a page.

Every record is a function of page-minutes in canonical order: its id names the page and the moment of opening,
its revisions count up, its times are event time.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from math import sqrt
from typing import NamedTuple

from schemas.dead_end_alerts import AlertDeploy, AlertScope, AlertStatus, DeadEndAlert
from schemas.money import format_amount
from schemas.timestamps import MAX_MS, MIN_MS, format_ms
from streams.causes import Cause
from streams.empirical_nulls import CreditScore
from streams.evidence import PageState
from streams.evidence_packs import add_final, contrasts_of, course_of, summary_of, withdrawn_because
from streams.final_exits import FinalExits
from streams.open_alerts import OpenAlert
from streams.rankings import INTERVAL_QUANTILE
from streams.settings import DAY_MS, MINUTE_MS
from streams.stages import Output
from streams.symptoms import Suspicion, change_of
from streams.visitors import SEPARATOR

UPDATE_EVERY_MS = 15 * MINUTE_MS
"""Pace of ``updated`` while an alert is open (event time)."""
QUIET_MS = 3 * DAY_MS
"""An alert on a page that nobody has seen for so long is resolved: there is nothing left to lose there."""


class Subject(NamedTuple):
    """What an alert is about: a page, or a wider scope and the page that shows it most."""

    site: str
    scope: AlertScope
    value: str
    page: str
    template: str

    @property
    def key(self) -> str:
        """State key of the deadline at which the alert is given up."""
        name = self.page if self.scope == "page" else f"{SEPARATOR}{self.scope}:{self.value}"
        return f"q{self.site}{SEPARATOR}{name}"


class Price(NamedTuple):
    """What a visitor who goes on is worth.

    Attributes
    ----------
    p_purchase, average_minor, currency
        Probability that who goes on from such a page purchases; average order value in hundredths.
    """

    p_purchase: float
    average_minor: float
    currency: str | None

    def money(self, lost: float) -> str | None:
        """Price so many visitors who did not go on, at least 0; None without a currency.

        >>> Price(0.25, 2_000.0, "EUR").money(30.0), Price(0.25, 2_000.0, "EUR").money(-3.0)
        ('150', '0')
        """
        if self.currency is None:
            return None
        return format_amount(Decimal(round(max(0.0, lost) * self.p_purchase * self.average_minor)).scaleb(-2))


class Finding(NamedTuple):
    """What an alert is about, what a visitor is worth, why, where most is lost, and how visits ended there.

    `changed_ms` is when it began, where that is not to be read from the stalls; `harm` a page's purchase credit,
    where its interval is below zero.
    """

    subject: Subject
    price: Price
    cause: Cause
    worst_pages: list[str]
    changed_ms: int | None = None
    final: FinalExits | None = None
    harm: CreditScore | None = None


def alert_id(site: str, scope: str, value: str, opened_ms: int) -> str:
    """Name of an alert: 16 hexadecimal digits that depend on what it is about and when it opened.

    >>> alert_id("shop", "page", "shop.example/sizes", 0) == alert_id("shop", "page", "shop.example/sizes", 0)
    True
    """
    return blake2b(f"{site}|{scope}|{value}|{opened_ms}".encode(), digest_size=8).hexdigest()


def open_alert(subject: Subject, at_ms: int, evidence: float) -> OpenAlert:
    """Open an alert at an event time."""
    name = alert_id(subject.site, subject.scope, subject.value, at_ms)
    return OpenAlert(name, 1, at_ms, at_ms, at_ms, evidence)


def alert_record(
    finding: Finding,
    suspicion: Suspicion,
    page: PageState,
    alert: OpenAlert,
    status: AlertStatus,
    at_ms: int,
    part_of: str | None = None,
    deploys: Sequence[AlertDeploy] = (),
) -> Output:
    """Say what has come of an alert.

    The excess is stalls beyond expectation since suspicion began; its 90 % interval counts binomial variance
    and the noise between hours. Money at stake is the excess times the
    probability that a visitor of such a page purchases if he goes on, times the average order value.

    Parameters
    ----------
    finding
        What it is about, why, and what it costs.
    suspicion, page, alert
        What is counted, the detector's record, and what was said before.
    status, at_ms
        What happened, and when (event time).
    part_of
        Id of the wider alert that stands for it, where it is withdrawn.
    deploys
        Those about the time when it began.
    """
    subject, price, cause = finding.subject, finding.price, finding.cause
    excess, variance = suspicion.excess, suspicion.variance
    error = sqrt(variance + page.noise_variance * variance * variance)
    reach = INTERVAL_QUANTILE * error
    change = change_of(suspicion)
    changed_ms = finding.changed_ms if change is None or finding.changed_ms is not None else change.at_ms
    first_ms = page.born_ms if subject.scope == "page" else None
    money = [price.money(lost) for lost in (excess, excess - reach, excess + reach)]
    value = DeadEndAlert(
        id=alert.alert_id,
        alert_id=alert.alert_id,
        revision=alert.revision,
        status=status,
        page=subject.page,
        template=subject.template,
        site=subject.site,
        scope=subject.scope,
        value=subject.value if subject.scope != "page" else None,
        part_of=part_of,
        opened_at=_time(alert.opened_ms),
        updated_at=_time(at_ms),
        reopened_at=None if alert.reopened_ms is None else _time(alert.reopened_ms),
        resolved_at=_time(at_ms) if status == "resolved" else None,
        cause=cause.cause,
        cause_numbers=cause.numbers or None,
        log_evidence=round(alert.evidence, 3),
        views=suspicion.views,
        exits=suspicion.stalls,
        expected_exits=round(suspicion.expected, 2),
        excess_low=round(excess - reach, 2),
        excess_high=round(excess + reach, 2),
        money_at_stake=money[0],
        money_low=money[1],
        money_high=money[2],
        currency=price.currency,
        changed_at=None if changed_ms is None else _time(changed_ms),
        first_seen_at=None if first_ms is None else _time(first_ms),
        course=course_of(suspicion) or None,
        contrasts=contrasts_of(suspicion) or None,
        worst_pages=finding.worst_pages or None,
        confirmed_at=None if alert.confirmed_ms is None else _time(alert.confirmed_ms),
        withdrawn_because=withdrawn_because(part_of) if status == "withdrawn" else None,
    )
    if finding.final is not None and change is not None:
        add_final(value, finding.final, change.at_ms)
    answers = alert.answers
    if (decided := answers.last) is not None:
        value.decision, value.decided_by, value.why = decided.action, decided.by, decided.why
        value.decided_at = _time(decided.at_ms)
    if (acknowledged := answers.acknowledged) is not None:
        value.acknowledged_by, value.acknowledged_at = acknowledged.by, _time(acknowledged.at_ms)
    if answers.muted_ms is not None and (status == "muted" or answers.is_muted(at_ms)):
        value.muted_until = _time(answers.muted_ms)
    value.deploys = list(deploys) or None
    if finding.harm is not None:
        value.purchase_credit = round(finding.harm.credit, 3)
        value.credit_low = round(finding.harm.credit_low, 3)
        value.credit_high = round(finding.harm.credit_high, 3)
    value.summary = summary_of(value)
    key = f"{subject.scope}:{subject.value}"
    return Output("dead-end-alerts", key, value, alert.alert_id, at_ms, alert.revision)


def _time(at_ms: int) -> str:
    return format_ms(max(MIN_MS, min(at_ms, MAX_MS)))
