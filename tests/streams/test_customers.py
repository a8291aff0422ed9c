"""Customers: whose dead end was none, for he bought later, and what that does to the exits of pages."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from schemas.customer_events import SessionSummary
from schemas.marks import Mark, Progress
from schemas.session_revisions import SessionRevision
from schemas.timestamps import format_ms
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Settings
from tests.streams.customer_logs import CLOSES, PAGE, VISITORS, Run, identity, left, order, ran, session
from tests.streams.visitor_logs import BEGINNING, SITE

THE_DAY_AFTER = DAY_MS
A_WEEK = 7 * DAY_MS
MOVED = {(PAGE, "dead_end"): -1, (PAGE, "bought_later"): 1}


def test_an_order_in_a_store_excuses_a_dead_end() -> None:
    run = ran(session(0), order(THE_DAY_AFTER))
    [revision] = run.revisions
    assert revision == SessionRevision(
        id=revision.id,
        revision=1,
        status="revised",
        session_id="s1",
        visitor_id="ann",
        customer_id="c",
        site=SITE,
        ended_at=format_ms(BEGINNING),
        exit_page=PAGE,
        exit_reason="bought_later",
        exit_rule="order:store",
        order_id="o1",
        channel="store",
        ordered_at=format_ms(BEGINNING + DAY_MS),
        minutes_to_order=1_440.0,
    )
    [correction] = run.corrections
    assert (correction.removed, correction.added) == (left(), left(reason="bought_later"))
    assert (correction.due_ms, correction.is_bot) == (BEGINNING + DAY_MS, False)


@pytest.mark.parametrize(
    ("after", "excused"), [(-1, False), (0, True), (1, True), (A_WEEK, True), (A_WEEK + 1, False)]
)
def test_the_order_comes_from_the_exit_on_and_within_a_week(after: int, excused: bool) -> None:
    run = ran(session(0), order(after))
    assert bool(run.holds()) == excused
    assert bool(run.corrections) == excused


def test_the_week_is_a_setting() -> None:
    within, beyond = order(HOUR_MS), order(HOUR_MS + 1)
    settings = Settings(bought_later_ms=HOUR_MS)
    assert ran(session(0), within, settings=settings).holds()
    assert not ran(session(0), beyond, settings=settings).holds()


@pytest.mark.parametrize("channel", ["web", "app", "store", "call_centre", "marketplace", "catalogue"])
@pytest.mark.parametrize("visitor", [None, "another browser", "ann"])
def test_any_channel_counts_with_or_without_a_visitor(channel: str, visitor: str | None) -> None:
    run = ran(session(0), order(HOUR_MS, channel=channel, visitor_id=visitor))
    assert run.holds() == {("s1", "c"): (f"order:{channel}", 60.0)}


@pytest.mark.parametrize(
    "reason", ["purchased", "registered", "handed_off", "served", "bot", "measurement_gap"]
)
def test_only_dead_ends_are_excused(reason: str) -> None:
    run = ran(session(0, reason=reason), order(HOUR_MS))
    assert (run.revisions, run.corrections) == ([], [])


def test_another_customer_s_order_says_nothing() -> None:
    assert ran(session(0), order(HOUR_MS, customer="d")).revisions == []


def test_the_first_order_after_the_exit_is_named_and_excuses_every_dead_end_before_it() -> None:
    run = ran(
        session(0),
        session(2 * HOUR_MS, "s2"),
        order(5 * HOUR_MS, "o2", channel="web"),
        order(HOUR_MS, "o1"),
        session(6 * HOUR_MS, "s3"),
    )
    assert run.holds() == {("s1", "c"): ("order:store", 60.0), ("s2", "c"): ("order:web", 180.0)}
    assert run.moved() == {(PAGE, "dead_end"): -2, (PAGE, "bought_later"): 2}


@pytest.mark.parametrize("status", ["cancelled", "refunded", "returned"])
def test_an_order_that_was_placed_counts_whatever_became_of_it(status: str) -> None:
    run = ran(session(0), order(HOUR_MS), order(2 * HOUR_MS, status=status, revision=2))
    assert run.holds() == {("s1", "c"): ("order:store", 60.0)}
    assert len(run.revisions) == 1


def test_a_later_revision_alone_is_no_order_and_a_first_that_is_paid_is_one() -> None:
    assert not ran(session(0), order(HOUR_MS, status="refunded", revision=2)).holds()
    assert not ran(session(0), order(HOUR_MS, status="paid", revision=2)).holds()
    assert ran(session(0), order(HOUR_MS, status="paid")).holds()


# ---- time


def after(record: Any) -> int:
    """Give the time from which on a record holds (ms after the beginning)."""
    return (record.since_ms if isinstance(record, SessionSummary) else record.occurred_at) - BEGINNING


def test_nothing_is_said_before_its_time() -> None:
    run = Run().send(session(0), order(HOUR_MS)).mark(HOUR_MS)
    assert run.revisions == []
    run.mark(HOUR_MS + 1)
    assert run.written_ms == [HOUR_MS]


def test_an_order_placed_before_the_session_closes_waits_for_that() -> None:
    run = Run().send(order(MINUTE_MS)).mark(CLOSES).send(session(0)).mark(CLOSES)
    assert run.revisions == []
    assert run.mark(CLOSES + 1).written_ms == [CLOSES]


def test_time_waits_for_all_that_feeds_the_log() -> None:
    run = Run().send(session(0), order(HOUR_MS))
    for partition in range(VISITORS - 1):
        run.mark(2 * HOUR_MS, partition)
    assert (run.revisions, run.marks) == ([], [])
    run.mark(2 * HOUR_MS, VISITORS - 1)
    assert len(run.revisions) == 1


def test_sites_are_told_once_a_minute_how_far_this_partition_has_come() -> None:
    run = Run().send(session(0), order(SECOND_MS)).mark(CLOSES + 1)
    [told] = run.marks
    progress = Progress("customer-events/0", run.offset, BEGINNING + CLOSES + 1)
    assert told == Mark(VISITORS + 2, (progress,)), "what feeds a site: the visitors' log, and this one"
    run.mark(CLOSES + MINUTE_MS - 1)
    assert run.marks == [told]
    run.mark(CLOSES + MINUTE_MS)
    assert len(run.marks) == 2


def test_late_orders_are_judged_with_the_next_mark_as_of_what_was_said_last() -> None:
    run = Run().send(session(0), order(5 * HOUR_MS, "o2", channel="web")).mark(6 * HOUR_MS)
    run.send(order(HOUR_MS)).send(order(7 * HOUR_MS, "o3"))
    assert run.holds() == {("s1", "c"): ("order:web", 300.0)}
    run.mark(6 * HOUR_MS + MINUTE_MS)
    assert run.holds() == {("s1", "c"): ("order:store", 60.0)}
    assert len(run.corrections) == 1, "the page's exits stay as they were"
    assert run.counts["late", "orders"] == 1
    assert run.counts["session_revisions", "revised"] == 1, "one dead end is excused, whatever by"


def test_a_session_that_holds_from_the_time_of_the_last_judgement_on_is_judged_too() -> None:
    run = Run().send(order(HOUR_MS)).mark(HOUR_MS + 1)
    run.send(session(0, since=HOUR_MS)).mark(HOUR_MS + 2)
    assert run.written_ms == [HOUR_MS]


def test_time_never_goes_back_whatever_comes() -> None:
    run = Run().send(session(0), order(HOUR_MS)).mark(2 * HOUR_MS)
    run.send(session(-40 * DAY_MS, "s0", since=2 * HOUR_MS)).mark(3 * HOUR_MS)
    assert run.holds() == {("s1", "c"): ("order:store", 60.0)}
    assert len(run.revisions) == 1


@pytest.mark.parametrize("pace_ms", [MINUTE_MS, 7 * MINUTE_MS, 3 * HOUR_MS, 40 * DAY_MS])
def test_the_pace_of_marks_and_the_order_within_it_change_nothing(pace_ms: int) -> None:
    records: list[Any] = [
        session(0, linked=True, since=2 * HOUR_MS),
        identity(2 * HOUR_MS, "logged_in"),
        order(3 * HOUR_MS),
        identity(4 * HOUR_MS, "unlinked"),
        identity(5 * HOUR_MS, "logged_in"),
        session(HOUR_MS, "s2"),
        session(HOUR_MS, "s2", reason="purchased", since=8 * HOUR_MS, revision=2),
        order(9 * HOUR_MS, "o2"),
    ]
    by_time = sorted(records, key=after)
    expected = Run()
    for record in by_time:
        expected.mark(after(record)).send(record)
    expected.end()
    assert len(expected.revisions) == 5, "s1 is excused, unlinked, and excused again; s2 until it purchased"
    source = random.Random(pace_ms)
    run = Run()
    for start in range(0, 10 * HOUR_MS, pace_ms):
        part = [record for record in by_time if start <= after(record) < start + pace_ms]
        # Versions of a session come from one partition, and keep their order.
        source.shuffle(part)
        part.sort(key=lambda record: getattr(record, "since_ms", 0))
        run.mark(start).send(*part)
    run.end()
    assert (run.revisions, run.written_ms) == (expected.revisions, expected.written_ms)
    assert [msgspec.structs.replace(c, origin=("", 0, 0)) for c in run.corrections] == [
        msgspec.structs.replace(c, origin=("", 0, 0)) for c in expected.corrections
    ]


# ---- what changes afterwards


def test_a_session_that_turns_out_to_have_purchased_is_no_longer_excused() -> None:
    run = Run().send(session(0), order(HOUR_MS)).mark(2 * HOUR_MS)
    run.send(session(0, reason="purchased", since=2 * HOUR_MS, revision=2)).end()
    assert run.holds() == {}
    last = run.revisions[-1]
    assert (last.status, last.exit_reason, last.order_id, last.exit_page) == ("retracted", None, None, PAGE)
    assert run.moved() == {}, "the sessions stage itself moves the exit from dead end to purchase"


def test_a_dead_end_on_another_page_is_moved_there() -> None:
    run = Run().send(session(0), order(HOUR_MS)).mark(2 * HOUR_MS)
    elsewhere = f"{SITE}/cart"
    run.send(session(MINUTE_MS, exit=left(elsewhere), since=2 * HOUR_MS, revision=2)).end()
    assert run.holds() == {("s1", "c"): ("order:store", 59.0)}
    assert run.moved() == {(elsewhere, "dead_end"): -1, (elsewhere, "bought_later"): 1}


def test_a_session_that_is_taken_back_is_no_longer_excused_and_may_come_back() -> None:
    run = Run().send(session(0), order(HOUR_MS)).mark(2 * HOUR_MS)
    run.send(session(0, retracted=True, since=2 * HOUR_MS)).mark(3 * HOUR_MS)
    assert (run.holds(), run.moved()) == ({}, {})
    run.send(session(0, since=3 * HOUR_MS, revision=2)).end()
    assert run.holds() == {("s1", "c"): ("order:store", 60.0)}
    assert [revision.revision for revision in run.revisions] == [1, 2, 3]
    assert run.counts["session_revisions", "revised"] - run.counts["session_revisions", "retracted"] == 1


def test_what_is_taken_back_and_was_never_known_is_passed_over() -> None:
    run = Run().send(session(0, retracted=True))
    run.resume()
    assert run.rows == {}


def test_a_session_without_page_view_is_excused_and_no_page_is_corrected() -> None:
    run = ran(session(0, exit=None), order(HOUR_MS))
    assert run.holds() == {("s1", "c"): ("order:store", 60.0)}
    assert run.revisions[0].exit_page is None
    assert run.corrections == []


# ---- links


def test_a_session_of_a_visitor_who_registered_later_is_excused() -> None:
    linked = session(0, linked=True, since=20 * HOUR_MS)
    run = ran(linked, identity(20 * HOUR_MS, "registered"), order(3 * DAY_MS))
    assert run.holds() == {("s1", "c"): ("order:store", 3 * 1_440.0)}


def test_also_when_the_order_was_there_before_the_link() -> None:
    linked = session(0, linked=True, since=20 * HOUR_MS)
    run = ran(order(HOUR_MS), identity(20 * HOUR_MS, "registered"), linked)
    assert run.holds() == {("s1", "c"): ("order:store", 60.0)}
    assert run.written_ms == [20 * HOUR_MS], "nobody knew before"


def test_unlinking_takes_back_what_the_link_had_inferred() -> None:
    linked = session(0, linked=True, since=2 * HOUR_MS)
    run = ran(
        linked, identity(2 * HOUR_MS, "logged_in"), order(3 * HOUR_MS), identity(20 * DAY_MS, "unlinked")
    )
    assert [revision.status for revision in run.revisions] == ["revised", "retracted"]
    assert run.written_ms == [3 * HOUR_MS, 20 * DAY_MS]
    assert run.moved() == {}


def test_unlinking_does_not_touch_what_the_session_said_itself_nor_other_browsers() -> None:
    unlinked = identity(2 * HOUR_MS, "unlinked")
    assert ran(session(0), order(3 * HOUR_MS), unlinked).holds()
    linked = session(0, linked=True, since=HOUR_MS, visitor="bob")
    assert ran(linked, order(3 * HOUR_MS), unlinked).holds()
    elsewhere = identity(2 * HOUR_MS, "unlinked", site="another.example")
    assert ran(session(0, linked=True, since=HOUR_MS), order(3 * HOUR_MS), elsewhere).holds()


def test_who_logs_in_again_is_linked_again() -> None:
    linked = session(0, linked=True, since=HOUR_MS)
    run = ran(
        linked,
        identity(HOUR_MS, "logged_in"),
        identity(2 * HOUR_MS, "unlinked"),
        order(3 * HOUR_MS),
        identity(4 * HOUR_MS, "logged_in"),
        identity(5 * HOUR_MS, "logged_out"),
        identity(5 * HOUR_MS, "described", id="d", visitor=None),
    )
    assert run.holds() == {("s1", "c"): ("order:store", 180.0)}
    assert run.written_ms == [4 * HOUR_MS]


# ---- copies, limits, and forgetting


def test_copies_count_once_and_of_those_that_contradict_the_least_holds() -> None:
    one, other = order(2 * HOUR_MS, id="e"), order(HOUR_MS, id="e", channel="app")
    for records in ([one, other, one], [other, one]):
        run = Run().send(session(0), *records).end()
        assert run.holds() == {("s1", "c"): ("order:app", 60.0)}
        assert run.counts["duplicates", "orders"] == len(records) - 1


def test_everything_is_forgotten_after_30_days() -> None:
    run = Run().send(session(0), identity(HOUR_MS, "logged_in"), order(2 * HOUR_MS))
    kept = [30 * DAY_MS, 30 * DAY_MS + HOUR_MS, 30 * DAY_MS + 2 * HOUR_MS]
    left_over = []
    for at in kept:
        run.mark(at)
        run.resume()
        before = len(run.rows)
        run.mark(at + 1)
        run.resume()
        left_over.append((before, [sum(map(len, _parts(row))) for row in run.rows.values()]))
    assert left_over == [(1, [2]), (1, [1]), (1, [])]
    assert len(run.processor.context.state) == 0
    assert run.holds(), "what was said holds"


def _parts(row: bytes) -> list[Any]:
    _, (orders, links, sessions, *_) = msgspec.json.decode(row)
    return [orders, links, sessions]


def test_a_long_week_keeps_customers_longer() -> None:
    settings = Settings(bought_later_ms=60 * DAY_MS)
    assert ran(session(0), order(60 * DAY_MS), settings=settings).holds()
    assert Settings().known_ms == 30 * DAY_MS
    assert settings.known_ms == 61 * DAY_MS + 30 * MINUTE_MS


def test_orders_older_than_what_is_kept_are_refused_once() -> None:
    run = (
        Run()
        .mark(31 * DAY_MS)
        .send(order(DAY_MS - 1), order(DAY_MS - 1, "o2", visitor_id="ann"), order(DAY_MS, "o3"))
    )
    [refused] = run.rejected
    assert (refused.reason, refused.topic) == ("too_late", "orders")
    run.resume()
    assert len(run.rows) == 1, "the one at the boundary is kept"


def test_a_time_that_can_t_be_written_is_refused() -> None:
    run = Run().send(order(10**17))
    assert [refused.reason for refused in run.rejected] == ["schema_violation"]


def test_of_a_customer_with_too_much_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_ORDERS", "MAX_LINKS", "MAX_SESSIONS"):
        monkeypatch.setattr(f"streams.customer_records.{name}", 3)
    numbers = list(range(10))
    random.Random(1).shuffle(numbers)
    run = Run()
    for number in numbers:
        run.send(
            session(number * HOUR_MS, f"s{number}"),
            order(number * HOUR_MS + 1, f"o{number}"),
            identity(number * HOUR_MS, "logged_in"),
        )
    run.resume()
    [row] = run.rows.values()
    orders, links, sessions = _parts(row)
    assert ([known[2] for known in orders], sorted(sessions)) == (["o7", "o8", "o9"], ["s7", "s8", "s9"])
    assert len(links) == 3
    run.end()
    assert set(run.holds()) == {("s7", "c"), ("s8", "c"), ("s9", "c")}


def test_a_restart_between_any_two_records_changes_nothing() -> None:
    records: list[Any] = [
        session(0, linked=True, since=2 * HOUR_MS),
        order(3 * HOUR_MS),
        identity(4 * HOUR_MS, "unlinked"),
        identity(5 * HOUR_MS, "logged_in"),
    ]
    whole, broken = Run(), Run()
    for record in records:
        at = after(record)
        whole.mark(at).send(record)
        broken.resume()
        broken.mark(at)
        broken.resume()
        broken.send(record)
        broken.resume()
    assert whole.end().revisions == broken.end().revisions
    assert len(whole.revisions) == 3
