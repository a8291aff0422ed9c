import pytest

from streams.snowplow_events import FIELDS, SnowplowEvents
from tests.streams.foreign_files import read, read_file


def test_the_documented_event_is_a_page_view() -> None:
    [view] = read_file(SnowplowEvents(), "snowplow.tsv").of("page-views")
    assert view["url"] == "http://www.snowplowanalytics.com"
    assert view["visitor_id"] == "bc2e92ec6c204a14"
    assert view["event_id"] == "c6ef3124-b53a-4b13-a233-0088f79dcbcb"
    assert view["occurred_at"] == "2013-11-26T00:03:57.886Z"


def test_events_of_ones_own_are_named_by_their_schema() -> None:
    got = read_file(SnowplowEvents(), "snowplow.tsv")
    assert [event["name"] for event in got.of("interactions")] == [
        "engagement",
        "add_to_cart",
        "outbound_click",
        "search",
    ]
    assert [(order["order_id"], order["total"], order["currency"]) for order in got.of("orders")] == [
        ("12345", "35", "GBP"),
        ("ABC-123", "50.5", "EUR"),
    ]
    assert dict(got.adaptation.adapter.skipped) == {"transaction_item": 1}


def test_a_line_of_another_width_is_rejected_with_its_widths() -> None:
    [rejected] = read_file(SnowplowEvents(), "snowplow.tsv").rejected
    assert rejected["detail"] == "line 9: 2 fields instead of 131"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("derived_tstamp", "noon", "schema_violation"),
        ("event", "dance", "schema_violation"),
        ("domain_userid", "", "missing_visitor"),
        ("page_url", "a\x00b", "schema_violation"),
    ],
)
def test_a_broken_field_is_a_typed_reject(field: str, value: str, reason: str) -> None:
    row = {
        "event": "page_view",
        "event_id": "e",
        "domain_userid": "v",
        "page_url": "https://shop.example/",
        "derived_tstamp": "2026-03-01 12:00:00",
        field: value,
    }
    line = "\t".join(row.get(name, "") for name in FIELDS).encode()
    assert [record["reason"] for record in read(SnowplowEvents(), [line]).rejected] == [reason]
