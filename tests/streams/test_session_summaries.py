"""Summaries of sessions: the customers stage is told of those of known customers, whoever is known when."""

from __future__ import annotations

from streams.settings import HOUR_MS, MINUTE_MS
from tests.streams.visitor_logs import BEGINNING, Run, action, identity, order, view

TWENTY_HOURS = 20 * HOUR_MS
CLOSED = 30 * MINUTE_MS + 1
"""The watermark at which a session of one click at the beginning is closed."""


def told(run: Run) -> list[tuple[str, int, str, bool, bool, int]]:
    """Customer, revision, reason, linked, retracted, and minutes after the beginning from which on it holds."""
    return [
        (
            summary.customer_id,
            summary.revision,
            summary.exit_reason,
            summary.linked,
            summary.retracted,
            (summary.since_ms - BEGINNING) // MINUTE_MS,
        )
        for summary in run.kept.summaries
    ]


def test_a_session_that_names_its_customer_is_told_when_it_closes() -> None:
    run = Run().send(view(0, "product", customer_id="ann@")).mark(CLOSED - 1)
    assert told(run) == []
    run.mark(CLOSED)
    assert told(run) == [("ann@", 1, "dead_end", False, False, 30)]
    [summary] = run.kept.summaries
    [session] = run.kept.final()
    assert (summary.session_id, summary.visitor_id, summary.ended_at) == (
        session.session_id, session.visitor_id, BEGINNING,
    )  # fmt: skip
    assert summary.exit == run.kept.examples[0].exit
    assert run.end().summaries == [summary], "once"
    assert run.counts["exits", "dead_end"] == run.counts["sessions_closed", "none"] == 1


def test_of_a_session_of_nobody_nothing_is_told() -> None:
    assert Run().send(view(0)).end().summaries == []


def test_an_anonymous_session_is_told_when_its_visitor_registers_later() -> None:
    run = Run().send(view(0), identity(TWENTY_HOURS, "registered", customer_id="c")).mark(TWENTY_HOURS)
    assert told(run) == [], "at ≤ the watermark it has not happened yet"
    run.mark(TWENTY_HOURS + 1)
    assert told(run) == [("c", 1, "dead_end", True, False, 20 * 60)]


def test_logging_in_links_too_and_logging_out_or_being_unlinked_does_not() -> None:
    run = Run().send(
        view(0),
        identity(2 * HOUR_MS, "unlinked", customer_id="c"),
        identity(3 * HOUR_MS, "logged_out", customer_id="c"),
        identity(4 * HOUR_MS, "logged_in", customer_id="c"),
    )
    run.end()
    assert told(run) == [("c", 1, "dead_end", True, False, 4 * 60)]


def test_the_first_who_is_known_afterwards_has_the_session() -> None:
    run = Run().send(view(0), identity(2 * HOUR_MS, "logged_in", customer_id="c"))
    run.mark(3 * HOUR_MS)
    run.send(identity(4 * HOUR_MS, "logged_in", customer_id="d"))
    run.end()
    assert told(run) == [("c", 1, "dead_end", True, False, 2 * 60)]


def test_somebody_who_is_known_before_says_nothing_of_a_session() -> None:
    run = Run().send(identity(0, "logged_in", customer_id="c"), view(2 * HOUR_MS))
    run.end()
    assert told(run) == []


def test_whom_a_session_names_has_it_whoever_logs_in_later() -> None:
    run = Run().send(view(0, customer_id="c"), identity(2 * HOUR_MS, "logged_in", customer_id="d"))
    run.end()
    assert told(run) == [("c", 1, "dead_end", False, False, 30)]


def test_an_identity_that_comes_late_takes_a_session_from_whom_it_was() -> None:
    run = Run().send(view(0), identity(4 * HOUR_MS, "logged_in", customer_id="d")).mark(5 * HOUR_MS)
    run.send(identity(3 * HOUR_MS, "logged_in", customer_id="c"))
    assert told(run) == [
        ("d", 1, "dead_end", True, False, 4 * 60),
        ("d", 1, "dead_end", True, True, 5 * 60 - 1),
        ("c", 1, "dead_end", True, False, 5 * 60 - 1),
    ]


def test_a_revised_session_is_told_again() -> None:
    run = Run().send(view(0, customer_id="c")).mark(HOUR_MS)
    run.send(order(5 * MINUTE_MS, customer_id="c"))
    assert told(run) == [("c", 1, "dead_end", False, False, 30), ("c", 2, "purchased", False, False, 59)]


def test_a_session_that_is_opened_again_is_taken_back_until_it_closes() -> None:
    run = Run().send(view(0, customer_id="c")).mark(31 * MINUTE_MS)
    run.send(action(20 * MINUTE_MS))
    run.end()
    assert told(run) == [
        ("c", 1, "dead_end", False, False, 30),
        ("c", 1, "dead_end", False, True, 30),
        ("c", 2, "dead_end", False, False, 50),
    ]


def test_a_session_that_never_was_is_taken_back() -> None:
    run = Run().send(view(40 * MINUTE_MS, customer_id="c")).mark(2 * HOUR_MS)
    run.send(view(20 * MINUTE_MS, customer_id="c"))
    joined, gone = run.kept.summaries[-1], run.kept.summaries[-2]
    assert (gone.session_id, gone.retracted) == (run.kept.summaries[0].session_id, True)
    assert (joined.ended_at, joined.retracted) == (BEGINNING + 40 * MINUTE_MS, False)
    assert joined.session_id != gone.session_id


def test_another_customer_in_late_clicks_moves_the_session() -> None:
    run = Run().send(view(0, customer_id="c")).mark(HOUR_MS)
    run.send(action(1, customer_id="d"))
    assert told(run)[1:] == [
        ("c", 1, "dead_end", False, True, 59),
        ("d", 2, "dead_end", False, False, 59),
    ]


def test_who_registers_after_the_session_was_forgotten_is_not_recognised_in_it() -> None:
    limit = 30 * MINUTE_MS + 24 * HOUR_MS
    run = Run().send(view(0)).mark(limit)
    run.send(identity(limit, "registered", customer_id="c")).mark(limit + 1)
    assert told(run) == [("c", 1, "dead_end", True, False, limit // MINUTE_MS)]
    run = Run().send(view(0)).mark(limit + 1)
    run.send(identity(limit + 1, "registered", customer_id="c")).end()
    assert told(run) == []


def test_a_restart_between_session_and_link_changes_nothing() -> None:
    run = Run().send(view(0)).mark(HOUR_MS)
    run.resume()
    run.send(identity(2 * HOUR_MS, "logged_in", customer_id="c"))
    run.resume()
    run.end()
    assert told(run) == [("c", 1, "dead_end", True, False, 2 * 60)]
    assert run.keys_left() == []
