import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.interactions import Interaction
from schemas.orders import Order
from schemas.page_views import PageView
from schemas.rejected_events import RejectedEvent
from streams.otto_logs import OttoEvent, OttoLog, OttoSession, session_events
from tests.streams.real_data import OTTO_EXTRACT, OTTO_SAMPLE, needs

TYPES = {
    "page-views": PageView,
    "interactions": Interaction,
    "orders": Order,
    "rejected-events": RejectedEvent,
}
NOON_MS = 1659348000000
LATER_MS = NOON_MS + 60_000


def events_of(*events: OttoEvent) -> list[tuple[str, dict[str, Any]]]:
    return list(session_events(OttoSession(7, list(events))))


def test_a_click_is_a_page_view_of_the_article() -> None:
    assert events_of(OttoEvent(5, NOON_MS, "clicks")) == [
        (
            "page-views",
            {
                "event_id": "otto-7-0",
                "visitor_id": "otto-7",
                "occurred_at": NOON_MS,
                "url": "https://otto.example/product/5",
                "site": "otto.example",
            },
        )
    ]


def test_a_cart_is_an_add_to_cart_on_the_articles_page() -> None:
    [(topic, event)] = events_of(OttoEvent(5, NOON_MS, "carts"))
    assert topic == "interactions"
    assert (event["name"], event["properties"]) == ("add_to_cart", {"sku": "5"})
    assert event["url"] == "https://otto.example/product/5"


def test_orders_at_one_time_are_one_order_and_those_at_another_are_another() -> None:
    outputs = events_of(
        OttoEvent(1, NOON_MS, "orders"),
        OttoEvent(2, NOON_MS, "orders"),
        OttoEvent(1, NOON_MS, "orders"),
        OttoEvent(3, LATER_MS, "orders"),
    )
    assert [topic for topic, _ in outputs] == ["orders", "orders"]
    first, second = (event for _, event in outputs)
    assert [(row["sku"], row["quantity"]) for row in first["lines"]] == [("1", "2"), ("2", "1")]
    assert (first["order_id"], second["order_id"]) == (f"otto-7-{NOON_MS}", f"otto-7-{LATER_MS}")
    assert (first["total"], first["currency"], first["status"], first["channel"]) == (
        "0",
        "EUR",
        "placed",
        "web",
    )


def test_events_come_in_order_of_time_under_ids_of_their_position() -> None:
    outputs = events_of(OttoEvent(1, LATER_MS, "clicks"), OttoEvent(2, NOON_MS, "clicks"))
    assert [event["event_id"] for _, event in outputs] == ["otto-7-1", "otto-7-0"]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"session":1}',
        '{"session":1,"events":[{"aid":"x","ts":1,"type":"clicks"}]}',
        '{"session":1,"events":[{"aid":1,"ts":1,"type":"views"}]}',
        "[" * 100_000,
        '"\ud800"',
    ],
)
def test_what_is_no_session_is_a_reject_that_tells_its_position(line: str) -> None:
    log = OttoLog()
    [(topic, event)] = log.read(["", line])
    assert (topic, event["reason"], event["offset"], log.rejected) == (
        "rejected-events",
        "malformed_line",
        1,
        1,
    )
    msgspec.json.decode(msgspec.json.encode(event), type=RejectedEvent)


def check_against_a_plain_count(path: Path) -> Counter[str]:
    text = path.read_text()
    outputs = list(OttoLog().read(text.splitlines()))
    for topic, event in outputs:
        msgspec.json.decode(msgspec.json.encode(event), type=TYPES[topic])
    ids = [event["event_id"] for _, event in outputs]
    assert len(set(ids)) == len(ids)
    counts = Counter(topic for topic, _ in outputs)
    kinds = Counter(re.findall(r'"type":"(\w+)"', text))
    order_times = {
        (number, ts)
        for number, row in enumerate(text.splitlines())
        for ts in re.findall(r'"ts":(\d+),"type":"orders"', row)
    }
    assert counts == {
        "page-views": kinds["clicks"],
        "interactions": kinds["carts"],
        "orders": len(order_times),
    }
    pieces = sum(
        int(row["quantity"]) for topic, event in outputs if topic == "orders" for row in event["lines"]
    )
    assert pieces == kinds["orders"]
    return kinds


def test_the_extract_gives_what_a_plain_count_gives() -> None:
    assert check_against_a_plain_count(OTTO_EXTRACT) == {"clicks": 274, "carts": 20, "orders": 5}


@needs(OTTO_SAMPLE)
def test_the_full_sample_gives_what_a_plain_count_gives() -> None:
    assert check_against_a_plain_count(OTTO_SAMPLE) == {"clicks": 800, "carts": 52, "orders": 10}
