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
    PageRecord,
    Regressions,
    SiteRecord,
    Suspicion,
    TemplateRecord,
    WaitingCorrection,
    WaitingMinute,
    WaitingSession,
)
from streams.page_scoring import score_pages
from streams.settings import DAY_MS, HOUR_MS, Settings
from streams.stages import Context, Output

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
    state_format = StateFormat(1)
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
            key = f"e{record.site}|{record.session_id}"
            state.put(key, WaitingSession(record), record.due_ms)
        elif isinstance(record, SessionCorrection) or record.correction:
            upstream, offset, number = record.origin
            what = record.session_id if isinstance(record, SessionCorrection) else record.page
            key = f"c{record.site}|{what}|{upstream}|{offset:020d}|{number:06d}"
            state.put(key, WaitingCorrection(record), record.due_ms)
        else:
            key = f"b{record.site}|{record.minute_ms:015d}|{record.page}"
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
        if kind == "q":
            return self._quiet(context, key, deadline_ms)
        return score_pages(context.state, key[1:], deadline_ms)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Nothing follows from time alone."""
        return ()

    # ---- minutes

    def _minute(self, context: Context, waiting: WaitingMinute, due_ms: int) -> Iterable[Output]:
        state, site = context.state, waiting.site
        of_site = self._site(context, site)
        page, record = self._page(context, of_site, site, waiting.page, waiting.template)
        template_key = f"t{site}|{record.template}"
        of_template: TemplateRecord = state.get(template_key)
        regressions = self._regressions(context, site)
        stalls = regressions.stalls
        when = _when(waiting.minute_ms)
        enrolled = [
            stalls.enrol(_context(record.template, cell.source, cell.device, cell.first_view, when))
            for cell in waiting.cells
        ]
        cells = [
            (stalls.predict_logit(indices), cell.views, cell.stalls)
            for indices, cell in zip(enrolled, waiting.cells, strict=True)
        ]
        verdict = observe(
            self._detector, of_site.state, of_template.state, record.state, cells, waiting.minute_ms
        )
        for indices, (_, views, stalled) in zip(enrolled, cells, strict=True):
            stalls.learn(indices, views, stalled)
            record.views += views
            record.stalls += stalled
        outputs = list(self._judge(context, site, page, record, of_site, of_template, cells, verdict, due_ms))
        state.put(f"p{site}|{page}", record)
        state.put(template_key, of_template)
        state.put(f"r{site}", regressions)
        self._changed(context, site, of_site, page, due_ms)
        return outputs

    def _judge(
        self,
        context: Context,
        site: str,
        page: str,
        record: PageRecord,
        of_site: SiteRecord,
        of_template: TemplateRecord,
        cells: list[tuple[float, int, int]],
        verdict: Verdict,
        due_ms: int,
    ) -> Iterable[Output]:
        evidence = max(verdict.evidence, verdict.evidence_newborn)
        if record.alert is None and verdict.event is None and evidence < SUSPICION_BELOW:
            record.suspicion = Suspicion()
        suspicion = record.suspicion
        views = sum(n for _, n, _ in cells)
        suspicion.views += views
        suspicion.stalls += sum(y for _, _, y in cells)
        suspicion.expected += verdict.expected
        suspicion.variance += max(0.0, verdict.expected * (1.0 - verdict.expected / views)) if views else 0.0
        status: AlertStatus
        if verdict.event in ("open", "open_new"):
            alert = record.alert = open_alert(site, page, due_ms, evidence)
            context.state.put(f"q{site}|{page}", alert, due_ms + QUIET_MS)
            status = "opened"
        elif record.alert is None:
            return
        else:
            alert = record.alert
            alert.evidence, alert.seen_ms = evidence, due_ms
            if verdict.event == "resolve":
                status = "resolved"
            elif due_ms - alert.updated_ms >= UPDATE_EVERY_MS:
                status = "updated"
            else:
                return
            alert.revision += 1
            alert.updated_ms = due_ms
        yield self._said(context, site, page, record, of_site, of_template, alert, status, due_ms)
        if status == "resolved":
            record.alert, record.suspicion = None, Suspicion()
            context.state.delete(f"q{site}|{page}")

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
        of_site.open_alerts += {"opened": 1, "resolved": -1}.get(status, 0)
        context.count("alerts", status)
        context.gauges["open_alerts", ""] = of_site.open_alerts
        money = of_site.money
        p_purchase = of_template.purchased / of_template.went_on if of_template.went_on else 0.0
        return alert_record(
            site, page, record, alert, status, at_ms, p_purchase, money.average_minor, money.currency
        )

    def _quiet(self, context: Context, key: str, at_ms: int) -> Iterable[Output]:
        """Resolve an alert on a page without views since, or look again when that may be so."""
        site, _, page = key[1:].rpartition("|")
        record: PageRecord = context.state.get(f"p{site}|{page}")
        alert = record.alert
        assert alert is not None  # whoever resolves it takes this deadline away
        if alert.seen_ms + QUIET_MS > at_ms:
            context.state.put(key, alert, alert.seen_ms + QUIET_MS)
            return ()
        context.state.delete(key)
        of_template = context.state.get(f"t{site}|{record.template}")
        of_site = self._site(context, site)
        alert.revision += 1
        alert.updated_ms = at_ms
        said = self._said(context, site, page, record, of_site, of_template, alert, "resolved", at_ms)
        record.alert, record.suspicion, record.state.alert = None, Suspicion(), None
        # Or the first view that comes would open it again on what was suspected days ago.
        clear_evidence(record.state)
        context.state.put(f"p{site}|{page}", record)
        self._changed(context, site, of_site, page, at_ms)
        return (said,)

    def _correct_minute(self, context: Context, minute: PageMinute) -> None:
        of_site = self._site(context, minute.site)
        page, record = self._page(context, of_site, minute.site, minute.page, minute.template)
        for cell in minute.cells:
            record.views += cell.views
            record.stalls += cell.stalls
        context.state.put(f"p{minute.site}|{page}", record)
        self._changed(context, minute.site, of_site, page, minute.due_ms)

    # ---- sessions

    def _session(self, context: Context, example: SessionExample) -> None:
        site = example.site
        of_site = self._site(context, site)
        self._count_exit(context, of_site, site, example.exit, example.due_ms, 1, is_bot=example.is_bot)
        if example.is_bot or example.capped or not example.views:
            return
        regressions = self._regressions(context, site)
        exits, block = regressions.exits, example.due_ms // HOUR_MS
        last = len(example.views) - 1
        dead_end = example.exit.reason == "dead_end"
        purchased_at = example.purchased_at
        records: dict[str, PageRecord] = {}
        names: dict[str, str] = {}
        went_on: dict[str, None] = {}
        for position, view in enumerate(example.views):
            name, record = self._page(context, of_site, site, view.page, view.template)
            record = records.setdefault(name, record)
            names[view.page] = name
            indices = exits.enrol(
                _context(
                    record.template, example.source, example.device, position == 0, _when(view.occurred_at)
                )
            )
            left = 1 if dead_end and position == last else 0
            record.totals.add([(exits.predict_logit(indices), 1, left)], block)
            exits.learn(indices, 1, left)
            # To purchase without another view is to go on too; views behind the purchase say nothing of it.
            if (position < last) if purchased_at is None else (view.occurred_at <= purchased_at):
                went_on[record.template] = None
        for template in went_on:
            key = f"t{site}|{template}"
            of_template: TemplateRecord = context.state.get(key)
            of_template.went_on += 1
            of_template.purchased += purchased_at is not None
            context.state.put(key, of_template)
        before = None
        if purchased_at is not None:
            before = sum(view.occurred_at <= purchased_at for view in example.views)
        known = first_views(
            [(names[view.page], view.template) for view in example.views],
            source=example.source,
            returning=example.returning,
            purchased_after=before,
        )
        credits = {name: record.credit for name, record in records.items()}
        book_session(regressions.purchases, credits, known, purchased=purchased_at is not None)
        context.state.put(f"r{site}", regressions)
        for name, record in records.items():
            context.state.put(f"p{site}|{name}", record)
            self._changed(context, site, of_site, name, example.due_ms)

    def _correct_session(self, context: Context, correction: SessionCorrection) -> None:
        site = correction.site
        of_site = self._site(context, site)
        for left, sign in ((correction.removed, -1), (correction.added, 1)):
            if left is not None:
                self._count_exit(
                    context, of_site, site, left, correction.due_ms, sign, is_bot=correction.is_bot
                )

    def _count_exit(
        self,
        context: Context,
        of_site: SiteRecord,
        site: str,
        left: Exit,
        due_ms: int,
        sign: int,
        *,
        is_bot: bool,
    ) -> None:
        if not is_bot:
            of_site.money.add(left.currency, left.revenue, left.orders, sign)
            context.state.put(f"s{site}", of_site, self._next_score(of_site, due_ms))
        if not left.page:
            return
        page, record = self._page(context, of_site, site, left.page, left.template)
        if not is_bot:
            record.exits += sign
        record.reasons = dict(record.reasons)
        record.reasons[left.reason] = record.reasons.get(left.reason, 0) + sign
        context.state.put(f"p{site}|{page}", record)
        self._changed(context, site, of_site, page, due_ms)

    # ---- records

    def _site(self, context: Context, site: str) -> SiteRecord:
        return context.state.get(f"s{site}") or SiteRecord(templates=[], changed={})

    def _regressions(self, context: Context, site: str) -> Regressions:
        return context.state.get(f"r{site}") or Regressions()

    def _page(
        self, context: Context, of_site: SiteRecord, site: str, page: str, template: str
    ) -> tuple[str, PageRecord]:
        """Record of a page, under the name that it goes by; a new one is entered in its template's list."""
        state = context.state
        record = state.get(f"p{site}|{page}")
        if record is not None:
            return page, record
        if of_site.pages >= MAX_PAGES:
            page, template = OTHER_PAGES, "other"
            record = state.get(f"p{site}|{page}")
            if record is not None:
                return page, record
        record = PageRecord(template, reasons={})
        of_site.pages += 1
        key = f"t{site}|{template}"
        of_template = state.get(key)
        if of_template is None:
            of_template = TemplateRecord(pages=[])
            of_site.templates = sorted({*of_site.templates, template})
        of_template.pages.append(page)
        state.put(key, of_template)
        state.put(f"p{site}|{page}", record)
        return page, record

    def _changed(self, context: Context, site: str, of_site: SiteRecord, page: str, due_ms: int) -> None:
        of_site.changed[page] = None
        context.state.put(f"s{site}", of_site, self._next_score(of_site, due_ms))

    def _next_score(self, of_site: SiteRecord, at_ms: int) -> int:
        """First full hour (or other pace) that is not before a time, and not scored already."""
        return -(-max(at_ms, of_site.scored_ms + 1) // self._score_every_ms) * self._score_every_ms


def _when(at_ms: int) -> tuple[str, str]:
    """Hour of the day and kind of day, in UTC; 1 January 1970 was a Thursday."""
    hour, day = at_ms // HOUR_MS % 24, (at_ms // DAY_MS + 3) % 7
    return f"hour:{hour}", "weekend" if day >= 5 else "weekday"


def _context(
    template: str, source: str, device: str, first_view: bool, when: tuple[str, str]
) -> tuple[str, ...]:
    """Features of a view without its page: what the same visitors would do elsewhere."""
    first = "first" if first_view else "later"
    return (f"template:{template}", f"source:{source}", f"device:{device}", *when, f"{template}:{first}")
