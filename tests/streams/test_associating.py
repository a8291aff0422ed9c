"""Purchase associations: once a day every page's place, its money, the placebo's place, and experiments to try."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest

from schemas.purchase_associations import PurchaseAssociation
from schemas.site_events import ExampleView, SessionExample
from schemas.timestamps import parse_time
from streams.association_records import NAMES_A_ROW, PageNames, SiteAssociations, list_page, listed_pages
from streams.credits import WARM_SESSIONS
from streams.page_records import STATE_TYPES
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, ContentGroup, Settings
from streams.states import KeyedState
from tests.streams.site_logs import BEGINNING, SITE, Run, bought, page_of, session

GROUPS = (ContentGroup("/good", "advice"), ContentGroup("/faq", "advice"))
TEMPLATES = {"home": "home", "cart": "cart"} | {f"p{n}": "product" for n in range(5)}
SETTINGS = Settings(content_groups=GROUPS)


def visits(seed: int, number: int) -> Iterator[SessionExample]:
    """Sessions of a day in which only the page `good` moves anyone; who sees it purchases three times as often."""
    rng = random.Random(seed)
    for n in range(number):
        pages = ["home", rng.choice(["p0", "p1", "p2", "p3"])]
        page = rng.choice(["good", "faq", "other", "blog"])
        pages.append(page if rng.random() < 0.6 else "p4")
        chance = 0.3 if "good" in pages else 0.1
        after = n * (DAY_MS - 2 * HOUR_MS) // number
        name = f"s{seed}-{n}"
        if rng.random() < chance:
            pages.append("cart")
            record = session(
                after, *pages, exit_=bought("cart", "19.9"), session_id=name, purchased_at=BEGINNING + after
            )
        else:
            record = session(after, *pages, session_id=name)
        views = [
            ExampleView(view.occurred_at, view.page, TEMPLATES.get(view.template, "help"))
            for view in record.views
        ]
        yield msgspec.structs.replace(record, views=tuple(views))


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(settings=SETTINGS).follow(visits(3, 4_000)).end()


@pytest.fixture(scope="module")
def said(run: Run) -> dict[str, PurchaseAssociation]:
    return {f"{one.scope}:{one.value.rpartition('/')[2]}": one for one in run.associations}


def test_they_are_written_once_a_full_day_for_all_of_it(run: Run) -> None:
    times = sorted({parse_time(one.as_of) for one in run.associations})
    assert all(at % DAY_MS == 0 for at in times)
    assert len(times) == len({(one.id, one.revision) for one in run.associations if one.scope == "placebo"})
    assert [one.revision for one in run.associations] == sorted(one.revision for one in run.associations)
    # Nothing comes without sessions.
    assert len(times) <= 2


def test_the_page_that_moves_visitors_comes_first_and_is_suggested(
    said: dict[str, PurchaseAssociation],
) -> None:
    good = said["page:good"]
    assert good.place == 1
    assert good.credit_low > 0
    assert good.p_associated > 0.9
    assert good.experiment is not None
    assert 0.08 < good.experiment.usual_rate < 0.2
    low, change, high = (
        good.experiment.change_low,
        good.experiment.expected_change,
        good.experiment.change_high,
    )
    assert low < change < high
    assert 0.05 < change < 0.2
    assert 50 < good.experiment.sessions_needed < 2_000
    others = [one for one in said.values() if one.scope == "page" and one is not good]
    assert {one.experiment for one in others if one.credit_low <= 0} == {None}


def test_places_are_those_of_the_scores_and_the_placebo_has_its_place(
    said: dict[str, PurchaseAssociation],
) -> None:
    placed = sorted(
        (one for one in said.values() if one.scope == "page" and one.place), key=lambda one: one.place or 0
    )
    assert [one.place for one in placed] == list(range(1, len(placed) + 1))
    assert all(one.score >= other.score for one, other in pairwise(placed))
    placebo = said["placebo:"]
    assert placebo.place == 1 + sum(one.score > placebo.score for one in placed)
    assert placebo.place > 1
    assert placebo.credit_low < 0 < placebo.credit_high
    assert {one.pages for one in [*placed, placebo]} == {len(placed)}
    assert placebo.sessions > 100
    assert (placebo.revenue_passed, placebo.experiment, placebo.removal_purchase) == (None, None, None)


def test_cart_has_revenue_and_no_place(said: dict[str, PurchaseAssociation]) -> None:
    cart = said["page:cart"]
    assert (cart.place, cart.sessions, cart.revenue_share, cart.revenue_last_touch) == (None, 0, 1.0, "0")


def test_money_is_credit_times_the_average_order(said: dict[str, PurchaseAssociation]) -> None:
    good = said["page:good"]
    for money, credit in (
        (good.credit_money, good.credit),
        (good.credit_money_low, good.credit_low),
        (good.credit_money_high, good.credit_high),
    ):
        assert float(money or "nan") == pytest.approx(credit * 19.9, abs=0.05)
    assert good.currency == "EUR"


def test_revenue_passes_exactly(said: dict[str, PurchaseAssociation]) -> None:
    home = said["page:home"]
    buyers = [one for one in visits(3, 4_000) if one.exit.orders]
    assert home.orders_passed == len(buyers)
    assert home.revenue_passed == f"{len(buyers) * 199 / 10:g}"
    last = [one for one in said.values() if one.scope == "page" and one.revenue_last_touch]
    assert sum(round(10 * float(one.revenue_last_touch or 0)) for one in last) == len(buyers) * 199
    assert all(
        float(one.revenue_assisted or 0)
        == pytest.approx(float(one.revenue_passed or 0) - float(one.revenue_last_touch or 0))
        for one in last
    )


def test_templates_and_content_groups_are_credited_too(said: dict[str, PurchaseAssociation]) -> None:
    # The cart follows the decision: nothing is said of it but on its page.
    assert {one.value for one in said.values() if one.scope == "template"} == {"home", "product", "help"}
    assert said["template:help"].credit > said["template:product"].credit
    assert said["template:home"].revenue_share == 1.0
    assert {one.value for one in said.values() if one.scope == "content_group"} == {"advice"}
    advice, good, faq = said["content_group:advice"], said["page:good"], said["page:faq"]
    assert advice.sessions == good.sessions + faq.sessions  # nobody sees both
    assert (advice.place, advice.template) == (None, None)


def test_removal_effects_come_from_the_second_day_on(run: Run) -> None:
    first, *_ = [one for one in run.associations if one.value == page_of("good")]
    again = Run(settings=SETTINGS).follow(visits(3, 2_000))
    again.mark(DAY_MS).follow(later(visits(4, 2_000), 2 * DAY_MS)).end()
    second = [one for one in again.associations if one.value == page_of("good")][-1]
    assert first.removal_purchase is None
    assert 0.1 < (second.removal_purchase or 0.0) < 0.6
    assert (second.removal_purchase or 0.0) > (second.removal_dead_end or 0.0) > 0.0


def later(records: Iterator[SessionExample], by_ms: int) -> Iterator[SessionExample]:
    for record in records:
        purchased_at = None if record.purchased_at is None else record.purchased_at + by_ms
        yield msgspec.structs.replace(record, due_ms=record.due_ms + by_ms, purchased_at=purchased_at)


def test_the_pace_is_a_setting() -> None:
    run = Run(settings=Settings(associate_every_ms=2 * HOUR_MS)).follow(visits(5, 300)).end()
    times = {parse_time(one.as_of) for one in run.associations}
    assert len(times) > 10
    assert all(at % (2 * HOUR_MS) == 0 for at in times)


def test_a_restart_in_the_middle_changes_no_byte() -> None:
    whole = Run(settings=SETTINGS).follow(visits(7, 900)).end()
    records = list(visits(7, 900))
    parted = Run(settings=SETTINGS)
    for begin in range(0, 900, 90):
        parted.follow(records[begin : begin + 90])
        parted.resume()
    parted.end()
    assert [msgspec.json.encode(one) for one in parted.associations] == [
        msgspec.json.encode(one) for one in whole.associations
    ]


def test_without_purchases_there_is_no_money_and_no_error() -> None:
    run = (
        Run()
        .follow([session(n * MINUTE_MS, "home", session_id=f"s{n}") for n in range(WARM_SESSIONS + 50)])
        .end()
    )
    placebo = run.associations[-1]
    # Where no page informs, nobody sees the placebo.
    assert (placebo.scope, placebo.currency, placebo.sessions, placebo.place) == ("placebo", None, 0, None)
    assert all(one.credit <= 0 for one in run.associations)


def test_names_of_pages_stand_in_rows_of_their_own() -> None:
    state, of_site = KeyedState(STATE_TYPES), SiteAssociations()
    names = [f"p{n}" for n in range(2 * NAMES_A_ROW + 1)]
    for name in names:
        list_page(state, SITE, of_site, name)
    assert list(listed_pages(state, SITE, of_site)) == names
    rows = [record for record in state._records.values() if isinstance(record, PageNames)]
    assert [len(row.names) for row in rows] == [NAMES_A_ROW, NAMES_A_ROW, 1]
