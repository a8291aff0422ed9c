"""Events of Plausible's tracker: by short names and long ones, with revenue, with a page in the fragment."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas.decoding import RejectedError
from streams.collected import Collected, Received
from streams.plausible_events import collect_plausible, read_plausible

NOON_MS = 1_772_366_400_000
HERE = "https://shop.example/p"


def collected(**event: Any) -> Collected:
    received = Received(
        id="r", at_ms=NOON_MS, site="shop.example", salt=b"s", network="192.0.2.0", user_agent="F"
    )
    gathered = Collected(received)
    body = msgspec.json.encode(event)
    collect_plausible(read_plausible(body), gathered, body)
    return gathered


def one(**event: Any) -> tuple[str, dict[str, Any]]:
    gathered = collected(**event)
    assert not gathered.rejected, gathered.details
    [record] = gathered.records
    return record.topic, msgspec.json.decode(record.value)


def test_a_page_view_by_short_and_by_long_names() -> None:
    short = one(n="pageview", u=HERE, d="shop.example", r="https://search.example/?q=me", p={"a": "b"}, v=36)
    long = one(
        name="pageview",
        url=HERE,
        domain="shop.example",
        referrer="https://search.example/",
        props='{"a":"b"}',
    )
    assert short == long
    topic, view = short
    assert (topic, view["url"], view["properties"]) == ("page-views", HERE, {"a": "b"})
    assert (view["referrer"], view["ip"], view["occurred_at"]) == (
        "https://search.example/",
        "192.0.2.0",
        NOON_MS,
    )


def test_where_the_fragment_is_the_page() -> None:
    assert one(n="pageview", u=f"{HERE}/?x=1#/cart?y=2", h=1)[1]["url"] == f"{HERE}/cart"
    assert one(n="pageview", u=f"{HERE}#top", h=1)[1]["url"] == HERE
    assert one(n="pageview", u=f"{HERE}#/cart")[1]["url"] == HERE


@pytest.mark.parametrize(
    ("event", "name"),
    [("Outbound Link: Click", "outbound_click"), ("404", "error"), ("File Download", "file_download")],
)
def test_other_events_are_interactions(event: str, name: str) -> None:
    topic, interaction = one(n=event, u=HERE, p={"url": "https://pay.example/?card=1"})
    assert (topic, interaction["name"]) == ("interactions", name)
    assert interaction["properties"] == {"url": "https://pay.example/"}


def test_purchases_with_revenue_are_orders() -> None:
    revenue = {"amount": 12.5, "currency": "EUR"}
    topic, order = one(n="Purchase", u=HERE, p={"order_id": 7}, **{"$": revenue})
    assert (topic, order["order_id"], order["total"], order["currency"]) == ("orders", "7", 12.5, "EUR")
    assert one(name="Purchase", url=HERE, revenue=revenue)[1]["order_id"] == "r"
    assert one(n="Donated", u=HERE, **{"$": revenue})[1]["properties"] == {"revenue": revenue}


def test_what_can_not_be_used_is_rejected() -> None:
    assert collected(u=HERE).reasons == {"schema_violation": 1}
    assert collected(n="pageview").reasons == {"schema_violation": 1}
    assert collected(n="Purchase", u=HERE, **{"$": {"amount": 5}}).reasons == {"schema_violation": 1}
    for body, reason in ((b"n=pageview", "not_json"), (b'{"n": 5}', "schema_violation")):
        with pytest.raises(RejectedError) as error:
            read_plausible(body)
        assert error.value.reason == reason
