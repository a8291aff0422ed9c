import json

from streams.ga4_exports import Ga4Export
from tests.streams.foreign_files import read, read_file


def test_events_become_what_they_are_and_passed_over_ones_are_counted() -> None:
    got = read_file(Ga4Export(), "ga4.ndjson")
    assert [event["name"] for event in got.of("interactions")] == [
        "engagement",
        "search",
        "add_to_cart",
        "checkout_started",
        "outbound_click",
        "scroll",
    ]
    assert got.of("interactions")[0]["properties"] == {"seconds": 12.04}
    [view] = got.of("page-views")
    assert view["title"] == "Home"
    assert view["referrer"] == "https://www.google.com/"
    assert view["occurred_at"] == 1609039659225
    [identity] = got.of("identities")
    assert (identity["kind"], identity["customer_id"]) == ("logged_in", "shopper-8041")
    assert dict(got.adaptation.adapter.skipped) == {"session_start": 1, "first_visit": 1}


def test_a_purchase_is_an_order_and_its_refund_a_revision_of_it() -> None:
    placed, refunded = read_file(Ga4Export(), "ga4.ndjson").of("orders")
    assert (placed["order_id"], placed["total"], placed["currency"]) == ("76852", "120", "USD")
    assert [(line["sku"], line["quantity"], line["unit_price"]) for line in placed["lines"]] == [
        ("GGOEGXXX1171", "2", "60")
    ]
    assert (refunded["order_id"], refunded["status"], refunded["revision"]) == ("76852", "refunded", 2)


def test_who_has_not_consented_has_no_id_and_is_rejected_with_the_line() -> None:
    [rejected] = read_file(Ga4Export(), "ga4.ndjson").rejected
    assert (rejected["reason"], rejected["offset"], rejected["topic"]) == ("missing_visitor", 12, "ga4")


def test_a_later_export_of_the_same_day_gives_the_same_ids() -> None:
    event = {
        "event_name": "page_view",
        "event_timestamp": "1",
        "user_pseudo_id": "7",
        "event_params": [{"key": "page_location", "value": {"string_value": "/"}}],
    }
    later = event | {"is_active_user": True, "collected_traffic_source": {"manual_source": "x"}}
    first, again = (read(Ga4Export(), [json.dumps(each).encode()]).events for each in (event, later))
    assert first == again != []
