"""Our own JSON: each record by itself."""

import msgspec
import pytest

from schemas.decoding import RejectedError
from streams.collected import Collected, Received
from streams.posted_records import read_posted

VIEW = {"event_id": "e", "visitor_id": "ann", "occurred_at": 7, "url": "https://shop.example/?pw=1"}


def gathered(body: bytes) -> Collected:
    collected = Collected(Received(id="r", at_ms=7, site="shop", salt=b"s"))
    read_posted(body, collected)
    return collected


def test_what_is_wrong_with_one_is_no_harm_to_another() -> None:
    bad: list[object] = [{"topic": "consents", "value": {}}, {"topic": "orders", "value": VIEW}, None]
    events = [*bad, {"topic": "page-views", "value": VIEW}]
    collected = gathered(msgspec.json.encode({"events": events}))
    assert [record.topic for record in collected.records] == ["page-views"]
    assert msgspec.json.decode(collected.records[0].value) == VIEW | {
        "url": "https://shop.example/",
        "site": "shop",
    }
    assert collected.reasons == {"unknown_topic": 1, "schema_violation": 2}


def test_bodies_that_are_none() -> None:
    for body, reason in (
        (b"", "not_json"),
        (b"[1]", "schema_violation"),
        (b'{"events": 1}', "schema_violation"),
    ):
        with pytest.raises(RejectedError) as error:
            gathered(body)
        assert error.value.reason == reason
