"""Deciding: what becomes of an alert when a person has said something of it.

A decision is handled in its turn among minutes, sessions and other decisions, so what comes of it is a function of
the log. What was said before already changes nothing; what makes no sense is refused, with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from schemas.alert_decisions import DecisionAction
from schemas.dead_end_alerts import AlertStatus
from schemas.rejected_events import Reason
from schemas.timestamps import MAX_MS
from schemas.visitor_events import AlertDecided
from streams.alerts import Finding
from streams.baselines import (
    REOPENED_EVIDENCE,
    excess_logit,
    forget_suspicion,
    move_scope,
    suspect_again,
    take_back,
    teach,
)
from streams.blame import Blame, covers
from streams.evidence import TemplateState
from streams.following import known_key, open_again, say
from streams.note_records import AlertSubject, Baseline, Decided
from streams.open_alerts import OpenAlert
from streams.order_feeds import FEED, OrderFeed
from streams.page_records import PageRecord, ScopeRecord, TemplateRecord, regressions_of, site_of
from streams.rejections import refused
from streams.stages import Context, Output
from streams.symptoms import Suspicion
from streams.visitors import SEPARATOR


class _RefusedError(Exception):
    """A decision that can't be acted on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class _Case(NamedTuple):
    """A decision, and the alert that it is about: the open one of a page or a scope, or its last."""

    context: Context
    blame: Blame
    known: AlertSubject
    record: PageRecord | ScopeRecord | OrderFeed
    alert: OpenAlert
    decision: AlertDecided
    at_ms: int

    @property
    def name(self) -> str:
        return self.known.name

    @property
    def is_open(self) -> bool:
        return self.record.alert is self.alert

    def open_ones(self) -> list[str]:
        """Names of all of its kind that have an open alert."""
        wide = self.blame.wide
        return wide.alerting if isinstance(self.record, PageRecord) else wide.open

    def note(self) -> Decided:
        """Keep with the alert what was decided."""
        decision = self.decision
        decided = Decided(decision.action, decision.occurred_at, decision.by, decision.why)
        self.alert.answers.last = decided
        return decided

    def finding(self) -> Finding:
        if isinstance(self.record, PageRecord):
            return self.blame.page_finding(self.name, self.record)
        if isinstance(self.record, OrderFeed):
            return self.blame.feed_finding()
        return self.blame.scope_finding(self.name, self.at_ms)

    def template(self, page: PageRecord) -> TemplateState:
        """Detector's record of a page's template, which is changed."""
        key = f"t{self.decision.site}{SEPARATOR}{page.template}"
        self.context.state.touch([key])
        of_template: TemplateRecord = self.context.state.get(key)
        return of_template.state

    def put(self) -> None:
        """Keep what has changed; when a page is scored does not."""
        if isinstance(self.record, PageRecord):
            self.context.state.touch([self.blame.page_key(self.name)])
        elif isinstance(self.record, ScopeRecord):
            self.context.state.touch([self.blame.scope_key(self.name)])
        self.blame.put()


def decide(context: Context, decision: AlertDecided, at_ms: int) -> Iterable[Output]:
    """Act on a decision, and tell what has come of it.

    Parameters
    ----------
    decision
        What was decided.
    at_ms
        Its place in the alert's life (event time): no earlier than what was handled before.

    Returns
    -------
    iterable
        One revision of the alert; nothing where it is so already; or one rejection: ``unknown_alert`` where no
        alert of the site has this id or it was over more than a day before, ``not_possible`` where the action
        makes no sense as the alert is.
    """
    try:
        case = _find(context, decision, at_ms)
        status = _ACTIONS[decision.action](case)
    except _RefusedError as error:
        # Named by where it stood in the input topic: there whoever wrote it can find it.
        told = msgspec.structs.replace(decision, origin=decision.came_from)
        return [refused(context, told, error.reason, str(error))]
    if status is None:
        context.count("duplicates", "decision")
        return ()
    context.count("alert_decisions", decision.action)
    said = say(context, case.finding(), case.record, status, at_ms)
    case.put()
    return [said]


def _find(context: Context, decision: AlertDecided, at_ms: int) -> _Case:
    known: AlertSubject | None = context.state.get(known_key(decision.site, decision.alert_id))
    if known is None:
        raise _RefusedError(
            "unknown_alert", "no alert of this site has this id, or it was over more than a day before"
        )
    blame = Blame(context.state, decision.site)
    record: PageRecord | ScopeRecord | OrderFeed = blame.wide.feed
    if known.name != FEED:
        record = blame.scope(known.name) if known.is_wide else blame.page(known.name)
    for alert in (record.alert, record.closed):
        if alert is not None and alert.alert_id == decision.alert_id:
            return _Case(context, blame, known, record, alert, decision, at_ms)
    raise _RefusedError("not_possible", "it is over, and another alert about the same has followed")


def _need_open(case: _Case) -> None:
    if not case.is_open:
        raise _RefusedError("not_possible", "it is over: it can only be opened again")


def _need_stalls(case: _Case) -> None:
    if isinstance(case.record, OrderFeed):
        raise _RefusedError(
            "not_possible", "orders that are missing are no page's: mute it until they come again"
        )


def _acknowledge(case: _Case) -> AlertStatus | None:
    _need_open(case)
    if case.alert.answers.acknowledged is not None:
        return None
    case.alert.answers.acknowledged = case.note()
    return "acknowledged"


def _mute(case: _Case) -> AlertStatus | None:
    _need_open(case)
    until_ms = MAX_MS if case.decision.until_ms is None else min(case.decision.until_ms, MAX_MS)
    if until_ms <= case.at_ms:
        raise _RefusedError("not_possible", "`until` has passed")
    if until_ms == case.alert.answers.muted_ms:
        return None
    case.alert.answers.muted_ms = until_ms
    case.note()
    return "muted"


def _unmute(case: _Case) -> AlertStatus | None:
    _need_open(case)
    if not case.alert.answers.is_muted(case.at_ms):
        return None
    case.alert.answers.muted_ms = None
    case.note()
    return "updated"


def _dismiss(case: _Case) -> AlertStatus | None:
    record, answers = case.record, case.alert.answers
    if not case.is_open and answers.over == "dismissed":
        return None
    _need_open(case)
    _need_stalls(case)
    site, top, record.top = case.decision.site, record.top, 0.0
    if isinstance(record, PageRecord):
        of_site = site_of(case.context.state, site)
        of_site.calibration.count(top, 0)
        case.context.state.put(f"s{site}", of_site, of_site.score_ms)
    else:
        case.blame.wide.calibration.count(top, 0)
    of, moved = record.state, 0.0
    before = Baseline(of.effect, of.information, of.newborn, of.alert or "open")
    if isinstance(record, PageRecord):
        teach(of, case.template(record), record.suspicion)
    else:
        moved, _ = excess_logit(record.suspicion)
        _move(case, moved)
        forget_suspicion(of)
    answers.before = msgspec.structs.replace(before, moved=moved)
    case.open_ones().remove(case.name)
    _forget_others(case)
    case.note()
    return "dismissed"


def _reopen(case: _Case) -> AlertStatus | None:
    record, answers = case.record, case.alert.answers
    if case.is_open:
        return None
    _need_stalls(case)
    before, answers.before = answers.before, None
    if before is not None and isinstance(record, PageRecord):
        take_back(record.state, case.template(record), before)
    elif before is not None:
        _move(case, -before.moved)
    suspect_again(record.state, "open" if before is None else before.alert)
    record.suspicion = case.known.suspicion or Suspicion()
    open_again(case.context, case.finding().subject, record, case.alert, case.at_ms, REOPENED_EVIDENCE)
    case.open_ones().append(case.name)
    case.note()
    return "reopened"


def _move(case: _Case, by: float) -> None:
    """Move what is usual of a wider scope."""
    state, site = case.context.state, case.decision.site
    regressions = regressions_of(state, site)
    known = [name.removeprefix("template:") for name in case.blame.wide.known if name.startswith("template:")]
    move_scope(regressions.stalls, case.name, known, by)
    state.put(f"r{site}", regressions)


def _forget_others(case: _Case) -> None:
    """Forget what the same views made others suspected of: they see no excess from now on."""
    blame, state, record = case.blame, case.context.state, case.record
    for name in blame.wide.known:
        scope = blame.scope(name)
        is_apart = isinstance(record, PageRecord) and not covers(name, record.template)
        if scope.alert is None and not is_apart:
            forget_suspicion(scope.state)
            scope.suspicion = Suspicion()
            state.touch([blame.scope_key(name)])
    for name in () if isinstance(record, PageRecord) else blame.wide.suspects:
        page = blame.page(name)
        if page.alert is None and covers(case.name, page.template):
            forget_suspicion(page.state)
            page.suspicion = Suspicion()
            state.touch([blame.page_key(name)])


_ACTIONS: Mapping[DecisionAction, Callable[[_Case], AlertStatus | None]] = {
    "acknowledge": _acknowledge,
    "mute": _mute,
    "unmute": _unmute,
    "dismiss": _dismiss,
    "reopen": _reopen,
}
