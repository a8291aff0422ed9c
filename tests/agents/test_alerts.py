"""Alerts on the terminal: the newest revision of each, from a folder or from Kafka."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer

from agents.alerts import TOPIC, AlertReader, Newest, alert_line, show_alerts
from agents.broker import EmbeddedKafka
from agents.settings import WorkerSettings
from agents.topics import TopicError, ensure_topics
from schemas.dead_end_alerts import DeadEndAlert
from schemas.topics import PartitionCounts
from streams.event_files import EventFileError


def alert(alert_id: str = "a", revision: int = 1, **changes: Any) -> DeadEndAlert:
    fields: dict[str, Any] = {
        "id": alert_id,
        "alert_id": alert_id,
        "revision": revision,
        "status": "opened",
        "page": "shop.example/cart",
        "template": "cart",
        "site": "shop.example",
        "scope": "page",
        "opened_at": "2026-03-01T12:00:00.000Z",
        "updated_at": "2026-03-01T12:30:00.000Z",
        "cause": "unknown",
        "log_evidence": 8.5,
        "views": 1200,
        "exits": 700,
        "expected_exits": 300.4,
    }
    return DeadEndAlert(**fields | changes)


def folder_with(folder: Path, *alerts: DeadEndAlert) -> Path:
    (folder / f"{TOPIC}.ndjson").write_bytes(b"".join(msgspec.json.encode(a) + b"\n" for a in alerts))
    return folder


def test_only_a_higher_revision_is_news() -> None:
    newest = Newest()
    assert [newest.take(alert(revision=revision)) for revision in (1, 1, 3, 2)] == [True, False, True, False]
    assert [a.revision for a in newest.alerts()] == [3]


def test_alerts_are_listed_by_their_opening() -> None:
    newest = Newest()
    newest.take(alert("late", opened_at="2026-03-02T00:00:00.000Z"))
    newest.take(alert("early"))
    assert [a.alert_id for a in newest.alerts()] == ["early", "late"]


def test_a_folder_gives_the_last_revision_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_with(tmp_path, alert(), alert("b"), alert(revision=2, status="resolved"))
    show_alerts(WorkerSettings(), folder, follow=False, as_json=True)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(a["id"], a["revision"], a["status"]) for a in shown] == [
        ("a", 2, "resolved"),
        ("b", 1, "opened"),
    ]
    show_alerts(WorkerSettings(), folder, follow=False, as_json=False)
    assert capsys.readouterr().out.count("shop.example/") == 2


def test_no_alerts_are_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_alerts(WorkerSettings(), folder_with(tmp_path), follow=False, as_json=False)
    assert capsys.readouterr().out == "No dead-end alerts.\n"


def test_a_wider_alert_names_its_scope_and_its_worst_page() -> None:
    line = alert_line(alert(scope="template", value="cart", status="updated"))
    assert "template cart, worst: shop.example/cart" in line
    assert line.startswith("2026-03-01 12:30  updated")
    assert line.endswith("700 of 1,200 views went no further, 300 expected [a]")


def test_a_line_says_what_is_at_stake_and_why() -> None:
    line = alert_line(alert(cause="bot_wave", money_at_stake="150", currency="EUR"))
    assert line.endswith("700 of 1,200 views went no further, 300 expected, 150 EUR at stake (bot wave) [a]")


MUTED: dict[str, Any] = {
    "status": "muted",
    "decision": "mute",
    "decided_by": "Ann [bold]",
    "why": "a sale\n\x1b[2J",
    "muted_until": "9999-12-31T23:59:59.999Z",
    "acknowledged_at": "2026-03-01T12:20:00.000Z",
    "acknowledged_by": "Bob",
}


def test_a_line_says_who_has_decided_what_and_moves_no_cursor() -> None:
    said = "muted by Ann [bold] until it is over (acknowledged by Bob): a sale  [2J"
    assert alert_line(alert(**MUTED)).endswith(f"300 expected – {said} [a]")


def test_the_list_shows_the_id_to_answer_by_and_the_answer_as_it_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_alerts(WorkerSettings(), folder_with(tmp_path, alert("3f2a9c0d1b4e5f60", **MUTED)), False, False)
    shown = capsys.readouterr().out
    for part in ("3f2a9c0d1b4e5f60", "muted", "by Ann [bold]"):
        assert part in shown


def test_a_line_says_what_final_exits_have_decided() -> None:
    final: dict[str, Any] = {"final_views": 1100, "final_exits": 500, "expected_final_exits": 201.7}
    line = alert_line(alert(status="updated", confirmed_at="2026-03-01T12:20:00.000Z", **final))
    assert line.endswith("300 expected; confirmed: 500 of 1,100 ended the visit, 202 expected [a]")
    assert alert_line(alert(status="updated", **final)).endswith("300 expected [a]")
    line = alert_line(alert(status="withdrawn", withdrawn_because="visitors went on later", **final))
    assert line.endswith("300 expected; visitors went on later [a]")


def test_the_table_says_what_is_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sure = alert("b", status="updated", confirmed_at="2026-03-01T12:20:00.000Z")
    show_alerts(WorkerSettings(), folder_with(tmp_path, alert(), sure), follow=False, as_json=False)
    assert capsys.readouterr().out.count("updated, confirmed") == 1


def test_a_folder_without_alerts_and_a_broken_line_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="name a folder that culdesac replay wrote"):
        show_alerts(WorkerSettings(), tmp_path, follow=False, as_json=False)
    (tmp_path / f"{TOPIC}.ndjson").write_text("{}\n")
    with pytest.raises(EventFileError, match="holds something that is no alert"):
        show_alerts(WorkerSettings(), tmp_path, follow=False, as_json=False)


@pytest.fixture
def settings(kafka: EmbeddedKafka) -> WorkerSettings:
    counts = PartitionCounts(inputs=1, visitors=1, customers=1, outputs=2)
    settings = WorkerSettings(
        kafka=kafka.bootstrap, topic_prefix=f"a{uuid.uuid4().hex[:8]}.", partitions=counts
    )
    ensure_topics(settings)
    return settings


def put(settings: WorkerSettings, *alerts: DeadEndAlert) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka)
    for a in alerts:
        producer.send(settings.topic_prefix + TOPIC, msgspec.json.encode(a), key=a.page.encode()).get(10)
    producer.close()


def test_kafka_gives_what_is_there_and_ends(
    settings: WorkerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    put(settings, alert(), alert("b", page="shop.example/help"), alert(revision=2, status="updated"))
    show_alerts(settings, None, follow=False, as_json=True)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(a["id"], a["revision"]) for a in shown] == [("a", 2), ("b", 1)]


def test_a_reader_that_follows_gets_what_comes_later(settings: WorkerSettings) -> None:
    put(settings, alert())
    with AlertReader(settings) as reader:
        found: list[DeadEndAlert] = []
        later = threading.Timer(0.5, put, (settings, alert(revision=2)))
        later.start()
        until = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < until:
            found += reader.poll(0.2)
        later.join()
    assert [a.revision for a in found] == [1, 2]


def test_without_topics_or_kafka_one_line_says_so(kafka: EmbeddedKafka) -> None:
    for settings in (
        WorkerSettings(kafka=kafka.bootstrap, topic_prefix="none."),
        WorkerSettings(kafka="127.0.0.1:1"),
    ):
        with pytest.raises(TopicError, match=r"run culdesac topics|start it"):
            show_alerts(settings, None, follow=False, as_json=False)
