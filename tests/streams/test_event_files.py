"""Event files: one order for the same set of lines, whatever file, order or packing they come in."""

from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.event_files import EventFileError, FileEvent, find_files, occurred_at, read_events
from streams.sorted_runs import Keyed, sort_events

NOON = 1_772_362_800_000


def view(name: str, time: object) -> bytes:
    return json.dumps({"event_id": name, "occurred_at": time}).encode()


def write(file: Path, lines: list[bytes]) -> Path:
    content = b"".join(line + b"\n" for line in lines)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def names(events: list[FileEvent]) -> list[str]:
    return [json.loads(event.value or b"")["event_id"] for event in events]


def test_files_are_merged_by_time_and_views_come_before_orders_of_the_same_instant(tmp_path: Path) -> None:
    write(tmp_path / "orders.ndjson", [view("order", NOON), view("early order", NOON - 1)])
    write(
        tmp_path / "page-views.ndjson", [view("late view", "2026-03-01T12:00:01+01:00"), view("view", NOON)]
    )
    events = list(read_events(find_files([tmp_path])))
    assert names(events) == ["early order", "view", "order", "late view"]
    assert [event.topic for event in events] == ["orders", "page-views", "orders", "page-views"]
    assert events[-1].occurred_at == NOON + 1000


def test_a_shuffled_and_packed_copy_in_other_files_reads_the_same(tmp_path: Path) -> None:
    rng = random.Random(5)
    lines = [view(f"e{number}", NOON + rng.randrange(50)) for number in range(300)] + [
        b"nonsense",
        b"{}",
        b"[",
    ]
    plain = write(tmp_path / "page-views.ndjson", lines)
    rng.shuffle(lines)
    copy = tmp_path / "copy"
    other = tmp_path / "other"
    copy.mkdir()
    other.mkdir()
    write(copy / "page-views.ndjson.gz", lines[:100])
    write(other / "page-views.jsonl", lines[100:])
    assert list(read_events([plain])) == list(read_events(find_files([other, copy])))


def test_small_runs_in_temporary_files_give_the_same_order(tmp_path: Path) -> None:
    rng = random.Random(6)
    file = write(
        tmp_path / "page-views.ndjson", [view(f"e{n}", NOON + rng.randrange(999)) for n in range(2000)]
    )
    assert list(read_events([file], run_bytes=1500)) == list(read_events([file]))


@given(
    st.lists(
        st.tuples(st.none() | st.integers(-5, 5), st.integers(0, 2), st.binary(max_size=3)), max_size=60
    ),
    st.integers(1, 400),
)
def test_any_run_size_sorts_alike(events: list[Keyed], run_bytes: int) -> None:
    expected = sorted(events, key=lambda event: (event[0] is None, event[0] or 0, *event[1:]))
    assert list(sort_events(events, run_bytes)) == expected


def test_what_has_no_time_comes_last_and_unchanged(tmp_path: Path) -> None:
    lines = [b"\xff\xfe", b"not json", view("year 10000", 253_402_300_800_000), b"[" * 5000]
    file = write(tmp_path / "page-views.ndjson", [*lines, view("view", NOON)])
    events = list(read_events([file]))
    assert names(events[:1]) == ["view"]
    assert sorted(event.value or b"" for event in events[1:]) == sorted(lines)
    assert {event.occurred_at for event in events[1:]} == {None}


def test_blank_lines_and_carriage_returns_are_no_events(tmp_path: Path) -> None:
    file = tmp_path / "page-views.ndjson"
    file.write_bytes(b"\r\n\n" + view("a", NOON) + b"\r\n\n" + view("b", NOON + 1))
    assert names(list(read_events([file]))) == ["a", "b"]


def test_a_topic_log_keeps_its_order_and_its_odd_records(tmp_path: Path) -> None:
    lines = [
        b'{"topic": "orders", "value": ' + view("late", NOON) + b"}",
        b'{"topic": "page-views", "value": ' + view("early", NOON - 9) + b"}",
        b'{"topic": "page-views", "value": null}',
        b'{"topic": "page-views", "base64": "' + base64.b64encode(b"\xff") + b'"}',
        b'{"topic": "somewhere", "value": 3}',
        b"no topic log",
    ]
    file = write(tmp_path / "log.jsonl", lines)
    events = list(read_events(find_files([file], "topic-log"), "topic-log"))
    assert [event.topic for event in events] == [
        "orders", "page-views", "page-views", "page-views", "somewhere", "unknown",
    ]  # fmt: skip
    assert [event.value for event in events[2:]] == [None, b"\xff", b"3", b"no topic log"]
    assert [event.occurred_at for event in events[:3]] == [NOON, NOON - 9, None]


def test_an_access_log_gives_views_and_refuses_the_line_that_is_none(tmp_path: Path) -> None:
    good = b'192.0.2.7 - - [17/May/2015:10:05:0%d +0000] "GET /cart HTTP/1.1" 200 512 "-" "Firefox"'
    file = write(tmp_path / "access.log", [good % 5, b"nonsense \xff", good % 3])
    events = list(read_events([file], "access-log", "shop.example"))
    assert [event.topic for event in events] == ["page-views", "page-views", "rejected-events"]
    times = [event.occurred_at for event in events]
    assert times[:2] == [1_431_857_103_000, 1_431_857_105_000]
    refused = json.loads(events[2].value or b"")
    assert (refused["reason"], refused["offset"]) == ("malformed_line", 1)


def test_otto_sessions_give_all_their_topics(tmp_path: Path) -> None:
    line = (
        b'{"session":7,"events":[{"aid":1,"ts":5,"type":"clicks"},{"aid":1,"ts":6,"type":"carts"},'
        b'{"aid":1,"ts":7,"type":"orders"}]}'
    )
    events = list(read_events([write(tmp_path / "x.jsonl", [line])], "otto"))
    assert [(event.topic, event.occurred_at) for event in events] == [
        ("page-views", 5), ("interactions", 6), ("orders", 7),
    ]  # fmt: skip


def test_progress_adds_up_to_the_size_of_the_files_and_the_total_comes_first(tmp_path: Path) -> None:
    lines = [view(f"e{n}", NOON + n) for n in range(5000)]
    files = [write(tmp_path / "page-views.ndjson", lines), write(tmp_path / "page-views.ndjson.gz", lines)]
    told: list[int] = []
    totals: list[int] = []
    events = read_events(files, on_bytes=told.append, on_total=totals.append)
    next(events)
    assert totals == [10_000]
    assert sum(told) == sum(file.stat().st_size for file in files)
    assert len(told) > 4
    events.close()  # type: ignore[attr-defined]  # a generator


def test_a_folder_without_events_a_missing_file_and_a_strange_name_are_said_so(tmp_path: Path) -> None:
    (tmp_path / "sessions.ndjson").write_text("{}")
    (tmp_path / "truth.json").write_text("{}")
    for path, said in (
        (tmp_path, "holds no file that is named after an input topic"),
        (tmp_path / "absent.ndjson", "no such file"),
        (tmp_path / "sessions.ndjson", "is not named after an input topic (page-views, interactions"),
    ):
        with pytest.raises(EventFileError) as refused:
            find_files([path])
        assert str(refused.value).startswith(str(path))
        assert said in str(refused.value)
    with pytest.raises(EventFileError, match="no files"):
        find_files([])


def test_a_damaged_archive_is_one_line_not_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "page-views.ndjson.gz"
    file.write_bytes(gzip.compress(view("a", NOON) * 1000)[:-30])
    with pytest.raises(EventFileError, match=r"page-views\.ndjson\.gz: is damaged"):
        list(read_events([file]))
    file.write_bytes(b"plain text")
    with pytest.raises(EventFileError, match="is damaged"):
        list(read_events([file]))


def test_a_line_without_end_comes_in_pieces_that_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.event_files.MAX_LINE_BYTES", 100)
    file = write(tmp_path / "page-views.ndjson", [b"x" * 250])
    assert [len(event.value or b"") for event in read_events([file])] == [50, 100, 100]


@given(st.binary(max_size=60))
def test_any_bytes_have_a_time_or_none(value: bytes) -> None:
    assert occurred_at(value) is None or isinstance(occurred_at(value), int)
