"""The board's state: the last revision holds, whatever comes in whatever order; memory is bounded."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from schemas.timestamps import format_ms
from streams import board as module
from streams.board import Board
from streams.board_histories import MAX_POINTS, History
from streams.board_sankeys import FLOW_HEIGHT, sankey_of
from streams.board_traffic import MINUTES, Traffic
from streams.board_visits import MAX_VISITS, NEIGHBOURS, Visit, Visits

NOON = "2026-03-01T12:00:00.000Z"
LATER = "2026-03-01T13:00:00.000Z"
MINUTE_MS = 60_000


def encoded(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


def alert(alert_id: str = "a", revision: int = 1, **changes: Any) -> tuple[str, bytes]:
    fields: dict[str, Any] = {
        "schema": "dead-end-alerts/1",
        "id": alert_id,
        "alert_id": alert_id,
        "revision": revision,
        "status": "opened",
        "page": "shop.example/cart",
        "template": "cart",
        "site": "shop",
        "scope": "page",
        "opened_at": NOON,
        "updated_at": NOON,
        "cause": "unknown",
        "log_evidence": 8.5,
        "views": 1200,
        "exits": 700,
        "expected_exits": 300.4,
    }
    return "dead-end-alerts", encoded(**fields | changes)


def decision(alert_id: str = "a", at: str = LATER, **changes: Any) -> tuple[str, bytes]:
    fields = {
        "event_id": at,
        "occurred_at": at,
        "site": "shop",
        "alert_id": alert_id,
        "action": "mute",
        "by": "Ann",
    }
    return "alert-decisions", encoded(**fields | changes)


def score(page: str = "shop.example/cart", revision: int = 1, **changes: Any) -> tuple[str, bytes]:
    fields: dict[str, Any] = {
        "schema": "page-scores/1",
        "id": f"shop|{page}",
        "revision": revision,
        "page": page,
        "template": "cart",
        "site": "shop",
        "as_of": NOON,
        "views": 10,
        "exits": 5,
        "expected_exits": 4.0,
        "dead_end_exits": 5,
        "excess_exits": 1.0,
        "excess_low": 0.0,
        "excess_high": 2.0,
        "rank_score": 1.0,
        "settled": True,
    }
    return "page-scores", encoded(**fields | changes)


def session(session_id: str = "s", revision: int = 1, **changes: Any) -> tuple[str, bytes]:
    fields: dict[str, Any] = {
        "session_id": session_id,
        "revision": revision,
        "status": "final",
        "ended_at": NOON,
        "site": "shop",
        "pages": ["shop/", "shop/cart"],
        "outcome": "none",
        "exit_reason": "dead_end",
    }
    return "sessions", encoded(**fields | changes)


def filled(*records: tuple[str, bytes]) -> Board:
    board = Board()
    for topic, value in records:
        board.take(topic, value)
    return board


def test_the_last_revision_holds_in_any_order_and_number() -> None:
    records = [
        alert(), alert(revision=2, status="updated"), alert(revision=3, status="resolved", updated_at=LATER),
        alert("b", money_at_stake="5", currency="EUR"), decision("b"), decision("b", NOON, action="acknowledge"),
        score(), score(revision=2, as_of=LATER, views=30),
        session(), session(revision=2, status="revised", exit_reason="bought_later"), session("t"),
    ]  # fmt: skip
    shown = set()
    for seed in range(20):
        shuffled = records * 2
        random.Random(seed).shuffle(shuffled)
        board = filled(*shuffled)
        [open_one], [over] = board.open_alerts(), board.over_alerts()
        [minute] = board.traffic.minutes(None)
        found = board.score("shop", "shop.example/cart")
        assert found is not None
        assert open_one.waiting is not None
        shown.add((open_one.alert.id, open_one.waiting.action, over.alert.revision, found.views, minute))
    assert len(shown) == 1
    [(_, action, revision, views, minute)] = shown
    assert (action, revision, views) == ("mute", 3, 30)
    assert (minute.sessions, minute.dead_ends) == (2, 1)


def test_alerts_stand_by_money_and_muted_ones_behind() -> None:
    board = filled(
        alert("little", money_at_stake="9", currency="EUR"),
        alert("much", money_at_stake="10.5", currency="EUR"),
        alert("muted", money_at_stake="99", currency="EUR", status="muted"),
        alert("unknown"),
        alert("elsewhere", site="other", money_at_stake="5", currency="EUR"),
    )
    assert [s.alert.id for s in board.open_alerts("shop")] == ["much", "little", "unknown", "muted"]
    assert len(board.open_alerts()) == 5
    assert board.sites() == ["other", "shop"]


def test_a_decision_waits_until_the_alert_carries_it() -> None:
    board = filled(alert(), decision())
    shown = board.alert("a")
    assert shown is not None
    assert shown.waiting is not None
    board.take(*alert(revision=2, decision="mute", decided_by="Ann", decided_at=LATER))
    shown = board.alert("a")
    assert shown is not None
    assert shown.waiting is None


def test_a_decision_of_another_site_says_nothing_about_the_alert() -> None:
    shown = filled(alert(), decision(site="other")).alert("a")
    assert shown is not None
    assert shown.waiting is None


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        ("dead-end-alerts", b"nonsense"),
        ("dead-end-alerts", b"\xff\xfe"),
        ("page-scores", b"[]"),
        ("sessions", encoded(session_id="s", revision=1, status="final", ended_at="yesterday")),
        ("enriched-page-views", encoded(occurred_at=5)),
        ("alert-decisions", encoded(alert_id="a")),
        ("dead-end-alerts", b"[" * 100_000),
    ],
)
def test_what_can_not_be_read_is_counted_and_changes_nothing_else(topic: str, value: bytes) -> None:
    board = filled(alert())
    assert board.take(topic, value) is False
    assert board.unreadable == {topic: 1}
    assert len(board.open_alerts()) == 1


def test_progress_and_deletions_are_no_records() -> None:
    board = filled(("alert-decisions", b'{"culdesac_progress":7}'))
    assert board.take("page-scores", None) is False
    assert (board.unreadable, board.version) == ({}, 0)


def test_bots_are_not_counted() -> None:
    board = filled(
        session(is_bot=True),
        ("enriched-page-views", encoded(occurred_at=NOON, is_bot=True)),
        ("enriched-page-views", encoded(occurred_at=NOON)),
    )
    [minute] = board.traffic.minutes(None)
    assert (minute.views, minute.sessions) == (1, 0)


def test_a_session_that_never_was_is_taken_back() -> None:
    board = filled(session(), session(revision=2, status="retracted"))
    assert [minute.sessions for minute in board.traffic.minutes(None)] in ([], [0])
    assert len(board.visits) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ALERTS", 5)
    monkeypatch.setattr(module, "MAX_PAGES", 3)
    board = filled(alert("over", status="resolved"), *(alert(str(n)) for n in range(5)))
    assert board.alert("over") is None  # what is over goes first
    assert len(board.open_alerts()) == 5
    for number in range(5):
        board.take(*score(f"shop/{number}"))
    assert (len(board.scores()), board.left_out) == (3, 2)
    visits = Visits()
    for number in range(MAX_VISITS + 10):
        visits.take(str(number), Visit(1, "shop", 0, False, True, ("a",) * 99, "dead_end"))
    assert len(visits) == MAX_VISITS


def test_traffic_forgets_what_is_older_than_it_shows() -> None:
    traffic = Traffic()
    for minute in range(3 * MINUTES):
        traffic.add_view("shop", minute * MINUTE_MS)
    traffic.add_view("shop", 0)  # too old to be shown
    minutes = traffic.minutes("shop")
    assert len(minutes) == MINUTES
    assert {minute.views for minute in minutes} == {1}
    assert traffic.minutes("other") == []


def test_a_long_history_stays_whole_and_becomes_coarser() -> None:
    history = History()
    for number in range(1, 1_001):
        history.add(number, number * 2, number, number / 2, number)
    points = history.points()
    assert len(points) <= MAX_POINTS
    assert points[-1].at_ms == 1_000
    assert sum(point.views for point in points) == 2_000
    history.add(5, 0, 0, 0.0, 0)  # of before: comes again
    assert len(history.points()) == len(points)


def test_neighbours_are_named_the_rest_is_together_and_nothing_is_lost() -> None:
    visits = Visits()
    for number in range(20):
        for copy in range(20 - number):
            pages = (f"p{number}", "here", f"q{number}")
            visits.take(f"{number}-{copy}", Visit(1, "shop", 0, False, True, pages, "dead_end"))
    visits.take("end", Visit(1, "shop", 0, True, False, ("here",), "purchased"))
    found = visits.neighbours("shop", "here")
    assert found.views == 211
    for side in (found.before, found.after):
        assert sum(neighbour.number for neighbour in side) == 211
        assert len([n for n in side if n.page is not None and not n.is_end]) == NEIGHBOURS
    drawn = sankey_of(found)
    assert drawn is not None
    for bands in (drawn.before, drawn.after):
        ends = [(band.y, band.y + band.height) for band in bands]
        assert all(end < start for (_, end), (start, _) in pairwise(ends))
        assert ends[-1][1] <= drawn.height
    assert drawn.node_height == FLOW_HEIGHT
    assert visits.neighbours("other", "here").views == 0


def test_times_are_those_of_events() -> None:
    board = filled(("enriched-page-views", encoded(occurred_at=format_ms(90_000), site="shop")))
    assert board.traffic.newest_ms("shop") == 60_000
    assert board.traffic.newest_ms("other") is None


def notice(number: int, at: str = NOON, **changes: Any) -> tuple[str, bytes]:
    fields: dict[str, Any] = {
        "schema": "undelivered-notices/1", "id": f"team.a.{number}", "alert_id": "a", "alert_revision": number,
        "status": "opened", "site": "shop", "route": "team", "receiver": "chat", "kind": "slack",
        "reason": "refused", "detail": "HTTP 404", "attempts": 1, "undelivered_at": at,
    }  # fmt: skip
    return "undelivered-notices", encoded(**fields | changes)


def test_who_was_not_told_is_known_once_and_the_latest_first() -> None:
    board = Board()
    assert board.take(*notice(1))
    assert board.take(*notice(2, LATER))
    assert not board.take(*notice(1)), "it came twice"
    assert [one.alert_revision for one in board.undelivered("shop")] == [2, 1]
    assert board.undelivered("elsewhere") == []
    for number in range(3, module.MAX_NOTICES + 3):
        board.take(*notice(number, LATER))
    kept = {one.alert_revision for one in board.undelivered(number=1_000)}
    assert len(kept) == module.MAX_NOTICES
    assert 1 not in kept
