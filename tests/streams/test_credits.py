"""Credit goes to pages that change what visitors do, not to pages on the way to the checkout."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.credits import (
    LEFT_OUT,
    MAX_FIRST_VIEWS,
    WARM_SESSIONS,
    FirstView,
    PageCredit,
    PurchaseModel,
    book_session,
    first_views,
    names,
    names_before,
)
from streams.empirical_nulls import NullSpread, null_spread_of, score, size_of

HELP = ("help", "paid", False, "0", "0", "0", "0")


def common(credits: Iterable[PageCredit]) -> NullSpread:
    """What the pages of a site have in common."""
    sizes = Counter(map(size_of, credits))
    return null_spread_of({place: pages for place, pages in sizes.items() if place is not None})


def book(
    model: PurchaseModel, credits: dict[str, PageCredit], views: Sequence[FirstView], *, purchased: bool
) -> None:
    """Add a session to the credits of its pages, as the pages stage does."""
    for view, p in zip(views, book_session(model, views, purchased=purchased), strict=False):
        credits[view.page].add(p, purchased)


TEMPLATES = ["home", "category", "product", "help", "content", "cart", "checkout"]


def simulated_session(rng: random.Random) -> tuple[list[tuple[str, str]], str, bool, bool]:
    """Walk through a shop in which only /help/good and /help/bad change the chance of a purchase.

    /product/placebo is seen mostly by visitors who have the cart behind them, and changes nothing.
    """
    source, returning = rng.choice(["paid", "direct"]), rng.random() < 0.3
    views = [("/", "home")]
    chance = 0.05 + 0.05 * returning
    views += [(f"/product/{rng.randrange(8)}", "product") for _ in range(rng.randrange(2, 7))]
    page = rng.choice(["/help/good", "/help/bad", "/help/plain", "/help/other"])
    if rng.random() < 0.5:
        views.append((page, "help"))
        chance += {"/help/good": 0.12, "/help/bad": -0.1}.get(page, 0.0)
    if rng.random() < 0.3:
        views.append(("/cart", "cart"))
        chance += 0.35
    if rng.random() < (0.8 if views[-1][0] == "/cart" else 0.1):
        views.append(("/product/placebo", "product"))
    return views, source, returning, rng.random() < chance


@pytest.fixture(scope="module")
def credits() -> dict[str, PageCredit]:
    rng, model = random.Random(5), PurchaseModel()
    booked: dict[str, PageCredit] = defaultdict(PageCredit)
    for _ in range(8000):
        views, source, returning, purchased = simulated_session(rng)
        book(model, booked, first_views(views, source=source, returning=returning), purchased=purchased)
    return booked


def test_the_page_that_persuades_comes_first_and_the_one_that_deters_last(
    credits: dict[str, PageCredit],
) -> None:
    wide = common(credits.values())
    scores = {page: score(credit, wide) for page, credit in credits.items()}
    order = sorted(scores, key=lambda page: scores[page].score, reverse=True)
    assert order[0] == "/help/good"
    assert min(scores, key=lambda page: scores[page].credit) == "/help/bad"
    assert scores["/help/good"].credit_low > 0
    assert scores["/help/bad"].credit_high < 0


def test_pages_that_change_nothing_have_intervals_around_nothing(credits: dict[str, PageCredit]) -> None:
    wide = common(credits.values())
    null = [page for page in credits if page not in ("/help/good", "/help/bad")]
    false = [
        p for p in null if not score(credits[p], wide).credit_low < 0 < score(credits[p], wide).credit_high
    ]
    assert len(false) <= 1


def test_a_placebo_behind_the_cart_gets_no_credit(credits: dict[str, PageCredit]) -> None:
    placebo = score(credits["/product/placebo"], common(credits.values()))
    # Its visitors buy three times as often as others: only what was known before explains them.
    assert placebo.credit_low < 0 < placebo.credit_high


def test_cart_and_checkout_are_never_credited(credits: dict[str, PageCredit]) -> None:
    assert "/cart" not in credits
    views = [(f"/{name}", name) for name in sorted(LEFT_OUT)]
    assert first_views(views, source="paid", returning=False) == []


@pytest.mark.parametrize(("purchased_after", "pages"), [(None, ["/a", "/b"]), (1, ["/a"]), (0, [])])
def test_what_follows_the_purchase_is_left_out(purchased_after: int | None, pages: list[str]) -> None:
    views = [("/a", "home"), ("/b", "help")]
    found = first_views(views, source="paid", returning=False, purchased_after=purchased_after)
    assert [view.page for view in found] == pages


def test_what_was_known_is_what_came_before() -> None:
    views = [("/a", "product"), ("/cart", "cart"), ("/a", "product"), ("/b", "product")]
    first, second = first_views(views, source="email", returning=True)
    assert first.known == ("product", "email", True, "0", "0", "0", "0")
    assert names(*first.known)[-1] == "template-cart:product-False"
    assert names(*second.known) == (
        "template:product", "source:email", "returning:True", "depth:3", "products:2", "information:0",
        "carts:1", "template-cart:product-True",
    )  # fmt: skip


@given(
    st.lists(st.tuples(st.text(max_size=2), st.sampled_from(TEMPLATES)), max_size=80),
    st.integers(0, 80),
)
def test_what_comes_later_never_changes_what_was_known(views: list[tuple[str, str]], cut: int) -> None:
    whole = first_views(views, source="paid", returning=False)
    start = first_views(views[:cut], source="paid", returning=False)
    assert whole[: len(start)] == start
    assert len(whole) <= MAX_FIRST_VIEWS


def test_a_runaway_session_is_bounded() -> None:
    views = [(f"/{number}", "product") for number in range(500)]
    assert len(first_views(views, source="paid", returning=False)) == MAX_FIRST_VIEWS == 50


def test_residuals_are_booked_before_anything_of_the_session_is_learned() -> None:
    model = PurchaseModel(sessions=WARM_SESSIONS)
    booked: dict[str, PageCredit] = defaultdict(PageCredit)
    views = [FirstView("/a", HELP), FirstView("/b", HELP)]
    book(model, booked, views, purchased=True)
    assert booked["/a"] == booked["/b"] == PageCredit(1, 0.5, 0.25, 0.25, 0.5)
    assert model.regression.predict(HELP, names).probability > 0.5


def test_the_first_sessions_of_a_site_are_learned_and_not_booked() -> None:
    model = PurchaseModel()
    booked: dict[str, PageCredit] = defaultdict(PageCredit)
    views = [FirstView("/a", HELP)]
    for _ in range(WARM_SESSIONS):
        book(model, booked, views, purchased=False)
    assert not booked
    book(model, booked, views, purchased=False)
    assert booked["/a"].sessions == 1
    assert booked["/a"].residual > -0.1


def test_serialise_and_resume_at_every_step_equals_an_uninterrupted_run() -> None:
    rng = random.Random(9)
    models, tables = [PurchaseModel(), PurchaseModel()], [dict[str, PageCredit](), dict[str, PageCredit]()]
    for _ in range(WARM_SESSIONS + 100):
        views, source, returning, purchased = simulated_session(rng)
        found = first_views(views, source=source, returning=returning)
        models[1] = msgspec.json.decode(msgspec.json.encode(models[1]), type=PurchaseModel)
        tables[1] = msgspec.json.decode(msgspec.json.encode(tables[1]), type=dict[str, PageCredit])
        for model, table in zip(models, tables, strict=True):
            for view in found:
                table.setdefault(view.page, PageCredit())
            book(model, table, found, purchased=purchased)
    assert models[0] == models[1]
    assert tables[0] == tables[1]


def test_a_template_is_credited_beyond_what_was_known_but_the_template() -> None:
    rng, model = random.Random(3), PurchaseModel()
    booked: dict[str, PageCredit] = defaultdict(PageCredit)
    for _ in range(4000):
        informed = rng.random() < 0.5
        # A product was there before: who sees another is what who reads help is compared with.
        views = [("/", "product"), ("/sizes", "help") if informed else ("/p", "product")]
        found = first_views(views, source="paid", returning=False)
        purchased = rng.random() < (0.3 if informed else 0.1)
        chances = book_session(model, found, purchased=purchased, names=names_before, left_out=1)
        for view, p in zip(found, chances, strict=False):
            booked[view.known[0]].add(p, purchased)
    # Half of the 20 points are what a usual second page is worth.
    assert 0.07 < booked["help"].residual / booked["help"].sessions < 0.13
    assert score(booked["help"]).credit_low > 0 > score(booked["product"]).credit_low
