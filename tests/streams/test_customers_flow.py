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
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings
from tests.agents.product import Final, Record, differences, final, replayed

SETTINGS = Settings(pseudonymise=False, site="shop.example", bought_later_ms=2 * DAY_MS)
BEGINNING = 1_767_225_600_000
DAYS = 6
CUSTOMERS = 100
CHANNELS = ("web", "app", "store", "call_centre", "marketplace", "catalogue")
TEMPLATES = ("product", "category", "help", "cart")


def made_up_events(seed: int) -> list[FileEvent]:
    """Make up customers with two browsers each: known at once, later or never, with orders anywhere."""
    source = random.Random(seed)
    events: list[tuple[int, str, dict[str, Any]]] = []

    def add(topic: str, at: int, **fields: Any) -> None:
        event = {"event_id": f"e{len(events)}", "occurred_at": at, "site": "shop.example"}
        events.append((at, topic, event | fields))

    def some_time() -> int:
        # Mostly on full hours, so that there are ties and boundaries.
        at = BEGINNING + source.randrange(DAYS * 24) * HOUR_MS
        return at + source.choice([0, 0, source.randrange(HOUR_MS), 30 * MINUTE_MS])

    for number in range(CUSTOMERS):
        customer = f"c{number}"
        browsers = [f"{customer}-phone", f"{customer}-desk"]
        starts = [some_time()]
        for _ in range(source.randrange(6)):
            at, names = some_time(), source.random() < 0.3
            starts.append(at)
            for click in range(source.randrange(1, 4)):
                page = f"https://shop.example/{source.choice(TEMPLATES)}/x{source.randrange(3)}"
                known = {"customer_id": customer} if names else {}
                add(
                    "page-views",
                    at + click * 5 * MINUTE_MS,
                    visitor_id=source.choice(browsers) if click == 0 else events[-1][2]["visitor_id"],
                    url=page,
                    **known,
                )
        for _ in range(source.randrange(5)):
            kind = source.choice(["registered", "logged_in", "logged_in", "logged_out", "unlinked"])
            # Now and then it is another customer who sits at that browser.
            who = customer if source.random() < 0.8 else f"c{source.randrange(CUSTOMERS)}"
            visitor = source.choice(browsers)
            after = source.choice(starts) + source.randrange(1, 26) * HOUR_MS
            unsaid = source.choice([(), (), ("unlinked",), ("unlinked", "logged_in")])
            for said in (kind, *unsaid):
                add("identities", after, kind=said, visitor_id=visitor, customer_id=who)
                after += source.randrange(1, 24) * HOUR_MS
        for purchase in range(source.randrange(6)):
            at = source.choice(starts) + source.randrange(3 * DAY_MS)
            order = {
                "order_id": f"o{number}-{purchase}",
                "channel": source.choice(CHANNELS),
                "currency": "EUR",
                "total": "20",
                "customer_id": customer,
            }
            if source.random() < 0.3:
                order["visitor_id"] = source.choice([*browsers, "another"])
            first = source.choice(["placed", "placed", "paid", "cancelled"])
            add("orders", at, status=first, **order)
            if source.random() < 0.5:
                status = source.choice(["paid", "refunded", "cancelled"])
                add("orders", at + source.randrange(DAY_MS), status=status, revision=2, **order)
    events.sort(key=lambda event: event[0])
    return [FileEvent(topic, json.dumps(event).encode(), at) for at, topic, event in events]


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
