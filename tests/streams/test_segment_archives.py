from streams.segment_archives import SegmentArchive
from tests.streams.foreign_files import read_file


def test_messages_of_the_specification_become_what_they_are() -> None:
    got = read_file(SegmentArchive(), "segment.ndjson")
    assert [event["name"] for event in got.of("interactions")] == [
        "search",
        "add_to_cart",
        "checkout_started",
    ]
    [view] = got.of("page-views")
    assert (view["title"], view["referrer"]) == ("Analytics Academy", "https://www.example.com/")
    placed, refunded = got.of("orders")
    assert (placed["total"], placed["currency"], placed["customer_id"]) == (27.5, "USD", "97980cfea0067")
    assert [(line["sku"], line["quantity"]) for line in placed["lines"]] == [
        ("45790-32", 1),
        ("46493-32", 2),
    ]
    assert (refunded["order_id"], refunded["status"]) == (placed["order_id"], "refunded")
    assert dict(got.adaptation.adapter.skipped) == {"group": 1}


def test_names_and_contacts_are_no_traits() -> None:
    [identity] = read_file(SegmentArchive(), "segment.ndjson").of("identities")
    assert identity["identifiers"] == {"email": "peter@example.com"}
    assert identity["traits"] == {"plan": "premium", "logins": 5}


def test_a_page_without_an_anonymous_id_is_rejected() -> None:
    assert [r["reason"] for r in read_file(SegmentArchive(), "segment.ndjson").rejected] == [
        "missing_visitor"
    ]
