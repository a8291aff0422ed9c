"""Customers in the whole flow: equal to a search through all events, however these are shuffled and spread."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from schemas.timestamps import parse_time
from streams.event_files import FileEvent, find_files, read_events
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS
from tests.agents.product import Final, Record, differences, final, replayed
from tests.streams.made_up_customers import SETTINGS, made_up_events


@pytest.fixture(scope="module", params=[1, 2, 3])
def events(request: pytest.FixtureRequest) -> list[FileEvent]:
    return made_up_events(request.param)


@pytest.fixture(scope="module")
def outputs(events: list[FileEvent]) -> list[tuple[str, Record]]:
    return replayed(events, SETTINGS)


def bought_later(events: list[FileEvent], last: Final) -> dict[tuple[str, str], tuple[str, str, float]]:
    """(session, customer) to rule, order and minutes, by going through all events for each session."""
    facts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for topic, value, _ in events:
        facts[topic].append(json.loads(value or b""))

    def place(event: dict[str, Any]) -> tuple[int, str]:
        return event["occurred_at"], event["event_id"]

    identities = sorted(facts["identities"], key=place)
    found = {}
    for session in last["sessions"].values():
        if session["exit_reason"] != "dead_end":
            continue
        ended = parse_time(session["ended_at"])
        visitor, customer = session["visitor_id"], session.get("customer_id")
        if customer is None:
            known = [
                who
                for who in identities
                if who["visitor_id"] == visitor
                and who["kind"] in ("registered", "logged_in")
                and ended < who["occurred_at"] <= ended + 24 * HOUR_MS + 30 * MINUTE_MS
            ]
            if not known:
                continue
            customer = known[0]["customer_id"]
            said = [
                who["kind"]
                for who in identities
                if (who["visitor_id"], who["customer_id"]) == (visitor, customer)
                and who["kind"] in ("registered", "logged_in", "unlinked")
            ]
            if said[-1] == "unlinked":
                continue
        later = []
        for order in facts["orders"]:
            # In these events the first revision is the only one that can say when an order was placed.
            if order["customer_id"] == customer and order.get("revision", 1) == 1:
                wait = order["occurred_at"] - ended
                if order["status"] in ("placed", "paid") and 0 <= wait <= 2 * DAY_MS:
                    later.append((order["occurred_at"], order["order_id"], order["channel"], wait))
        if later:
            _, order_id, channel, wait = min(later)
            found[session["session_id"], customer] = (f"order:{channel}", order_id, round(wait / 60_000, 1))
    return found


def test_the_dead_ends_of_who_bought_later_are_those_that_a_search_finds(
    events: list[FileEvent], outputs: list[tuple[str, Record]]
) -> None:
    last = final(outputs)
    expected = bought_later(events, last)
    assert {
        (record["session_id"], record["customer_id"]): (
            record["exit_rule"], record["order_id"], record["minutes_to_order"],
        )
        for record in last["session-revisions"].values()
    } == expected  # fmt: skip
    linked = [name for name, _ in expected if "customer_id" not in last["sessions"][name]]
    assert len(expected) > 15
    assert len(linked) > 3, "some were known only afterwards"
    revisions = [record for topic, record in outputs if topic == "session-revisions"]
    assert any(record["status"] == "retracted" for record in revisions), "some were taken back"


def test_page_scores_count_them_by_reason(outputs: list[tuple[str, Record]]) -> None:
    last = final(outputs)
    later = {record["session_id"] for record in last["session-revisions"].values()}
    exits: dict[str, Counter[str]] = defaultdict(Counter)
    for session in last["sessions"].values():
        if session.get("exit_page"):
            reason = "bought_later" if session["session_id"] in later else session["exit_reason"]
            exits[session["exit_page"]][reason] += 1
    scores = {score["page"]: score for score in last["page-scores"].values()}
    assert {page: score.get("exit_reasons") for page, score in scores.items() if page in exits} == exits
    assert {page: scores[page]["dead_end_exits"] for page in exits} == {
        page: reasons["dead_end"] for page, reasons in exits.items()
    }


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_shuffled_and_duplicated_copy_on_any_partitions_gives_the_same(
    events: list[FileEvent], outputs: list[tuple[str, Record]], partitions: int, tmp_path: Path
) -> None:
    source = random.Random(7)
    lines: dict[str, list[bytes]] = defaultdict(list)
    for topic, value, _ in events:
        lines[topic] += [value or b""] * source.choice([1, 1, 2])
    for topic, copies in lines.items():
        source.shuffle(copies)
        (tmp_path / f"{topic}.ndjson").write_bytes(b"\n".join(copies) + b"\n")
    copied = replayed(read_events(find_files([tmp_path])), SETTINGS, partitions)
    assert differences(final(outputs), final(copied)) == {}


def test_orders_that_come_hours_late_end_up_the_same(
    events: list[FileEvent], outputs: list[tuple[str, Record]]
) -> None:
    source = random.Random(9)
    arrivals = [
        ((event.occurred_at or 0) + (source.randrange(12 * HOUR_MS) if event.topic == "orders" else 0), event)
        for event in events
    ]
    arrivals.sort(key=lambda arrival: arrival[0])
    late, expected = final(replayed([event for _, event in arrivals], SETTINGS, 2)), final(outputs)
    assert late["session-revisions"] == expected["session-revisions"]
    reasons = [
        {score["page"]: score.get("exit_reasons") for score in last["page-scores"].values()}
        for last in (late, expected)
    ]
    assert reasons[0] == reasons[1]


def test_the_pace_of_marks_changes_nothing(
    events: list[FileEvent], outputs: list[tuple[str, Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.replay.MARK_EVERY_MS", 5 * HOUR_MS)
    monkeypatch.setattr("streams.replay.MARK_EVERY_EVENTS", 10**9)
    slow = replayed(events, SETTINGS, partitions=2)

    def revisions(written: list[tuple[str, Record]]) -> Counter[str]:
        return Counter(json.dumps(record) for topic, record in written if topic == "session-revisions")

    assert revisions(slow) == revisions(outputs), "not only the last ones"
    assert differences(final(outputs), final(slow)) == {}
