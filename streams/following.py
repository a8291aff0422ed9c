"""Following: an alert from the suspicion before it until it is over, of a page or of a wider scope alike."""

from __future__ import annotations

from typing import Protocol

from schemas.dead_end_alerts import AlertStatus
from schemas.timestamps import MAX_MS
from streams.alerts import QUIET_MS, UPDATE_EVERY_MS, Finding, Subject, alert_record, open_alert
from streams.calibrations import Calibration, lasted_ms
from streams.deploys import deploys_beside
from streams.detection import Event, Verdict
from streams.evidence import DecayedSums, PageState
from streams.note_records import AlertSubject, Answers
from streams.open_alerts import OpenAlert, OpenAlerts
from streams.settings import DAY_MS
from streams.stages import Context, Output
from streams.symptoms import MinuteCounts, Suspicion
from streams.visitors import SEPARATOR

SUSPICION_BELOW = 0.5
"""Below this evidence there is no suspicion, and its counts begin anew."""
EXPLAINED = -1.0
"""Stands as the top of an excursion that does not count, to its end: it is lost on pages with an alert."""
REOPEN_MS = DAY_MS
"""What opens again so soon (≤) after it was resolved is the same alert."""
OVER: frozenset[AlertStatus] = frozenset({"resolved", "withdrawn", "dismissed"})
_CHANGES: dict[AlertStatus, int] = {"opened": 1, "reopened": 1, **dict.fromkeys(OVER, -1)}


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
    if due_ms - alert.updated_ms >= UPDATE_EVERY_MS and not alert.answers.is_muted(due_ms):
        return "updated"
    return None


def note_excursion(
    calibration: Calibration,
    record: Followed,
    suspicion: Suspicion,
    alert: OpenAlert | None,
    evidence: float,
    is_usual: bool,
    is_over: bool = False,
) -> None:
    """Count an excursion of evidence once it is over, unless somebody has acknowledged that it was something.

    Parameters
    ----------
    calibration, record
        Changed.
    suspicion, alert
        As before this minute was followed; where the first is not the record's any more it is over.
    evidence, is_usual
        Of the minute, and whether it may count.
    is_over
        Whether an alert is over with it.
    """
    if suspicion.since_ms is None:
        record.top = 0.0
    elif not (is_usual or alert is not None):
        # What moves something wider moves this as well, and is counted there.
        record.top = min(record.top, 0.0)
    if record.top and (is_over or record.suspicion is not suspicion):
        if record.top != EXPLAINED and (alert is None or alert.answers.acknowledged is None):
            calibration.count(record.top, lasted_ms(suspicion))
        record.top = 0.0
    elif is_usual and record.top != EXPLAINED and evidence > record.top:
        record.top = evidence


def known_key(site: str, alert_id: str) -> str:
    """State key of what an alert is about."""
    return f"u{site}{SEPARATOR}{alert_id}"


def begin(
    context: Context, subject: Subject, record: Followed, at_ms: int, evidence: float
) -> tuple[OpenAlert, AlertStatus]:
    """Open the alert of a page or a scope, or the last one again; `say` has to follow, with the status."""
    status: AlertStatus = "opened"
    alert = record.closed
    # In rows of before there is no word of how it was over: then it was resolved.
    is_resolved = alert is not None and alert.answers.over in (None, "resolved")
    if alert is not None and is_resolved and at_ms - alert.updated_ms <= REOPEN_MS:
        status = "reopened"
        # What was said of what is over was not said of this; but who wants to hear nothing until then does not.
        alert.answers = Answers(muted_ms=alert.answers.muted_ms)
        open_again(context, subject, record, alert, at_ms, evidence)
    else:
        alert = open_alert(subject, at_ms, evidence)
        record.alert, record.closed = alert, None
        context.state.put(subject.key, alert, at_ms + QUIET_MS)
    return alert, status


def open_again(
    context: Context, subject: Subject, record: Followed, alert: OpenAlert, at_ms: int, evidence: float
) -> None:
    """Let an alert that was over be open again; `say` has to follow."""
    alert.seen_ms, alert.evidence, alert.reopened_ms, alert.answers.over = at_ms, evidence, at_ms, None
    alert.confirmed_ms = None
    record.alert, record.closed = alert, None
    context.state.put(subject.key, alert, at_ms + QUIET_MS)


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
    context.count("alerts", status)
    subject, answers = finding.subject, alert.answers
    deploys = deploys_beside(context.state, subject.site, record.suspicion, at_ms)
    said = alert_record(finding, record.suspicion, record.state, alert, status, at_ms, part_of, deploys)
    open_alerts: OpenAlerts = context.state.get("o") or OpenAlerts()
    open_alerts.note(said.value, _CHANGES.get(status, 0))
    if open_alerts.number:
        context.state.put("o", open_alerts)
    else:
        context.state.delete("o")
    name = subject.page if subject.scope == "page" else f"{subject.scope}:{subject.value}"
    known = AlertSubject(name, subject.scope != "page", record.suspicion if status in OVER else None)
    known_until_ms = at_ms + REOPEN_MS if status in OVER else None
    context.state.put(known_key(subject.site, alert.alert_id), known, known_until_ms)
    if status in OVER:
        answers.over = status
        if answers.muted_ms == MAX_MS:
            answers.muted_ms = None
        record.closed = alert
        context.state.delete(subject.key)
        record.alert, record.suspicion, record.state.alert = None, Suspicion(), None
    return said
