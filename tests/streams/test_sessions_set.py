"""Final sessions and counts are functions of the set of events: of no order, copy, mark or interruption."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from streams.settings import HOUR_MS, MINUTE_MS, SECOND_MS, Settings
from tests.streams.sessions_oracle import Truth, distinct
from tests.streams.visitor_logs import AT_THE_END, BEGINNING, Kept, Run, action, identity, order, view

WIDE = Settings(max_length_ms=100 * MINUTE_MS, retention_ms=72 * HOUR_MS)
NARROW = Settings(max_length_ms=100 * MINUTE_MS, retention_ms=2 * HOUR_MS)
ODD = Settings(
    gap_ms=2 * MINUTE_MS, order_wait_ms=7 * MINUTE_MS, max_length_ms=9 * MINUTE_MS, retention_ms=72 * HOUR_MS
)
NOTHING_FREED = 72 * HOUR_MS - MINUTE_MS
"""Marks of `WIDE` and `ODD` that free nothing: copies may contradict each other about their time by hours."""
PAGES = ("home", "product", "help", "content", "cart")
NAMES = ("error", "add_to_cart", "outbound_click", "engagement", "search")
MINUTES = (
    0,
    1,
    2,
    4,
    5,
    6,
    9,
    29,
    30,
    31,
    45,
    59,
    60,
    61,
    75,
    90,
    100,
    101,
    119,
    120,
    150,
    151,
    240,
    300,
    420,
)


def instants() -> st.SearchStrategy[int]:
    """Instants that lie on, one before and one after the limits of each other."""
    return st.builds(
        lambda minutes, ms: minutes * MINUTE_MS + ms,
        st.sampled_from(MINUTES),
        st.sampled_from((0, 0, 0, -1, 1, 30 * SECOND_MS)),
    )


def customers() -> st.SearchStrategy[str | None]:
    return st.sampled_from((None, None, None, "c1", "c2"))


@st.composite
def events(draw: st.DrawFn, contradicting: bool) -> list[Any]:
    """Events of two visitors. Without `contradicting`, all that share an id share their time."""
    visitor = st.sampled_from(("ann", "bob"))
    ids = st.integers(0, 7).map(str)
    drawn: list[Any] = []
    for _ in range(draw(st.integers(1, 14))):
        at, who = draw(instants()), draw(visitor)
        kind = draw(
            st.sampled_from(("view", "view", "view", "view", "action", "action", "order", "identity"))
        )
        name = draw(ids) if contradicting else f"{kind}{len(drawn)}"
        if kind == "view":
            drawn.append(
                view(
                    at,
                    draw(st.sampled_from(PAGES)),
                    id=name,
                    visitor=who,
                    source=draw(st.sampled_from(("paid", "organic"))),
                    is_bot=draw(st.sampled_from((False,) * 9 + (True,))),
                    customer_id=draw(customers()),
                    came_from=draw(st.sampled_from((None, None, "shop.example/home", "shop.example/cart"))),
                )
            )
        elif kind == "action":
            seconds = draw(st.sampled_from((0.0, 59.0, 60.0)))
            drawn.append(action(at, draw(st.sampled_from(NAMES)), id=name, visitor=who, seconds=seconds))
        elif kind == "identity":
            what = draw(st.sampled_from(("registered", "logged_in", "logged_out", "unlinked")))
            drawn.append(identity(at, what, id=name, visitor=who, customer_id=draw(customers())))
        elif contradicting:
            drawn.append(
                order(
                    at,
                    draw(st.sampled_from(("o1", "o2"))),
                    draw(st.sampled_from(("placed", "placed", "paid", "cancelled"))),
                    id=name,
                    visitor=who,
                    revision=draw(st.integers(1, 3)),
                    total=draw(st.sampled_from(("10", "0.5", "7.25"))),
                    currency=draw(st.sampled_from(("EUR", "EUR", "CHF"))),
                    customer_id=draw(customers()),
                )
            )
        else:
            for revision in range(1, draw(st.integers(1, 3)) + 1):
                status = "placed" if revision == 1 else draw(st.sampled_from(("paid", "cancelled")))
                drawn.append(order(at, name, status, id=f"{name}-{revision}", visitor=who, revision=revision))
    return drawn


def arrive(data: st.DataObject, run: Run, happened: list[Any], furthest_ms: int = AT_THE_END) -> Kept:
    """Let events arrive in any order within retention, some twice, with marks and interruptions anywhere."""
    copies = data.draw(st.lists(st.sampled_from(happened), max_size=3))
    arriving: list[Any] = data.draw(st.permutations(happened + copies))
    retention_ms = run.settings.retention_ms
    for index, event in enumerate(arriving):
        earliest = min(left.occurred_at for left in arriving[index:]) - BEGINNING
        latest = min(earliest + retention_ms, furthest_ms)
        step = data.draw(st.sampled_from(("", "", "mark", "limit", "resume")))
        if step == "mark":
            run.mark(min(latest, data.draw(instants())))
        elif step == "limit":
            run.mark(latest)
        elif step == "resume":
            run.resume()
        run.send(event)
    return run.end()


def assert_true(kept: Kept, happened: list[Any], settings: Settings) -> None:
    """What a reader keeps is what the whole set of events comes to."""
    truth = Truth(happened, settings)
    found = [msgspec.to_builtins(session) for session in kept.final()]
    names = truth.sessions[0].keys() if truth.sessions else ()
    assert [{name: session.get(name) for name in names} for session in found] == truth.sessions
    exits = Counter(
        {
            (bot, e.page, e.template, e.reason, e.outcome, e.revenue, e.currency, e.orders): n
            for (bot, e), n in kept.exits().items()
        }
    )
    assert exits == truth.exits
    assert +kept.counts() == +truth.cells
    assert not -kept.counts()


@given(st.data())
@profile(max_examples=80)
def test_any_arrival_within_retention_gives_the_same_final_sessions_and_sums(data: st.DataObject) -> None:
    run, happened = Run(WIDE), data.draw(events(contradicting=True))
    kept = arrive(data, run, happened, furthest_ms=NOTHING_FREED)
    assert_true(kept, happened, WIDE)
    assert run.keys_left() == []
    views = [event for event in distinct(happened) if hasattr(event, "url")]
    assert len(kept.enriched) == len(views)
    assert len({enriched.id for enriched in kept.enriched}) == len(views)


@given(st.data())
@profile(max_examples=80)
def test_what_is_freed_behind_the_retention_is_never_missed(data: st.DataObject) -> None:
    run, happened = Run(NARROW), data.draw(events(contradicting=False))
    assert_true(arrive(data, run, happened), happened, NARROW)
    assert run.kept.rejected == []
    assert run.keys_left() == []


@given(st.data())
@profile(max_examples=80)
def test_it_holds_when_the_gap_is_shorter_than_the_stall_horizon(data: st.DataObject) -> None:
    run, happened = Run(ODD), data.draw(events(contradicting=True))
    assert_true(arrive(data, run, happened, furthest_ms=NOTHING_FREED), happened, ODD)
    assert run.keys_left() == []


@given(st.data())
@profile(max_examples=40)
def test_an_interruption_changes_no_output(data: st.DataObject) -> None:
    happened = data.draw(st.permutations(data.draw(events(contradicting=True))))
    marks = data.draw(st.lists(instants(), min_size=len(happened), max_size=len(happened)))
    stops = data.draw(st.lists(st.booleans(), min_size=len(happened), max_size=len(happened)))
    steady, interrupted = Run(WIDE), Run(WIDE)
    for event, mark, stop in zip(happened, marks, stops, strict=True):
        steady.send(event).mark(mark)
        interrupted.send(event)
        if stop:
            interrupted.resume()
        interrupted.mark(mark)
    steady.end()
    interrupted.end()
    assert interrupted.kept == steady.kept
