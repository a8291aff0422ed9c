"""Pages: which are dead ends, since when, at what price; and which are associated with purchases.

Counts per minute and closed sessions wait until the watermark has passed the time at which they were due on every
partition of the visitors' log. Then they are handled in canonical order (time, page, cell; time, session), so the
results do not depend on how partitions interleave, nor on how many there are. What comes later corrects counts,
scores and money, never the evidence that an alert has already spent.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.dead_end_alerts import AlertStatus
from schemas.site_events import PageMinute, SessionCorrection, SessionExample, SiteEvent
from streams.alerts import QUIET_MS, UPDATE_EVERY_MS, alert_record, open_alert
from streams.detection import DetectorSettings, Verdict, observe
from streams.evidence import clear_evidence
from streams.formats import StateFormat, unchanged
from streams.page_records import (
    STATE_TYPES,
    OpenAlert,
    OpenAlerts,
    PageRecord,
    SiteRecord,
    Suspicion,
    TemplateRecord,
    WaitingCorrection,
    WaitingMinute,
    WaitingSession,
    context_names,
    hour_of_week,
    next_score,
    page_of,
    regressions_of,
    site_of,
)
from streams.page_scoring import measure_page, score_pages
from streams.page_sessions import correct_session, count_session
from streams.settings import Settings
from streams.stages import Context, Output
from streams.visitors import SEPARATOR

SUSPICION_BELOW = 0.5
"""Below this evidence there is no suspicion, and its counts begin anew."""


class Pages:
    """The stage that judges pages.

    Parameters
    ----------
    settings
        See `Settings`.
    detector
        How the detector decides; None: its defaults, silent for `Settings.warm_up_ms`.
    """

    name = "pages"
    log = "site-events"
    outputs = ("page-scores", "dead-end-alerts", "rejected-events")
    state_types = STATE_TYPES
    # Of the first there was no release: what it had learned is not carried over.
    state_format = StateFormat(3, {2: unchanged})
    record_type = SiteEvent

    def __init__(self, settings: Settings, detector: DetectorSettings | None = None) -> None:
        self._score_every_ms = settings.score_every_ms
        self._stall_after_ms = settings.stall_after_ms
        self._detector = detector or DetectorSettings(warm_ms=settings.warm_up_ms)

    # ---- what comes in

    def step(
        self, context: Context, record: PageMinute | SessionExample | SessionCorrection
    ) -> Iterable[Output]:
        """Let all wait for its time, so that it is handled in canonical order; what is late waits for a mark."""
        state = context.state
        if isinstance(record, SessionExample):
            key = f"e{record.site}{SEPARATOR}{record.session_id}"
            state.put(key, WaitingSession(record), record.due_ms)
        elif isinstance(record, SessionCorrection) or record.correction:
            upstream, offset, number = record.origin
            what = record.session_id if isinstance(record, SessionCorrection) else record.page
            key = SEPARATOR.join((f"c{record.site}", what, upstream, f"{offset:020d}", f"{number:06d}"))
            state.put(key, WaitingCorrection(record), record.due_ms)
        else:
            key = f"b{record.site}{SEPARATOR}{record.minute_ms:015d}{SEPARATOR}{record.page}"
            waiting = state.get(key)
            if waiting is None:
                waiting = WaitingMinute(record.site, record.page, record.template, record.minute_ms, [])
            waiting.add(record.cells)
            state.put(key, waiting, record.due_ms)
        return ()

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Handle what has waited, score the pages of a site, or give up an alert on a page gone quiet."""
        kind = key[0]
        if kind == "b":
            waiting = context.state.get(key)
            context.state.delete(key)
            return self._minute(context, waiting, deadline_ms)
        if kind == "e":
            example = context.state.get(key).example
            context.state.delete(key)
            count_session(context.state, example, self._score_every_ms)
            return ()
        if kind == "c":
            correction = context.state.get(key).correction
            context.state.delete(key)
            if isinstance(correction, SessionCorrection):
                correct_session(context.state, correction, self._score_every_ms)
            else:
                self._correct_minute(context, correction)
            return ()
        if kind == "p":
            site, _, page = key[1:].partition(SEPARATOR)
            measure_page(context.state, site, page, deadline_ms)
            return ()
        if kind == "q":
            return self._quiet(context, key, deadline_ms)
        return score_pages(context.state, key[1:], deadline_ms)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Show how many alerts are open, also where nothing has changed since the partition was taken over."""
        open_alerts: OpenAlerts | None = context.state.get("o")
        context.gauges["open_alerts", ""] = 0 if open_alerts is None else open_alerts.number
        return ()

    # ---- minutes

    def _minute(self, context: Context, waiting: WaitingMinute, due_ms: int) -> Iterable[Output]:
        state, site, minute_ms = context.state, waiting.site, waiting.minute_ms
        of_site = site_of(state, site)
        page, record = page_of(context.state, of_site, site, waiting.page, waiting.template)
        template = record.template
        template_key = f"t{site}{SEPARATOR}{template}"
        of_template: TemplateRecord = state.get(template_key)
        regressions = regressions_of(context.state, site)
        stalls, hour = regressions.stalls, hour_of_week(minute_ms)
        predict, add = stalls.predict, stalls.add
        cells: list[tuple[float, int, int]] = []
        views = stalled = 0
        for cell in waiting.cells:
            predicted = predict((template, cell.source, cell.device, cell.first_view, hour), context_names)
            cells.append((predicted.logit, cell.views, cell.stalls))
            add(predicted, cell.views, cell.stalls)
            views += cell.views
            stalled += cell.stalls
        stalls.settle()
        verdict = observe(self._detector, of_site.state, of_template.state, record.state, cells, minute_ms)
        record.views += views
        record.stalls += stalled
        status = self._judge(context, site, page, record, views, stalled, verdict, due_ms)
        outputs: Iterable[Output] = ()
        if status is not None:
            assert record.alert is not None
            said = self._said(context, site, page, record, of_site, of_template, record.alert, status, due_ms)
            outputs = (said,)
            if status == "resolved":
                record.alert, record.suspicion = None, Suspicion()
        state.put(f"p{site}{SEPARATOR}{page}", record, next_score(of_site, due_ms, self._score_every_ms))
        state.put(template_key, of_template)
        state.put(f"r{site}", regressions)
        state.put(f"s{site}", of_site, of_site.score_ms)
        return outputs

    def _judge(
        self,
        context: Context,
        site: str,
        page: str,
        record: PageRecord,
        views: int,
        stalled: int,
        verdict: Verdict,
        due_ms: int,
    ) -> AlertStatus | None:
        """Gather suspicion, and tell what becomes of the page's alert, if anything is to be said of it."""
        evidence = max(verdict.evidence, verdict.evidence_newborn)
        suspicion, alert, expected = record.suspicion, record.alert, verdict.expected
        variance = max(0.0, expected * (1.0 - expected / views)) if views else 0.0
        if alert is None and verdict.event is None and evidence < SUSPICION_BELOW:
            suspicion.views, suspicion.stalls = views, stalled
            suspicion.expected, suspicion.variance = expected, variance
            return None
        suspicion.views += views
        suspicion.stalls += stalled
        suspicion.expected += expected
        suspicion.variance += variance
        if verdict.event in ("open", "open_new"):
            alert = record.alert = open_alert(site, page, due_ms, evidence)
            context.state.put(f"q{site}{SEPARATOR}{page}", alert, due_ms + QUIET_MS)
            return "opened"
        if alert is None:
            return None
        alert.evidence, alert.seen_ms = evidence, due_ms
        status: AlertStatus
        if verdict.event == "resolve":
            status = "resolved"
            context.state.delete(f"q{site}{SEPARATOR}{page}")
        elif due_ms - alert.updated_ms >= UPDATE_EVERY_MS:
            status = "updated"
        else:
            return None
        alert.revision += 1
        alert.updated_ms = due_ms
        return status

    def _said(
        self,
        context: Context,
        site: str,
        page: str,
        record: PageRecord,
        of_site: SiteRecord,
        of_template: TemplateRecord,
        alert: OpenAlert,
        status: AlertStatus,
        at_ms: int,
    ) -> Output:
        change = {"opened": 1, "resolved": -1}.get(status, 0)
        if change:
            open_alerts: OpenAlerts = context.state.get("o") or OpenAlerts()
            open_alerts.number += change
            if open_alerts.number:
                context.state.put("o", open_alerts)
            else:
                context.state.delete("o")
        context.count("alerts", status)
        money = of_site.money
        p_purchase = of_template.purchased / of_template.went_on if of_template.went_on else 0.0
        return alert_record(
            site, page, record, alert, status, at_ms, p_purchase, money.average_minor, money.currency
        )

    def _quiet(self, context: Context, key: str, at_ms: int) -> Iterable[Output]:
        """Resolve an alert on a page without views since, or look again when that may be so."""
        site, _, page = key[1:].partition(SEPARATOR)
        record: PageRecord = context.state.get(f"p{site}{SEPARATOR}{page}")
        alert = record.alert
        assert alert is not None  # whoever resolves it takes this deadline away
        if alert.seen_ms + QUIET_MS > at_ms:
            context.state.put(key, alert, alert.seen_ms + QUIET_MS)
            return ()
        context.state.delete(key)
        of_template = context.state.get(f"t{site}{SEPARATOR}{record.template}")
        of_site = site_of(context.state, site)
        alert.revision += 1
        alert.updated_ms = at_ms
        said = self._said(context, site, page, record, of_site, of_template, alert, "resolved", at_ms)
        record.alert, record.suspicion, record.state.alert = None, Suspicion(), None
        # Or the first view that comes would open it again on what was suspected days ago.
        clear_evidence(record.state)
        context.state.put(
            f"p{site}{SEPARATOR}{page}", record, next_score(of_site, at_ms, self._score_every_ms)
        )
        context.state.put(f"s{site}", of_site, of_site.score_ms)
        return (said,)

    def _correct_minute(self, context: Context, minute: PageMinute) -> None:
        of_site = site_of(context.state, minute.site)
        page, record = page_of(context.state, of_site, minute.site, minute.page, minute.template)
        for cell in minute.cells:
            record.views += cell.views
            record.stalls += cell.stalls
        context.state.put(
            f"p{minute.site}{SEPARATOR}{page}",
            record,
            next_score(of_site, minute.due_ms, self._score_every_ms),
        )
        context.state.put(f"s{minute.site}", of_site, of_site.score_ms)
