"""Scoping: a minute of a site as a whole, after all its pages; who is to blame gets the alert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import log

from streams.alerts import QUIET_MS, open_alert
from streams.blame import Blame, add_recent, covers
from streams.detection import Event, Verdict, observe
from streams.evidence import DetectorSettings, SiteState, TemplateState, clear_evidence
from streams.following import OVER, follow, say
from streams.page_records import Crossed, OpenAlert, ScopeCounts, ScopeRecord, ScopesMinute, Suspicion
from streams.scopes import MARGINS, detector_of
from streams.settings import HOUR_MS
from streams.stages import Context, Output

PARTS_MS = HOUR_MS
"""Alerts of pages that are not older when a wider one opens are taken for parts of it."""


class ScopeJudge:
    """Decides on alerts of wider scopes, and on those of pages beside them.

    Parameters
    ----------
    detector
        How pages are judged.
    """

    def __init__(self, detector: DetectorSettings) -> None:
        self._detectors = {kind: detector_of(kind, detector) for kind in MARGINS}

    def minute(self, context: Context, minute: ScopesMinute, due_ms: int) -> Iterable[Output]:
        """Handle a minute of a site."""
        state, blame = context.state, Blame(context.state, minute.site)
        judged = [
            (scope, counts, *self._weigh(context, blame, scope, counts, minute.minute_ms))
            for scope, counts in sorted(minute.scopes.items())
        ]
        outputs: list[Output] = []
        is_mended = False
        for scope, counts, record, verdict in judged:
            event: Event | None = verdict.event
            if event in ("open", "open_new") and (is_mended or not blame.is_scope(scope, verdict.evidence)):
                record.state.alert = event = None
            subject = blame.scope_subject(scope, minute.minute_ms)
            status = follow(context, subject, record, (counts.views, counts.stalls), verdict, event, due_ms)
            state.put(blame.scope_key(scope), record)
            if status is None:
                continue
            if status == "opened":
                blame.wide.open.append(scope)
                assert record.alert is not None
                outputs += _withdraw_parts(context, blame, scope, record.alert, due_ms)
            elif status in OVER:
                blame.wide.open.remove(scope)
                _clear(context, blame, scope)
                is_mended = True
            outputs.append(say(context, subject, record, status, due_ms, blame.scope_price(scope)))
        if not is_mended:
            for page, crossed in minute.crossed.items():
                outputs += _open_page(context, blame, page, crossed, due_ms)
        blame.put()
        return outputs

    def _weigh(
        self, context: Context, blame: Blame, scope: str, counts: ScopeCounts, minute_ms: int
    ) -> tuple[ScopeRecord, Verdict]:
        """Let the detector see a minute of a scope."""
        wide, key = blame.wide, blame.scope_key(scope)
        kind = scope.partition(":")[0]
        record: ScopeRecord | None = context.state.get(key)
        if record is None:
            record = ScopeRecord()
            wide.known.append(scope)
        pool = wide.pools.setdefault(kind, SiteState())
        add_recent(record, counts, minute_ms)
        cell = (log(counts.expected / (counts.views - counts.expected)), counts.views, counts.stalls)
        verdict = observe(self._detectors[kind], pool, TemplateState(), record.state, [cell], minute_ms)
        context.state.put(key, record)
        blame.watch(scope, verdict.watched, minute_ms)
        return record, verdict


def _open_page(context: Context, blame: Blame, page: str, crossed: Crossed, due_ms: int) -> Iterator[Output]:
    """Open the alert of a page whose evidence is great enough, if it is the page."""
    record = blame.page(page)
    if not blame.is_page(record):
        return
    subject = blame.page_subject(page, record)
    record.state.alert = crossed.event
    record.alert = open_alert(subject, due_ms, crossed.evidence)
    context.state.touch([blame.page_key(page)])
    context.state.put(subject.key, record.alert, due_ms + QUIET_MS)
    blame.wide.alerting.append(page)
    yield say(context, subject, record, "opened", due_ms, blame.price(record.template))


def _withdraw_parts(
    context: Context, blame: Blame, scope: str, alert: OpenAlert, due_ms: int
) -> Iterator[Output]:
    """Withdraw young alerts of pages that are parts of what has opened now."""
    for page in list(blame.wide.alerting):
        record = blame.page(page)
        assert record.alert is not None
        if due_ms - record.alert.opened_ms <= PARTS_MS and covers(scope, record.template):
            blame.wide.alerting.remove(page)
            subject, price = blame.page_subject(page, record), blame.price(record.template)
            yield say(context, subject, record, "withdrawn", due_ms, price, alert.alert_id)
            context.state.touch([blame.page_key(page)])


def _clear(context: Context, blame: Blame, scope: str) -> None:
    """Forget what pages and other scopes were suspected of while this one was to blame."""
    for other in blame.wide.known:
        of_scope = blame.scope(other)
        if of_scope.alert is None:
            clear_evidence(of_scope.state)
            of_scope.suspicion = Suspicion()
            context.state.touch([blame.scope_key(other)])
    for page in blame.wide.suspects:
        record = blame.page(page)
        if record.alert is None and covers(scope, record.template):
            clear_evidence(record.state)
            record.suspicion = Suspicion()
            context.state.touch([blame.page_key(page)])
