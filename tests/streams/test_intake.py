"""Intake: what becomes of each kind of input, who stays unknown, and that no bytes break it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.customer_events import CustomerIdentity, CustomerOrder
from schemas.timestamps import MAX_MS, MIN_MS
from schemas.visitor_events import (
    AlertDecided,
    Deployed,
    VisitorIdentity,
    VisitorInteraction,
    VisitorOrder,
    VisitorPageView,
)
from streams.intake import Intake
from streams.settings import MINUTE_MS, Settings, TemplateRule
from streams.stages import SourceStage
from tests.streams.input_events import (
    ACTION,
    DECISION,
    DEPLOY,
    EVENTS,
    FIREFOX,
    GOOGLEBOT,
    HIDING,
    IDENTITY,
    NOON,
    ORDER,
    SECRET,
    SHOWING,
    VIEW,
    Door,
    Fields,
    one,
)


def test_it_is_a_stage_without_state() -> None:
    stage: SourceStage = HIDING
    assert set(EVENTS) == set(stage.inputs)


# ---- what becomes of each kind


def test_a_page_view_is_normalised_and_classified() -> None:
    view = one(
        "page-views",
        VIEW
        | {
            "url": "https://www.shop.example:443/Product/7/?utm_source=google&utm_medium=cpc&utm_campaign=may",
            "referrer": "https://www.google.de/search?q=shoes",
            "user_agent": FIREFOX,
            "title": "Shoe",
            "sent_at": NOON + 5,
            "properties": {"a": 1},
        },
    )
    assert isinstance(view, VisitorPageView)
    assert (view.page, view.template, view.site) == ("shop.example/Product/7", "product", "default")
    assert (view.source, view.campaign) == ("paid", "may")
    assert (view.device, view.browser, view.os, view.is_bot) == ("desktop", "Firefox", "Linux", False)
    assert (view.title, view.sent_at, view.received_at, view.occurred_at) == ("Shoe", NOON + 5, NOON, NOON)
    assert bytes(view.properties or b"") == b'{"a": 1}'


def test_every_field_of_a_page_view_comes_to_its_place() -> None:
    fields = VIEW | {
        "url": "https://shop.example/product/7?utm_campaign=may#x",
        "referrer": "https://news.example/today?a",
        "user_agent": FIREFOX,
        "title": "Shoe",
        "customer_id": "c-42",
        "ip": "192.0.2.7",
        "sent_at": NOON + 5,
        "properties": {"a": 1},
    }
    assert one("page-views", fields, SHOWING) == VisitorPageView(
        origin=("orders/3", 17, 0),
        event_id="e1",
        visitor_id="ann",
        occurred_at=NOON,
        url="https://shop.example/product/7?utm_campaign=may#x",
        page="shop.example/product/7",
        template="product",
        source="referral",
        device="desktop",
        site="default",
        browser="Firefox",
        os="Linux",
        is_bot=False,
        referrer="https://news.example/today?a",
        title="Shoe",
        campaign="may",
        customer_id="c-42",
        user_agent=FIREFOX,
        ip="192.0.2.0",
        sent_at=NOON + 5,
        received_at=NOON,
        properties=msgspec.Raw(b'{"a": 1}'),
    )


def test_every_field_of_an_interaction_comes_to_its_place() -> None:
    fields = ACTION | {
        "name": "engagement",
        "url": "/cart",
        "site": "shop.example",
        "user_agent": GOOGLEBOT,
        "customer_id": "c-42",
        "properties": {"seconds": 9},
    }
    action = one("interactions", fields, SHOWING)
    assert action == VisitorInteraction(
        origin=("orders/3", 17, 0),
        event_id="e2",
        visitor_id="ann",
        occurred_at=NOON,
        name="engagement",
        site="shop.example",
        page="shop.example/cart",
        template="cart",
        source="",
        device=action.device,
        is_bot=True,
        customer_id="c-42",
        seconds=9.0,
    )


def test_a_bot_is_kept_and_flagged() -> None:
    assert one("page-views", VIEW | {"user_agent": GOOGLEBOT}).is_bot
    assert one("interactions", ACTION | {"user_agent": GOOGLEBOT}).is_bot


def test_settings_say_the_site_the_template_and_the_kept_query() -> None:
    rules = (TemplateRule("/go/*", "search"),)
    intake = Intake(Settings(site="shop", template_rules=rules, keep_query=("q",)), SECRET)
    view = one("page-views", VIEW | {"url": "https://shop.example/go/x?q=red&t=1"}, intake)
    assert (view.site, view.template, view.page) == ("shop", "search", "shop.example/go/x?q=red")
    assert one("page-views", VIEW | {"site": "other"}, intake).site == "other"


def test_an_address_that_is_only_a_path_belongs_to_its_site() -> None:
    assert one("page-views", VIEW | {"url": "/cart", "site": "shop.example"}).page == "shop.example/cart"


def test_an_interaction_needs_no_page() -> None:
    action = one("interactions", ACTION)
    assert isinstance(action, VisitorInteraction)
    assert (action.name, action.page, action.template, action.device) == ("add_to_cart", "", "", "")
    action = one("interactions", ACTION | {"url": "https://shop.example/cart", "user_agent": FIREFOX})
    assert (action.page, action.template, action.device) == ("shop.example/cart", "cart", "desktop")


@pytest.mark.parametrize(
    ("properties", "seconds"),
    [
        ({"seconds": 12.5}, 12.5),
        ({"seconds": 3}, 3.0),
        ({"seconds": -4}, 0.0),
        ({"seconds": "12"}, 0.0),
        ({"seconds": None}, 0.0),
        ({"other": 5}, 0.0),
        (None, 0.0),
    ],
)
def test_an_engagement_tells_its_seconds(properties: Fields | None, seconds: float) -> None:
    assert one("interactions", ACTION | {"name": "engagement", "properties": properties}).seconds == seconds
    assert one("interactions", ACTION | {"name": "search", "properties": properties}).seconds == 0.0


def test_an_order_goes_to_its_visitor_and_to_its_customer() -> None:
    lines = [{"sku": "s1", "quantity": 2, "unit_price": "9.95"}]
    fields = ORDER | {
        "visitor_id": "ann",
        "customer_id": "c-42",
        "revision": 3,
        "cost": 7.5,
        "lines": lines,
        "store": {"id": "s7", "city": "Ulm"},
        "campaign": "may",
    }
    of_visitor, of_customer = (output.value for output in Door().send("orders", fields))
    assert isinstance(of_visitor, VisitorOrder)
    assert isinstance(of_customer, CustomerOrder)
    assert (of_visitor.total, of_visitor.revision, of_visitor.channel) == ("19.9", 3, "web")
    assert (of_customer.total, of_customer.cost, of_customer.store_id) == ("19.9", "7.5", "s7")
    assert (of_customer.visitor_id, of_customer.customer_id) == (
        of_visitor.visitor_id,
        of_visitor.customer_id,
    )
    assert json.loads(bytes(of_customer.lines or b"")) == [
        lines[0] | {"quantity": "2", "name": None, "category": None}
    ]


def test_an_order_without_visitor_goes_to_its_customer_only() -> None:
    outputs = Door().send("orders", ORDER | {"channel": "store", "customer_id": "c-42"})
    assert [output.topic for output in outputs] == ["customer-events"]


def test_an_order_without_customer_goes_to_its_visitor_only() -> None:
    outputs = Door().send("orders", ORDER | {"visitor_id": "ann"})
    assert [output.topic for output in outputs] == ["visitor-events"]


def test_an_order_of_nobody_is_read_and_goes_nowhere() -> None:
    door = Door()
    assert door.send("orders", ORDER) == []
    assert door.context.counts["rejected", "schema_violation"] == 0


def test_an_identifier_names_the_customer_where_no_id_does() -> None:
    by_mail = one("orders", ORDER | {"identifiers": {"email": " Ann@Example.org "}})
    described = one(
        "identities",
        {**IDENTITY, "kind": "described", "customer_id": None, "visitor_id": None}
        | {"identifiers": {"email": "ann@example.org", "phone": "+49 30 1234567"}, "traits": {"vip": True}},
    )
    assert isinstance(described, CustomerIdentity)
    assert by_mail.customer_id == described.customer_id == described.identifiers["email"]
    assert (sorted(described.identifiers), bytes(described.traits or b"")) == (
        ["email", "phone"],
        b'{"vip": true}',
    )


def test_an_identifier_that_says_nothing_names_nobody() -> None:
    assert Door().send("orders", ORDER | {"identifiers": {"phone": "none"}}) == []


def test_an_identity_goes_to_its_visitor_and_to_its_customer() -> None:
    of_visitor, of_customer = (output.value for output in Door().send("identities", IDENTITY))
    assert isinstance(of_visitor, VisitorIdentity)
    assert isinstance(of_customer, CustomerIdentity)
    assert of_visitor.customer_id == of_customer.customer_id
    assert of_visitor.visitor_id == of_customer.visitor_id
    assert of_visitor.kind == of_customer.kind == "logged_in"


def test_a_decision_is_passed_on_by_its_alert_with_who_and_why() -> None:
    said = DECISION | {"action": "mute", "why": "a\nsale", "until": NOON + 5}
    output = one("alert-decisions", said)
    here = ("orders/3", 17, 0)
    assert output == AlertDecided(
        here, here, "e7", NOON, "shop.example", DECISION["alert_id"], "mute", "Ann", "a\nsale", NOON + 5
    )


def test_a_deploy_is_passed_on_by_its_site() -> None:
    said = DEPLOY | {"by": "train", "note": "sizes", "url": "https://ci.example/7"}
    here = ("orders/3", 17, 0)
    assert one("deploys", said) == Deployed(
        here, here, "e8", NOON, "shop.example", "2026.3.1", "train", "sizes", "https://ci.example/7"
    )


@pytest.mark.parametrize("topic", ["consents", "feedback"])
def test_consents_and_feedback_are_read_and_tell_the_time(topic: str) -> None:
    door = Door()
    result = door.read(topic, json.dumps(EVENTS[topic]).encode())
    assert (result.outputs, result.time_ms) == ([], NOON)
    assert door.context.counts == {("events", topic): 1}


KEYS = {"alert-decisions": DECISION["alert_id"], "deploys": DEPLOY["site"]}
"""What they are keyed by, where it is not a visitor."""


@pytest.mark.parametrize("intake", [HIDING, SHOWING], ids=["hiding", "showing"])
@pytest.mark.parametrize("topic", EVENTS)
def test_every_record_is_keyed_anew_and_named_by_where_it_came_from(topic: str, intake: Intake) -> None:
    outputs = Door(intake).send(topic, EVENTS[topic] | {"visitor_id": "ann", "customer_id": "c-42"})
    assert [output.value.origin for output in outputs] == [("orders/3", 17, n) for n in range(len(outputs))]
    assert [output.id for output in outputs] == [f"orders/3/17/{n}" for n in range(len(outputs))]
    for output in outputs:
        of = (
            KEYS.get(topic) or output.value.visitor_id
            if output.topic == "visitor-events"
            else output.value.customer_id
        )
        assert (output.key, output.partition, output.time_ms) == (of, None, NOON)


# ---- what is refused


@pytest.mark.parametrize("topic", EVENTS)
@pytest.mark.parametrize(("ahead_ms", "is_refused"), [(5 * MINUTE_MS, False), (5 * MINUTE_MS + 1, True)])
def test_five_minutes_ahead_of_the_append_time_is_fine_and_more_is_from_the_future(
    topic: str, ahead_ms: int, is_refused: bool
) -> None:
    door = Door(append_ms=NOON - ahead_ms)
    result = door.read(topic, json.dumps(EVENTS[topic]).encode())
    assert door.context.counts["rejected", "from_future"] == is_refused
    assert (result.time_ms is None) == is_refused
    if is_refused:
        (output,) = result.outputs
        assert (output.value.reason, output.value.id) == ("from_future", f"{topic}/3/17")


REFUSED: dict[str, tuple[str, bytes | None, str]] = {
    "no value": ("page-views", None, "not_json"),
    "empty": ("page-views", b"", "not_json"),
    "another encoding": ("page-views", '{"title":"é"}'.encode("latin-1"), "not_json"),
    "nested too deep": ("orders", b'{"lines":' + b"[" * 100_000, "not_json"),
    "a mebibyte": ("page-views", b" " * 2**20, "too_large"),
    "no visitor": ("interactions", b'{"event_id":"e","occurred_at":5,"name":"x"}', "missing_visitor"),
    "no page": ("page-views", json.dumps(VIEW | {"url": "mailto:x"}).encode(), "schema_violation"),
    "no page of an interaction": (
        "interactions",
        json.dumps(ACTION | {"url": "a b"}).encode(),
        "schema_violation",
    ),
    "a topic that is none": ("page_views", b"{}", "unknown_topic"),
}


@pytest.mark.parametrize(("topic", "value", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_says_why_and_where(topic: str, value: bytes | None, reason: str) -> None:
    door = Door()
    result = door.read(topic, value)
    (output,) = result.outputs
    assert result.time_ms is None
    assert result.runs_on_to_ms is None
    assert (output.topic, output.key, output.value.id) == (
        "rejected-events",
        f"{topic}/3/17",
        f"{topic}/3/17",
    )
    assert (output.value.reason, output.value.topic, output.value.offset) == (reason, topic, 17)
    assert door.context.counts["rejected", reason] == 1


# ---- how far time has come


@pytest.mark.parametrize("topic", EVENTS)
def test_a_progress_record_says_how_far_time_has_come_even_ahead_of_its_append_time(topic: str) -> None:
    result = Door().read(topic, b'{"culdesac_progress":%d}' % (NOON + 10**9))
    assert (result.outputs, result.time_ms, result.runs_on_to_ms) == ([], None, NOON + 10**9)


@pytest.mark.parametrize("said", [MIN_MS, -1, 0, MAX_MS])
def test_time_may_come_to_any_time_of_the_years_1_to_9999(said: int) -> None:
    assert Door().read("orders", b'{"culdesac_progress":%d}' % said).runs_on_to_ms == said


MALFORMED: dict[str, tuple[bytes, str]] = {
    "after year 9999": (b"%d}" % (MAX_MS + 1), "schema_violation"),
    "before year 1": (b"%d}" % (MIN_MS - 1), "schema_violation"),
    "more than 64 bits": (b"9" * 30 + b"}", "schema_violation"),
    "a fraction": (b"5.5}", "schema_violation"),
    "text": (b'"5"}', "schema_violation"),
    "null": (b"null}", "schema_violation"),
    "true": (b"true}", "schema_violation"),
    "nothing": (b"", "not_json"),
    "not closed": (b"5", "not_json"),
    "more behind it": (b"5}x", "not_json"),
    "nested without end": (b'5,"a":' + b"[" * 100_000, "not_json"),
}


@pytest.mark.parametrize(("rest", "reason"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_progress_record_is_refused_and_moves_no_time(rest: bytes, reason: str) -> None:
    result = Door().read("orders", b'{"culdesac_progress":' + rest)
    assert (result.time_ms, result.runs_on_to_ms) == (None, None)
    assert [output.value.reason for output in result.outputs] == [reason]


# ---- any bytes

topics = st.sampled_from([*EVENTS, "files/0"])
odd = ["//", "http://[::1", "https://é.example/%zz", "::ffff:1.2.3.4", "-", "\u2028"]
texts = st.text(max_size=40) | st.sampled_from(odd)
numbers = st.booleans() | st.integers(-(2**70), 2**70) | st.floats()
values = st.none() | numbers | texts | st.lists(texts, max_size=2)


@given(
    topics, st.binary(max_size=300) | st.binary(max_size=50).map(lambda rest: b'{"culdesac_progress":' + rest)
)
def test_any_bytes_are_refused_and_nothing_is_raised(topic: str, value: bytes) -> None:
    result = Door().read(topic, value)
    assert [output.topic for output in result.outputs] == [
        "rejected-events"
    ] or result.runs_on_to_ms is not None


@given(st.sampled_from(list(EVENTS)), st.data())
def test_any_value_of_any_field_is_read_or_refused(topic: str, data: st.DataObject) -> None:
    known = [
        *EVENTS[topic],
        *(
            "url",
            "referrer",
            "user_agent",
            "ip",
            "site",
            "title",
            "customer_id",
            "properties",
            "traits",
            "sent_at",
        ),
        *("identifiers", "lines", "store", "cost", "revision", "campaign", "visitor_id"),
    ]
    change = data.draw(st.dictionaries(st.sampled_from(known), values, max_size=4))
    door = Door(
        data.draw(st.sampled_from([HIDING, SHOWING])), data.draw(st.sampled_from([NOON, 0, -1, 2**62]))
    )
    outputs = door.send(topic, EVENTS[topic] | change)
    origins = [output.value.origin for output in outputs if output.topic != "rejected-events"]
    assert len(set(origins)) == len(origins)
    assert len(outputs) - len(origins) == sum(
        n for (name, _), n in door.context.counts.items() if name == "rejected"
    )


@pytest.mark.parametrize(
    ("value", "time_ms"),
    [
        (b'{"url":"/","occurred_at":5}', 5),
        (b'{"occurred_at":"1970-01-01T00:00:01Z"}', 1_000),
        (b'{"culdesac_progress":7}', 7),
        (b'{"occurred_at":"1970-01-01T00:00:01"}', None),
        (b'{"occurred_at":true}', None),
        (b'{"url":"/"}', None),
        (b"[" * 100_000, None),
        (b'"\xff"', None),
        (b"", None),
        (None, None),
    ],
    ids=repr,
)
def test_a_glance_tells_the_time_of_a_record_and_never_fails(
    value: bytes | None, time_ms: int | None
) -> None:
    assert Intake(Settings(), SECRET).time_of(value) == time_ms
