"""Replay as a command: what it writes is of its types, independent of the files' order, and summed up right."""

from __future__ import annotations

import io
import json
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from agents.progress import Bars
from agents.replaying import OUTPUTS, OutputError, replay_files
from agents.settings import WorkerSettings
from agents.shop_traffic import write_shop
from agents.summary_view import show_summary
from schemas.timestamps import parse_time
from schemas.topics import TOPICS
from streams.settings import HOUR_MS, Settings
from streams.shop import ShopConfig, demo_plan

SETTINGS = WorkerSettings(secret="0123456789abcdef", streams=Settings(warm_up_ms=3 * HOUR_MS))


def replay(paths: list[Path], out: Path, settings: WorkerSettings = SETTINGS) -> dict[str, Any]:
    return replay_files(paths, out, settings, "ndjson", Bars(False), lambda line: None)


def lines(folder: Path, topic: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{topic}.ndjson").read_bytes().splitlines()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    config = ShopConfig(seed=4, hours=9, sessions_per_hour=300, pages=40)
    write_shop(replace(config, plan=demo_plan(config)), folder)
    first = json.loads((folder / "page-views.ndjson").read_bytes().splitlines()[0])
    looked, bought = first["occurred_at"], first["occurred_at"] + 2 * HOUR_MS
    view = {"event_id": "looked", "visitor_id": "later", "customer_id": "later", "url": first["url"]}
    order = {
        "event_id": "bought", "order_id": "bought", "customer_id": "later", "channel": "store",
        "status": "placed", "currency": "EUR", "total": "5",
    }  # fmt: skip
    with (folder / "page-views.ndjson").open("ab") as stream:
        stream.write(json.dumps(view | {"occurred_at": looked}).encode() + b"\nnonsense\n")
    with (folder / "orders.ndjson").open("ab") as stream:
        stream.write(json.dumps(order | {"occurred_at": bought}).encode() + b"\n")
    return folder


@pytest.fixture(scope="module")
def replayed(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("out")
    return out, replay([shop], out)


def test_every_line_is_of_its_topics_type(replayed: tuple[Path, dict[str, Any]]) -> None:
    out, summary = replayed
    assert {file.stem for file in out.iterdir()} == set(OUTPUTS)
    for topic in OUTPUTS:
        decode = msgspec.json.Decoder(TOPICS[topic].type).decode
        records = [decode(line) for line in (out / f"{topic}.ndjson").read_bytes().splitlines()]
        assert len(records) == summary["records"].get(topic, 0)
    assert not set(OUTPUTS) - set(summary["records"]), "some topic was not tried"


def test_sessions_equal_a_count_by_hand(shop: Path, replayed: tuple[Path, dict[str, Any]]) -> None:
    clicks: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for topic in ("page-views", "interactions"):
        for line in (shop / f"{topic}.ndjson").read_text().splitlines():
            if line != "nonsense":
                event = json.loads(line)
                clicks[event["visitor_id"]].append((parse_time(event["occurred_at"]), topic))
    expected = []
    for happened in clicks.values():
        happened.sort()
        start = 0
        for at in range(1, len(happened) + 1):
            if at == len(happened) or happened[at][0] - happened[at - 1][0] > 30 * 60_000:
                views = sum(topic == "page-views" for _, topic in happened[start:at])
                expected.append((happened[start][0], happened[at - 1][0], views))
                start = at
    out, summary = replayed
    last = {session["id"]: session for session in lines(out, "sessions")}
    sessions = [session for session in last.values() if session["status"] != "retracted"]
    found = [(parse_time(s["started_at"]), parse_time(s["ended_at"]), s["page_views"]) for s in sessions]
    assert sorted(found) == sorted(expected)
    assert summary["sessions"]["closed"] == len(sessions)
    assert (
        summary["sessions"]["page_views"] == sum(views for _, _, views in expected) == summary["page_views"]
    )


def test_a_shuffled_copy_in_other_files_gives_the_same(
    shop: Path, replayed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    rng = random.Random(1)
    halves = [tmp_path / "a", tmp_path / "b"]
    for half in halves:
        half.mkdir()
    for file in shop.glob("*.ndjson"):
        content = file.read_bytes().splitlines(keepends=True)
        rng.shuffle(content)
        for number, half in enumerate(halves):
            (half / file.name).write_bytes(b"".join(content[number::2]))
    replay(halves[::-1], tmp_path / "out")
    for topic in OUTPUTS:
        assert lines(tmp_path / "out", topic) == lines(replayed[0], topic), topic


def test_the_planted_dead_ends_are_found_and_the_bad_line_is_told(
    replayed: tuple[Path, dict[str, Any]], shop: Path
) -> None:
    _, summary = replayed
    planted = {fault["page"] for fault in json.loads((shop / "truth.json").read_text())["faults"]}
    found = {alert["page"] for alert in summary["alerts"]}
    assert found
    assert found <= planted
    assert summary["rejected"] == {"not_json": 1}
    assert summary["cpu_seconds_per_100k_page_views"] > 0


def test_the_summary_for_people_says_the_same(replayed: tuple[Path, dict[str, Any]]) -> None:
    _, summary = replayed
    screen = io.StringIO()
    show_summary(summary, Console(file=screen, width=150))
    text = screen.getvalue()
    assert f"{summary['sessions']['closed']:,} sessions" in text
    assert "not_json 1" in text
    assert all(alert["page"] in text for alert in summary["alerts"])
    assert "p_purchase: AUPRC" in text


def test_nothing_at_all_is_summed_up_too(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"")
    summary = replay([tmp_path], tmp_path / "out")
    assert (summary["events"], summary["page_views"]) == (0, 0)
    assert summary["cpu_seconds_per_100k_page_views"] is None
    screen = io.StringIO()
    show_summary(summary, Console(file=screen, width=150))
    assert "No dead-end alerts" in screen.getvalue()


def test_events_of_the_years_1_and_9999_end(tmp_path: Path) -> None:
    times = ["0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    (tmp_path / "page-views.ndjson").write_text(
        "\n".join(
            json.dumps({"event_id": t, "visitor_id": "v", "occurred_at": t, "url": "https://s.example/a"})
            for t in times
        )
    )
    summary = replay([tmp_path], tmp_path / "out")
    assert summary["page_views"] + sum(summary["rejected"].values()) == 3
    assert summary["seconds"] < 20


def test_a_secret_is_made_and_told_when_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"")
    said: list[str] = []
    settings = WorkerSettings(data_dir=tmp_path / "data")
    for _ in range(2):
        replay_files([tmp_path], tmp_path / "out", settings, "ndjson", Bars(False), said.append)
    assert len(said) == 1
    assert str(tmp_path / "data" / "secret") in said[0]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        replay([tmp_path], tmp_path / "file" / "out")
