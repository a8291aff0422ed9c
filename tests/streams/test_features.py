from __future__ import annotations

from itertools import zip_longest
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.site_events import ExampleAction, ExampleView, Exit, SessionExample
from schemas.visitor_events import ModelWeights
from streams.features import PURCHASED, TEMPLATES, Journey, journeys, score, template_word, walk

Views = tuple[ExampleView, ...]
Actions = tuple[ExampleAction, ...]

BEGINNING = 1_767_571_200_000
TEN_SECONDS = 10_000

templates = st.sampled_from([*TEMPLATES, "blog/2", "order_tracking"])
views = st.lists(
    st.builds(ExampleView, st.integers(0, 10**7), st.sampled_from(["a", "b"]), templates),
    min_size=1,
    max_size=30,
).map(lambda found: tuple(sorted(found, key=lambda view: view.occurred_at)))
names = st.sampled_from(["add_to_cart", "remove_from_cart", "search", "checkout_started", "error", "scroll"])
actions = st.lists(st.builds(ExampleAction, st.integers(0, 10**7), names), max_size=10).map(
    lambda found: tuple(sorted(found, key=lambda action: action.occurred_at))
)


def journey(started_at: int = 0) -> Journey:
    return Journey.start("paid", "mobile", returning=False, known_customer=False, started_at=started_at)


def example(**changes: Any) -> SessionExample:
    usual = SessionExample(
        origin=("visitor-events/0", 0, 0),
        site="shop.example",
        session_id="s1",
        due_ms=10**8,
        source="paid",
        device="mobile",
        is_bot=False,
        returning=False,
        views=(ExampleView(0, "a", "home"), ExampleView(TEN_SECONDS, "b", "cart")),
        actions=(),
        exit=Exit("b", "cart", "dead_end", "none"),
    )
    return msgspec.structs.replace(usual, **changes)


def features_of(steps: Views, done: Actions) -> list[dict[str, float]]:
    return [at.features() for at in walk(journey(), steps, done)]


@given(views, actions, st.integers(0, 29))
def test_features_at_a_view_do_not_change_when_later_events_are_appended(
    steps: Views, done: Actions, cut: int
) -> None:
    cut = min(cut, len(steps) - 1)
    known = tuple(action for action in done if action.occurred_at < steps[cut].occurred_at)
    assert features_of(steps[: cut + 1], known) == features_of(steps, done)[: cut + 1]


@given(views, actions, st.integers(0, 29))
def test_a_journey_goes_on_from_its_json_as_if_it_had_not_been_interrupted(
    steps: Views, done: Actions, cut: int
) -> None:
    whole = features_of(steps, done)
    at, waiting = journey(), list(done)
    for number, view in enumerate(steps):
        while waiting and waiting[0].occurred_at < view.occurred_at:
            at.action(waiting[0].occurred_at, waiting.pop(0).name)
        at.view(view.occurred_at, view.page, view.template)
        if number == cut:
            at = msgspec.json.decode(msgspec.json.encode(at), type=Journey)
        assert at.features() == whole[number]


@given(views, actions)
def test_features_have_about_unit_range_and_asking_changes_nothing(steps: Views, done: Actions) -> None:
    for at in walk(journey(), steps, done):
        before = msgspec.json.encode(at)
        first = at.features()
        first["constant"] = 99.0
        assert at.features()["constant"] == 1.0
        assert msgspec.json.encode(at) == before
        assert all(0.0 <= value <= 2.5 for name, value in first.items() if name != "constant")


@pytest.mark.parametrize(
    ("acted_at", "known"),
    [(TEN_SECONDS - 1, True), (TEN_SECONDS, False), (TEN_SECONDS + 1, False)],
    ids=["just before", "at the same instant", "just after"],
)
def test_an_action_is_known_at_a_view_only_if_it_is_older(acted_at: int, known: bool) -> None:
    record = example(actions=(ExampleAction(acted_at, "add_to_cart"),))
    first, second = (at.features() for at in journeys(record))
    assert "cart" not in first
    assert ("cart" in second) is known


def test_an_order_is_known_at_later_views_only() -> None:
    record = example(
        purchased_at=TEN_SECONDS + 1,
        views=(*example().views, ExampleView(2 * TEN_SECONDS, "c", "checkout")),
        actions=(ExampleAction(TEN_SECONDS + 2, "add_to_cart"),),
    )
    seen = [at.features() for at in journeys(record)]
    assert ["purchased" in features for features in seen] == [False, False, True]
    assert "cart" in seen[2]


def test_a_session_begins_with_its_first_event_of_whatever_kind() -> None:
    record = example(actions=(ExampleAction(-TEN_SECONDS, "engagement"),))
    assert {at.started_at for at in journeys(record)} == {-TEN_SECONDS}
    assert list(journeys(example(views=()))) == []


def test_a_removal_empties_the_cart_but_never_below_nothing() -> None:
    at = journey()
    at.view(0, "a", "product")
    for name in ("remove_from_cart", "add_to_cart"):
        at.action(1, name)
    at.view(2, "a", "product")
    assert at.features()["cart"] == 1.0
    at.action(3, "remove_from_cart")
    at.view(4, "a", "product")
    assert "cart" not in at.features()
    assert at.features()["carts"] > 0.0


def test_a_view_older_than_the_one_before_counts_as_simultaneous() -> None:
    at = journey(BEGINNING)
    at.view(BEGINNING + TEN_SECONDS, "a", "home")
    at.view(BEGINNING, "b", "product")
    assert (at.gap_ms, at.viewed_at, at.features()["gap"]) == (0, BEGINNING + TEN_SECONDS, 0.0)


def test_the_names_of_features_are_bounded_whatever_comes() -> None:
    seen: set[str] = set()
    for number in range(3_000):
        at = Journey.start(f"source{number}", f"device{number}", number % 2 == 0, number % 3 == 0, 0)
        for step in range(8):
            at.action(step, PURCHASED if number % 5 == 0 and step == 4 else f"action{number}")
            at.action(step, "add_to_cart")
            at.view(step, f"page{number}", f"template{number * 7 + step}")
        at.depth = number
        seen.update(at.features())
    assert len(seen) < 1_200
    assert len({template_word(f"t{number}") for number in range(10_000)}) == 16


def test_a_very_long_session_costs_no_more_than_its_cap() -> None:
    at = journey()
    for step in range(2_000):
        at.action(step, "search")
        at.view(step, "a", "search")
    assert at.features()["n:search"] == at.features()["searches"] == at.features()["depth"]


@pytest.mark.parametrize(
    ("logit", "probability"), [(0.0, 0.5), (-31.0, 0.0), (31.0, 1.0), (-1e300, 0.0), (1e300, 1.0)]
)
def test_a_score_is_a_probability_even_of_absurd_weights(logit: float, probability: float) -> None:
    weights = ModelWeights(("site-events/0", 0, 0), "shop.example", "p_exit", 1, 0.0, {"constant": logit})
    assert score(weights, {"constant": 1.0, "never seen": 1.0}) == probability


def test_walking_goes_on_with_a_journey_that_had_come_some_way() -> None:
    steps, done = example().views, (ExampleAction(5_000, "add_to_cart"),)
    at = next(walk(journey(), steps[:1], ()))
    resumed = [again.features() for again in walk(at, steps[1:], done)]
    for got, expected in zip_longest(resumed, features_of(steps, done)[1:]):
        assert got == expected
