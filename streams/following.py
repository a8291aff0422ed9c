"""Following: an alert from the suspicion before it until it is over, of a page or of a wider scope alike."""

from __future__ import annotations

from typing import Protocol

from schemas.dead_end_alerts import AlertStatus
from streams.alerts import QUIET_MS, UPDATE_EVERY_MS, Finding, Subject, alert_record, open_alert
from streams.calibrations import Calibration, lasted_ms
from streams.detection import Event, Verdict
from streams.evidence import DecayedSums, PageState
from streams.open_alerts import OpenAlert, OpenAlerts
from streams.settings import DAY_MS
from streams.stages import Context, Output
from streams.symptoms import MinuteCounts, Suspicion

SUSPICION_BELOW = 0.5
"""Below this evidence there is no suspicion, and its counts begin anew."""
REOPEN_MS = DAY_MS
"""What opens again so soon (≤) after it was resolved is the same alert."""
OVER: frozenset[AlertStatus] = frozenset({"resolved", "withdrawn"})
_CHANGES: dict[AlertStatus, int] = {"opened": 1, "reopened": 1, "resolved": -1, "withdrawn": -1}


class Followed(Protocol):
    """What is kept of a page or a scope: the detector's record, what it is suspected of, its open alert."""

    state: PageState
    recent: DecayedSums
    suspicion: Suspicion
    alert: OpenAlert | None
    closed: OpenAlert | None
    top: float


def follow(
    context: Context,
    record: Followed,
    counts: MinuteCounts,
    verdict: Verdict,
    event: Event | None,
    due_ms: int,
    of_all: int = 0,
) -> AlertStatus | None:
    """Gather suspicion, and tell what becomes of the alert, if anything is to be said of it.

    Parameters
    ----------
    record
        What it is about; changed.
    counts, of_all
        The minute, and the views of the whole site in it.
    verdict, event
        Of the detector; an event that is held back is None.
    due_ms
        When the minute was due (event time).
    """
    evidence = max(verdict.evidence, verdict.evidence_newborn)
    suspicion, alert = record.suspicion, record.alert
    if alert is None and evidence < SUSPICION_BELOW:
        if suspicion.since_ms is not None:
            record.suspicion = Suspicion()
        return None
    suspicion.gather(counts, verdict.expected, record.recent.at_ms, of_all)
    if alert is None:
        return None
    alert.evidence, alert.seen_ms = evidence, due_ms
    if event == "resolve":
        return "resolved"
    if due_ms - alert.updated_ms >= UPDATE_EVERY_MS:
        return "updated"
    return None


def note_excursion(
    calibration: Calibration,
    record: Followed,
    suspicion: Suspicion,
    evidence: float,
    is_usual: bool,
    is_over: bool = False,
) -> None:
    """Count an excursion of evidence once it is over.

    Parameters
    ----------
    calibration, record
        Changed.
    suspicion
        As before this minute was followed; where it is not the record's any more it is over.
    evidence, is_usual
        Of the minute, and whether it may count.
    is_over
        Whether an alert is over with it.
    """
    if suspicion.since_ms is None:
        record.top = 0.0
    if record.top and (is_over or record.suspicion is not suspicion):
        calibration.count(record.top, lasted_ms(suspicion))
        record.top = 0.0
    elif is_usual and evidence > record.top:
        record.top = evidence


def begin(
    context: Context, subject: Subject, record: Followed, at_ms: int, evidence: float
) -> tuple[OpenAlert, AlertStatus]:
    """Open the alert of a page or a scope, or the last one again; `say` has to follow, with the status."""
    status: AlertStatus = "opened"
    alert = record.closed
    if alert is not None and at_ms - alert.updated_ms <= REOPEN_MS:
        status = "reopened"
        alert.seen_ms, alert.evidence, alert.reopened_ms = at_ms, evidence, at_ms
        alert.confirmed_ms = None
    else:
        alert = open_alert(subject, at_ms, evidence)
    record.alert, record.closed = alert, None
    context.state.put(subject.key, alert, at_ms + QUIET_MS)
    return alert, status


def say(
    context: Context,
    finding: Finding,
    record: Followed,
    status: AlertStatus,
    at_ms: int,
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
    said = alert_record(finding, record.suspicion, record.state, alert, status, at_ms, part_of)
    if status in OVER:
        record.closed = alert if status == "resolved" else None
        context.state.delete(finding.subject.key)
        record.alert, record.suspicion, record.state.alert = None, Suspicion(), None
    return said
