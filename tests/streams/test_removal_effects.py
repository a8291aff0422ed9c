"""Removal effects are what is lost when a page is taken out of the chain; the counts behind them are bounded."""

from __future__ import annotations

import random

import numpy as np
import pytest

from streams.page_records import STATE_TYPES
from streams.removal_effects import removal_effects
from streams.states import KeyedState
from streams.transitions import (
    CHAIN_PAGES,
    CHAIN_STATES,
    CHAIN_TEMPLATES,
    DEAD_END,
    FADING,
    PURCHASE,
    count_path,
    removals,
    renew_chain,
)

SITE = "shop"


def purchases_without(counts: list[dict[int, float]], end: int, removed: int | None) -> float:
    """Probability of an end when whoever comes to a state is lost: the definition."""
    size = len(counts)
    onward, ends = np.zeros((size, size)), np.zeros(size)
    for state, successors in enumerate(counts):
        if state != removed:
            for successor, count in successors.items():
                share = count / sum(successors.values())
                if successor < size and successor != removed:
                    onward[state, successor] = share
                elif successor == end:
                    ends[state] = share
    return float(np.linalg.solve(np.eye(size) - onward, ends)[0])


@pytest.mark.parametrize("seed", range(5))
def test_an_effect_is_the_share_that_is_lost_without_the_page(seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randrange(3, 12)
    counts = [
        {rng.randrange(1, size): rng.random() for _ in range(3)} | {size: rng.random(), size + 1: 1.0}
        for _ in range(size)
    ]
    for state, found in enumerate(removal_effects(counts, size, size + 1)):
        for end, effect in zip((size, size + 1), found, strict=True):
            expected = 1 - purchases_without(counts, end, state) / purchases_without(counts, end, None)
            assert effect == pytest.approx(expected if state else 1.0)


def test_a_circle_that_nobody_leaves_and_no_purchase_at_all_are_no_error() -> None:
    found = removal_effects([{1: 1.0}, {2: 1.0}, {1: 1.0}, {}], 9, 10)
    assert all(share == 0.0 for one in found for share in one)


def state_with(paths: list[tuple[list[str], int]]) -> KeyedState:
    state = KeyedState(STATE_TYPES)
    renew_chain(state, SITE, [("sizes", "help"), ("faq", "help")])
    for pages, end in paths:
        count_path(state, SITE, [(page, "product") for page in pages], end)
    return state


def test_pages_on_the_way_to_the_purchase_have_an_effect() -> None:
    state = state_with([(["home", "sizes"], PURCHASE)] * 3 + [(["home"], PURCHASE), (["faq"], DEAD_END)])
    found = removals(state, SITE)
    assert found["sizes"] == pytest.approx((0.75, 0.0))
    assert found["faq"] == pytest.approx((0.0, 1.0))


def test_a_page_shown_again_at_once_counts_once() -> None:
    once, again = state_with([(["sizes"], PURCHASE)]), state_with([(["sizes"] * 5, PURCHASE)])
    assert once.get(f"k{SITE}\x1f000") == again.get(f"k{SITE}\x1f000")
    assert removals(once, SITE) == removals(again, SITE)


def test_a_page_that_nobody_came_to_has_no_effect() -> None:
    assert set(removals(state_with([(["sizes"], PURCHASE)]), SITE)) == {"sizes"}


def test_counts_fade_and_a_page_that_is_no_longer_busy_goes_into_its_template() -> None:
    state = state_with([(["sizes"], PURCHASE)] * 10)
    renew_chain(state, SITE, [("faq", "help")])
    rows = {key: record.counts for key, record in state._records.items() if key[0] == "k" and record}
    assert sorted(sum(row.values()) for row in rows.values()) == [10 * FADING] * 2
    assert removals(state, SITE) == {}
    for _ in range(60):
        renew_chain(state, SITE, [])
    assert not any(record for key, record in state._records.items() if key[0] == "k")


def test_states_are_bounded_whatever_pages_and_templates_come() -> None:
    state = KeyedState(STATE_TYPES)
    renew_chain(state, SITE, [(f"p{n}", f"t{n}") for n in range(500)])
    for n in range(3_000):
        count_path(state, SITE, [(f"p{n}", f"t{n}"), (f"p{n + 1}", f"t{n + 1}")], PURCHASE)
    keys = {key for key in state._records if key[0] == "k"}
    assert len(keys) <= CHAIN_STATES == 1 + CHAIN_PAGES + CHAIN_TEMPLATES
    assert sum(sum(state.get(key).counts.values()) for key in keys) == 9_000
