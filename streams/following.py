"""Following: an alert from the suspicion before it until it is over, of a page or of a wider scope alike."""

from __future__ import annotations

from typing import Protocol

from schemas.dead_end_alerts import AlertStatus
from streams.alerts import QUIET_MS, UPDATE_EVERY_MS, Price, Subject, alert_record, open_alert
from streams.detection import Event, Verdict
from streams.evidence import PageState
from streams.page_records import OpenAlert, OpenAlerts, Suspicion
from streams.stages import Context, Output

SUSPICION_BELOW = 0.5
"""Below this evidence there is no suspicion, and its counts begin anew."""
OVER: frozenset[AlertStatus] = frozenset({"resolved", "withdrawn"})
_CHANGES: dict[AlertStatus, int] = {"opened": 1, "resolved": -1, "withdrawn": -1}


class Followed(Protocol):
    """What is kept of a page or a scope: the detector's record, what it is suspected of, its open alert."""

    state: PageState
    suspicion: Suspicion
    alert: OpenAlert | None


def follow(
    context: Context,
    subject: Subject,
    record: Followed,
    counts: tuple[int, int],
    verdict: Verdict,
    event: Event | None,
    due_ms: int,
) -> AlertStatus | None:
    """Gather suspicion, and tell what becomes of the alert, if anything is to be said of it.

    Parameters
    ----------
    subject, record
        What it is about; the record is changed.
    counts
        Views of the minute, and stalls.
    verdict, event
        Of the detector; an event that is held back is None.
    due_ms
        When the minute was due (event time).
    """
    views, stalled = counts
    evidence = max(verdict.evidence, verdict.evidence_newborn)
    suspicion, alert, expected = record.suspicion, record.alert, verdict.expected
    variance = max(0.0, expected * (1.0 - expected / views)) if views else 0.0
    if alert is None and event is None and evidence < SUSPICION_BELOW:
        suspicion.views, suspicion.stalls = views, stalled
        suspicion.expected, suspicion.variance = expected, variance
        return None
    suspicion.views += views
    suspicion.stalls += stalled
    suspicion.expected += expected
    suspicion.variance += variance
    if event in ("open", "open_new"):
        alert = record.alert = open_alert(subject, due_ms, evidence)
        context.state.put(subject.key, alert, due_ms + QUIET_MS)
        return "opened"
    if alert is None:
        return None
    alert.evidence, alert.seen_ms = evidence, due_ms
    if event == "resolve":
        return "resolved"
    if due_ms - alert.updated_ms >= UPDATE_EVERY_MS:
        return "updated"
    return None


def say(
    context: Context,
    subject: Subject,
    record: Followed,
    status: AlertStatus,
    at_ms: int,
    price: Price,
    part_of: str | None = None,
) -> Output:
    """Say what has become of an alert, and forget it if it is over."""
    alert = record.alert
    assert alert is not None
    if status != "opened":
        alert.revision += 1
        alert.updated_ms = at_ms
    change = _CHANGES.get(status, 0)
    if change:
        open_alerts: OpenAlerts = context.state.get("o") or OpenAlerts()
        open_alerts.number += change
        if open_alerts.number:
            context.state.put("o", open_alerts)
        else:
            context.state.delete("o")
    context.count("alerts", status)
    said = alert_record(
        subject, record.suspicion, record.state.noise_variance, alert, status, at_ms, price, part_of
    )
    if status in OVER:
        context.state.delete(subject.key)
        record.alert, record.suspicion, record.state.alert = None, Suspicion(), None
    return said
