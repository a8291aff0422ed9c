"""Pages: which are dead ends, since when, at what price; and which are associated with purchases.

Counts per minute and closed sessions wait until the watermark has passed the time at which they were due on every
partition of the visitors' log. Then they are handled in canonical order (time, page, cell; time, session), so the
results do not depend on how partitions interleave, nor on how many there are. What comes later corrects counts,
scores and money, never the evidence that an alert has already spent.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.dead_end_alerts import AlertStatus
from schemas.site_events import Exit, PageMinute, SessionCorrection, SessionExample, SiteEvent
from streams.alerts import QUIET_MS, UPDATE_EVERY_MS, alert_record, open_alert
from streams.credits import book_session, first_views
from streams.detection import DetectorSettings, Verdict, observe
from streams.evidence import clear_evidence
from streams.formats import StateFormat
from streams.page_records import (
    MAX_PAGES,
    OTHER_PAGES,
    STATE_TYPES,
    OpenAlert,
    OpenAlerts,
    PageRecord,
    Regressions,
    SiteRecord,
    Suspicion,
    TemplateRecord,
    WaitingCorrection,
    WaitingMinute,
    WaitingSession,
)
from streams.page_scoring import measure_page, score_pages
from streams.settings import HOUR_MS, Settings
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
    state_format = StateFormat(
        2
    )  # of the first there was no release: what it had learned is not carried over
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
            self._session(context, example)
            return ()
        if kind == "c":
            correction = context.state.get(key).correction
            context.state.delete(key)
            if isinstance(correction, SessionCorrection):
                self._correct_session(context, correction)
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
        of_site = self._site(context, site)
        page, record = self._page(context, of_site, site, waiting.page, waiting.template)
        template = record.template
        template_key = f"t{site}{SEPARATOR}{template}"
        of_template: TemplateRecord = state.get(template_key)
        regressions = self._regressions(context, site)
        stalls, hour = regressions.stalls, _hour_of_week(minute_ms)
        predict, add = stalls.predict, stalls.add
        cells: list[tuple[float, int, int]] = []
        views = stalled = 0
        for cell in waiting.cells:
            predicted = predict((template, cell.source, cell.device, cell.first_view, hour), _names)
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
        state.put(f"p{site}{SEPARATOR}{page}", record, self._next_score(of_site, due_ms))
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
        of_site = self._site(context, site)
        alert.revision += 1
        alert.updated_ms = at_ms
        said = self._said(context, site, page, record, of_site, of_template, alert, "resolved", at_ms)
        record.alert, record.suspicion, record.state.alert = None, Suspicion(), None
        # Or the first view that comes would open it again on what was suspected days ago.
        clear_evidence(record.state)
        context.state.put(f"p{site}{SEPARATOR}{page}", record, self._next_score(of_site, at_ms))
        context.state.put(f"s{site}", of_site, of_site.score_ms)
        return (said,)

    def _correct_minute(self, context: Context, minute: PageMinute) -> None:
        of_site = self._site(context, minute.site)
        page, record = self._page(context, of_site, minute.site, minute.page, minute.template)
        for cell in minute.cells:
            record.views += cell.views
            record.stalls += cell.stalls
        context.state.put(
            f"p{minute.site}{SEPARATOR}{page}", record, self._next_score(of_site, minute.due_ms)
        )
        context.state.put(f"s{minute.site}", of_site, of_site.score_ms)

    # ---- sessions

    def _session(self, context: Context, example: SessionExample) -> None:
        site, state = example.site, context.state
        of_site = self._site(context, site)
        names: dict[str, str] = {}
        records: dict[str, PageRecord] = {}
        if not (example.is_bot or example.capped) and example.views:
            self._learn(context, of_site, example, names, records)
        self._count_exit(context, of_site, site, example.exit, 1, names, records, is_bot=example.is_bot)
        score_ms = self._next_score(of_site, example.due_ms)
        for name, record in records.items():
            state.put(f"p{site}{SEPARATOR}{name}", record, score_ms)
        state.put(f"s{site}", of_site, of_site.score_ms)

    def _learn(
        self,
        context: Context,
        of_site: SiteRecord,
        example: SessionExample,
        names: dict[str, str],
        records: dict[str, PageRecord],
    ) -> None:
        """Judge each view of a session, and learn from it; note what its pages go by, and their records."""
        site, views, purchased_at = example.site, example.views, example.purchased_at
        source, device = example.source, example.device
        regressions = self._regressions(context, site)
        exits, block = regressions.exits, example.due_ms // HOUR_MS
        last = len(views) if example.exit.reason == "dead_end" else 0
        templates: list[str] = []
        for position, view in enumerate(views, 1):
            name = names.get(view.page)
            if name is None:
                name, record = self._page(context, of_site, site, view.page, view.template)
                names[view.page] = name
                record = records.setdefault(name, record)
            else:
                record = records[name]
            templates.append(record.template)
            at = view.occurred_at
            cell = exits.predict((record.template, source, device, position == 1, _hour_of_week(at)), _names)
            left = 1 if position == last else 0
            record.totals.add_view(cell.probability, left, block)
            exits.add(cell, 1, left)
        exits.settle()
        if purchased_at is None:
            before, went_on = None, templates[:-1]
        else:
            before = sum(view.occurred_at <= purchased_at for view in views)
            # To purchase without another view is to go on too; views behind the purchase say nothing of it.
            went_on = templates[:before]
        for template in dict.fromkeys(went_on):
            key = f"t{site}{SEPARATOR}{template}"
            of_template: TemplateRecord = context.state.get(key)
            of_template.went_on += 1
            of_template.purchased += purchased_at is not None
            context.state.put(key, of_template)
        known = first_views(
            [(names[view.page], view.template) for view in views],
            source=source,
            returning=example.returning,
            purchased_after=before,
        )
        credits = {name: record.credit for name, record in records.items()}
        book_session(regressions.purchases, credits, known, purchased=purchased_at is not None)
        context.state.put(f"r{site}", regressions)

    def _correct_session(self, context: Context, correction: SessionCorrection) -> None:
        site = correction.site
        of_site = self._site(context, site)
        records: dict[str, PageRecord] = {}
        for left, sign in ((correction.removed, -1), (correction.added, 1)):
            if left is not None:
                self._count_exit(context, of_site, site, left, sign, {}, records, is_bot=correction.is_bot)
        score_ms = self._next_score(of_site, correction.due_ms)
        for name, record in records.items():
            context.state.put(f"p{site}{SEPARATOR}{name}", record, score_ms)
        context.state.put(f"s{site}", of_site, of_site.score_ms)

    def _count_exit(
        self,
        context: Context,
        of_site: SiteRecord,
        site: str,
        left: Exit,
        sign: int,
        names: dict[str, str],
        records: dict[str, PageRecord],
        *,
        is_bot: bool,
    ) -> None:
        """Count an exit into its page's record, which is noted for its caller to put."""
        if not is_bot:
            of_site.money.add(left.currency, left.revenue, left.orders, sign)
        if not left.page:
            return
        name = names.get(left.page)
        if name is None:
            name, record = self._page(context, of_site, site, left.page, left.template)
            record = records.setdefault(name, record)
        else:
            record = records[name]
        if not is_bot:
            record.exits += sign
        record.reasons[left.reason] = record.reasons.get(left.reason, 0) + sign

    # ---- records

    def _site(self, context: Context, site: str) -> SiteRecord:
        return context.state.get(f"s{site}") or SiteRecord()

    def _regressions(self, context: Context, site: str) -> Regressions:
        return context.state.get(f"r{site}") or Regressions()

    def _page(
        self, context: Context, of_site: SiteRecord, site: str, page: str, template: str
    ) -> tuple[str, PageRecord]:
        """Record of a page, under the name that it goes by; its caller puts it."""
        state = context.state
        record = state.get(f"p{site}{SEPARATOR}{page}")
        if record is not None:
            return page, record
        if of_site.pages >= MAX_PAGES:
            page, template = OTHER_PAGES, "other"
            record = state.get(f"p{site}{SEPARATOR}{page}")
            if record is not None:
                return page, record
        record = PageRecord(template)
        of_site.pages += 1
        key = f"t{site}{SEPARATOR}{template}"
        if state.get(key) is None:
            state.put(key, TemplateRecord())
        return page, record

    def _next_score(self, of_site: SiteRecord, at_ms: int) -> int:
        """First full hour (or other pace) that is not before a time, and not scored already."""
        return -(-max(at_ms, of_site.scored_ms + 1) // self._score_every_ms) * self._score_every_ms


def _hour_of_week(at_ms: int) -> int:
    """Hour of the week in UTC, 0 on Monday at midnight; 1 January 1970 was a Thursday."""
    return (at_ms // HOUR_MS + 72) % 168


def _names(template: str, source: str, device: str, first_view: bool, hour_of_week: int) -> tuple[str, ...]:
    """Features of a view without its page: what the same visitors would do elsewhere."""
    day, hour = divmod(hour_of_week, 24)
    return (
        f"template:{template}",
        f"source:{source}",
        f"device:{device}",
        f"hour:{hour}",
        "weekend" if day >= 5 else "weekday",
        f"{template}:{'first' if first_view else 'later'}",
    )
