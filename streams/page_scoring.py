"""Page scores: at the end of each hour, the pages of a site in which anything has changed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from schemas.money import format_amount
from schemas.page_scores import PageScore
from schemas.timestamps import MAX_MS, format_ms
from streams.credits import CreditScore, score, widening
from streams.page_records import PageRecord, SiteRecord, TemplateRecord
from streams.rankings import PageRank, rank_page, spread
from streams.stages import Output
from streams.states import KeyedState


def score_pages(state: KeyedState, site: str, as_of_ms: int) -> Iterable[Output]:
    """Score the pages that have changed since the last time.

    All pages of the site set the measure: how much pages of a template differ, and how much wider than chance
    the credits are spread. About 10 µs a page of the site, and as much again for each that has changed.

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
    changed, of_site.changed, of_site.scored_ms = of_site.changed, {}, as_of_ms
    state.put(f"s{site}", of_site)
    records: dict[str, dict[str, PageRecord]] = {}
    templates: dict[str, TemplateRecord] = {}
    for template in of_site.templates:
        of_template = templates[template] = state.get(f"t{site}|{template}")
        records[template] = {page: state.get(f"p{site}|{page}") for page in of_template.pages}
    wider = widening(record.credit for pages in records.values() for record in pages.values())
    noise_variance = of_site.state.noise / of_site.state.noise_weight
    for template, pages in records.items():
        some = [page for page in pages if page in changed]
        if not some:
            continue
        of_template = templates[template]
        between = spread([record.totals for record in pages.values()], noise_variance)
        p_purchase = of_template.purchased / of_template.went_on if of_template.went_on else 0.0
        for page in some:
            record = pages[page]
            place = rank_page(
                page, record.totals, between, noise_variance, p_purchase, of_site.money.average_minor
            )
            record.revision += 1
            state.put(f"p{site}|{page}", record)
            yield _record(site, page, record, place, score(record.credit, wider), of_site, as_of_ms)


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
    name = f"{site}|{page}"
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
