"""The door: any bytes are an event or a typed reason, and a reason tells nothing personal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decoding import (
    INPUT_TYPES,
    MAX_DEPTH,
    MAX_RECORD_BYTES,
    RejectedError,
    canonical_json,
    decode_input,
)
from schemas.orders import Order
from schemas.page_views import PageView

TOPICS = list(INPUT_TYPES)
VIEW: dict[str, Any] = {
    "event_id": "e",
    "visitor_id": "v",
    "occurred_at": 1_000,
    "url": "https://shop.example/",
}
ORDER: dict[str, Any] = {
    "event_id": "e", "order_id": "o", "occurred_at": 1_000, "status": "paid", "channel": "web",
    "currency": "EUR", "total": "5",
}  # fmt: skip
QUICK = settings(deadline=None, derandomize=True, max_examples=150)


def refusal(topic: str, value: bytes | None) -> RejectedError:
    with pytest.raises(RejectedError) as refused:
        decode_input(topic, value)
    return refused.value


def encode(record: object) -> bytes:
    return json.dumps(record).encode()


def view_with(json_text: str, field: str = "properties") -> bytes:
    return encode(VIEW)[:-1] + f', "{field}": {json_text}}}'.encode()


def test_a_page_view_has_its_time_in_milliseconds_and_its_properties_as_they_came() -> None:
    event = decode_input("page-views", view_with('{"b": 1,  "a": 2}'))
    assert isinstance(event, PageView)
    assert (event.occurred_at, event.visitor_id, event.sent_at) == (1_000, "v", None)
    assert event.properties is not None
    assert bytes(event.properties) == b'{"b": 1,  "a": 2}'


def test_an_order_has_exact_amounts_and_revision_1() -> None:
    lines = [{"sku": "s", "quantity": 3, "unit_price": 0.1}]
    event = decode_input("orders", encode(ORDER | {"lines": lines, "cost": None}))
    assert isinstance(event, Order)
    assert event.lines[0].quantity * event.lines[0].unit_price == Decimal("0.3")
    assert (event.revision, event.cost) == (1, None)


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "not_json", "no value"),
        (b"", "not_json", "empty"),
        (b"   ", "not_json", ""),
        (b"\x00\xff\xfe", "not_json", "not UTF-8 (byte 1)"),
        (b"\xef\xbb\xbf{}", "not_json", "JSON is malformed"),
        ("{}".encode("utf-16"), "not_json", "not UTF-8 (byte 0)"),
        ("{}".encode("utf-16-le"), "not_json", "JSON is malformed"),
        (b'{"site": "K\xf6ln"}', "not_json", "not UTF-8 (byte 11)"),
        (b'{"unknown": "\xff"}', "not_json", "not UTF-8 (byte 13)"),
        (b'{"site": NaN}', "not_json", "JSON is malformed"),
        (b'{"unknown": Infinity}', "not_json", "JSON is malformed"),
        (b'{"unknown": "\\udc00"}', "not_json", ""),
        (b'{"event_id": 5, "x"', "not_json", "Input data was truncated"),
        (b"{} {}", "not_json", "JSON is malformed"),
        (b"{'a': 1}", "not_json", "JSON is malformed"),
        (b"[" * 200_000, "not_json", "nested more than 512 deep"),
        (b'{"a":' * 40_000, "not_json", "nested more than 512 deep"),
        (b'{"unknown": ' + b"[" * 600 + b"]" * 600 + b"}", "not_json", "nested more than 512 deep"),
        (b"null", "schema_violation", "Expected `object`, got `null`"),
        (b"[]", "schema_violation", "Expected `object`, got `array`"),
        (b'"text"', "schema_violation", "Expected `object`, got `str`"),
        (b"1e400", "schema_violation", ""),
        (b"9" * 10_000, "schema_violation", ""),
        (b"{}", "schema_violation", "Object missing required field `event_id`"),
        (b" " * (1024 * 1024), "too_large", "1048576 bytes, at most 262144 are read"),
    ],
)  # fmt: skip
def test_what_is_no_event_of_any_topic(topic: str, value: bytes | None, reason: str, detail: str) -> None:
    refused = refusal(topic, value)
    assert refused.reason == reason
    assert refused.detail.startswith(detail)


def test_a_topic_that_is_no_input() -> None:
    assert refusal("sessions", encode(VIEW)).reason == "unknown_topic"


def test_the_limit_of_size_is_what_is_still_read() -> None:
    value = encode(VIEW)
    full = value + b" " * (MAX_RECORD_BYTES - len(value))
    assert decode_input("page-views", full).event_id == "e"
    assert refusal("page-views", full + b" ").reason == "too_large"


@pytest.mark.parametrize("field", ["properties", "unknown"])
def test_the_limit_of_depth_is_what_is_still_read(field: str) -> None:
    inner = MAX_DEPTH - 2  # the record and the object around the arrays are levels too
    decode_input("page-views", view_with('{"a": ' + "[" * inner + "]" * inner + "}", field))
    inner += 1
    refused = refusal("page-views", view_with('{"a": ' + "[" * inner + "]" * inner + "}", field))
    assert refused.reason == "not_json"


def test_brackets_inside_of_text_are_no_depth() -> None:
    decode_input("page-views", encode(VIEW | {"title": '["\\[' * 600}))


def test_many_lines_are_no_depth() -> None:
    lines = [{"sku": "s", "quantity": 1, "unit_price": 1}] * 1000
    event = decode_input("orders", encode(ORDER | {"lines": lines}))
    assert isinstance(event, Order)
    assert len(event.lines) == 1000


@pytest.mark.parametrize(
    ("topic", "record", "detail"),
    [
        ("page-views", VIEW | {"url": 5}, "Expected `str`, got `int` - at `$.url`"),
        ("page-views", VIEW | {"occurred_at": "x"}, "Invalid RFC3339 encoded datetime - at `$.occurred_at`"),
        ("page-views", VIEW | {"sent_at": 0.5}, "`sent_at` is no whole number of milliseconds"),
        ("page-views", VIEW | {"properties": []}, "`properties` is no object"),
        ("page-views", VIEW | {"url": "/\u001b[31m"}, "`url` has a control character"),
        ("page-views", VIEW | {"customer_id": "\u00a0"}, "`customer_id` is blank"),
        ("page-views", VIEW | {"site": "a\u0085"}, "`site` has a control character"),
        ("orders", ORDER | {"status": "stolen"}, "Not one of the values allowed - at `$.status`"),
        ("orders", ORDER | {"total": "5 EUR"}, "`total` is no exact amount"),
        ("orders", ORDER | {"lines": [{"sku": "s", "quantity": 1, "unit_price": "x"}]},
         "`unit_price` is no exact amount - at `$.lines[0]`"),
        ("orders", ORDER | {"lines": [{"sku": "\t", "quantity": 1, "unit_price": 1}]},
         "`lines[0].sku` is blank"),
        ("orders", ORDER | {"identifiers": {"email": " "}}, "`identifiers.email` is blank"),
        ("orders", ORDER | {"visitor_id": None, "customer_id": ""},
         "Expected `str` of length >= 1 - at `$.customer_id`"),
    ],
)  # fmt: skip
def test_the_detail_names_the_field(topic: str, record: object, detail: str) -> None:
    refused = refusal(topic, encode(record))
    assert (refused.reason, refused.detail) == ("schema_violation", detail)


@pytest.mark.parametrize("field", ["unknown", "properties", "title"])
def test_wrong_encoding_anywhere_in_an_event_that_is_right_otherwise(field: str) -> None:
    value = encode(VIEW)[:-1] + b', "' + field.encode() + b'": {"a": "\xff"}}'
    assert refusal("page-views", value).reason == "not_json"


def test_a_number_that_nobody_behind_the_door_could_read() -> None:
    for number in ("1e400", "9" * 5000):
        refused = refusal("page-views", view_with(f'{{"n": {number}}}'))
        assert (refused.reason, refused.detail) == (
            "schema_violation",
            "`properties` has a number out of range",
        )


SECRET = "ann@example.org"


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: [s], lambda s: {s: s}, lambda s: f"{s}\n" * 1000])
def test_the_detail_never_quotes_a_value(topic: str, wrap: Any) -> None:
    refusals = []
    for field in INPUT_TYPES[topic].__struct_fields__:
        record = VIEW | ORDER | {"customer_id": "c", "kind": "chat", "name": "n", field: wrap(SECRET)}
        try:
            decode_input(topic, encode(record))
        except RejectedError as refused:
            refusals.append(str(refused))
    assert refusals
    assert not [text for text in refusals if SECRET in text]


@pytest.mark.parametrize("escaped", ["\\u0020", "\\t", "\\u00a0", "\u2003"])
def test_a_blank_visitor_in_any_writing_is_a_missing_one(escaped: str) -> None:
    value = encode(VIEW).replace(b'"v"', f'"{escaped}"'.encode())
    assert refusal("page-views", value).reason == "missing_visitor"


@pytest.mark.parametrize("visitor", [None, "", " "])
def test_an_order_is_never_refused_for_a_missing_visitor(visitor: str | None) -> None:
    value = encode(ORDER | {"visitor_id": visitor})
    if visitor is None:
        assert decode_input("orders", value).event_id == "e"
    else:
        assert refusal("orders", value).reason == "schema_violation"


def test_names_beyond_ascii_are_welcome() -> None:
    event = decode_input(
        "page-views", encode(VIEW | {"visitor_id": "Zoë-訪問者", "url": "https://shop.example/straße"})
    )
    assert isinstance(event, PageView)
    assert event.visitor_id == "Zoë-訪問者"


SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20)
    | st.sampled_from(["2026-03-01T00:00:00Z", "described", "web", "paid", "EUR", "19.90", " "])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = sorted({field for type_ in INPUT_TYPES.values() for field in type_.__struct_fields__})


def read_or_refuse(topic: str, value: bytes) -> None:
    try:
        event = decode_input(topic, value)
    except RejectedError:
        return
    assert type(event) is INPUT_TYPES[topic]
    assert type(event.occurred_at) is int
    assert decode_input(topic, msgspec.json.encode(event)) == event
    assert canonical_json(event)


@QUICK
@given(st.sampled_from(TOPICS), st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_reason(topic: str, value: bytes) -> None:
    read_or_refuse(topic, value)


@QUICK
@given(st.sampled_from(TOPICS), st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_any_json_is_an_event_or_a_reason(topic: str, record: dict[str, Any]) -> None:
    read_or_refuse(topic, encode(record))


@settings(QUICK, max_examples=300)
@given(st.sampled_from(TOPICS), st.sampled_from(FIELDS), VALUES)
def test_an_event_with_anything_in_one_field_is_an_event_or_a_reason(
    topic: str, field: str, value: Any
) -> None:
    kind = "chat" if topic == "feedback" else "described"
    record = VIEW | ORDER | {"customer_id": "c", "kind": kind, "name": "n", field: value}
    read_or_refuse(topic, encode(record))


@settings(QUICK, max_examples=300)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=3), st.booleans())
def test_a_damaged_event_is_an_event_or_a_reason(at: int, noise: bytes, insert: bool) -> None:
    whole = encode(VIEW | {"occurred_at": "2026-03-01T00:00:00Z", "properties": {"a": ["b", 1.5]}})
    read_or_refuse("page-views", whole[:at] + noise + whole[at if insert else at + len(noise) :])


@QUICK
@given(st.dictionaries(st.text(max_size=5), VALUES.filter(lambda v: v == v), max_size=4))
def test_canonical_json_does_not_depend_on_the_order_of_keys(properties: dict[str, Any]) -> None:
    backwards = dict(reversed(properties.items()))
    a, b = encode(VIEW | {"properties": properties}), encode(VIEW | {"properties": backwards})
    try:
        one = decode_input("page-views", a)
    except RejectedError:
        return
    assert canonical_json(one) == canonical_json(decode_input("page-views", b))


def test_canonical_json_tells_different_copies_apart() -> None:
    one = decode_input("page-views", encode(VIEW | {"properties": {"a": 1}}))
    other = decode_input("page-views", encode(VIEW | {"properties": {"a": 2}}))
    assert canonical_json(one) < canonical_json(other)
