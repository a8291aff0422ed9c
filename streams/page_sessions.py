"""Closed sessions as the pages stage counts them: exits, what was expected of each view, and purchase credit."""

from __future__ import annotations

from schemas.site_events import Exit, SessionCorrection, SessionExample
from streams.credits import book_session, first_views
from streams.page_records import (
    PageRecord,
    SiteRecord,
    TemplateRecord,
    context_names,
    hour_of_week,
    next_score,
    page_of,
    regressions_of,
    site_of,
)
from streams.settings import HOUR_MS
from streams.states import KeyedState
from streams.visitors import SEPARATOR


def count_session(state: KeyedState, example: SessionExample, every_ms: int) -> None:
    """Count a closed session: what its views were, which page it ended on; pages are scored at `every_ms`."""
    site = example.site
    of_site = site_of(state, site)
    names: dict[str, str] = {}
    records: dict[str, PageRecord] = {}
    if not (example.is_bot or example.capped) and example.views:
        _learn(state, of_site, example, names, records)
    _count_exit(state, of_site, site, example.exit, 1, names, records, is_bot=example.is_bot)
    _put(state, site, of_site, records, next_score(of_site, example.due_ms, every_ms))


def _learn(
    state: KeyedState,
    of_site: SiteRecord,
    example: SessionExample,
    names: dict[str, str],
    records: dict[str, PageRecord],
) -> None:
    """Judge each view of a session, and learn from it; note what its pages go by, and their records."""
    site, views, purchased_at = example.site, example.views, example.purchased_at
    source, device = example.source, example.device
    regressions = regressions_of(state, site)
    exits, block = regressions.exits, example.due_ms // HOUR_MS
    last = len(views) if example.exit.reason == "dead_end" else 0
    templates: list[str] = []
    for position, view in enumerate(views, 1):
        name = names.get(view.page)
        if name is None:
            name, record = page_of(state, of_site, site, view.page, view.template)
            names[view.page] = name
            record = records.setdefault(name, record)
        else:
            record = records[name]
        templates.append(record.template)
        at = view.occurred_at
        cell = exits.predict(
            (record.template, source, device, position == 1, hour_of_week(at)), context_names
        )
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
    if went_on:
        of_site.went_on += 1
        of_site.purchased += purchased_at is not None
    for template in dict.fromkeys(went_on):
        key = f"t{site}{SEPARATOR}{template}"
        of_template: TemplateRecord = state.get(key)
        of_template.went_on += 1
        of_template.purchased += purchased_at is not None
        state.put(key, of_template)
    known = first_views(
        [(names[view.page], view.template) for view in views],
        source=source,
        returning=example.returning,
        purchased_after=before,
    )
    purchased = purchased_at is not None
    for view, p in zip(known, book_session(regressions.purchases, known, purchased=purchased), strict=False):
        records[view.page].credit.add(p, purchased)
    state.put(f"r{site}", regressions)


def correct_session(state: KeyedState, correction: SessionCorrection, every_ms: int) -> None:
    """Take what a session was counted as out of the counts, and put in what it is now."""
    site = correction.site
    of_site = site_of(state, site)
    records: dict[str, PageRecord] = {}
    for left, sign in ((correction.removed, -1), (correction.added, 1)):
        if left is not None:
            _count_exit(state, of_site, site, left, sign, {}, records, is_bot=correction.is_bot)
    _put(state, site, of_site, records, next_score(of_site, correction.due_ms, every_ms))


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
    name = names.get(left.page)
    if name is None:
        name, record = page_of(state, of_site, site, left.page, left.template)
        record = records.setdefault(name, record)
    else:
        record = records[name]
    if not is_bot:
        record.exits += sign
    record.reasons[left.reason] = record.reasons.get(left.reason, 0) + sign


def _put(
    state: KeyedState, site: str, of_site: SiteRecord, records: dict[str, PageRecord], score_ms: int
) -> None:
    """Keep what was counted; the pages are scored at `score_ms`."""
    for name, record in records.items():
        state.put(f"p{site}{SEPARATOR}{name}", record, score_ms)
    state.put(f"s{site}", of_site, of_site.score_ms)
