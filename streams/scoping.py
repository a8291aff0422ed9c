"""Scoping: a minute of a site as a whole, after all its pages; who is to blame gets the alert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import log

from streams.blame import Blame, add_recent, covers
from streams.calibrations import WIDE_PART, WIDE_PRIOR, Calibrated, is_warm
from streams.confirming import Confirming
from streams.detection import Event, Verdict, observe
from streams.evidence import DetectorSettings, SiteState, TemplateState, clear_evidence
from streams.following import EXPLAINED, OVER, begin, follow, note_excursion, say
from streams.open_alerts import OpenAlert
from streams.order_feeds import FORGET_ABOVE
from streams.page_records import Crossed, ScopeRecord, ScopesMinute
from streams.scopes import MARGINS, SITE, detector_of
from streams.settings import HOUR_MS
from streams.stages import Context, Output
from streams.symptoms import MinuteCounts, Suspicion

PARTS_MS = HOUR_MS
"""Alerts of pages that are not older when a wider one opens are taken for parts of it."""


class ScopeJudge:
    """Decides on alerts of wider scopes, and on those of pages beside them.

    Parameters
    ----------
    detector
        How pages are judged.
    budget
        Alerts a week; None: the detector decides as it is.
    confirming
        Knows how sessions ended.
    """

    def __init__(self, detector: DetectorSettings, budget: float | None, confirming: Confirming) -> None:
        self._detectors = {
            kind: Calibrated(detector_of(kind, detector), budget, WIDE_PART, WIDE_PRIOR) for kind in MARGINS
        }
        self._warm_ms = detector.warm_ms
        self._confirming = confirming

    def minute(self, context: Context, minute: ScopesMinute, due_ms: int) -> Iterable[Output]:
        """Handle a minute of a site."""
        state, blame = context.state, Blame(context.state, minute.site)
        judged = list(self._weigh_all(context, blame, minute))
        feed, outputs = blame.wide.feed, list[Output]()
        was_suspected = feed.is_suspected
        if self._is_warm(blame, minute, self._warm_ms):
            outputs += _weigh_orders(context, blame, minute, due_ms)
        # Where a checkout loses many, there is often a while without orders: that explains nothing.
        is_mended = was_suspected and not feed.is_suspected and feed.top > FORGET_ABOVE
        if is_mended:
            _clear(context, blame, feed.explains)
        of_all = minute.scopes[SITE].views
        is_half_warm = self._is_warm(blame, minute, self._warm_ms // 2)
        teaches = blame.teaches(minute.minute_ms)
        for scope, counts, record, verdict in judged:
            if is_mended and record.alert is None and record.suspicion.since_ms is None:
                # What the verdict rests on has just been forgotten.
                state.put(blame.scope_key(scope), record)
                continue
            event: Event | None = verdict.event
            opens = event in ("open", "open_new")
            if opens and (is_mended or not blame.is_scope(scope, verdict.evidence)):
                record.state.alert, opens = None, False
            suspicion, is_usual = record.suspicion, not blame.wide.open or record.alert is not None
            status = follow(context, record, counts, verdict, event, due_ms, of_all)
            if is_half_warm:
                is_over = status in OVER
                if is_over:
                    # Noise of single pages is little in many together: it was something, unless it is dismissed.
                    record.top = 0.0
                elif blame.is_accounted_for(scope, record):
                    record.top = EXPLAINED
                note_excursion(
                    blame.wide.calibration,
                    record,
                    suspicion,
                    record.alert,
                    verdict.evidence,
                    is_usual,
                    is_over,
                )
            if teaches and record.suspicion.since_ms is None:
                record.habits.learn(counts, minute.minute_ms)
            state.put(blame.scope_key(scope), record)
            if opens:
                subject = blame.scope_subject(scope, minute.minute_ms)
                alert, status = begin(context, subject, record, due_ms, verdict.evidence)
                blame.wide.open.append(scope)
                outputs += _withdraw_parts(context, blame, scope, alert, due_ms)
            elif status is None:
                continue
            elif status in OVER:
                blame.wide.open.remove(scope)
                _clear(context, blame, lambda _: True, scope)
                is_mended = True
            outputs.append(say(context, blame.scope_finding(scope, minute.minute_ms), record, status, due_ms))
        if not is_mended:
            for page, crossed in minute.crossed.items():
                outputs += self._open_page(context, blame, minute.site, page, crossed, due_ms)
        blame.put()
        return outputs

    def _open_page(
        self, context: Context, blame: Blame, site: str, page: str, crossed: Crossed, due_ms: int
    ) -> Iterator[Output]:
        """Open the alert of a page whose evidence is great enough, if it is the page."""
        record = blame.page(page)
        if not blame.is_page(record):
            return
        context.state.touch([blame.page_key(page)])
        if not self._confirming.admits(context.state, site, page, record, due_ms):
            return
        record.state.alert = crossed.event
        _, status = begin(context, blame.page_subject(page, record), record, due_ms, crossed.evidence)
        blame.wide.alerting.append(page)
        yield say(context, blame.page_finding(page, record), record, status, due_ms)

    def _is_warm(self, blame: Blame, minute: ScopesMinute, warm_ms: int) -> bool:
        pool = blame.wide.pools.get("site")
        return pool is not None and is_warm(pool, minute.minute_ms, warm_ms)

    def _weigh_all(
        self, context: Context, blame: Blame, minute: ScopesMinute
    ) -> Iterator[tuple[str, MinuteCounts, ScopeRecord, Verdict]]:
        """Let the detector see a minute of each scope."""
        state, wide, minute_ms = context.state, blame.wide, minute.minute_ms
        detectors: dict[str, DetectorSettings] = {}
        none = TemplateState()  # no scope is newborn, and of others nothing is asked of it
        for scope, counts in sorted(minute.scopes.items()):
            views = counts.views
            if not views:
                continue
            key = blame.scope_key(scope)
            kind = scope.partition(":")[0]
            record: ScopeRecord | None = state.get(key)
            if record is None:
                record = ScopeRecord()
                state.put(key, record)
                wide.known.append(scope)
            pool, detector = wide.pools.get(kind), detectors.get(kind)
            if pool is None:
                pool = wide.pools[kind] = SiteState()
            if detector is None:
                detector = detectors[kind] = self._detectors[kind].settings(wide.calibration, minute_ms)
            add_recent(record, counts, minute_ms)
            cell = (log(counts.expected / (views - counts.expected)), views, counts.stalls)
            verdict = observe(detector, pool, none, record.state, [cell], minute_ms)
            blame.watch(scope, verdict.watched, minute_ms)
            yield scope, counts, record, verdict


def _weigh_orders(context: Context, blame: Blame, minute: ScopesMinute, due_ms: int) -> Iterator[Output]:
    """Look whether orders come in as usual; while they don't, what their absence explains is not to blame."""
    feed, counts = blame.wide.feed, minute.scopes[SITE]
    verdict = feed.weigh(counts, minute.minute_ms)
    status = follow(context, feed, counts, verdict, verdict.event, due_ms)
    if verdict.event == "open" and blame.is_feed():
        _, status = begin(context, blame.feed_finding().subject, feed, due_ms, feed.evidence)
    if status is not None:
        yield say(context, blame.feed_finding(), feed, status, due_ms)


def _withdraw_parts(
    context: Context, blame: Blame, scope: str, alert: OpenAlert, due_ms: int
) -> Iterator[Output]:
    """Withdraw young alerts of pages that are parts of what has opened now."""
    for page in list(blame.wide.alerting):
        record = blame.page(page)
        assert record.alert is not None
        if due_ms - record.alert.opened_ms <= PARTS_MS and covers(scope, record.template):
            blame.wide.alerting.remove(page)
            finding = blame.page_finding(page, record)
            yield say(context, finding, record, "withdrawn", due_ms, alert.alert_id)
            context.state.touch([blame.page_key(page)])


def _clear(context: Context, blame: Blame, is_clear: Callable[[Suspicion], bool], scope: str = SITE) -> None:
    """Forget what pages and other scopes were suspected of while something else was to blame."""
    for other in blame.wide.known:
        of_scope = blame.scope(other)
        if of_scope.alert is None and is_clear(of_scope.suspicion):
            clear_evidence(of_scope.state)
            of_scope.suspicion = Suspicion()
            context.state.touch([blame.scope_key(other)])
    for page in blame.wide.suspects:
        record = blame.page(page)
        if record.alert is None and covers(scope, record.template) and is_clear(record.suspicion):
            clear_evidence(record.state)
            record.suspicion = Suspicion()
            context.state.touch([blame.page_key(page)])
