"""Reading tables: each midnight (UTC) what was learned of readings is summed up, and sent to who closes sessions.

First each page says what it knows, then the site decides. A template is listed where reading completes visits on
its pages, each compared with itself; its pages need not be known then. A page is listed by itself where it needs
another time than its template's, or where its template says nothing; not if its template's other pages are known to
be of another kind, for what stands alone among them might as well be broken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.visitor_events import ServedTable
from streams.page_records import PageRecord
from streams.reading_records import (
    HALF_LIFE_DAYS,
    Candidate,
    Reading,
    SiteReadings,
    SiteTable,
    Sums,
    TemplateReading,
)
from streams.reading_rules import (
    LEAST,
    LEAST_DAYS,
    LEAST_RISE,
    Known,
    Strata,
    completes,
    sells,
    sides_of,
    stratum_of,
    threshold_of,
)
from streams.served_tables import LEAD_MS, NEVER
from streams.settings import DAY_MS
from streams.stages import EVERY_PARTITION, Context, Output
from streams.states import KeyedState
from streams.visitors import SEPARATOR

MAX_LISTED_TEMPLATES: Final = 64
MAX_LISTED_PAGES: Final = 256
MAX_CANDIDATES: Final = 1_024
FORGOTTEN: Final = 0.5
"""Of what a page was read less is left (<) than this: it is forgotten."""


def gather_page(state: KeyedState, key: str, midnight_ms: int) -> None:
    """Let a page say what it knows, or forget it.

    Parameters
    ----------
    state
        Of the pages stage.
    key
        Of its `Reading`.
    midnight_ms
        Its deadline.
    """
    site, _, page = key[1:].partition(SEPARATOR)
    of_site: SiteReadings = state.get(f"y{site}")
    reading: Reading = state.get(key)
    reading.age(midnight_ms // DAY_MS)
    if reading.views < FORGOTTEN:
        of_site.pages -= 1
        state.delete(key)
    else:
        table: SiteTable = state.get(f"v{site}") or SiteTable()
        record: PageRecord | None = state.get(f"p{site}{SEPARATOR}{page}")
        is_broken = record is not None and record.alert is not None
        candidate = _sum_up(table, of_site.templates[reading.template], page, reading, is_broken=is_broken)
        if candidate is not None:
            table.candidates.append(candidate)
            if len(table.candidates) > MAX_CANDIDATES:
                table.candidates = _most_seen(table.candidates)[: MAX_CANDIDATES // 2]
            state.put(f"v{site}", table)
        reading.next_ms = midnight_ms + DAY_MS
        state.put(key, reading, reading.next_ms)
    state.put(f"y{site}", of_site, of_site.next_ms)


def decide_table(context: Context, key: str, midnight_ms: int) -> Iterable[Output]:
    """Decide where reading completes visits on a site, and send it if it has changed.

    Parameters
    ----------
    context
        Of the pages stage.
    key
        Of the site's `SiteReadings`.
    midnight_ms
        Its deadline: all its pages have said what they know.
    """
    state, site = context.state, key[1:]
    of_site: SiteReadings = state.get(key)
    table: SiteTable = state.get(f"v{site}") or SiteTable()
    templates = _listed_templates(of_site, table)
    pages = _listed_pages(of_site, table, templates)
    has_changed = (templates, pages) != (table.templates, table.pages)
    if has_changed or table.candidates:
        table = SiteTable(table.version + has_changed, templates, pages)
        state.put(f"v{site}", table)
    of_site.next_ms = midnight_ms + DAY_MS
    of_site.templates = {
        name: _anew(of_template) for name, of_template in of_site.templates.items() if of_template.sums.views
    }
    of_site.shares = {name: share for name, share in of_site.shares.items() if name in of_site.templates}
    if of_site.pages:
        state.put(key, of_site, of_site.next_ms)
    else:
        state.delete(key)
        state.delete(f"v{site}")
    if not has_changed:
        return ()
    upstream, offset, number = context.origin()
    # Models send into the same log from the same records: by one name, of two only the later would be taken.
    origin = (f"pages:{upstream}", offset, number)
    value = ServedTable(origin, site, table.version, midnight_ms + LEAD_MS, templates, pages)
    name = f"{site}:served"
    return (Output("visitor-events", site, value, name, midnight_ms, table.version, EVERY_PARTITION),)


def _sum_up(
    table: SiteTable, of_template: TemplateReading, page: str, reading: Reading, *, is_broken: bool
) -> Candidate | None:
    """Add a page to its template; give what it says by itself, None where that is too little.

    A page that has an alert now is broken, whatever it was before.
    """
    left, stayed, leading, usual = reading.left, reading.stayed, reading.leading, of_template.usual
    read = [one + other for one, other in zip(left, stayed, strict=True)]
    sums, views = of_template.sums, reading.views
    sums.read = [round(one + other, 2) for one, other in zip(sums.read, read, strict=True)]
    sums.views += views
    sums.leading += leading
    stratum = stratum_of(sides_of(left, stayed, threshold_of(usual, usual)))
    sums.strata.add(stratum)
    threshold = threshold_of(read, usual)
    sides = sides_of(left, stayed, threshold)
    if is_broken:
        return Candidate(page, reading.template, threshold, False, stratum, views, leading)
    if reading.days < LEAST_DAYS or not sides.are_enough:
        return None
    rise = sides.rise()
    is_listed = table.pages.get(page, NEVER) != NEVER or reading.template in table.templates
    good: bool | None = completes(rise, leading, views, of_template.known, is_listed=is_listed)
    if not good and rise.difference >= LEAST_RISE and not sells(leading, views):
        good = None
    return Candidate(page, reading.template, threshold, good, stratum, views, leading)


def _listed_templates(of_site: SiteReadings, table: SiteTable) -> dict[str, int]:
    listed: list[tuple[float, str, int]] = []
    for name, of_template in of_site.templates.items():
        sums, is_listed = of_template.sums, name in table.templates
        if of_template.days < LEAST_DAYS or not sums.strata.are_enough:
            continue
        rise = sums.strata.rise()
        if completes(rise, sums.leading, sums.views, of_template.known, is_listed=is_listed):
            threshold = threshold_of(of_template.usual, of_template.usual)
            listed.append((-sums.views, name, _steady(threshold, table.templates.get(name))))
    return {name: threshold for _, name, threshold in sorted(listed)[:MAX_LISTED_TEMPLATES]}


def _listed_pages(of_site: SiteReadings, table: SiteTable, templates: dict[str, int]) -> dict[str, int]:
    excluded: dict[str, int] = {}
    listed: dict[str, int] = {}
    for candidate in _most_seen(table.candidates):
        of_template = templates.get(candidate.template)
        threshold = _steady(candidate.threshold, table.pages.get(candidate.page, of_template))
        if of_template is not None:
            if candidate.completes is False:
                excluded[candidate.page] = NEVER
            elif threshold != of_template:
                listed[candidate.page] = threshold
        elif candidate.completes and not _is_odd(of_site.templates[candidate.template].sums, candidate):
            listed[candidate.page] = threshold
    # Who is left out here is judged by its template: those first where that would be wrong.
    return dict(list((excluded | listed).items())[:MAX_LISTED_PAGES])


def _steady(threshold: int, before: int | None) -> int:
    """Keep what was said before if it is but one bucket off, or tables would change each day.

    >>> _steady(9, 8), _steady(9, 7), _steady(9, None), _steady(7, NEVER)
    (8, 9, 9, 7)
    """
    return before if before is not None and before >= LEAST and abs(threshold - before) <= 1 else threshold


def _is_odd(sums: Sums, candidate: Candidate) -> bool:
    """Whether the other pages of its template are known to sell, or not to be left because they were read."""
    rest = Strata()
    rest.add(sums.strata)
    rest.add(candidate.strata, -1)
    views = sums.views - candidate.views
    return (rest.are_enough and rest.rise().high < LEAST_RISE) or (
        views >= 1.0 and sells(sums.leading - candidate.leading, views)
    )


def _most_seen(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that are seen most first; of equals by name."""
    return sorted(candidates, key=lambda candidate: (-candidate.views, candidate.page))


def _anew(of_template: TemplateReading) -> TemplateReading:
    """Begin to sum up anew; what was summed up is the usual now, and what was known counts for less."""
    kept = 0.5 ** (1.0 / HALF_LIFE_DAYS)
    known = Known(*(round(kept * views, 2) for views in msgspec.structs.astuple(of_template.known)))
    return TemplateReading(of_template.taught, of_template.days, of_template.sums.read, known)
