"""Pacing of fetches: none is held up after a pause, and few are asked for while records keep coming."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pacing import AT_ONCE, FETCHES_PER_S, Pace, paced


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    pauses_s=st.lists(st.floats(0, 0.2), min_size=1, max_size=60),
    per_s=st.sampled_from([10.0, 50.0, 200.0]),
    at_once=st.integers(1, 6),
)
def test_no_while_holds_more_than_its_share_and_those_that_may_come_at_once(
    pauses_s: list[float], per_s: float, at_once: int
) -> None:
    pace, now_s = Pace(per_s, at_once), 100.0
    went: list[float] = []
    for pause_s in pauses_s:
        now_s += pause_s
        now_s += pace.wait_s(now_s)
        went.append(now_s)
    for first, begin_s in enumerate(went):
        for last in range(first, len(went)):
            assert last - first + 1 <= at_once + per_s * (went[last] - begin_s) + 1e-6


def test_after_a_pause_nobody_waits_and_then_everyone_by_turns() -> None:
    pace = Pace()
    waits = [pace.wait_s(5.0) for _ in range(AT_ONCE + 2)]
    assert waits[:AT_ONCE] == [0.0] * AT_ONCE
    assert waits[AT_ONCE:] == pytest.approx([1 / FETCHES_PER_S, 2 / FETCHES_PER_S])
    assert pace.wait_s(6.0) == 0.0


def test_brokers_do_not_wait_for_each_other_and_whoever_is_broken_off_has_nothing_new() -> None:
    asked: list[tuple[Any, int, Any]] = []

    async def fetch(assignment: Any, node: int, request: Any) -> bool:
        asked.append((assignment, node, request))
        return True

    async def scenario() -> bool:
        ask = paced(fetch)
        for number in range(AT_ONCE):
            assert await ask("all", 1, number)
        waiting = asyncio.ensure_future(ask("all", 1, "held up"))
        await asyncio.sleep(0)
        assert await ask("all", 2, "at once")
        waiting.cancel()
        return await waiting

    has_news = asyncio.run(scenario())
    assert not has_news
    assert asked == [("all", 1, number) for number in range(AT_ONCE)] + [("all", 2, "at once")]
