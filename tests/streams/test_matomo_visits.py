import json

from streams.adapters import MAX_RAW_BYTES
from streams.matomo_visits import MatomoVisits
from tests.streams.foreign_files import FOREIGN, read, read_file

VISIT = {"idVisit": "1", "visitorId": "v", "actionDetails": [{"type": "action", "url": "/", "timestamp": 5}]}


def test_a_visits_actions_become_events() -> None:
    got = read_file(MatomoVisits(), "matomo.json")
    assert [event["name"] for event in got.of("interactions")] == [
        "search",
        "play",
        "outbound_click",
        "add_to_cart",
    ]
    first, second, third = got.of("page-views")
    assert (first["referrer"], second["referrer"]) == ("https://www.google.com/", first["url"])
    assert third["customer_id"] == "customer-7"
    [order] = got.of("orders")
    assert (order["order_id"], order["total"], order["currency"]) == ("A-1", "39.98", "EUR")
    assert order["lines"][0]["quantity"] == "2"
    assert not got.rejected


def test_an_array_on_one_line_over_several_or_a_visit_a_line_reads_the_same() -> None:
    visits = json.loads((FOREIGN / "matomo.json").read_bytes())
    expected = read_file(MatomoVisits(), "matomo.json").events
    assert read(MatomoVisits(), [json.dumps(visits).encode()]).events == expected
    assert read(MatomoVisits(), [json.dumps(visit).encode() for visit in visits]).events == expected


def test_an_array_that_breaks_off_gives_what_came_before_and_says_so() -> None:
    whole = json.dumps([VISIT, VISIT]).encode()
    got = read(MatomoVisits(), [whole[:-20]])
    assert len(got.of("page-views")) == 1
    assert "what follows can't be read" in got.rejected[0]["detail"]


def test_a_gigantic_visit_is_rejected_and_not_held() -> None:
    pieces = [b'[{"idVisit": "', *[b"x" * 1_000_000] * (MAX_RAW_BYTES // 1_000_000 + 4), b'"}]']
    got = read(MatomoVisits(), pieces)
    assert [record["reason"] for record in got.rejected] == ["too_large"]
    assert not got.events


def test_an_error_instead_of_visits_is_rejected() -> None:
    got = read(MatomoVisits(), [b'{"result": "error", "message": "no access"}'])
    assert "Matomo answered with an error" in got.rejected[0]["detail"]
