"""Page scores: which pages are written, on what measure, and in a form that readers can read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from schemas.page_scores import PageScore
from schemas.timestamps import MAX_MS, format_ms
from streams.credits import PageCredit
from streams.page_records import STATE_TYPES, Money, PageRecord, SiteRecord, TemplateRecord
from streams.page_scoring import measure_page, score_pages
from streams.rankings import PageTotals, rank
from streams.states import KeyedState
from streams.visitors import SEPARATOR

NOON = 1_700_000_000_000
SITE = "shop"
NOISE = 20.0 / 500.0
"""Variance between hours before anything is learned."""

GREAT = PageTotals(views=1_000, exits=600, expected=500.0, variance=250.0, blocks=100)
SMALL = PageTotals(views=10, exits=10, expected=5.0, variance=2.5, blocks=5)
USUAL = PageTotals(views=500, exits=250, expected=250.0, variance=125.0, blocks=90)


def pages(
    templates: Mapping[str, Mapping[str, PageRecord]], changed: list[str], money: Money | None = None
) -> KeyedState:
    """Give the state of a site with these pages."""
    state = KeyedState(STATE_TYPES)
    state.put(f"s{SITE}", SiteRecord(money=money or Money()))
    for template, records in templates.items():
        state.put(f"t{SITE}{SEPARATOR}{template}", TemplateRecord(went_on=40, purchased=10))
        for page, record in records.items():
            state.put(f"p{SITE}{SEPARATOR}{page}", record)
            measure_page(state, SITE, page, NOON)
    state.get(f"s{SITE}").changed = sorted(changed)
    return state


def scored(state: KeyedState, as_of_ms: int = NOON) -> dict[str, PageScore]:
    """Score, and read as subscribers do."""
    outputs = list(score_pages(state, SITE, as_of_ms))
    assert all(output.key == output.value.page for output in outputs)
    assert all(
        output.id == output.value.id and output.revision == output.value.revision for output in outputs
    )
    return {
        output.value.page: msgspec.json.decode(msgspec.json.encode(output.value), type=PageScore)
        for output in outputs
    }


def test_only_what_has_changed_is_written_and_then_nothing() -> None:
    records = {name: PageRecord("help", totals=USUAL) for name in ("a", "b", "c")}
    state = pages({"help": records}, ["c", "a"])
    assert list(scored(state)) == ["a", "c"]
    assert scored(state) == {}
    assert [record.revision for record in records.values()] == [1, 0, 1]


def test_all_pages_of_a_template_set_the_measure() -> None:
    helps = {"great": GREAT, "small": SMALL, "usual": USUAL}
    products = {"p": PageTotals(900, 450, 450.0, 225.0, 90)}
    state = pages(
        {
            "help": {name: PageRecord("help", totals=totals) for name, totals in helps.items()},
            "product": {name: PageRecord("product", totals=totals) for name, totals in products.items()},
        },
        ["great", "p"],
        Money("EUR", 4, "100"),
    )
    places = {place.page: place for place in rank({"help": helps, "product": products}, NOISE, 0.25, 2_500.0)}
    for page, score in scored(state).items():
        place = places[page]
        assert score.excess_exits == round(place.excess_exits, 3)
        assert score.rank_score == round(place.rank_score, 3)
        assert (score.excess_low, score.excess_high) == (
            round(place.excess_low, 3),
            round(place.excess_high, 3),
        )
        assert float(score.money_at_stake or -1) == place.money_at_stake_minor / 100
        assert (score.settled, score.currency) == (place.settled, "EUR")


def test_a_small_page_does_not_win_by_luck() -> None:
    state = pages(
        {"help": {n: PageRecord("help", totals=t) for n, t in (("g", GREAT), ("s", SMALL))}}, ["g", "s"]
    )
    scores = scored(state)
    assert scores["g"].rank_score > scores["s"].rank_score
    assert (scores["g"].settled, scores["s"].settled) == (True, False)


def test_counts_are_those_of_the_page() -> None:
    record = PageRecord(
        "help", views=1_200, exits=610, reasons={"served": 9, "dead_end": 600, "bot": 0}, totals=GREAT
    )
    score = scored(pages({"help": {"a": record}}, ["a"]))["a"]
    assert (score.views, score.exits, score.dead_end_exits) == (1_200, 610, 600)
    assert score.exit_reasons == {"dead_end": 600, "served": 9}
    assert (score.id, score.site, score.template, score.as_of) == ("shop|a", SITE, "help", format_ms(NOON))
    assert (score.expected_exits, score.money_at_stake, score.purchase_credit) == (500.0, None, None)


def test_what_a_correction_has_overtaken_is_not_below_zero() -> None:
    record = PageRecord("help", views=-3, exits=-1, reasons={"dead_end": -1, "served": -2, "bot": 1})
    score = scored(pages({"help": {"a": record}}, ["a"]))["a"]
    assert (score.views, score.exits, score.dead_end_exits, score.exit_reasons) == (0, 0, 0, {"bot": 1})


@pytest.mark.parametrize(
    ("revenue", "orders"), [("100", 4), ("0.1", 3), ("99999999999", 1), ("0", 5), ("-20", 2), ("19.99", 7)]
)
def test_money_is_written_as_exact_amounts_are(revenue: str, orders: int) -> None:
    state = pages({"help": {"a": PageRecord("help", totals=GREAT)}}, ["a"], Money("EUR", orders, revenue))
    score = scored(state)["a"]
    expected = max(0.0, score.excess_exits) * 0.25 * float(revenue) / orders
    assert float(score.money_at_stake or -1) == pytest.approx(expected, rel=0.001, abs=0.01)


def test_credit_is_shrunk_and_widened_by_how_far_pages_spread() -> None:
    def record(residual: float) -> PageRecord:
        return PageRecord("help", credit=PageCredit(1000, residual, 400.0, 400.0))

    calm = scored(pages({"help": {"a": record(50.0)}}, ["a"]))["a"]
    others = {f"o{n}": record(sign * 54.0) for n, sign in enumerate((-1, 1, -1, 1))}
    spread = scored(pages({"help": {"a": record(50.0), **others}}, ["a"]))["a"]
    assert 50.0 > (calm.purchase_credit or 0.0) > (spread.purchase_credit or 0.0) > 0.0
    assert (calm.credit_low or 0.0) > 0.0 > (spread.credit_low or 0.0)
    widths = [(score.credit_high or 0.0) - (score.credit_low or 0.0) for score in (calm, spread)]
    assert widths[1] / widths[0] == pytest.approx(
        54.0 / 20.0 / 0.6745, rel=0.25
    )  # sizes are counted in places


def test_a_page_moves_from_place_to_place_in_the_measure() -> None:
    state = pages({"help": {"a": PageRecord("help", credit=PageCredit(100, 5.0, 20.0, 25.0))}}, ["a"])
    for residual in (15.0, -15.0, 5.0):
        record = state.get(f"p{SITE}{SEPARATOR}a")
        record.credit.residual = residual
        measure_page(state, SITE, "a", NOON)
        assert sum(state.get(f"z{SITE}").pages.values()) == 1
    assert len(state.get(f"z{SITE}").pages) == 1


def test_a_page_of_which_nothing_is_known_is_written_all_the_same() -> None:
    score = scored(pages({"help": {"a": PageRecord("help")}}, ["a"], Money("EUR", 1, "5")))["a"]
    assert (score.views, score.excess_exits, score.money_at_stake, score.settled) == (0, 0.0, "0", False)


def test_a_time_after_the_year_9999_is_written_as_its_end() -> None:
    state = pages({"help": {"a": PageRecord("help")}}, ["a"])
    assert scored(state, MAX_MS + 1)["a"].as_of == format_ms(MAX_MS)
