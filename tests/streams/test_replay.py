"""Replay: any flow, in process; partitions and pace of marks change nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import msgspec
import pytest

from streams.event_files import REJECTED
from streams.flow import Flow
from streams.memory_states import MemoryState
from streams.processors import LogProcessor
from streams.replay import Replay
from streams.settings import Settings
from streams.stages import Output
from tests.agents.toy_stages import GAP_MS, Letters, Totals, Windows

BEGINNING = 1_000_000
SETTINGS = Settings()


def letters(number: int, seed: int = 1) -> list[tuple[str, bytes, int]]:
    rng = random.Random(seed)
    times = sorted(BEGINNING + rng.randrange(600_000) for _ in range(number))
    return [
        (rng.choice(("page-views", "orders")), json.dumps({"k": f"v{rng.randrange(20)}", "t": t}).encode(), t)
        for t in times
    ]


def toy_flow(partitions: int) -> Flow:
    return Flow(Letters(), (Windows(partitions), Totals()))


def replay(events: Sequence[tuple[str, bytes, int | None]], partitions: int = 1) -> list[tuple[str, object]]:
    written: list[tuple[str, object]] = []

    def write(output: Output, value: bytes) -> None:
        written.append((output.topic, msgspec.json.decode(value)))

    runner = Replay(toy_flow(partitions), SETTINGS, {"visitor-events": partitions}, write)
    for event in events:
        runner.feed(*event)
    runner.finish()
    return written


def sorted_by_topic(written: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """Keep the order within each topic; how topics interleave is nobody's business."""
    return sorted(written, key=lambda item: item[0])


def windows_by_hand(events: Sequence[tuple[str, bytes, int]]) -> list[tuple[str, int, int, int]]:
    by_visitor: dict[str, list[int]] = {}
    for _, value, time_ms in events:
        by_visitor.setdefault(json.loads(value)["k"], []).append(time_ms)
    windows = []
    for visitor, times in by_visitor.items():
        start = 0
        for at in range(1, len(times) + 1):
            if at == len(times) or times[at] - times[at - 1] > GAP_MS:
                windows.append((visitor, times[start], times[at - 1], at - start))
                start = at
    return sorted(windows)


@pytest.mark.parametrize("partitions", [1, 3, 4])
def test_results_equal_a_count_by_hand_for_any_number_of_partitions(partitions: int) -> None:
    events = letters(2000)
    written = replay(events, partitions)
    sessions = [value for topic, value in written if topic == "sessions"]
    assert sorted((s["visitor"], s["first"], s["last"], s["n"]) for s in sessions) == windows_by_hand(events)  # type: ignore[index]
    scores = [value for topic, value in written if topic == "page-scores"]
    assert sum(score["views"] for score in scores) == 2000  # type: ignore[index]
    assert [score["minute"] for score in scores] == sorted({score["minute"] for score in scores})  # type: ignore[index]


def test_the_pace_of_marks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    events = letters(500)
    fine = sorted_by_topic(replay(events))
    monkeypatch.setattr("streams.replay.MARK_EVERY_MS", 60_000)
    monkeypatch.setattr("streams.replay.MARK_EVERY_EVENTS", 77)
    assert sorted_by_topic(replay(events)) == fine
    monkeypatch.setattr("streams.replay.MARK_EVERY_EVENTS", 1)
    assert sorted_by_topic(replay(events)) == fine


def test_nothing_comes_before_its_time_and_all_of_it_at_the_end() -> None:
    written: list[str] = []
    runner = Replay(toy_flow(1), SETTINGS, {}, lambda output, _: written.append(output.topic))
    runner.feed("page-views", b'{"k": "ann", "t": 1000}', 1000)
    runner.feed("page-views", b'{"k": "bob", "t": 20000}', 20_000)
    assert runner.watermark == 20_000 - SETTINGS.out_of_orderness_ms
    assert written == []
    runner.feed("page-views", b'{"k": "bob", "t": 21000}', 21_000)
    assert written == [], "the deadline of 11 s is not passed at 11 s"
    runner.feed("page-views", b'{"k": "bob", "t": 31000}', 31_000)
    assert written == ["sessions"]
    runner.finish()
    assert written == ["sessions", "sessions", "page-scores"]


def test_without_any_time_the_end_closes_nothing_and_does_no_harm() -> None:
    assert [topic for topic, _ in replay([("page-views", b"x", None), ("nowhere", b"y", None)])] == [
        REJECTED, REJECTED,
    ]  # fmt: skip


def test_a_refused_line_is_passed_on_and_counted() -> None:
    written: list[tuple[str, bytes]] = []
    runner = Replay(toy_flow(1), SETTINGS, {}, lambda output, value: written.append((output.id, value)))
    record = b'{"schema":"rejected-events/1","id":"otto/0/3","reason":"malformed_line","detail":"line 4"}'
    runner.feed(REJECTED, record)
    assert written == [("otto/0/3", record)]
    assert runner.counts()["letters"] == {("rejected", "malformed_line"): 1}


def test_logs_are_shown_to_who_asks() -> None:
    shown: list[str] = []
    runner = Replay(
        toy_flow(3),
        SETTINGS,
        {"visitor-events": 3},
        lambda output, _: None,
        lambda output, _: shown.append(output.topic),
    )
    runner.feed("page-views", b'{"k": "ann", "t": 1000}', 1000)
    assert shown.count("visitor-events") == 4, "the event, and a mark for each partition"


def test_state_in_memory_does_as_state_that_is_flushed_does() -> None:
    states = [LogProcessor(Windows(1), 0).context.state, MemoryState(Windows.state_types)]
    for state in states:
        state.put("ca", 1, 10)
        state.put("cb", 2, 10)
        state.put("cc", 3, 5)
        state.put("ca", 4, 30)
        state.delete("cc")
    assert [list(state.pop_due(11)) for state in states] == [[("cb", 10)]] * 2
    assert [len(state) for state in states] == [1, 1]
    assert [state.get("cc") for state in states] == [None, None]
