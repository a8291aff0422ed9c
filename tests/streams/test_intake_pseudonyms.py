"""Intake: who stays unknown behind the door."""

from __future__ import annotations

import msgspec
import pytest

from streams.intake import Intake
from streams.settings import Settings
from tests.streams.input_events import (
    ACTION,
    CONSENT,
    DECISION,
    DEPLOY,
    EVENTS,
    FEEDBACK,
    IDENTITY,
    ORDER,
    SECRET,
    SHOWING,
    VIEW,
    Door,
    Fields,
    one,
)

WHO = {
    "visitor": "visitor-4711-raw",
    "customer": "customer-0815-raw",
    "mail": "anna.raw@example.org",
    "phone": "+49 30 7654321",
    "loyalty": "LOYAL-99887",
    "ip": "203.0.113.77",
    "query": "secret-query-token",
    "fragment": "secret-fragment-token",
    "name": "anna-the-user",
}
WRITTEN = {
    *WHO.values(),
    "Anna.Raw",
    "anna.raw",
    "7654321",
    "203.0.113.7",
    "%40example.org",
    "+4930",
}
MARKED: dict[str, Fields] = {
    "page-views": VIEW
    | {
        "url": f"https://{WHO['name']}:pass@shop.example/u/anna.raw%40example.org/+49307654321"
        f"?t={WHO['query']}&e={WHO['mail']}#{WHO['fragment']}",
        "referrer": f"https://mail.example/box/{WHO['mail']}/x?t={WHO['query']}#{WHO['fragment']}",
        "ip": WHO["ip"],
    },
    "interactions": ACTION | {"url": f"/cart?t={WHO['query']}#{WHO['fragment']}", "site": "shop.example"},
    "orders": ORDER,
    "identities": IDENTITY,
    "consents": CONSENT,
    "feedback": FEEDBACK | {"text": WHO["mail"]},
    "alert-decisions": DECISION,
    "deploys": DEPLOY,
}
NOBODY = ("alert-decisions", "deploys")
"""Topics of what names neither visitors nor customers."""


def marked(topic: str) -> Fields:
    """Give an event that holds everything that must not be seen behind the door."""
    fields = MARKED[topic] | {"visitor_id": WHO["visitor"], "customer_id": WHO["customer"]}
    if topic in ("orders", "identities"):
        fields["identifiers"] = {
            "email": " Anna.Raw@example.org",
            "phone": WHO["phone"],
            "loyalty": WHO["loyalty"],
        }
    return fields


@pytest.mark.parametrize("topic", EVENTS)
def test_nothing_raw_is_seen_behind_the_door(topic: str) -> None:
    outputs = Door().send(topic, marked(topic))
    assert len(outputs) == {"orders": 2, "identities": 2, "consents": 0, "feedback": 0}.get(topic, 1)
    for output in outputs:
        assert output.topic != "rejected-events"
        written = msgspec.json.encode([output.key, output.id, output.value]).decode()
        assert [raw for raw in WRITTEN if raw in written] == []


def test_the_same_id_is_the_same_pseudonym_in_every_topic() -> None:
    visitors, customers = set(), set()
    for topic in EVENTS.keys() - NOBODY:
        for output in Door().send(topic, marked(topic) | {"site": "shop.example"}):
            visitors.add(output.value.visitor_id)
            customers.add(output.value.customer_id)
    assert {name[:2] for name in visitors} == {"v_"}
    assert {name[:2] for name in customers} == {"c_"}
    assert (len(visitors), len(customers)) == (1, 1)


def test_a_visitor_of_two_sites_is_two_and_a_customer_is_one() -> None:
    here, there = (one("page-views", VIEW | {"site": site, "customer_id": "c"}) for site in ("a", "b"))
    assert here.visitor_id != there.visitor_id
    assert here.customer_id == there.customer_id


def test_another_secret_gives_other_pseudonyms() -> None:
    other = Intake(Settings(), SECRET + "!")
    assert one("page-views", VIEW).visitor_id != one("page-views", VIEW, other).visitor_id


@pytest.mark.parametrize("topic", sorted(EVENTS.keys() - NOBODY))
def test_with_pseudonyms_off_ids_pass_and_addresses_are_still_cut(topic: str) -> None:
    for output in Door(SHOWING).send(topic, marked(topic)):
        assert output.value.visitor_id == WHO["visitor"]
        assert output.value.customer_id == WHO["customer"]
        assert WHO["ip"] not in msgspec.json.encode(output.value).decode()


def test_with_pseudonyms_off_addresses_of_pages_pass_whole() -> None:
    view = one("page-views", marked("page-views"), SHOWING)
    assert (view.url, view.referrer) == (MARKED["page-views"]["url"], MARKED["page-views"]["referrer"])
    assert (view.ip, view.page) == ("203.0.113.0", "shop.example/u/:id/:id")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://shop.example/a/b?c=d#e", "https://shop.example/a/b"),
        ("https://shop.example/a/b#e?c=d", "https://shop.example/a/b"),
        ("https://shop.example?c=d", "https://shop.example"),
        ("https://ann:pass@shop.example/a", "https://shop.example/a"),
        ("https://ann@shop.example", "https://shop.example"),
        ("//ann@shop.example/a", "//shop.example/a"),
        ("https://shop.example/@ann/post", "https://shop.example/@ann/post"),
        ("https://shop.example/u/ann@mail.example/x", "https://shop.example/u/:id/x"),
        ("https://shop.example/u/ann%40mail.example", "https://shop.example/u/:id"),
        ("https://shop.example/call/%2b49301234567", "https://shop.example/call/:id"),
        ("https://shop.example/call/0049-30-1234567/", "https://shop.example/call/:id/"),
        ("https://shop.example/p/c++", "https://shop.example/p/c++"),
        ("/u/ann@mail.example", "/u/:id"),
    ],
)
def test_addresses_are_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    fields = VIEW | {"url": url, "site": "shop.example", "referrer": url}
    view = one("page-views", fields)
    assert (view.url, view.referrer) == (shown, shown)
