"""The ranking finds pages that were always bad, and is not fooled by small ones."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.rankings import MIN_SPREAD, PageTotals, rank, rank_page, sampling_variance, spread

NOISE = 0.04
P_PURCHASE = 0.03
ORDER_MINOR = 5_000.0

totals_of_a_page = st.builds(
    lambda views, exits, p, blocks: PageTotals(
        views, int(views * exits), views * p, views * p * (1 - p), min(views, blocks)
    ),
    views=st.integers(1, 100_000),
    exits=st.floats(0, 1),
    p=st.floats(0.01, 0.99),
    blocks=st.integers(1, 1000),
)


def test_cells_are_counted_and_hours_only_once() -> None:
    totals = PageTotals()
    totals.add([(0.0, 4, 1)], block=7)
    totals.add([(0.0, 2, 2)], block=7)
    totals.add([(0.0, 1, 0)], block=6)
    totals.add([(0.0, 1, 0)], block=9)
    assert totals == PageTotals(views=8, exits=3, expected=4.0, variance=2.0, blocks=2, last_block=9)


def test_totals_survive_json_at_every_step() -> None:
    rng = random.Random(3)
    whole, resumed = PageTotals(), PageTotals()
    for block in range(200):
        cells = [(rng.gauss(-1, 1), 3, rng.randrange(4)) for _ in range(3)]
        whole.add(cells, block)
        resumed = msgspec.json.decode(msgspec.json.encode(resumed), type=PageTotals)
        resumed.add(cells, block)
    assert resumed == whole


@pytest.mark.parametrize("wide", [0.0, 0.02, 0.1])
def test_the_spread_of_a_template_is_recovered(wide: float) -> None:
    rng = random.Random(11)
    pages = []
    for _ in range(400):
        views = rng.choice([50, 500, 3000])
        p = min(0.95, max(0.05, rng.gauss(0.4, wide)))
        exits = sum(rng.random() < p for _ in range(views))
        pages.append(PageTotals(views, exits, 0.4 * views, 0.24 * views, 100))
    assert spread(pages, 0.0) ** 0.5 == pytest.approx(max(0.01, wide), rel=0.15)


def test_a_template_without_views_has_the_least_spread() -> None:
    assert spread([], NOISE) == spread([PageTotals()], NOISE) == MIN_SPREAD


def test_hourly_noise_does_not_shrink_with_more_views_in_the_same_hours() -> None:
    hours = [PageTotals(n, n // 2, n / 2, n / 4, blocks=24) for n in (1_000, 100_000, 10_000_000)]
    variances = [sampling_variance(totals, NOISE) for totals in hours]
    assert variances[0] > variances[1] > variances[2]
    assert variances[2] == pytest.approx(NOISE * 0.25**2 / 24, rel=0.01)


def test_a_few_lost_visitors_do_not_outrank_a_page_that_loses_many() -> None:
    pages = {
        "three of three": PageTotals(3, 3, 1.0, 0.66, 3),
        "great and bad": PageTotals(5000, 2500, 2000.0, 1200.0, 168),
        "great and usual": PageTotals(9000, 3600, 3600.0, 2160.0, 168),
        "great and good": PageTotals(5000, 1600, 2000.0, 1200.0, 168),
    }
    places = rank({"product": pages}, NOISE, P_PURCHASE, ORDER_MINOR)
    assert places[0].page == "great and bad"
    assert places[-1].page == "great and good"
    assert places[0].rank_score > 0 > places[-1].rank_score


def test_money_is_excess_times_purchase_times_order_value_and_never_negative() -> None:
    bad = rank_page("bad", PageTotals(5000, 2500, 2000.0, 1200.0, 168), 0.01, NOISE, P_PURCHASE, ORDER_MINOR)
    good = rank_page(
        "good", PageTotals(5000, 1600, 2000.0, 1200.0, 168), 0.01, NOISE, P_PURCHASE, ORDER_MINOR
    )
    assert bad.money_at_stake_minor == round(bad.excess_exits * 150)
    assert good.excess_exits < 0
    assert good.money_at_stake_minor == 0


@pytest.mark.parametrize(
    ("views", "blocks", "settled"), [(100, 24, True), (99, 24, False), (100, 23, False), (0, 0, False)]
)
def test_a_page_is_settled_from_a_hundred_views_in_a_day_of_hours(
    views: int, blocks: int, settled: bool
) -> None:
    totals = PageTotals(views, views // 2, views * 0.4, views * 0.24, blocks)
    assert rank_page("page", totals, 0.01, NOISE, P_PURCHASE, ORDER_MINOR).settled == settled


@given(totals_of_a_page, st.floats(1e-4, 0.1))
def test_shrinkage_never_exaggerates(totals: PageTotals, between: float) -> None:
    place = rank_page("page", totals, between, NOISE, P_PURCHASE, ORDER_MINOR)
    raw = totals.exits - totals.expected
    assert abs(place.excess_exits) <= abs(raw)
    assert place.excess_exits * raw >= 0
    assert place.excess_low <= place.rank_score <= place.excess_exits <= place.excess_high


@given(st.dictionaries(st.text(min_size=1, max_size=3), totals_of_a_page, max_size=8))
def test_the_order_of_the_input_does_not_matter(pages: dict[str, PageTotals]) -> None:
    ranked = rank({"product": pages}, NOISE, P_PURCHASE, ORDER_MINOR)
    assert [place.page for place in ranked] == [
        place.page for place in sorted(ranked, key=lambda place: (-place.rank_score, place.page))
    ]
    reverse = rank({"product": dict(reversed(pages.items()))}, NOISE, P_PURCHASE, ORDER_MINOR)
    assert [place.page for place in reverse] == [place.page for place in ranked]
