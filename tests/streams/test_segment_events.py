"""Messages of Segment's libraries: each kind, and what has no counterpart."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.decoding import RejectedError
from streams.collected import Collected, Received
from streams.segment_events import SegmentMessage, collect_segment, read_batch, read_message

NOON_MS = 1_772_366_400_000
CONTEXT = {
    "page": {
        "url": "https://shop.example/p?x=1",
        "referrer": "https://search.example/?q=me",
        "title": "Shoes",
    },
    "userAgent": "Firefox",
    "campaign": {"name": "spring"},
}


def collected(**message: Any) -> Collected:
    """Take one message as its library writes it."""
    gathered = Collected(Received(id="r", at_ms=NOON_MS, site="shop", salt=b"s"))
    body = msgspec.json.encode({"messageId": "m", "anonymousId": "ann", "context": CONTEXT} | message)
    collect_segment(read_message(body), gathered, body, "page")
    return gathered


def one(**message: Any) -> tuple[str, dict[str, Any]]:
    gathered = collected(**message)
    assert not gathered.rejected, gathered.details
    [record] = gathered.records
    return record.topic, msgspec.json.decode(record.value)


def test_a_page_is_a_page_view_also_where_only_its_path_says_so() -> None:
    topic, view = one(properties={"url": "https://shop.example/q", "size": 42, "search": "?x=1"}, userId=7)
    assert topic == "page-views"
    assert (view["url"], view["referrer"], view["title"]) == (
        "https://shop.example/q",
        "https://search.example/",
        "Shoes",
    )
    assert (view["properties"], view["customer_id"], view["user_agent"]) == ({"size": 42}, "7", "Firefox")


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("Product Added", "add_to_cart"),
        ("Checkout Started", "checkout_started"),
        ("Products Searched", "search"),
        ("rage_click", "rage_click"),
        ("Video Playback Started", "video_playback_started"),
    ],
)
def test_a_track_is_an_interaction(event: str, name: str) -> None:
    topic, interaction = one(type="track", event=event)
    assert (topic, interaction["name"], interaction["url"]) == (
        "interactions",
        name,
        "https://shop.example/p",
    )


def test_an_order_with_its_lines_and_its_changes() -> None:
    products = [
        {"sku": "s1", "price": "9.95", "quantity": 2, "name": "Shoe"},
        {"product_id": 5, "price": 1},
        {"price": 5},
        "nonsense",
    ]
    properties = {"order_id": "o", "total": "20.90", "currency": "EUR", "products": products}
    gathered = collected(type="track", event="Order Completed", properties=properties)
    order = msgspec.json.decode(gathered.records[0].value)
    assert (order["status"], order["revision"], order["total"], order["campaign"]) == (
        "placed",
        1,
        "20.90",
        "spring",
    )
    assert [line["sku"] for line in order["lines"]] == ["s1", "5"]
    assert gathered.skipped == {"order_line": 2}
    changes = [
        one(type="track", event="Order Refunded", properties=properties, timestamp=NOON_MS)[1],
        one(type="track", event="Order Cancelled", properties={"order_id": "o", "currency": "EUR"})[1],
    ]
    assert [change["status"] for change in changes] == ["refunded", "cancelled"]
    assert all(change["revision"] > 1 for change in changes)


def test_an_order_without_currency_or_id_is_rejected() -> None:
    for properties in ({"order_id": "o", "total": 5}, {"total": 5, "currency": "EUR"}):
        gathered = collected(type="track", event="Order Completed", properties=properties)
        assert (gathered.records, dict(gathered.reasons)) == ([], {"schema_violation": 1})


def test_who_somebody_is() -> None:
    traits = {"email": "ann@example.org", "name": "Ann", "plan": "gold"}
    topic, identity = one(type="identify", userId="7", traits=traits)
    assert (topic, identity["kind"], identity["traits"]) == ("identities", "logged_in", {"plan": "gold"})
    assert "ann@example.org" not in str(identity)
    assert one(type="identify", userId="7", anonymousId=None)[1]["kind"] == "described"
    assert one(type="track", event="Signed Up", userId="7")[1]["kind"] == "registered"
    assert one(type="track", event="Signed Out", userId="7")[1]["kind"] == "logged_out"
    assert one(type="track", event="Signed Up")[0] == "interactions", "of nobody"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "group"}, "group"),
        ({"type": "alias"}, "alias"),
        ({"type": "screen"}, "screen"),
        ({"type": "delete"}, "other_type"),
        ({"type": "identify", "traits": {"plan": "gold"}}, "anonymous_traits"),
    ],
)
def test_what_has_no_counterpart_is_counted(message: dict[str, Any], reason: str) -> None:
    gathered = collected(**message)
    assert (gathered.records, gathered.rejected, dict(gathered.skipped)) == ([], [], {reason: 1})


def test_times_of_browsers_and_of_archives() -> None:
    late = {"timestamp": NOON_MS - 90_000, "sentAt": NOON_MS - 80_000}
    assert one(**late)[1]["occurred_at"] == NOON_MS - 10_000
    assert one(**late, originalTimestamp=1)[1]["occurred_at"] == NOON_MS - 90_000, "put right already"
    assert collected(timestamp="noon").reasons == {"schema_violation": 1}


def test_bodies_that_are_none() -> None:
    for body, reason in (
        (b"{", "not_json"),
        (b"\xff", "not_json"),
        (b"[]", "schema_violation"),
        (b"", "not_json"),
    ):
        for read in (read_message, read_batch):
            with pytest.raises(RejectedError) as error:
                read(body)
            assert error.value.reason == reason
    with pytest.raises(RejectedError, match="schema_violation") as error:
        read_message(b'{"event": {"secret": 1}}')
    assert "secret" not in str(error.value)
    assert SegmentMessage().type is None
