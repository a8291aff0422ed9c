"""A raw topic as input: exactly once in effect, whatever is killed when."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from agents.adapting import AdaptError, TopicAdapter
from agents.broker import EmbeddedKafka
from agents.publisher import Publisher, PublishError
from agents.settings import WorkerSettings
from agents.topics import admin_client, ensure_topics
from schemas.topics import PartitionCounts
from streams.access_log_lines import AccessLogLines
from streams.adapters import Adaptation
from streams.segment_archives import SegmentArchive
from streams.snowplow_events import SnowplowEvents

ROOT = Path(__file__).parents[2]
LIMIT_S = 90.0


class Raw:
    """A raw topic of two partitions beside the input topics, and what stands in them."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self.prefix = f"a{uuid.uuid4().hex[:8]}."
        self.topic = ""
        counts = PartitionCounts(inputs=1, visitors=1, customers=1, outputs=1)
        ensure_topics(WorkerSettings(kafka=kafka, topic_prefix=self.prefix, partitions=counts))
        self.producer = KafkaProducer(bootstrap_servers=kafka, acks="all")

    def begin(self, name: str) -> None:
        """Go on with another raw topic."""
        self.topic = self.prefix + name
        with admin_client(self.kafka) as client:
            client.create_topics([NewTopic(name=self.topic, num_partitions=2, replication_factor=1)])

    def put(self, values: Sequence[bytes | None]) -> None:
        for number, value in enumerate(values):
            self.producer.send(self.topic, key=b"any", value=value, partition=number % 2)
        self.producer.flush()

    def written(self, topic: str) -> list[dict[str, Any]]:
        """Records of a topic, progress left out."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka, enable_auto_commit=False)
        place = TopicPartition(self.prefix + topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        found = []
        while consumer.position(place) < end:
            for records in consumer.poll(timeout_ms=200).values():
                found += [json.loads(record.value) for record in records]
        consumer.close()
        return [record for record in found if "culdesac_progress" not in record]

    def committed(self, group: str) -> int:
        consumer = KafkaConsumer(bootstrap_servers=self.kafka, group_id=group, enable_auto_commit=False)
        try:
            return sum(consumer.committed(TopicPartition(self.topic, number)) or 0 for number in range(2))
        finally:
            consumer.close()

    def adapter(self, adaptation: Adaptation, group: str, publisher: Publisher | None = None) -> TopicAdapter:
        return TopicAdapter(
            self.kafka,
            self.topic,
            adaptation,
            group,
            self.prefix,
            session_timeout_ms=2000,
            publisher=publisher,
        )


@pytest.fixture(scope="module")
def raw(kafka: EmbeddedKafka) -> Raw:
    return Raw(kafka.bootstrap)


def page(number: int) -> bytes:
    return json.dumps(
        {
            "type": "page",
            "messageId": f"m{number}",
            "anonymousId": f"v{number % 50}",
            "timestamp": 1_772_362_800_000 + number * 100,
            "properties": {"url": f"https://shop.example/product/p{number % 7}"},
        }
    ).encode()


def wait_until(done: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    limit = time.monotonic() + LIMIT_S
    while not done():
        assert process is None or process.poll() is None, "the process has ended"
        assert time.monotonic() < limit
        time.sleep(0.2)


def test_a_kill_in_the_middle_loses_nothing_and_doubles_nothing_in_effect(raw: Raw, tmp_path: Path) -> None:
    raw.begin("messages")
    raw.put([page(number) for number in range(1200)])
    group = f"{raw.prefix}killed"
    command = [sys.executable, "-m", "agents", "adapt", "--format", "segment", "--from-topic", raw.topic]
    command += ["--group", group, "--kafka", raw.kafka, "--json"]
    environment = os.environ | {
        "CULDESAC_TOPIC_PREFIX": raw.prefix,
        "CULDESAC_SESSION_TIMEOUT": "2s",
        "CULDESAC_DATA_DIR": str(tmp_path),
    }
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: bool(raw.written("page-views")), first)
    finally:
        first.kill()
        first.wait()
    raw.put([*(page(number) for number in range(1200, 2400)), b"{", None, b"[1]"])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shown = f"http://127.0.0.1:{port}/"
    second = subprocess.Popen(
        [*command, "--metrics-port", str(port)], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )
    try:
        wait_until(lambda: raw.committed(group) == 2403, second)
        with urlopen(f"{shown}healthz", timeout=20) as answer:
            assert answer.read() == b"adapts\n"
        wait_until(lambda: b"culdesac_adapt_lag_records 0.0" in urlopen(f"{shown}metrics", timeout=20).read())
        with urlopen(f"{shown}metrics", timeout=20) as answer:
            assert b'culdesac_adapt_rejected_total{reason="not_json"} 1.0' in answer.read()
    finally:
        second.send_signal(signal.SIGTERM)
        out = second.communicate(timeout=60)[0]
    assert second.returncode == 0
    assert json.loads(out)["rejected"] == {"not_json": 1, "schema_violation": 1}
    views = raw.written("page-views")
    by_id: dict[str, set[str]] = {}
    for view in views:
        by_id.setdefault(view["event_id"], set()).add(json.dumps(view, sort_keys=True))
    assert set(by_id) == {f"m{number}" for number in range(2400)}
    assert all(len(copies) == 1 for copies in by_id.values()), "a second copy says something else"
    rejected = {record["id"]: record["reason"] for record in raw.written("rejected-events")}
    assert rejected == {f"{raw.topic}/0/1200": "not_json", f"{raw.topic}/0/1201": "schema_violation"}


class FailingPublisher(Publisher):
    """One that hands records to Kafka, and then hears of no acknowledgement."""

    def push(self, telling: bool = False) -> None:
        super().push(telling)
        if self.sent:
            raise PublishError("no acknowledgement")


def test_nothing_is_committed_before_it_is_acknowledged_and_sent_again_it_is_the_same(raw: Raw) -> None:
    lines = (ROOT / "tests/data/apache_access.log").read_bytes().splitlines()
    raw.begin("lines")
    one = next(line for line in lines if b"GET /articles/" in line)
    raw.put([*lines[:40], one, one])
    group = f"{raw.prefix}unacknowledged"

    def logs() -> Adaptation:
        return Adaptation(AccessLogLines("logs.example"))

    failing = raw.adapter(logs(), group, FailingPublisher(raw.kafka, raw.prefix))

    def go_on() -> None:
        while True:
            failing.step()

    with pytest.raises(PublishError):
        go_on()
    failing.close()
    assert raw.committed(group) == 0
    again = raw.adapter(logs(), group)
    wait_until(lambda: again.step() >= 0 and raw.committed(group) >= 42)
    again.close()
    views = [view for view in raw.written("page-views") if view.get("site") == "logs.example"]
    copies = Counter(view["event_id"] for view in views)
    distinct = {json.dumps(view, sort_keys=True) for view in views}
    assert len(distinct) == len(copies), "what was sent again has other ids"
    assert max(copies.values()) == 2
    # One line came three times: three hits in one second are three, and each keeps its id.
    urls = Counter(
        view["occurred_at"] + view["url"] + view["visitor_id"] for view in map(json.loads, distinct)
    )
    assert max(urls.values()) == 3


def test_a_topic_that_does_not_exist_is_one_line(raw: Raw) -> None:
    with pytest.raises(AdaptError, match="there is no topic 'absent': create it"):
        TopicAdapter(raw.kafka, "absent", Adaptation(SnowplowEvents()), "g", raw.prefix)


def test_ids_do_not_depend_on_the_process() -> None:
    one, other = Adaptation(SegmentArchive()), Adaptation(SegmentArchive())
    assert one.of_record(page(1), "raw", 0, 7) == other.of_record(page(1), "raw", 1, 9) != []
