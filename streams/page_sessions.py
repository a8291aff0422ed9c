"""Closed sessions as the pages stage counts them: exits, and what was expected of each view."""

from __future__ import annotations

from schemas.site_events import Exit, SessionCorrection, SessionExample
from streams.confirming import Seen, note_session
from streams.final_exits import last_of
from streams.page_credits import CreditBook, views_before
from streams.page_records import (
    PageRecord,
    Regressions,
    SiteRecord,
    TemplateRecord,
    context_names,
    hour_of_week,
    next_score,
    page_of,
    regressions_of,
    site_of,
)
from streams.reading_records import SiteReadings
from streams.readings import ReadingBook
from streams.settings import HOUR_MS, Settings
from streams.states import KeyedState
from streams.visitors import SEPARATOR


class PageSessions:
    """Counts closed sessions, and what changes of them later.

    Parameters
    ----------
    settings
        See `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self._every_ms = settings.score_every_ms
        self._book = CreditBook(settings)
        self._readings = ReadingBook(settings)

    def count(self, state: KeyedState, example: SessionExample) -> None:
        """Count a closed session: what its views were, which page it ended on, and what it bought."""
        site = example.site
        of_site = site_of(state, site)
        names: dict[str, str] = {}
        records: dict[str, PageRecord] = {}
        learns = not (example.is_bot or example.capped) and bool(example.views)
        if learns:
            regressions = regressions_of(state, site)
            of_readings: SiteReadings | None = state.get(f"y{site}")
            _learn(state, of_site, example, regressions, of_readings, names, records)
            self._book.session(state, example, regressions, names, records)
            self._readings.session(state, example, of_readings, names, records)
            state.put(f"r{site}", regressions)
        _count_exit(state, of_site, site, example.exit, 1, names, records, is_bot=example.is_bot)
        score_ms = next_score(of_site, example.due_ms, self._every_ms)
        _put(state, site, of_site, records, score_ms)
        if learns and example.exit.orders:
            self._book.revenue(state, of_site, example, names, records, score_ms)

    def correct(self, state: KeyedState, correction: SessionCorrection) -> None:
        """Take what a session was counted as out of the counts, and put in what it is now."""
        site = correction.site
        of_site = site_of(state, site)
        names: dict[str, str] = {}
        records: dict[str, PageRecord] = {}
        for left, sign in ((correction.removed, -1), (correction.added, 1)):
            if left is not None:
                _count_exit(state, of_site, site, left, sign, names, records, is_bot=correction.is_bot)
        for view in correction.views:
            _page(state, of_site, site, view.page, view.template, names, records)
        score_ms = next_score(of_site, correction.due_ms, self._every_ms)
        _put(state, site, of_site, records, score_ms)
        self._book.revenue(state, of_site, correction, names, records, score_ms)


def _learn(
    state: KeyedState,
    of_site: SiteRecord,
    example: SessionExample,
    regressions: Regressions,
    of_readings: SiteReadings | None,
    names: dict[str, str],
    records: dict[str, PageRecord],
) -> None:
    """Judge each view of a session, and learn from it; note what its pages go by, and their records."""
    site, views, purchased_at = example.site, example.views, example.purchased_at
    source, device = example.source, example.device
    exits, block = regressions.exits, example.due_ms // HOUR_MS
    last, is_served = last_of(example), example.learned
    templates: list[str] = []
    suspected: dict[str, list[Seen]] = {}
    for position, view in enumerate(views, 1):
        record = _page(state, of_site, site, view.page, view.template, names, records)
        templates.append(record.template)
        at = view.occurred_at
        cell = exits.predict(
            (record.template, source, device, position == 1, hour_of_week(at)), context_names
        )
        left = 1 if position == last else 0
        # Chronic dead ends are those of whom nothing says that they were served.
        kept = of_readings.kept(record.template) if of_readings is not None and of_readings.shares else 1.0
        record.totals.add_view(cell.probability * kept, 0 if is_served else left, block)
        since_ms = record.suspicion.since_ms
        if since_ms is not None and at >= since_ms:
            suspected.setdefault(names[view.page], []).append(Seen(position, cell.logit))
        # A fault would be learned as everybody's habit.
        if record.alert is None:
            exits.add(cell, 1, left)
            record.usual.learn(cell.logit, left)
    exits.settle()
    for name, seen in suspected.items():
        note_session(state, example, name, records[name], seen, names)
    # To purchase without another view is to go on too; views behind the purchase say nothing of it.
    went_on = templates[:-1] if purchased_at is None else templates[: views_before(views, purchased_at)]
    if went_on:
        of_site.went_on += 1
        of_site.purchased += purchased_at is not None
    for template in dict.fromkeys(went_on):
        key = f"t{site}{SEPARATOR}{template}"
        of_template: TemplateRecord = state.get(key)
        of_template.went_on += 1
        of_template.purchased += purchased_at is not None
        state.put(key, of_template)


def _count_exit(
    state: KeyedState,
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
    record = _page(state, of_site, site, left.page, left.template, names, records)
    if not is_bot:
        record.exits += sign
    record.reasons[left.reason] = record.reasons.get(left.reason, 0) + sign


def _page(
    state: KeyedState,
    of_site: SiteRecord,
    site: str,
    page: str,
    template: str,
    names: dict[str, str],
    records: dict[str, PageRecord],
) -> PageRecord:
    """Record of a page, which is noted with the name that it goes by."""
    name = names.get(page)
    if name is not None:
        return records[name]
    name, record = page_of(state, of_site, site, page, template)
    names[page] = name
    return records.setdefault(name, record)


def _put(
    state: KeyedState, site: str, of_site: SiteRecord, records: dict[str, PageRecord], score_ms: int
) -> None:
    """Keep what was counted; the pages are scored at `score_ms`."""
    for name, record in records.items():
        state.put(f"p{site}{SEPARATOR}{name}", record, score_ms)
    state.put(f"s{site}", of_site, of_site.score_ms)
