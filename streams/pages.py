"""Pages: which are dead ends, since when, at what price; and which are associated with purchases.

Counts per minute, closed sessions, decisions about alerts and deploys wait until the watermark has passed the
time at which they were due on every partition of the visitors' log. Then they are handled in canonical order (time,
page, cell; time, session), so the results do not depend on how partitions interleave, nor on how many there are.
What comes later corrects counts, scores and money, never the evidence that an alert has already spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.site_events import PageMinute, SessionCorrection, SessionExample, SiteEvent
from schemas.visitor_events import AlertDecided, Deployed, SiteNote
from streams.associating import associate
from streams.blame import Blame
from streams.confirming import Confirming
from streams.deciding import decide
from streams.deploys import forget_deploys
from streams.evidence import DetectorSettings
from streams.formats import StateFormat, unchanged
from streams.judging import PageJudge
from streams.open_alerts import OpenAlerts
from streams.page_records import (
    STATE_TYPES,
    WaitingCorrection,
    WaitingMinute,
    WaitingSession,
    next_score,
    page_of,
    site_of,
)
from streams.page_scoring import measure_page, score_pages
from streams.page_sessions import PageSessions
from streams.page_upgrades import with_excess, with_expected_purchases, with_levels, with_other_margins
from streams.reading_records import READING_TYPES
from streams.reading_tables import decide_table, gather_page
from streams.scoping import ScopeJudge
from streams.settings import Settings
from streams.site_notes import SiteNotes
from streams.stages import Context, Output
from streams.visitors import SEPARATOR


class Pages:
    """The stage that judges pages.

    Parameters
    ----------
    settings
        See `Settings`.
    detector
        How the detector decides; None: its defaults, silent for `Settings.warm_up_ms`, and calibrated to
        `Settings.alerts_per_week`.
    """

    name = "pages"
    log = "site-events"
    outputs = (
        "page-scores",
        "purchase-associations",
        "dead-end-alerts",
        "visitor-events",
        "rejected-events",
    )
    state_types: Mapping[str, type] = STATE_TYPES | READING_TYPES
    # Of the first there was no release: what it had learned is not carried over. From the fifth on, time at a site
    # is that of customers as well: who knows nothing of them would wait for it for ever, and has to refuse. The
    # seventh has readings.
    state_format = StateFormat(
        8,
        {
            2: unchanged,
            3: with_expected_purchases,
            4: unchanged,
            5: with_levels,
            6: with_excess,
            7: with_other_margins,
        },
    )
    record_type = SiteEvent

    def __init__(self, settings: Settings, detector: DetectorSettings | None = None) -> None:
        self._score_every_ms = settings.score_every_ms
        budget = settings.alerts_per_week if detector is None else None
        detector = detector or DetectorSettings(warm_ms=settings.warm_up_ms)
        self._pages = PageJudge(detector, budget, settings.score_every_ms)
        self._confirming = Confirming(settings)
        self._scopes = ScopeJudge(detector, budget, self._confirming)
        self._sessions = PageSessions(settings)
        self._notes = SiteNotes(settings, decide)

    # ---- what comes in

    def step(
        self, context: Context, record: PageMinute | SessionExample | SessionCorrection | SiteNote
    ) -> Iterable[Output]:
        """Let all wait for its time, so that it is handled in canonical order; what is late waits for a mark."""
        state = context.state
        if isinstance(record, PageMinute) and not record.correction:
            key = f"b{record.site}{SEPARATOR}{record.minute_ms:015d}{SEPARATOR}{record.page}"
            waiting = state.get(key)
            if waiting is None:
                waiting = WaitingMinute(record.site, record.page, record.template, record.minute_ms, [])
            waiting.add(record.cells)
            state.put(key, waiting, record.due_ms)
        elif isinstance(record, SessionExample):
            key = f"e{record.site}{SEPARATOR}{record.session_id}"
            state.put(key, WaitingSession(record), record.due_ms)
        elif isinstance(record, AlertDecided | Deployed):
            self._notes.wait(context, record)
        else:
            upstream, offset, number = record.origin
            what = record.session_id if isinstance(record, SessionCorrection) else record.page
            key = SEPARATOR.join((f"c{record.site}", what, upstream, f"{offset:020d}", f"{number:06d}"))
            state.put(key, WaitingCorrection(record), record.due_ms)
        return ()

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Handle what has waited, score the pages of a site, or give up what nothing has come of."""
        kind = key[0]
        if kind == "b":
            return self._pages.minutes(context, key, deadline_ms)
        if kind == "w":
            return self._scopes.minute(context, context.state.take(key), deadline_ms)
        if kind == "e":
            self._sessions.count(context.state, context.state.take(key).example)
            return ()
        if kind == "c":
            correction = context.state.take(key).correction
            if isinstance(correction, SessionCorrection):
                self._sessions.correct(context.state, correction)
            else:
                self._correct_minute(context, correction)
            return ()
        if kind == "p":
            site, _, page = key[1:].partition(SEPARATOR)
            measure_page(context.state, site, page, deadline_ms)
            return ()
        if kind == "f":
            return self._confirming.due(context, key, deadline_ms)
        if kind == "q":
            return self._pages.quiet(context, key, deadline_ms)
        if kind == "x" or kind == "u":
            context.state.delete(key)
            return ()
        if kind == "d":
            return self._notes.due(context, key, deadline_ms)
        if kind == "i":
            forget_deploys(context.state, key, deadline_ms)
            return ()
        if kind == "j":
            gather_page(context.state, key, deadline_ms)
            return ()
        if kind == "y":
            return decide_table(context, key, deadline_ms)
        if kind == "a":
            return associate(context.state, key[1:], deadline_ms)
        return score_pages(context.state, key[1:], deadline_ms)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Show which alerts are open, also where nothing has changed since the partition was taken over."""
        open_alerts: OpenAlerts = context.state.get("o") or OpenAlerts()
        # What is over stays as 0: a cause that goes is a figure, one that vanishes is a gap.
        context.gauges.update(dict.fromkeys(context.gauges, 0) | open_alerts.gauges())
        return ()

    # ---- corrections

    def _correct_minute(self, context: Context, minute: PageMinute) -> None:
        blame = Blame(context.state, minute.site)
        blame.wide.feed.hear_late(sum(cell.orders for cell in minute.cells), minute.minute_ms)
        blame.put()
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
