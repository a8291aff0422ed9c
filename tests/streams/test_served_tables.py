"""Served tables: a session is judged by the table that held when it closed, whatever comes later."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from schemas.sessions import Session
from schemas.visitor_events import ServedTable
from streams.settings import DAY_MS, HOUR_MS, Settings
from tests.streams.visitor_logs import AT_THE_END, BEGINNING, SITE, THE_GAP, Run, action, order, view

READ_S = 60.0
PAGE = f"{SITE}/guide"


def table(
    after: int, templates: dict[str, int] | None = None, pages: dict[str, int] | None = None, version: int = 1
) -> ServedTable:
    """Build a table that holds from `after` ms after the beginning."""
    return ServedTable(("", 0, 0), SITE, version, BEGINNING + after, templates or {}, pages or {})


GUIDES = {"guide": 9}
"""60 s."""


def read(at: int = 0, seconds: float = READ_S, visitor: str = "ann") -> list[Any]:
    """Build a view of a page, and how long it was looked at."""
    said = action(at + 5, "engagement", visitor=visitor, page=PAGE, seconds=seconds, id=f"e{at}{visitor}")
    return [view(at, "guide", visitor=visitor, id=f"v{at}{visitor}"), said]


def only(run: Run) -> Session:
    """Give the one session that is left at the end."""
    (session,) = run.end().final()
    return session


def reason(
    *events: Any,
    settings: Settings | None = None,
    templates: dict[str, int] = GUIDES,
    pages: dict[str, int] | None = None,
) -> tuple[Any, Any]:
    """Give reason and rule of one session under a table."""
    session = only(Run(settings).send(table(0, templates, pages), *events))
    return session.exit_reason, session.exit_rule


SERVED = ("served", "learned:60s")
DEAD_END = ("dead_end", "otherwise")
CASES: dict[str, tuple[list[Any], tuple[str, str]]] = {
    "read for as long as it takes": (read(), SERVED),
    "read for longer": (read(seconds=900.0), SERVED),
    "read for less": (read(seconds=59.9), DEAD_END),
    "nobody says how long": ([view(0, "guide"), action(THE_GAP - 1, "scroll")], DEAD_END),
    "another page was read": ([*read(), view(9, "home")], DEAD_END),
    "the page before was read, and this one": ([view(0, "home"), *read(9)], SERVED),
    "with a cart": ([view(0, "home"), action(1, "add_to_cart"), *read(9)], DEAD_END),
    "with a checkout afterwards": ([*read(), action(20, "checkout_started")], DEAD_END),
    "with an error on the page": ([*read(), action(20, "error", page=PAGE)], DEAD_END),
    "with an error elsewhere": ([view(0, "home"), action(1, "error"), *read(9)], SERVED),
    "with an order": ([*read(), order(20)], ("purchased", "order:placed")),
    "handed off": ([*read(), action(20, "phone_tap")], ("handed_off", "interaction:phone_tap")),
    "by a bot": ([view(0, "guide", is_bot=True), read()[1]], ("bot", "page_view:is_bot")),
    "a help page": ([view(0, "help"), action(1, "engagement", seconds=90.0)], ("served", "template:help")),
}


@pytest.mark.parametrize("case", CASES)
def test_who_has_read_was_served_where_no_rule_says_anything(case: str) -> None:
    events, expected = CASES[case]
    assert reason(*events) == expected


def test_a_page_goes_before_its_template() -> None:
    assert reason(*read(seconds=45.0), templates=GUIDES, pages={PAGE: 8}) == ("served", "learned:42s")
    assert reason(*read(), templates=GUIDES, pages={PAGE: -1}) == DEAD_END
    assert reason(*read(), templates={"other": 7}) == DEAD_END
    # Of a later version, with more buckets.
    assert reason(*read(seconds=80_000.0), templates={"guide": 20}) == DEAD_END
    assert reason(*read(), templates={"guide": 0}) == DEAD_END


def test_it_can_be_switched_off() -> None:
    assert reason(*read(), settings=Settings(learn_served=False)) == DEAD_END


def test_a_table_holds_for_sessions_that_close_from_its_time_on() -> None:
    closes = 5 + THE_GAP
    assert only(Run().send(table(closes, GUIDES), *read())).exit_reason == "served"
    assert only(Run().send(table(closes + 1, GUIDES), *read())).exit_reason == "dead_end"


def test_a_session_keeps_the_table_that_held_when_it_closed() -> None:
    run = Run().send(*read()).mark(3 * HOUR_MS)
    assert run.kept.final()[0].exit_reason == "dead_end"
    run.send(table(0, GUIDES, version=1), table(0, {"guide": 7}, version=2))
    # An event that comes late changes the one; the other is found only now, and closed before.
    run.send(action(7, "search", id="late"), *read(HOUR_MS, visitor="bob"))
    run.mark(4 * HOUR_MS).send(*read(5 * HOUR_MS, seconds=45.0, visitor="cid"))
    ann, bob, cid = run.end().final()
    assert (ann.revision, ann.exit_reason) == (2, "dead_end")
    assert bob.exit_reason == "dead_end"
    assert cid.exit_rule == "learned:30s"
    assert run.counts["served_tables", "late"] == 2
    assert run.counts["exit_rules", "learned"] == 1


def test_a_reading_that_is_heard_of_late_serves_and_the_exits_are_corrected() -> None:
    run = Run().send(table(0, GUIDES), view(0, "guide")).mark(2 * HOUR_MS)
    assert run.kept.final()[0].exit_reason == "dead_end"
    run.send(read()[1])
    assert only(run).exit_rule == "learned:60s"
    assert [(exit_.reason, n) for (_, exit_), n in run.kept.exits().items()] == [("served", 1)]


def test_what_is_written_later_is_corrected_by_what_was_counted() -> None:
    # The table in between has other opinions: the correction has to take away what stands.
    run = Run().send(table(0, GUIDES), *read()).mark(2 * HOUR_MS)
    run.send(table(2 * HOUR_MS, {}, version=2)).mark(3 * HOUR_MS)
    run.send(order(9)).end()
    assert [(exit_.reason, n) for (_, exit_), n in run.kept.exits().items()] == [("purchased", 1)]
    (correction,) = run.kept.corrections
    assert correction.removed is not None
    assert correction.removed.reason == "served"


def test_the_order_of_arrival_changes_nothing() -> None:
    events = [*read(), *read(HOUR_MS, seconds=20.0), *read(HOUR_MS + 9, seconds=80.0)]
    found = set()
    for order_ in permutations(range(len(events)), len(events)):
        if order_[0] == 3:
            run = Run().send(table(0, GUIDES), *(events[place] for place in order_))
            found.add(tuple((s.exit_reason, s.exit_rule, s.page_views) for s in run.end().final()))
    assert found == {(("served", "learned:60s", 1), ("served", "learned:60s", 2))}


def test_the_example_tells_how_long_and_whether_it_was_learned() -> None:
    run = Run().send(table(0, GUIDES), view(0, "home"), *read(9), *read(2 * HOUR_MS, 5.0))
    run.end()
    first, second = run.kept.examples
    assert [view.engaged for view in first.views] == [-1, 9]
    assert (first.learned, second.learned) == (True, False)


def test_tables_that_judge_no_session_are_forgotten() -> None:
    run = Run()
    for day in range(12):
        run.send(table((day + 1) * DAY_MS, {"guide": 7 + day % 2}, version=day + 1))
        run.mark((day + 1) * DAY_MS - HOUR_MS).send(*read(day * DAY_MS + 22 * HOUR_MS))
        run.resume()
        kept = run.processor.context.state.get(f"r{SITE}")
        assert len(kept.tables) <= 4
    sessions = run.end().final()
    assert [session.exit_rule for session in sessions[:3]] == ["otherwise", "learned:30s", "learned:42s"]
    assert run.counts["served_tables", "in_time"] == 12


def test_nothing_is_kept_of_a_site_where_nothing_is_learned_any_more() -> None:
    run = Run().send(table(0, GUIDES), *read()).mark(2 * HOUR_MS)
    over_ms = 3 * HOUR_MS
    run.send(table(over_ms, {}, version=2), *read(over_ms, visitor="bob"))
    retention_ms = Settings().retention_ms
    run.mark(over_ms + retention_ms).send(action(over_ms + 99, "search", id="late", visitor="bob"))
    assert [session.exit_reason for session in run.kept.final()] == ["served", "dead_end"]
    assert f"r{SITE}" in run.keys_left()
    run.mark(over_ms + retention_ms + 2 * HOUR_MS)
    assert f"r{SITE}" not in run.keys_left()
    # If there is something again, it stays.
    run.send(table(40 * HOUR_MS, {}, version=3), table(41 * HOUR_MS, GUIDES, version=4)).end()
    assert f"r{SITE}" in run.keys_left()


def test_a_table_goes_on_after_a_restart() -> None:
    run = Run().send(table(0, GUIDES))
    run.resume()
    assert only(run.send(*read())).exit_reason == "served"


def test_sites_have_tables_of_their_own() -> None:
    elsewhere = ServedTable(("", 0, 0), "elsewhere.example", 1, BEGINNING, GUIDES, {})
    assert only(Run().send(elsewhere, *read())).exit_reason == "dead_end"


def test_every_closed_session_counts_by_the_kind_of_its_rule() -> None:
    run = Run().send(table(0, GUIDES), *read(), *read(visitor="bob", seconds=5.0))
    run.send(view(0, "help", visitor="cid"), view(0, visitor="dan"), order(5, visitor="dan"))
    run.mark(AT_THE_END)
    counted = Counter({label: n for (name, label), n in run.counts.items() if name == "exit_rules"})
    assert counted == {"learned": 1, "otherwise": 1, "template": 1, "order": 1}


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 1e300])
def test_bad_times_are_harmless(seconds: float) -> None:
    assert reason(*read(seconds=seconds)) == DEAD_END
