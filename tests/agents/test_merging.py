"""Merging: inputs in order of time, waits that end, and nothing out of a partition's own order."""

from __future__ import annotations

import random

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from agents.merging import ENOUGH, ENOUGH_BYTES, HOLD_S, Merge

VIEWS, ORDERS, CONSENTS = TP("page-views", 0), TP("orders", 0), TP("consents", 0)


LIVE = 1_000_000


def times(merge: Merge, *behind: TP, now_s: float = 0.0) -> list[int]:
    return [at for at, _, _ in merge.take(set(behind), now_s, LIVE)]


def test_what_is_caught_up_waits_for_what_is_behind() -> None:
    merge = Merge()
    merge.add(VIEWS, [(10, "v")], end=1)
    merge.add(ORDERS, [(90, "o")], end=1)
    assert times(merge, VIEWS) == [10]
    for second in range(20, 90, 10):
        merge.add(VIEWS, [(second, "v")], end=second)
        assert times(merge, VIEWS, now_s=float(second)) == [second]
    assert times(merge) == [90]


def test_live_records_are_not_held_up_by_the_backlog_of_another_input() -> None:
    merge = Merge()
    merge.add(ORDERS, [(5, "an order of last year")], end=1)
    merge.add(VIEWS, [(LIVE - 1, "old")], end=1)
    assert times(merge, ORDERS) == [5]
    merge.add(VIEWS, [(LIVE, "live")], end=2)
    assert times(merge, ORDERS) == [LIVE - 1, LIVE]
    assert times(merge, ORDERS, VIEWS) == []


def test_who_is_behind_and_silent_is_waited_for_with_a_limit_then_once_more_when_it_has_spoken() -> None:
    merge = Merge()
    merge.add(VIEWS, [(10, "v")], end=1)
    merge.add(ORDERS, [(90, "o")], end=1)
    assert times(merge, VIEWS, ORDERS, CONSENTS) == []
    assert times(merge, VIEWS, ORDERS, CONSENTS, now_s=HOLD_S) == [10, 90]
    merge.add(CONSENTS, [(5, "c")], end=1)
    merge.add(VIEWS, [(99, "v")], end=2)
    assert times(merge, CONSENTS, now_s=HOLD_S) == [5]


def test_an_input_of_which_enough_is_held_still_bounds_the_others() -> None:
    merge = Merge()
    merge.add(VIEWS, [(at, "v") for at in range(ENOUGH)], end=ENOUGH)
    merge.add(ORDERS, [(ENOUGH + 1, "o")], end=1)
    assert merge.full() == {VIEWS}
    assert ENOUGH + 1 not in times(merge, VIEWS, ORDERS, now_s=99 * HOLD_S)


def test_few_large_records_are_enough_too_until_they_are_taken() -> None:
    merge = Merge()
    for at in range(4):
        assert merge.full() == set()
        merge.add(VIEWS, [(at, "v")], end=at + 1, size=ENOUGH_BYTES // 4)
    assert merge.full() == {VIEWS}
    merge.add(ORDERS, [(1, "o")], end=1)
    assert times(merge, ORDERS) == [0, 1, 1]
    assert merge.full() == set()
    assert times(merge) == [2, 3]
    merge.add(VIEWS, [(9, "v")], end=9, size=1)
    assert merge.full() == set(), "what was taken still counts"


def test_one_event_of_a_later_time_does_not_change_the_order_of_its_partition() -> None:
    merge = Merge()
    merge.add(VIEWS, [(10, "a"), (70, "b"), (30, "c")], end=3)
    merge.add(ORDERS, [(40, "d")], end=1)
    assert [what for _, _, what in merge.take((), 0.0, LIVE)] == ["a", "d", "b", "c"]
    merge.add(VIEWS, [(20, "e")], end=4)
    merge.add(ORDERS, [(60, "f")], end=2)
    assert [what for _, _, what in merge.take((), 0.0, LIVE)] == ["f", "e"]


def test_what_is_dropped_is_named_and_leaves_nothing_behind() -> None:
    merge = Merge()
    merge.add(VIEWS, [(10, "v")], end=1)
    assert merge.end(VIEWS) == 1
    assert merge.drop() == {VIEWS}
    assert merge.end(VIEWS) is None
    assert merge.take((), 0.0, LIVE) == []
    assert merge.drop() == set()


@given(st.integers(0, 2**32))
def test_every_record_comes_once_and_a_partitions_in_order_whatever_is_behind(seed: int) -> None:
    source, merge = random.Random(seed), Merge()
    inputs, taken = (VIEWS, ORDERS, CONSENTS), {VIEWS: 0, ORDERS: 0, CONSENTS: 0}
    written = dict(taken)
    for step in range(30):
        tp = source.choice(inputs)
        count = source.randrange(4)
        records = [(source.randrange(100), written[tp] + number) for number in range(count)]
        written[tp] += count
        if records:
            merge.add(tp, records, written[tp])
        behind = {tp for tp in inputs if source.random() < 0.4}
        for _, tp, number in merge.take(behind, step * source.random(), 50):
            assert number == taken[tp]
            taken[tp] += 1
    for _, tp, number in merge.take((), 99.0, LIVE):
        assert number == taken[tp]
        taken[tp] += 1
    assert taken == written
