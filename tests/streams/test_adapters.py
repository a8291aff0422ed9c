"""What holds for every adapter: nothing stops it, and nothing is dropped in silence."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rejected_events import RejectedEvent
from streams.access_log_lines import AccessLogLines
from streams.adapters import Adaptation, Adapter
from streams.csv_proposals import propose_map
from streams.csv_rows import CsvRows
from streams.format_detection import detect_format
from streams.ga4_exports import Ga4Export
from streams.matomo_visits import MatomoVisits
from streams.segment_archives import SegmentArchive
from streams.snowplow_events import SnowplowEvents
from tests.streams.foreign_files import FOREIGN
from tests.streams.real_data import APACHE_EXTRACT

SHOP = (FOREIGN / "shop_events.csv").read_bytes().splitlines()
ADAPTERS: dict[str, tuple[Callable[[], Adapter], list[bytes]]] = {
    "access-log": (lambda: AccessLogLines("shop.example"), APACHE_EXTRACT.read_bytes().splitlines()[:20]),
    "ga4": (Ga4Export, (FOREIGN / "ga4.ndjson").read_bytes().splitlines()),
    "snowplow": (SnowplowEvents, (FOREIGN / "snowplow.tsv").read_bytes().splitlines()),
    "segment": (SegmentArchive, (FOREIGN / "segment.ndjson").read_bytes().splitlines()),
    "matomo": (
        MatomoVisits,
        [json.dumps(v).encode() for v in json.loads((FOREIGN / "matomo.json").read_bytes())],
    ),
    "csv": (lambda: CsvRows(propose_map(SHOP).map), SHOP[:20]),
}
each = pytest.mark.parametrize("name", ADAPTERS)
HOSTILE = [
    b"\x00" * 100,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'"\\ud800"',
    b"\xff\xfe{\x00}\x00",
    b"x" * (4 * 1024 * 1024),
    b'{"event_name": 7, "type": [], "actionDetails": {}}',
    b'{"type": "track", "event": {"a": 1}, "properties": [1], "context": "x"}',
    b'{"event_name": "purchase", "event_timestamp": "9", "ecommerce": {"purchase_revenue": 1e400}}',
    b'{"idVisit": 1, "actionDetails": [{"type": "action", "timestamp": 99999999999999999999999}]}',
]


@each
def test_hostile_records_are_typed_rejects_and_do_not_stop_what_follows(name: str) -> None:
    make, good = ADAPTERS[name]
    adaptation = Adaptation(make())
    clean = sum(topic != "rejected-events" for topic, _, _ in Adaptation(make()).of_file(good))
    events = list(adaptation.of_file([*good[:1], *HOSTILE, *good[1:]]))
    rejects = [
        msgspec.json.decode(value, type=RejectedEvent)
        for topic, value, _ in events
        if topic == "rejected-events"
    ]
    assert sum(topic != "rejected-events" for topic, _, _ in events) == clean
    assert len(rejects) >= len(HOSTILE)
    assert len({reject.id for reject in rejects}) == len(rejects)


@each
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_bytes_and_any_damage_are_read_or_refused(name: str, data: st.DataObject) -> None:
    make, good = ADAPTERS[name]
    line = data.draw(st.sampled_from(good))
    at = data.draw(st.integers(0, len(line)))
    damaged = line[:at] + data.draw(st.binary(max_size=8)) + line[at + data.draw(st.integers(0, 8)) :]
    adapter = make()
    adaptation = Adaptation(adapter)
    before = adapter.skipped.total()
    outputs = adaptation.of_record(damaged, "raw", 0, 7)
    # Nothing vanishes: an event, a reject, or a count of what was passed over.
    assert outputs or adapter.skipped.total() > before or name == "matomo"
    assert outputs == Adaptation(make()).of_record(damaged, "raw", 0, 7)
    for topic, value, _ in outputs:
        if topic == "rejected-events":
            reject = msgspec.json.decode(value, type=RejectedEvent)
            assert reject.id == "raw/0/7"
            assert base64.b64decode(reject.payload or "") == damaged[: 16 * 1024]
    assert sum(adaptation.written.values()) + sum(adaptation.rejected.values()) == len(outputs)


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        10**30,
        1e300,
        0.1,
        "",
        " ",
        "x",
        "\x00",
        "9" * 50,
        [],
        {},
        [[]],
        [None],
        {"a": {}},
        ["x"],
    ]
)


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: what holds it, and its name there."""
    names = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in list(names):
        yield value, name
        yield from parts(value[name])


@pytest.mark.parametrize("name", ["ga4", "segment", "matomo"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_odd_values_at_any_place_are_read_or_refused(name: str, data: st.DataObject) -> None:
    make, good = ADAPTERS[name]
    value = json.loads(data.draw(st.sampled_from(good)))
    holder, where = data.draw(st.sampled_from(list(parts(value))))
    holder[where] = data.draw(ODD)
    adaptation = Adaptation(make())
    outputs = adaptation.of_record(json.dumps(value).encode(), "raw", 0, 7)
    assert adaptation.written.total() + adaptation.rejected.total() == len(outputs)


@each
def test_the_format_is_found_by_the_first_lines(name: str) -> None:
    assert detect_format(ADAPTERS[name][1]) == name


def test_a_matomo_array_is_found_and_text_is_nothing() -> None:
    assert detect_format((FOREIGN / "matomo.json").read_bytes().splitlines()) == "matomo"
    assert detect_format([b"Dear all,", b"see you there"]) is None
    assert detect_format([b'{"topic": "page-views", "value": {}}']) == "topic-log"
    assert detect_format([]) is None


def test_each_adapter_says_what_its_format_can_not_know() -> None:
    assert all(make().cannot_know for make, _ in ADAPTERS.values())
