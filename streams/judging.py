"""Judging: what a minute of a page says, and what becomes of its alert. Wider scopes: see `streams.scoping`.

Minutes come in canonical order: all pages of a minute, then the minute of the site as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import exp

from schemas.site_events import Cell
from streams.alerts import QUIET_MS
from streams.blame import Blame, add_recent
from streams.calibrations import PAGES_PART, PAGES_PRIOR, Calibrated, is_warm
from streams.detection import Verdict, observe
from streams.evidence import DetectorSettings, clear_evidence
from streams.following import OVER, SUSPICION_BELOW, follow, note_excursion, say
from streams.order_feeds import FEED, OrderFeed
from streams.page_records import (
    Crossed,
    PageRecord,
    ScopeRecord,
    WaitingMinute,
    context_names,
    next_score,
    page_of,
    site_of,
)
from streams.regressions import MAX_LOGIT
from streams.site_minutes import SiteMinute
from streams.stages import Context, Output
from streams.symptoms import Habits, MinuteCounts
from streams.visitors import SEPARATOR

HABIT_PRIOR = 20.0
"""Views by which a page is drawn to its template."""
SUSPECT = 2.0
"""Evidence from which a page may be what moves a wider scope."""
TOGETHER = 99
"""Pages whose minute is handled with that of another at most: no longer than deadlines are acted on in one go."""


class PageJudge:
    """Decides on alerts of pages.

    Parameters
    ----------
    detector
        How pages are judged.
    budget
        Alerts a week; None: the detector decides as it is.
    score_every_ms
        See `Settings`.
    """

    def __init__(self, detector: DetectorSettings, budget: float | None, score_every_ms: int) -> None:
        self._detectors = Calibrated(detector, budget, PAGES_PART, PAGES_PRIOR)
        self._warm_ms = detector.warm_ms
        self._score_every_ms = score_every_ms

    def minutes(self, context: Context, key: str, due_ms: int) -> Iterable[Output]:
        """Handle a minute of a page, and with it those of other pages; their scopes follow when all are handled."""
        state = context.state
        waiting: WaitingMinute = state.take(key)
        site, minute_ms = waiting.site, waiting.minute_ms
        minute = SiteMinute(state, site, minute_ms, due_ms, self._score_every_ms)
        outputs = [*self._page(context, minute, waiting)]
        others = f"b{site}{SEPARATOR}{minute_ms:015d}{SEPARATOR}"
        for other in state.pop_beside(others, due_ms, TOGETHER):
            outputs += self._page(context, minute, state.take(other))
        minute.put()
        return outputs

    def _page(self, context: Context, minute: SiteMinute, waiting: WaitingMinute) -> Iterable[Output]:
        """Handle a minute of a page."""
        state, page, minute_ms = context.state, waiting.page, minute.minute_ms
        record: PageRecord | None = state.get(minute.page_prefix + page)
        if record is None:
            if not waiting.template:
                return ()  # sessions say that they come from there, and nobody has seen it
            page, record = page_of(state, minute.of_site, minute.site, page, waiting.template)
        of_template = minute.template(record.template)
        usual, effect = of_template.habits, record.state.effect
        # A fault would be learned as everybody's habit within the hour.
        learns = record.alert is None and minute.is_usual
        viewed, orphans = waiting.cells, 0
        if len(viewed) != 1 or not viewed[0].views:  # most minutes have a single cell
            orphans = sum([cell.orphans for cell in viewed if not cell.views])
            viewed = [cell for cell in viewed if cell.views]
        template, hour = record.template, minute.hour
        contexts = [
            ((template, cell.source, cell.device, cell.first_view, hour), cell.views, cell.stalls)
            for cell in viewed
        ]
        seen = minute.regressions.stalls.fold(contexts, context_names, learns)
        per_view = _orders_per_view(record.habits, usual)
        counts = minute.scopes.add(template, effect, per_view, seen, viewed, orphans)
        outputs: Iterable[Output] = ()
        if seen:
            add_recent(record, counts, minute_ms)
            site_state, detector = minute.of_site.state, minute.detector(self._detectors)
            verdict = observe(detector, site_state, of_template.state, record.state, seen, minute_ms)
            record.views += counts.views
            record.stalls += counts.stalls
            evidence = max(verdict.evidence, verdict.evidence_newborn)
            if verdict.event in ("open", "open_new"):
                # Whether it is the page or something wider shows when the whole minute has been looked at.
                minute.crossed[page] = Crossed(verdict.event, evidence)
                record.state.alert = None
            suspicion, alert = record.suspicion, record.alert
            if alert is not None or suspicion.since_ms is not None or evidence >= SUSPICION_BELOW:
                outputs = self._follow(context, minute.blame, page, record, counts, verdict, minute.due_ms)
                is_rising = suspicion.since_ms is not None or record.suspicion.since_ms is not None
                is_of_age = not record.state.newborn and is_warm(site_state, minute_ms, self._warm_ms // 2)
                if is_rising and is_of_age:
                    calibration = minute.of_site.calibration
                    note_excursion(calibration, record, suspicion, alert, evidence, minute.is_usual)
            if record.suspicion.since_ms is not None:
                record.suspicion.gather_by(_expected(viewed, seen, effect, verdict.expected))
            elif learns and evidence < SUSPECT:
                usual.learn(counts, minute_ms)
                record.habits.learn(counts, minute_ms, waiting.cells)
        elif record.suspicion.since_ms is not None:
            record.suspicion.orphans += orphans
        elif learns:
            record.habits.learn(counts, minute_ms)
        state.put(minute.page_prefix + page, record, minute.score_ms)
        return outputs

    def _follow(
        self,
        context: Context,
        blame: Blame,
        page: str,
        record: PageRecord,
        counts: MinuteCounts,
        verdict: Verdict,
        due_ms: int,
    ) -> Iterable[Output]:
        is_suspect = max(verdict.evidence, verdict.evidence_newborn) > SUSPECT
        if is_suspect and blame.suspect(page, record.recent.at_ms):
            blame.put()
        event = None if verdict.event in ("open", "open_new") else verdict.event
        status = follow(context, record, counts, verdict, event, due_ms)
        if status is None:
            return ()
        if status in OVER:
            blame.release(page)
            blame.put()
        return (say(context, blame.page_finding(page, record), record, status, due_ms),)

    def quiet(self, context: Context, key: str, at_ms: int) -> Iterable[Output]:
        """Resolve an alert of which nothing has been seen for long, or look again when that may be so."""
        state = context.state
        site, _, rest = key[1:].partition(SEPARATOR)
        blame = Blame(state, site)
        is_wide = rest.startswith(SEPARATOR)
        name = rest.removeprefix(SEPARATOR)
        record: PageRecord | ScopeRecord | OrderFeed = blame.page(name)
        if is_wide:
            record = blame.wide.feed if name == FEED else blame.scope(name)
        alert = record.alert
        assert alert is not None  # whoever resolves it takes this deadline away
        if alert.seen_ms + QUIET_MS > at_ms:
            state.put(key, alert, alert.seen_ms + QUIET_MS)
            return ()
        if isinstance(record, PageRecord):
            finding = blame.page_finding(name, record)
            blame.release(name)
        elif isinstance(record, OrderFeed):
            finding, record.evidence = blame.feed_finding(), 0.0
        else:
            finding = blame.scope_finding(name, at_ms)
            blame.wide.open.remove(name)
        blame.put()
        said = say(context, finding, record, "resolved", at_ms)
        # Or the first view that comes would open it again on what was suspected days ago.
        clear_evidence(record.state)
        if isinstance(record, ScopeRecord):
            state.put(blame.scope_key(name), record)
        elif isinstance(record, PageRecord):
            of_site = site_of(state, site)
            state.put(blame.page_key(name), record, next_score(of_site, at_ms, self._score_every_ms))
            state.put(f"s{site}", of_site, of_site.score_ms)
        return (said,)


def _orders_per_view(own: Habits, usual: Habits) -> float:
    """Orders that a view of a page brings, drawn to what its template's do: only the last step of a checkout does.

    >>> _orders_per_view(Habits(views=480.0, orders=420.0), Habits(views=100.0, orders=30.0))
    0.852
    """
    of_template = usual.orders / usual.views if usual.views else 0.0
    return (own.orders + HABIT_PRIOR * of_template) / (own.views + HABIT_PRIOR)


def _expected(
    cells: Sequence[Cell], seen: Sequence[tuple[float, int, int]], effect: float, expected: float
) -> Iterator[tuple[Cell, float]]:
    """Share out the stalls that were to be expected of a minute over its cells."""
    parts = [n / (1.0 + exp(max(-MAX_LOGIT, min(MAX_LOGIT, -logit - effect)))) for logit, n, _ in seen]
    scale = expected / sum(parts)
    for cell, part in zip(cells, parts, strict=True):
        yield cell, part * scale
