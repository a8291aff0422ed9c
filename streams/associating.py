"""Purchase associations of a site: once a day, all pages, templates and content groups, and the placebo among them.

Whoever reads them sees every page's place as of one time. A page's place says little behind the placebo's.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.money import format_amount
from schemas.purchase_associations import AssociationScope, PurchaseAssociation, SuggestedExperiment
from schemas.timestamps import MAX_MS, format_ms
from streams.association_records import SiteAssociations, listed_pages
from streams.credits import PageCredit
from streams.empirical_nulls import MIN_VARIANCE, CreditScore, NullSpread, null_spread_of, score, size_of
from streams.page_records import GroupRecord, Money, PageRecord, SiteRecord, Sizes, TemplateRecord
from streams.page_revenues import PageRevenue
from streams.record_ids import record_id
from streams.removal_effects import Removal
from streams.sample_sizes import sessions_per_arm
from streams.stages import Output
from streams.states import KeyedState
from streams.transitions import CHAIN_PAGES, removals, renew_chain
from streams.visitors import SEPARATOR

TOPIC = "purchase-associations"
SUGGESTIONS = 5
"""Pages for which an experiment is suggested."""
NO_REVENUE = PageRevenue()


class Ranked(NamedTuple):
    """A page, its template, its record and its credit's score."""

    page: str
    record: PageRecord
    score: CreditScore


def associate(state: KeyedState, site: str, as_of_ms: int) -> Iterable[Output]:
    """Say what goes along with purchases at a site. About 20 µs a page, and up to 0.1 s for the removal effects.

    Parameters
    ----------
    state
        Of the pages stage.
    site
        Which.
    as_of_ms
        Event time (ms): all that was due before it is counted.
    """
    of_site: SiteAssociations = state.get(f"a{site}")
    of_site.revision += 1
    of_site.as_of_ms = as_of_ms
    state.put(f"a{site}", of_site)
    money = (state.get(f"s{site}") or SiteRecord()).money
    sizes: Sizes = state.get(f"z{site}") or Sizes()
    spread = null_spread_of(sizes.pages)
    records = _records(state, site, of_site)
    ranked = sorted(
        (
            Ranked(page, record, score(record.credit, spread))
            for page, record in records.items()
            if record.credit.variance >= MIN_VARIANCE
        ),
        key=lambda one: (-one.score.score, one.page),
    )
    effects = removals(state, site)
    writer = _Writer(site, of_site.revision, as_of_ms, money, len(ranked))
    suggestions = SUGGESTIONS
    placed = set()
    for place, (page, record, found) in enumerate(ranked, 1):
        experiment = None
        if suggestions and found.credit_low > 0.0:
            experiment = suggested(record.credit, found)
            suggestions -= experiment is not None
        placed.add(page)
        yield writer.page(page, record, found, place, effects.get(page), experiment)
    for page, record in records.items():
        if page not in placed and (record.revenue.orders or page in effects):
            yield writer.page(page, record, score(record.credit, spread), None, effects.get(page), None)
    yield from _wider(state, site, writer, "template", of_site.templates, spread)
    yield from _wider(state, site, writer, "content_group", of_site.groups, spread)
    placebo = score(of_site.placebo.credit, spread)
    seen = of_site.placebo.credit.sessions > 0
    behind = 1 + sum(one.score.score > placebo.score for one in ranked) if seen else None
    yield writer.write("placebo", "", of_site.placebo.credit, placebo, place=behind)
    busiest = sorted(records, key=lambda page: (-records[page].totals.views, page))[:CHAIN_PAGES]
    renew_chain(state, site, [(page, records[page].template) for page in busiest])


def suggested(credit: PageCredit, found: CreditScore) -> SuggestedExperiment | None:
    """Return the experiment that would tell whether a page's association is an effect; None where none could.

    Examples
    --------
    >>> credit = PageCredit(sessions=4000, residual=60.0, squares=190.0, variance=190.0, expected=200.0)
    >>> found = suggested(credit, score(credit))
    >>> found.usual_rate, found.expected_change, found.sessions_needed
    (0.05, 0.01452, 8034)
    """
    n = credit.sessions
    usual = credit.expected / n
    needed = sessions_per_arm(usual, usual + found.credit / n)
    if needed is None:
        return None
    return SuggestedExperiment(
        usual_rate=round(min(1.0, max(0.0, usual)), 5),
        expected_change=round(found.credit / n, 5),
        change_low=round(found.credit_low / n, 5),
        change_high=round(found.credit_high / n, 5),
        sessions_needed=2 * needed,
    )


class _Writer(NamedTuple):
    """Writes the records of a site as of one time."""

    site: str
    revision: int
    as_of_ms: int
    money: Money
    pages: int

    def page(
        self,
        page: str,
        record: PageRecord,
        found: CreditScore,
        place: int | None,
        removal: Removal | None,
        experiment: SuggestedExperiment | None,
    ) -> Output:
        """Write a page."""
        return self.write(
            "page",
            page,
            record.credit,
            found,
            record.revenue,
            template=record.template,
            place=place,
            removal_purchase=None if removal is None else _share(removal.purchase),
            removal_dead_end=None if removal is None else _share(removal.dead_end),
            experiment=experiment,
        )

    def write(
        self,
        scope: AssociationScope,
        value: str,
        credit: PageCredit,
        found: CreditScore,
        revenue: PageRevenue = NO_REVENUE,
        **fields: Any,
    ) -> Output:
        """Write one scope and value."""
        name = f"{self.site}|{scope}:{value}"
        id_ = record_id(name)
        money: dict[str, Any] = {}
        if self.money.currency is not None:
            order_value = self.money.average_minor
            passed, last, all_ = (
                Decimal(amount) for amount in (revenue.passed, revenue.last_touch, self.money.revenue)
            )
            money = {
                "currency": self.money.currency,
                "credit_money": _amount(found.credit * order_value),
                "credit_money_low": _amount(found.credit_low * order_value),
                "credit_money_high": _amount(found.credit_high * order_value),
            }
            if scope != "placebo":
                money |= {
                    "orders_passed": max(0, revenue.orders),
                    "revenue_passed": format_amount(passed),
                    "revenue_share": round(float(passed / all_), 4) if all_ > 0 else None,
                    "revenue_last_touch": format_amount(last),
                    "revenue_assisted": format_amount(passed - last),
                }
        if fields.get("place") is not None:
            fields["pages"] = self.pages
        association = PurchaseAssociation(
            id=id_,
            revision=self.revision,
            scope=scope,
            value=value,
            site=self.site,
            as_of=format_ms(min(self.as_of_ms, MAX_MS)),
            sessions=credit.sessions,
            credit=round(found.credit, 3),
            credit_low=round(found.credit_low, 3),
            credit_high=round(found.credit_high, 3),
            p_associated=round(found.p_associated, 4),
            score=round(found.score, 3),
            **money,
            **fields,
        )
        return Output(TOPIC, name, association, id_, self.as_of_ms, self.revision)


def _wider(
    state: KeyedState,
    site: str,
    writer: _Writer,
    scope: AssociationScope,
    values: list[str],
    pages: NullSpread,
) -> Iterable[Output]:
    """Write templates or content groups: their bulk is their own, and never less than that of pages."""
    kind = "t" if scope == "template" else "n"
    records: dict[str, TemplateRecord | GroupRecord] = {
        value: state.get(f"{kind}{site}{SEPARATOR}{value}") for value in values
    }
    sizes: dict[int, int] = {}
    for record in records.values():
        size = size_of(record.credit)
        if size is not None:
            sizes[size] = sizes.get(size, 0) + 1
    own = null_spread_of(sizes)
    spread = NullSpread(max(own.bulk, pages.bulk), own.share)
    for value, record in records.items():
        if record.credit.sessions or record.revenue.orders:
            yield writer.write(scope, value, record.credit, score(record.credit, spread), record.revenue)


def _records(state: KeyedState, site: str, of_site: SiteAssociations) -> dict[str, PageRecord]:
    return {name: state.get(f"p{site}{SEPARATOR}{name}") for name in listed_pages(state, site, of_site)}


def _amount(minor: float) -> str:
    return format_amount(Decimal(round(minor)).scaleb(-2))


def _share(share: float) -> float:
    return round(min(1.0, max(0.0, share)), 4)
