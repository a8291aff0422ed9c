"""Judging: what a minute of a page says, and what becomes of its alert. Wider scopes: see `streams.scoping`.

Minutes come in canonical order: all pages of a minute, then the minute of the site as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.alerts import QUIET_MS
from streams.blame import Blame, add_recent
from streams.detection import Verdict, observe
from streams.evidence import DetectorSettings, clear_evidence
from streams.following import OVER, follow, say
from streams.page_records import (
    Crossed,
    PageRecord,
    ScopeRecord,
    ScopesMinute,
    TemplateRecord,
    WaitingMinute,
    context_names,
    hour_of_week,
    next_score,
    page_of,
    regressions_of,
    site_of,
)
from streams.scopes import add_cells
from streams.stages import Context, Output
from streams.visitors import SEPARATOR

SUSPECT = 2.0
"""Evidence from which a page may be what moves a wider scope."""


class PageJudge:
    """Decides on alerts of pages.

    Parameters
    ----------
    detector
        How pages are judged.
    score_every_ms
        See `Settings`.
    """

    def __init__(self, detector: DetectorSettings, score_every_ms: int) -> None:
        self._detector = detector
        self._score_every_ms = score_every_ms

    def minute(self, context: Context, waiting: WaitingMinute, due_ms: int) -> Iterable[Output]:
        """Handle a minute of a page; its scopes are handled when all pages of the minute are."""
        state, site, minute_ms = context.state, waiting.site, waiting.minute_ms
        of_site = site_of(state, site)
        page, record = page_of(state, of_site, site, waiting.page, waiting.template)
        template = record.template
        template_key = f"t{site}{SEPARATOR}{template}"
        of_template: TemplateRecord = state.get(template_key)
        regressions = regressions_of(state, site)
        stalls, hour = regressions.stalls, hour_of_week(minute_ms)
        predict, add = stalls.predict, stalls.add
        # A fault would be learned as everybody's habit within the hour.
        blame = Blame(state, site)
        learns = record.alert is None and not blame.holds(minute_ms)
        cells: list[tuple[float, int, int]] = []
        views = stalled = 0
        for cell in waiting.cells:
            predicted = predict((template, cell.source, cell.device, cell.first_view, hour), context_names)
            cells.append((predicted.logit, cell.views, cell.stalls))
            if learns:
                add(predicted, cell.views, cell.stalls)
            views += cell.views
            stalled += cell.stalls
        stalls.settle()
        scopes_key = f"w{site}{SEPARATOR}{minute_ms:015d}"
        scopes: ScopesMinute = state.get(scopes_key) or ScopesMinute(site, minute_ms)
        logits = [logit for logit, _, _ in cells]
        counts = add_cells(
            scopes.scopes, template, record.state.effect, zip(logits, waiting.cells, strict=True)
        )
        add_recent(record, counts, minute_ms)
        state.put(scopes_key, scopes, due_ms)
        verdict = observe(self._detector, of_site.state, of_template.state, record.state, cells, minute_ms)
        record.views += views
        record.stalls += stalled
        if verdict.event in ("open", "open_new"):
            # Whether it is the page or something wider shows when the whole minute has been looked at.
            scopes.crossed[page] = Crossed(verdict.event, max(verdict.evidence, verdict.evidence_newborn))
            record.state.alert = None
        outputs = self._follow(context, blame, page, record, (views, stalled), verdict, due_ms)
        state.put(f"p{site}{SEPARATOR}{page}", record, next_score(of_site, due_ms, self._score_every_ms))
        state.put(template_key, of_template)
        state.put(f"r{site}", regressions)
        state.put(f"s{site}", of_site, of_site.score_ms)
        return outputs

    def _follow(
        self,
        context: Context,
        blame: Blame,
        page: str,
        record: PageRecord,
        counts: tuple[int, int],
        verdict: Verdict,
        due_ms: int,
    ) -> Iterable[Output]:
        is_suspect = max(verdict.evidence, verdict.evidence_newborn) > SUSPECT
        if is_suspect and blame.suspect(page, record.recent.at_ms):
            blame.put()
        subject = blame.page_subject(page, record)
        event = None if verdict.event in ("open", "open_new") else verdict.event
        status = follow(context, subject, record, counts, verdict, event, due_ms)
        if status is None:
            return ()
        if status in OVER:
            blame.wide.alerting.remove(page)
            blame.put()
        return (say(context, subject, record, status, due_ms, blame.price(record.template)),)

    def quiet(self, context: Context, key: str, at_ms: int) -> Iterable[Output]:
        """Resolve an alert of which nothing has been seen for long, or look again when that may be so."""
        state = context.state
        site, _, rest = key[1:].partition(SEPARATOR)
        blame = Blame(state, site)
        is_wide = rest.startswith(SEPARATOR)
        name = rest.removeprefix(SEPARATOR)
        record: PageRecord | ScopeRecord = blame.scope(name) if is_wide else blame.page(name)
        alert = record.alert
        assert alert is not None  # whoever resolves it takes this deadline away
        if alert.seen_ms + QUIET_MS > at_ms:
            state.put(key, alert, alert.seen_ms + QUIET_MS)
            return ()
        if isinstance(record, PageRecord):
            subject, price = blame.page_subject(name, record), blame.price(record.template)
            blame.wide.alerting.remove(name)
        else:
            subject, price = blame.scope_subject(name, at_ms), blame.scope_price(name)
            blame.wide.open.remove(name)
        blame.put()
        said = say(context, subject, record, "resolved", at_ms, price)
        # Or the first view that comes would open it again on what was suspected days ago.
        clear_evidence(record.state)
        if is_wide:
            state.put(blame.scope_key(name), record)
        else:
            of_site = site_of(state, site)
            state.put(blame.page_key(name), record, next_score(of_site, at_ms, self._score_every_ms))
            state.put(f"s{site}", of_site, of_site.score_ms)
        return (said,)
