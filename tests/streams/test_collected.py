"""What a request comes to: times put right, visitors of a day, nothing personal of who asks for privacy."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from schemas.decoding import RejectedError, decode_input
from schemas.rejected_events import RejectedEvent
from streams.collected import Collected, Received, corrected_ms, day_salt, day_visitor
from streams.settings import DAY_MS, MINUTE_MS

NOON_MS = 1_772_366_400_000
VIEW = {"event_id": "e", "visitor_id": "ann", "occurred_at": NOON_MS, "url": "https://shop.example/?pw=1"}


def received(**more: Any) -> Received:
    facts: dict[str, Any] = {"id": "r", "at_ms": NOON_MS, "site": "shop", "salt": day_salt("s", NOON_MS)}
    return Received(**facts | {"network": "192.0.2.0", "user_agent": "Firefox"} | more)


def one(topic: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    collected = Collected(received(**more))
    collected.add(topic, fields, b"")
    [record] = collected.records
    decode_input(topic, record.value)
    found: dict[str, Any] = msgspec.json.decode(record.value)
    return found


def test_site_address_and_browser_are_the_requests_own() -> None:
    view = one("page-views", VIEW | {"site": "another", "ip": "203.0.113.9"})
    assert (view["site"], view["ip"], view["user_agent"]) == ("shop", "192.0.2.0", "Firefox")
    assert one("page-views", VIEW | {"ip": "203.0.113.9"}, network=None)["ip"] == "203.0.113.0"
    assert "ip" not in one("page-views", VIEW | {"ip": "nonsense"}, network=None)


def test_identifiers_are_hashed_as_pseudonyms_would_have_it() -> None:
    identifiers = {"email": " Ann@Example.org", "phone": "0049 30 12345", "loyalty": "A" * 64}
    identity = {"event_id": "e", "kind": "logged_in", "visitor_id": "ann", "occurred_at": NOON_MS}
    made = one("identities", identity | {"identifiers": identifiers})["identifiers"]
    assert made == {
        "email": sha256(b"ann@example.org").hexdigest(),
        "phone": sha256(b"+493012345").hexdigest(),
        "loyalty": "A" * 64,
    }


def test_who_asks_for_privacy_keeps_a_visit_and_no_more() -> None:
    view = one("page-views", VIEW | {"customer_id": "7"}, private=True)
    assert view["visitor_id"] == day_visitor(received(), "ann")
    assert not {"ip", "customer_id"} & view.keys()
    collected = Collected(received(private=True))
    collected.add("identities", {"kind": "logged_in"}, b"ann")
    collected.reject("schema_violation", "`n` is missing", b"ann")
    assert (collected.records, collected.skipped) == ([], {"gpc": 1})
    assert msgspec.json.decode(collected.rejected[0].value, type=RejectedEvent).payload is None


def test_visitors_of_a_day() -> None:
    today, tomorrow = (received(salt=day_salt("s", NOON_MS + more)) for more in (0, DAY_MS))
    assert day_visitor(today, "a", "b") == day_visitor(today, "a", "b")
    others = [
        day_visitor(today, "ab"),
        day_visitor(today, "a", "c"),
        day_visitor(tomorrow, "a", "b"),
        day_visitor(received(site="other"), "a", "b"),
    ]
    assert len({*others, day_visitor(today, "a", "b")}) == 5


@pytest.mark.parametrize(
    ("occurred_at", "sent_at", "expected_ms"),
    [
        (None, None, NOON_MS),
        (NOON_MS - 5, None, NOON_MS - 5),
        (NOON_MS - 5, "nonsense", NOON_MS - 5),
        (NOON_MS - 5 - MINUTE_MS, NOON_MS - MINUTE_MS, NOON_MS - 5 - MINUTE_MS),
        (NOON_MS - 6 - MINUTE_MS, NOON_MS - 1 - MINUTE_MS, NOON_MS - 5),
        (NOON_MS + DAY_MS, NOON_MS + DAY_MS + 7, NOON_MS - 7),
        (NOON_MS + DAY_MS + 9, NOON_MS + DAY_MS, NOON_MS),
    ],
)
def test_a_clock_that_is_wrong_by_more_than_a_minute_is_put_right(
    occurred_at: Any, sent_at: Any, expected_ms: int
) -> None:
    assert corrected_ms(occurred_at, sent_at, NOON_MS) == expected_ms


def test_what_is_no_time_and_what_is_no_record_is_rejected_with_its_payload() -> None:
    with pytest.raises(RejectedError, match="is no time"):
        corrected_ms("yesterday", None, NOON_MS)
    collected = Collected(received())
    for topic, fields in (
        ("deploys", VIEW),
        ("page-views", VIEW | {"visitor_id": None}),
        ("page-views", VIEW | {"url": 5}),
        ("page-views", VIEW | {"title": "\ud800"}),
        ("page-views", VIEW | {"properties": {"a": "x" * 300_000}}),
    ):
        collected.add(topic, fields, b"as it came")
    assert collected.records == []
    assert collected.reasons == {
        "unknown_topic": 1,
        "missing_visitor": 1,
        "schema_violation": 2,
        "too_large": 1,
    }
    events = [msgspec.json.decode(record.value, type=RejectedEvent) for record in collected.rejected]
    assert len({event.id for event in events}) == 5
    assert {base64.b64decode(event.payload or "") for event in events} == {b"as it came"}
