"""Summaries: the last revision of a session, a page and an alert counts, retracted sessions do not."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import pytest

from schemas.dead_end_alerts import DeadEndAlert
from schemas.enriched_page_views import EnrichedPageView
from schemas.page_scores import PageScore
from schemas.rejected_events import RejectedEvent
from schemas.session_revisions import SessionRevision
from schemas.sessions import Session
from streams.settings import DAY_MS, Settings
from streams.stages import Output
from streams.summaries import Summary

NO_COUNTS: dict[str, Counter[tuple[str, str]]] = {}


def output(topic: str, value: Any) -> Output:
    return Output(topic, "k", value, "id", 0)


def session(session_id: str, revision: int = 1, **changes: Any) -> Output:
    fields: dict[str, Any] = {
        "status": "final" if revision == 1 else "revised",
        "visitor_id": "v",
        "started_at": "2026-03-01T12:00:00.000Z",
        "ended_at": "2026-03-01T12:10:00.000Z",
        "page_views": 3,
        "interactions": 0,
        "outcome": "none",
        "exit_reason": "dead_end",
    }
    value = Session(id=session_id, session_id=session_id, revision=revision, **fields | changes)
    return output("sessions", value)


def page(name: str, rank_score: float, settled: bool = True) -> Output:
    value = PageScore(
        id=name, revision=1, page=name, template="t", site="s", as_of="2026-03-01T12:00:00.000Z", views=100,
        exits=50, expected_exits=20, dead_end_exits=40, excess_exits=30, excess_low=20, excess_high=40,
        rank_score=rank_score, settled=settled,
    )  # fmt: skip
    return output("page-scores", value)


def view() -> EnrichedPageView:
    return EnrichedPageView(
        id="v", event_id="e", visitor_id="a", occurred_at="2026-03-01T12:00:00.000Z", url="", page="p",
        template="t", source="paid", device="mobile", is_bot=False, session_id="s", position=1, site="shop",
    )  # fmt: skip


def alert(name: str, status: Any) -> DeadEndAlert:
    noon = "2026-03-01T12:00:00.000Z"
    return DeadEndAlert(
        id=name, alert_id=name, revision=1, status=status, page="p", template="t", site="shop", scope="page",
        opened_at=noon, updated_at=noon, cause="unknown", log_evidence=9.0, views=9, exits=9, expected_exits=3.0,
    )  # fmt: skip


def test_a_revised_session_counts_once_as_it_is_now() -> None:
    summary = Summary()
    summary.add(session("a"))
    summary.add(session("b"))
    summary.add(session("a", 2, outcome="purchased", exit_reason="purchased", page_views=5))
    assert summary.figures(NO_COUNTS)["sessions"] == {
        "closed": 2,
        "page_views": 8,
        "bots": 0,
        "by_outcome": {"none": 1, "purchased": 1},
        "by_exit_reason": {"dead_end": 1, "purchased": 1},
    }


def test_a_retracted_session_never_was() -> None:
    summary = Summary()
    summary.add(session("a", is_bot=True))
    summary.add(session("a", 2, status="retracted"))
    figures = summary.figures(NO_COUNTS)["sessions"]
    assert (figures["closed"], figures["page_views"], figures["bots"], figures["by_outcome"]) == (0, 0, 0, {})


def revision(
    session_id: str, customer: str = "c", number: int = 1, status: Literal["revised", "retracted"] = "revised"
) -> Output:
    value = SessionRevision(
        id=f"{session_id}{customer}", revision=number, status=status, session_id=session_id, visitor_id="v",
        customer_id=customer, site="s", ended_at="2026-03-01T12:10:00.000Z",
    )  # fmt: skip
    return output("session-revisions", value)


def test_a_dead_end_of_who_bought_later_counts_as_that_until_it_is_taken_back() -> None:
    summary = Summary()

    def reasons() -> object:
        return summary.figures(NO_COUNTS)["sessions"]["by_exit_reason"]

    summary.add(session("a"))
    summary.add(revision("a"))
    assert reasons() == {"bought_later": 1}
    summary.add(revision("a", customer="d"))
    summary.add(revision("a", number=2, status="retracted"))
    assert reasons() == {"bought_later": 1}, "it is another customer's now"
    summary.add(session("a", 2, exit_reason="purchased"))
    assert reasons() == {"purchased": 1}
    summary.add(session("a", 3, exit_reason="dead_end"))
    summary.add(revision("a", customer="d", number=2, status="retracted"))
    assert reasons() == {"dead_end": 1}
    summary.add(revision("unknown"))
    assert reasons() == {"dead_end": 1}


def test_of_more_sessions_than_are_remembered_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.summaries.KEPT_SESSIONS", 10)
    summary = Summary()
    for number in range(50):
        summary.add(session(f"s{number}"))
    assert summary.figures(NO_COUNTS)["sessions"]["closed"] == 50
    assert len(summary._sessions) == 10


def test_the_worst_pages_are_those_that_are_settled_and_lose_surely() -> None:
    summary = Summary()
    for value in (page("a", 5), page("b", 9), page("c", 99, settled=False), page("d", -1), page("a", 10)):
        summary.add(value)
    assert [worst.page for worst in summary.dead_ends()] == ["a", "b"]
    assert [worst.page for worst in summary.dead_ends(1)] == ["a"]


def test_rejects_are_counted_by_reason_and_stages_counts_are_added_up() -> None:
    summary = Summary()
    for number, reason in enumerate(("not_json", "too_late", "not_json")):
        summary.add(output("rejected-events", RejectedEvent(id=str(number), reason=reason, detail="x")))  # type: ignore[arg-type]
    counts = {"sessions": Counter({("late", "page-views"): 2, ("late", "orders"): 1, ("duplicates", ""): 4})}
    figures = summary.figures(counts)
    assert figures["rejected"] == {"not_json": 2, "too_late": 1}
    assert (figures["late"], figures["duplicates"]) == (3, 4)


def test_the_rate_of_alerts_leaves_out_the_silent_day_and_what_was_withdrawn() -> None:
    summary = Summary(Settings(warm_up_ms=DAY_MS, alerts_per_week=2.0))
    for day in (3, 0, 8):
        summary.add(Output("enriched-page-views", "k", view(), "id", day * DAY_MS))
    for name, status in (("a", "opened"), ("b", "resolved"), ("c", "withdrawn"), ("a", "updated")):
        summary.add(output("dead-end-alerts", alert(name, status)))
    rate = summary.figures(NO_COUNTS)["alert_rate"]
    assert (rate["alerts"], rate["site_weeks"], rate["a_week"], rate["budget"]) == (2, 1.0, 2.0, 2.0)
    assert Summary().figures(NO_COUNTS)["alert_rate"]["a_week"] is None
