"""Page scores: at the end of each hour, the pages of a site in which anything has changed.

All pages of a site set the measure: how much pages of a template differ, and how far their credits spread beyond
chance. Each page's part in that is kept with it and taken anew when it has changed, so an hour costs
as much as has changed in it, however many pages a site has.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from schemas.money import format_amount
from schemas.page_scores import PageScore
from schemas.timestamps import MAX_MS, format_ms
from streams.empirical_nulls import CreditScore, null_spread_of, score, size_of
from streams.page_records import PageRecord, SiteRecord, Sizes, TemplateRecord
from streams.rankings import PageRank, rank_page, spread_of, spread_terms
from streams.record_ids import record_id
from streams.stages import Output
from streams.states import KeyedState
from streams.visitors import SEPARATOR


def measure_page(state: KeyedState, site: str, page: str, at_ms: int) -> None:
    """Take a page's part in the measure anew, and have it scored at `at_ms` with all others of the site.

    Parameters
    ----------
    state
        Of the pages stage.
    site, page
        Which page.
    at_ms
        The full hour (event time, ms).
    """
    of_site: SiteRecord = state.get(f"s{site}")
    record: PageRecord = state.get(f"p{site}{SEPARATOR}{page}")
    measured = record.measured
    key = f"t{site}{SEPARATOR}{record.template}"
    of_template: TemplateRecord = state.get(key)
    weight, excess = spread_terms(record.totals, _noise_variance(of_site))
    of_template.weight += weight - measured.weight
    of_template.excess += excess - measured.excess
    measured.weight, measured.excess = weight, excess
    state.put(key, of_template)
    size = size_of(record.credit)
    if size != measured.size:
        sizes: Sizes = state.get(f"z{site}") or Sizes()
        for place, more in ((measured.size, -1), (size, 1)):
            if place is not None:
                pages = sizes.pages.get(place, 0) + more
                if pages:
                    sizes.pages[place] = pages
                else:
                    del sizes.pages[place]
        measured.size = size
        state.put(f"z{site}", sizes)
    state.put(f"p{site}{SEPARATOR}{page}", record)
    if page not in of_site.changed[-1:]:
        of_site.changed.append(page)
    of_site.score_ms = at_ms
    state.put(f"s{site}", of_site, at_ms)


def score_pages(state: KeyedState, site: str, as_of_ms: int) -> Iterable[Output]:
    """Score the pages that were measured for this hour. About 20 µs each.

    Parameters
    ----------
    state
        Of the pages stage.
    site
        Whose pages.
    as_of_ms
        Event time (ms): all that was due before it is counted.
    """
    of_site: SiteRecord = state.get(f"s{site}")
    changed = dict.fromkeys(of_site.changed)
    of_site.changed, of_site.score_ms, of_site.scored_ms = [], None, as_of_ms
    state.put(f"s{site}", of_site)
    sizes: Sizes = state.get(f"z{site}") or Sizes()
    null_spread = null_spread_of(sizes.pages)
    noise_variance = _noise_variance(of_site)
    for page in changed:
        key = f"p{site}{SEPARATOR}{page}"
        record: PageRecord = state.get(key)
        of_template: TemplateRecord = state.get(f"t{site}{SEPARATOR}{record.template}")
        place = rank_page(
            page,
            record.totals,
            spread_of(of_template.weight, of_template.excess),
            noise_variance,
            of_template.purchased / of_template.went_on if of_template.went_on else 0.0,
            of_site.money.average_minor,
        )
        record.revision += 1
        state.put(key, record)
        yield _record(site, page, record, place, score(record.credit, null_spread), of_site, as_of_ms)


def _noise_variance(of_site: SiteRecord) -> float:
    return of_site.state.noise / of_site.state.noise_weight


def _record(
    site: str,
    page: str,
    record: PageRecord,
    place: PageRank,
    credit: CreditScore,
    of_site: SiteRecord,
    as_of_ms: int,
) -> Output:
    currency = of_site.money.currency
    booked = record.credit.sessions > 0
    name = record_id(f"{site}|{page}")
    # A correction may come before what it corrects: for that while a count is below zero.
    value = PageScore(
        id=name,
        revision=record.revision,
        page=page,
        template=record.template,
        site=site,
        as_of=format_ms(min(as_of_ms, MAX_MS)),
        views=max(0, record.views),
        exits=max(0, record.exits),
        expected_exits=round(record.totals.expected, 3),
        dead_end_exits=max(0, record.reasons.get("dead_end", 0)),
        excess_exits=round(place.excess_exits, 3),
        excess_low=round(place.excess_low, 3),
        excess_high=round(place.excess_high, 3),
        rank_score=round(place.rank_score, 3),
        money_at_stake=None
        if currency is None
        else format_amount(Decimal(place.money_at_stake_minor).scaleb(-2)),
        currency=currency,
        purchase_credit=round(credit.credit, 3) if booked else None,
        credit_low=round(credit.credit_low, 3) if booked else None,
        credit_high=round(credit.credit_high, 3) if booked else None,
        exit_reasons={reason: n for reason, n in sorted(record.reasons.items()) if n > 0},
        settled=place.settled,
    )
    return Output("page-scores", page, value, name, as_of_ms, record.revision)
