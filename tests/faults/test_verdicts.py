"""What the fault suite compares: it sees a record that is missing, wrong, too much, or copied with a difference."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.agents.product import Record, and_store_orders, replayed, shop_events
from tests.faults.bench import SETTINGS
from tests.faults.verdicts import Position, Verdict, Written, judge

POISON = Position("orders", 2, 17)
Replay = list[tuple[str, Record]]
Change = Callable[[list[Written]], object]


@pytest.fixture(scope="module")
def replay() -> Replay:
    return replayed(and_store_orders(shop_events(hours=4, sessions_per_hour=60)), SETTINGS)


@pytest.fixture(scope="module")
def written(replay: Replay) -> list[Written]:
    rejected = {"id": "orders/2/17", "topic": "orders", "partition": 2, "offset": 17}
    outputs = [*replay, ("rejected-events", rejected)]
    return [Written(topic, b"", json.dumps(record).encode(), ()) for topic, record in outputs]


def index(written: list[Written], topic: str) -> int:
    """Where the last record of a topic stands."""
    return max(number for number, record in enumerate(written) if record.topic == topic)


def changed(record: Written, **fields: object) -> Written:
    return record._replace(value=json.dumps(json.loads(record.value) | fields).encode())


def check(replay: Replay, written: list[Written], change: Change, *, late: bool = False) -> Verdict:
    copy = list(written)
    change(copy)
    return judge(len(copy), replay, {POISON}, copy, late=late)


def test_the_same_is_equal_and_copies_to_the_letter_are_counted(
    replay: Replay, written: list[Written]
) -> None:
    verdict = check(replay, written, lambda copy: copy.extend(copy[:5]))
    assert verdict.is_equal
    assert verdict.duplicates == 5


@pytest.mark.parametrize("topic", ["sessions", "enriched-page-views", "rejected-events"])
def test_a_missing_record_is_seen(replay: Replay, written: list[Written], topic: str) -> None:
    verdict = check(replay, written, lambda copy: copy.pop(index(copy, topic)))
    assert (verdict.missing, verdict.is_equal) == (1, False)


@pytest.mark.parametrize("topic", ["sessions", "enriched-page-views", "page-scores"])
def test_another_content_is_seen(replay: Replay, written: list[Written], topic: str) -> None:
    def change(copy: list[Written]) -> None:
        at = index(copy, topic)
        copy[at] = changed(copy[at], site="elsewhere")

    verdict = check(replay, written, change)
    assert (verdict.wrong, verdict.is_equal) == (1, False)


def test_a_record_too_much_is_seen(replay: Replay, written: list[Written]) -> None:
    def change(copy: list[Written]) -> None:
        copy.append(changed(copy[index(copy, "sessions")], id="another"))
        copy.append(changed(copy[index(copy, "rejected-events")], offset=18))

    assert check(replay, written, change).extra == 2


@pytest.mark.parametrize("change", [{"key": b"x"}, {"headers": (("ce_time", b"now"),)}])
def test_a_copy_with_another_key_or_header_is_wrong(
    replay: Replay, written: list[Written], change: dict[str, object]
) -> None:
    verdict = check(replay, written, lambda copy: copy.append(copy[0]._replace(**change)))  # type: ignore[arg-type]
    assert (verdict.wrong, verdict.is_equal) == (1, False)


def test_where_events_were_late_counts_of_pages_are_still_compared(
    replay: Replay, written: list[Written]
) -> None:
    def learned(copy: list[Written]) -> None:
        at = index(copy, "page-scores")
        copy[at] = changed(copy[at], expected_exits=1e6)

    def counted(copy: list[Written]) -> None:
        at = index(copy, "page-scores")
        copy[at] = changed(copy[at], views=10**6)

    assert check(replay, written, learned, late=True).is_equal
    assert check(replay, written, learned).wrong == 1
    assert check(replay, written, counted, late=True).wrong == 1
