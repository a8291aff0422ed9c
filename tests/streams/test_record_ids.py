"""Record ids: whatever is written can be read by its own type, with the longest names that come in."""

from __future__ import annotations

import json

import msgspec

from schemas.fields import MAX_ID_CHARS
from schemas.topics import TOPICS
from streams.flow import stages
from streams.record_ids import record_id
from streams.replay import Replay
from streams.settings import HOUR_MS, SECOND_MS, ContentGroup, Settings
from streams.stages import Output
from streams.urls import MAX_PAGE_LENGTH

MONDAY = 1_767_571_200_000
VISITS, AN_HOUR = 300, 10
SETTINGS = Settings(
    site="s" * MAX_ID_CHARS, pseudonymise=False, content_groups=(ContentGroup("/**", "g" * MAX_ID_CHARS),)
)
LONG_URL = "https://shop.example/" + "/".join(f"part-{number}" for number in range(100))


def _long(name: str) -> str:
    return name.ljust(MAX_ID_CHARS, "-")


def _visit(number: int) -> list[tuple[str, dict[str, object]]]:
    """Three views of pages that differ at their ends, and an order of every third visitor."""
    at = MONDAY + number * HOUR_MS // AN_HOUR
    who = {"visitor_id": _long(f"v{number}"), "customer_id": _long(f"c{number // 2}")}
    visit: list[tuple[str, dict[str, object]]] = [
        (
            "page-views",
            {
                **who,
                "event_id": _long(f"e{number}-{step}"),
                "occurred_at": at + step * 20 * SECOND_MS,
                "url": f"{LONG_URL}/{('first', 'second', f'last-{number % 3}')[step]}",
            },
        )
        for step in range(3)
    ]
    order = {"order_id": _long(f"o{number}"), "status": "placed", "channel": "web", "currency": "EUR"}
    bought = {**who, **order, "event_id": _long(f"o{number}"), "total": "10", "occurred_at": at + 60_000}
    return [*visit, ("orders", bought)] if number % 3 == 0 else visit


def test_records_about_the_longest_names_are_read_by_their_own_types() -> None:
    written: dict[str, dict[str, str]] = {}

    def write(output: Output, line: bytes) -> None:
        record = msgspec.json.decode(line, type=TOPICS[output.topic].type)
        if output.topic == "page-scores":
            assert len(record.page) == MAX_PAGE_LENGTH
        about = "|".join(str(getattr(record, name, "")) for name in ("page", "scope", "value"))
        # Who keeps the last revision of an id must not take one thing for another.
        assert written.setdefault(output.topic, {}).setdefault(output.id, about) == about
        assert record.id == output.id

    replay = Replay(stages(SETTINGS, "a secret of the tests", {"visitor-events": 1}), SETTINGS, {}, write)
    for number in range(VISITS):
        for topic, event in _visit(number):
            at = event["occurred_at"]
            assert isinstance(at, int)
            replay.feed(topic, json.dumps(event).encode(), at)
    replay.feed("nothing of the kind" * 20, b"{}")
    replay.finish()
    named_by_what_it_is_about = {"page-scores", "purchase-associations", "model-snapshots", "model-reports"}
    assert set(written) >= {*named_by_what_it_is_about, "sessions", "session-revisions", "rejected-events"}
    assert len(written["page-scores"]) == 5
    # Five pages, their template and group, and the placebo.
    assert len(written["purchase-associations"]) == 8
    assert len(written["model-snapshots"]) == 2


def test_names_that_fit_are_ids_as_they_are() -> None:
    longest = "n" * MAX_ID_CHARS
    assert record_id(longest) == longest
    assert record_id(f"{longest}n") != longest
    assert len(record_id(f"{longest}n")) == MAX_ID_CHARS
