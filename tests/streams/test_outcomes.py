"""Outcomes: what came of a session, why it ended, what it earned and who it was."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.sessions import Session
from streams.settings import HOUR_MS, MINUTE_MS, SECOND_MS, Settings
from tests.streams.visitor_logs import THE_GAP, Run, action, identity, order, ran, view

THE_WAIT = 30 * MINUTE_MS


def only(*events: Any, settings: Settings | None = None) -> Session:
    """Give the one session that these events make."""
    (session,) = ran(*events, settings=settings).final()
    return session


REASONS: dict[str, tuple[list[Any], str, str]] = {
    "an order": ([view(0), order(5)], "purchased", "order:placed"),
    "an order that was cancelled": (
        [view(0), order(5), order(6, status="cancelled", revision=2)],
        "purchased",
        "order:cancelled",
    ),
    "an order before a registration": (
        [view(0), identity(1, "registered"), order(5)],
        "purchased",
        "order:placed",
    ),
    "a registration": ([view(0), identity(1, "registered")], "registered", "identity:registered"),
    "a log-in is none": ([view(0), identity(1, "logged_in", customer_id="c")], "dead_end", "otherwise"),
    "handed off after the last view": (
        [view(0), action(1, "phone_tap")],
        "handed_off",
        "interaction:phone_tap",
    ),
    "handed off at the last view": ([view(0), action(0, "phone_tap")], "handed_off", "interaction:phone_tap"),
    "handed off, then something else": (
        [view(0), action(1, "outbound_click"), action(2, "error")],
        "handed_off",
        "interaction:outbound_click",
    ),
    "handed off before the last view": ([view(0), action(1, "phone_tap"), view(2)], "dead_end", "otherwise"),
    "handed off by a bot": (
        [view(0, is_bot=True), action(1, "store_finder")],
        "handed_off",
        "interaction:store_finder",
    ),
    "a help page": ([view(0), view(1, "help")], "served", "template:help"),
    "a help page that was left": ([view(0, "help"), view(1)], "dead_end", "otherwise"),
    "a help page seen by a bot": ([view(0, "help", is_bot=True)], "served", "template:help"),
    "a long read, by its last event": (
        [view(0, "content"), action(60 * SECOND_MS, "error")],
        "served",
        "reading:content",
    ),
    "one millisecond too short": ([view(0, "content"), action(60 * SECOND_MS - 1)], "dead_end", "otherwise"),
    "a long read, by its engagement": (
        [view(0, "content"), action(1, "engagement", seconds=60.0, page="shop.example/content")],
        "served",
        "reading:content",
    ),
    "the engagement of the page before": (
        [view(0), view(1, "content"), action(2, "engagement", seconds=60.0, page="shop.example/home")],
        "dead_end",
        "otherwise",
    ),
    "time on a page that is no read": ([view(0), action(10 * MINUTE_MS)], "dead_end", "otherwise"),
    "a bot": ([view(0), view(1, is_bot=True)], "bot", "page_view:is_bot"),
    "nothing": ([view(0)], "dead_end", "otherwise"),
}


@pytest.mark.parametrize(("events", "reason", "rule"), REASONS.values(), ids=REASONS.keys())
def test_a_session_ends_for_a_reason_that_names_its_rule(events: list[Any], reason: str, rule: str) -> None:
    session = only(*events)
    assert (session.exit_reason, session.exit_rule) == (reason, rule)


def test_a_session_that_is_cut_by_its_length_was_not_seen_to_end() -> None:
    settings = Settings(max_length_ms=HOUR_MS)
    first, second = ran(*(view(n * THE_GAP) for n in range(4)), settings=settings).final()
    assert (first.exit_reason, first.exit_rule) == ("measurement_gap", "session:max_length")
    assert second.exit_reason == "dead_end"


ATTACHING: dict[str, tuple[int, list[bool]]] = {
    "before the session": (-1, [False, False]),
    "at its begin": (0, [True, False]),
    "at its end": (10, [True, False]),
    "at the limit of the wait": (10 + THE_WAIT, [True, False]),
    "one millisecond behind": (11 + THE_WAIT, [False, False]),
    "just before the next": (HOUR_MS - 1, [False, False]),
    "at the begin of the next": (HOUR_MS, [False, True]),
}


@pytest.mark.parametrize(("at", "expected"), ATTACHING.values(), ids=ATTACHING.keys())
@pytest.mark.parametrize("kind", ["order", "identity"])
@pytest.mark.parametrize("comes_first", [True, False])
def test_orders_and_identities_attach_by_their_time(
    at: int, expected: list[bool], kind: str, comes_first: bool
) -> None:
    event = order(at) if kind == "order" else identity(at, "registered")
    clicks = [view(0), view(10), view(HOUR_MS)]
    sessions = ran(*([event, *clicks] if comes_first else [*clicks, event])).final()
    assert [session.outcome != "none" for session in sessions] == expected


def test_of_two_sessions_that_wait_the_latest_gets_the_order() -> None:
    settings = Settings(order_wait_ms=2 * HOUR_MS)
    first, second = ran(view(0), view(HOUR_MS), order(HOUR_MS + 5), settings=settings).final()
    assert (first.outcome, second.outcome) == ("none", "purchased")


def test_an_order_neither_opens_nor_extends_a_session() -> None:
    session = only(view(0), order(THE_WAIT), view(1))
    assert session.ended_at.endswith("00.001Z")
    assert ran(order(0)).final() == []


@pytest.mark.parametrize(
    ("revisions", "outcome", "revenue"),
    [
        ([order(1)], "purchased", "10"),
        ([order(1, status="paid")], "purchased", "10"),
        ([order(1), order(2, status="paid", revision=2, total="12")], "purchased", "12"),
        ([order(1), order(2, status="cancelled", revision=2)], "purchased", "0"),
        (
            [order(1), order(2, status="refunded", revision=3), order(2, status="paid", revision=2)],
            "purchased",
            "0",
        ),
        ([order(1), order(9 * HOUR_MS, status="returned", revision=2)], "purchased", "0"),
        ([order(1, status="cancelled")], "none", "0"),
        ([order(1, status="paid", revision=2)], "none", "0"),
        ([order(9 * HOUR_MS), order(1, status="paid", revision=2)], "none", "0"),
        ([order(1, total="0.1"), order(1, "o2", total="0.2")], "purchased", "0.3"),
        (
            [order(1, total="5"), order(1, "o2", currency="CHF"), order(1, "o3", total="-1.50")],
            "purchased",
            "3.5",
        ),
    ],
)
def test_revenue_is_the_sum_of_what_still_holds(revisions: list[Any], outcome: str, revenue: str) -> None:
    session = only(view(0), *revisions)
    assert (session.outcome, session.revenue) == (outcome, revenue)
    assert session.currency == ("EUR" if outcome == "purchased" else None)


def test_orders_are_named_in_order_of_time() -> None:
    assert only(view(0), order(7, "a"), order(6, "b"), order(6, "a2")).order_ids == ["a2", "b", "a"]


@pytest.mark.parametrize(
    ("events", "customer"),
    [
        ([view(0)], None),
        ([view(0, customer_id="c1")], "c1"),
        ([view(0, customer_id="c1"), view(1)], "c1"),
        ([view(0, customer_id="c1"), action(1, customer_id="c2")], "c2"),
        ([view(0), identity(5, "logged_in", customer_id="c1")], "c1"),
        ([view(0), identity(5, "logged_in", customer_id="c1"), identity(6, "logged_out")], "c1"),
        ([view(0, customer_id="c1"), identity(6, "unlinked", customer_id="c1")], None),
        ([view(0), identity(6, "unlinked"), view(7, customer_id="c2")], "c2"),
        ([view(0), order(3, customer_id="c3")], "c3"),
        ([view(0), identity(2 * HOUR_MS, "logged_in", customer_id="c1")], None),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_customer_is_the_latest_known(events: list[Any], customer: str | None, turned: bool) -> None:
    assert only(*(reversed(events) if turned else events)).customer_id == customer


def test_source_campaign_and_device_are_those_of_the_first_view() -> None:
    session = only(
        view(5, source="internal", device="desktop"), action(0), view(3, source="paid", campaign="spring")
    )
    assert (session.source, session.campaign, session.device) == ("paid", "spring", "mobile")
    assert (session.pages, session.page_views, session.interactions) == (["shop.example/home"] * 2, 2, 1)
    assert (session.entry_page, session.exit_page) == ("shop.example/home", "shop.example/home")


def test_a_session_without_a_page_view_counts_no_exit() -> None:
    run = Run().send(action(0, "phone_tap"), order(1)).mark(2 * HOUR_MS)
    session = run.kept.final()[0]
    assert (session.entry_page, session.exit_page, session.pages) == (None, None, [])
    assert (session.outcome, session.revenue) == ("purchased", "10")
    assert (run.kept.examples, run.kept.corrections) == ([], [])
    run.send(view(5))
    assert [(example.exit.reason, example.exit.orders) for example in run.kept.examples] == [("purchased", 1)]
    assert run.kept.corrections == []


def test_exits_are_corrected_by_their_difference() -> None:
    run = Run().send(view(0), view(1, "cart")).mark(2 * HOUR_MS).send(order(5, total="9.50"))
    (correction,) = run.kept.corrections
    assert correction.removed is not None
    assert correction.added is not None
    assert (correction.removed.reason, correction.removed.revenue) == ("dead_end", "0")
    # Its revenue is counted along its views: they come with it.
    (example,) = run.kept.examples
    assert (correction.views, correction.purchased_at is None) == (example.views, False)
    assert (correction.added.reason, correction.added.revenue, correction.added.orders) == (
        "purchased",
        "9.5",
        1,
    )
    run.send(view(2, "cart", is_bot=True))
    assert [(c.is_bot, c.removed is None, c.added is None) for c in run.kept.corrections[1:]] == [
        (False, False, True),
        (True, True, False),
    ]
    assert sum(run.kept.exits().values()) == 1


def test_a_change_that_leaves_the_exit_alone_corrects_nothing() -> None:
    run = Run().send(view(0), view(5)).mark(2 * HOUR_MS).send(view(3, "cart"))
    assert run.kept.final()[0].revision == 2
    assert run.kept.corrections == []
