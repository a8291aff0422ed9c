"""Whatever stands in an input topic, the worker lives, and says what it refused, and where."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import KafkaProducer

from agents.broker import EmbeddedKafka
from streams.event_files import INPUTS, Format, find_files, read_events
from streams.settings import Settings
from tests.agents.product import COMPARED, Deployment, Record, differences, final, replayed

DATA = Path(__file__).parents[1] / "data"
NOON = 1_700_000_000_000
VIEW = {"event_id": "e", "visitor_id": "v", "occurred_at": NOON, "url": "https://shop.example/a"}


def view(**changed: object) -> bytes:
    return json.dumps(VIEW | changed).encode()


def decision(**changed: object) -> bytes:
    fields = {
        "event_id": "e", "occurred_at": NOON, "site": "s", "alert_id": "a", "action": "mute",
    }  # fmt: skip
    return json.dumps(fields | changed).encode()


ODD: list[bytes | None] = [
    decision(event_id="d1"),
    decision(event_id="d2", action="dismiss", by="\u202eAnn", why="\x00\x1b[2J" * 90),
    decision(action="mute", until="9999-12-31T23:59:59Z", event_id="d3", alert_id="🙂" * 256),
    decision(action="mute", until=10**30),
    decision(action="unmute", until=NOON),
    decision(action=["mute"], by={}),
    decision(alert_id="\x1f"),
    decision(event_id="d4", version="7", url="javascript:alert(1)", occurred_at="0001-01-01T00:00:00Z"),
    decision(event_id="d5", version="7" * 128, note="\x00" * 1024),
    decision(version="7\n"),
    None,
    b"",
    b"null",
    b"{}",
    b"[]",
    b"\xff\xfe\x00",
    "{}".encode("utf-16"),
    "\ufeff{}".encode(),
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"x" * 1_000_000,
    view(occurred_at="0001-01-01T00:00:00Z"),
    view(occurred_at="9999-12-31T23:59:59Z"),
    view(occurred_at=1e308),
    view(occurred_at=10**30),
    view(occurred_at=True),
    view(visitor_id=" "),
    view(visitor_id=None),
    view(visitor_id="\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
    view(url="http://[::1"),
    view(url="javascript:alert(1)"),
    view(user_agent="\x00" * 5_000),
    b'{"event_id":"e","visitor_id":"v","occurred_at":NaN,"url":"/"}',
    b'{"culdesac_progress":"never"}',
    b'{"culdesac_progress":1e400}',
    b'{"culdesac_progress":99999999999999999999999}',
]


BEHIND_THE_DOOR = ("unknown_alert", "too_late")
"""Reasons of later stages, which have only what the door has made of a record."""


@pytest.fixture
def deployment(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(kafka.bootstrap, tmp_path)
    yield deployment
    deployment.close()


def test_any_bytes_on_any_input_topic_leave_the_worker_alive(deployment: Deployment) -> None:
    generated: list[bytes] = []

    @settings(max_examples=150, database=None)
    @given(st.one_of(st.binary(max_size=200), st.text(max_size=50).map(lambda text: view(url=text))))
    def collect(value: bytes) -> None:
        generated.append(value)

    collect()
    producer = KafkaProducer(bootstrap_servers=deployment.kafka, acks="all", max_request_size=2_000_000)
    sent: dict[tuple[str, int, int], bytes | None] = {}
    worker = deployment.fork()
    futures = []
    for topic in (*INPUTS, "visitor-events", "customer-events", "site-events"):
        for value in [*ODD, *generated]:
            future = producer.send(deployment.prefix + topic, value=value, key=b"k", partition=0)
            futures.append((topic, value, future))
    for topic, value, future in futures:
        sent[topic, 0, future.get(30).offset] = value
    producer.close()
    deployment.wait_until_done()
    assert worker.poll() is None, deployment.logs()

    def refused() -> dict[tuple[str, int, int], Record]:
        return {
            (record["topic"].removeprefix(deployment.prefix), record["partition"], record["offset"]): record
            for _, record in deployment.read(["rejected-events"])
        }

    # Decisions wait for time to come to them.
    deployment.publisher.tell(NOON + 3_600_000)
    deployment.publisher.push()
    rejected, limit = refused(), time.monotonic() + 30
    while sum(record["reason"] == "unknown_alert" for record in rejected.values()) < 3:
        assert time.monotonic() < limit, Counter(record["reason"] for record in rejected.values())
        time.sleep(0.5)
        rejected = refused()
    assert rejected.keys() <= sent.keys()
    for position, record in rejected.items():
        value = sent[position] or b""
        payload = base64.b64decode(record["payload"])
        if record["reason"] in BEHIND_THE_DOOR:
            assert payload.startswith(b'{"type":"')
        else:
            assert payload == value[: 16 * 1024]
        assert record["reason"]
        assert record["detail"]
    reasons = {record["reason"] for record in rejected.values()}
    assert reasons >= {"not_json", "schema_violation", "missing_visitor", "too_large", "from_future"}
    good = {position for position, value in sent.items() if position not in rejected}
    assert all((sent[position] or b"").startswith(b"{") for position in good)


@pytest.mark.parametrize(
    ("file", "form"),
    [("apache_access.log", "access-log"), ("otto_sessions.jsonl", "otto"), ("shop", "ndjson")],
)
def test_files_give_the_same_on_kafka_and_without(deployment: Deployment, file: str, form: Format) -> None:
    paths = find_files([DATA / file], form)
    events = list(read_events(paths, form))
    rules = Settings()
    expected = final(replayed([event for event in events if event.topic in INPUTS], rules))
    assert len(expected["sessions"]) > 2
    deployment.fork()
    deployment.publish(events)
    deployment.end(rules)
    deployment.wait_until_done()
    got = final(deployment.read(COMPARED))
    assert differences(expected, got) == {}
