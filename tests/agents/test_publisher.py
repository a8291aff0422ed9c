"""Publishing: keyed, in order, with word of how far time has come."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from agents.broker import EmbeddedKafka
from agents.progress import Bars
from agents.publisher import MAX_BATCH_BYTES, PAUSE_S, Publisher, key_of
from agents.publishing import publish, publish_files
from agents.settings import WorkerSettings
from agents.topics import TopicError, ensure_topics
from schemas.topics import PartitionCounts
from streams.event_files import INPUTS, FileEvent

NOON = 1_772_362_800_000


@pytest.fixture
def settings(kafka: EmbeddedKafka) -> WorkerSettings:
    counts = PartitionCounts(inputs=2, visitors=1, customers=1, outputs=1)
    settings = WorkerSettings(
        kafka=kafka.bootstrap, topic_prefix=f"p{uuid.uuid4().hex[:8]}.", partitions=counts
    )
    ensure_topics(settings)
    return settings


def records(settings: WorkerSettings, topic: str) -> list[Any]:
    """All records of a topic, partition by partition, in order."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka, enable_auto_commit=False)
    partitions = [TopicPartition(settings.topic_prefix + topic, number) for number in range(2)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    found: list[Any] = []
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        found += [record for batch in consumer.poll(timeout_ms=500).values() for record in batch]
    consumer.close()
    return sorted(found, key=lambda record: (record.partition, record.offset))


def values(found: Sequence[Any]) -> list[Any]:
    return [json.loads(record.value) for record in found]


def view(visitor: str, at: int) -> FileEvent:
    return FileEvent("page-views", json.dumps({"visitor_id": visitor, "n": at}).encode(), NOON + at)


@pytest.mark.parametrize(
    ("topic", "value", "key"),
    [
        ("page-views", b'{"visitor_id":"v","customer_id":"c"}', b"v"),
        ("orders", b'{"order_id":"o","visitor_id":"v"}', b"o"),
        ("identities", b'{"customer_id":"c"}', b"c"),
        ("rejected-events", b'{"id":"otto/0/3"}', b"otto/0/3"),
        ("orders", b'{"visitor_id":"\xc3\xa9"}', "é".encode()),
        ("page-views", b'{"visitor_id":""}', None),
        ("page-views", b'{"visitor_id":7}', None),
        ("page-views", b"[" * 5000, None),
        ("page-views", b"\xff", None),
        ("page-views", None, None),
    ],
)
def test_the_key_is_the_orders_the_visitors_or_the_customers_id(
    topic: str, value: bytes | None, key: bytes | None
) -> None:
    assert key_of(topic, value) == key


def test_records_keep_their_order_and_a_visitor_his_partition(settings: WorkerSettings) -> None:
    with Publisher(settings.kafka, settings.topic_prefix) as publisher:
        publish([view(f"v{at % 7}", at) for at in range(12_000)], publisher)
    found = [record for record in records(settings, "page-views") if b"culdesac_progress" not in record.value]
    assert sorted(value["n"] for value in values(found)) == list(range(12_000))
    where: dict[bytes, set[int]] = {}
    for partition in range(2):
        times = [
            value["n"] for value in values([record for record in found if record.partition == partition])
        ]
        assert times == sorted(times)
    for record in found:
        where.setdefault(record.key, set()).add(record.partition)
    assert all(len(partitions) == 1 for partitions in where.values())
    assert publisher.sent == {"page-views": 12_000}


def test_every_partition_of_every_input_is_told_how_far_time_has_come(settings: WorkerSettings) -> None:
    with Publisher(settings.kafka, settings.topic_prefix) as publisher:
        publish([view("v", 5), view("v", 3)], publisher)
    for topic in INPUTS:
        progress = [record for record in records(settings, topic) if b"culdesac_progress" in record.value]
        assert [(record.partition, *values([record])) for record in progress] == [
            (partition, {"culdesac_progress": NOON + after}) for partition in range(2) for after in (3, 5)
        ]


def test_after_a_pause_inputs_that_were_silent_are_told_that_time_goes_on_before_anything_else(
    settings: WorkerSettings,
) -> None:
    now = 100.0
    with Publisher(settings.kafka, settings.topic_prefix, clock=lambda: now) as publisher:
        for after in (5, 7, 9):
            publisher.send(*view("v", after))
            publisher.push()
            now += PAUSE_S if after == 7 else PAUSE_S / 2
    [told] = {
        tuple(value["culdesac_progress"] - NOON for value in values(records(settings, topic)))
        for topic in ("feedback", "orders")
    }
    assert told == (5, 9, 9) * 2, "at the start, after the pause, and at the end"


def test_while_time_stands_still_nothing_is_told_twice(settings: WorkerSettings) -> None:
    with Publisher(settings.kafka, settings.topic_prefix) as publisher:
        publisher.send(*view("v", 5))
        publisher.tell()
        publisher.tell()
        publisher.send("page-views", b"no time", None)
    assert len(records(settings, "feedback")) == 2 * 2, "once before it, once behind"


def test_a_rate_is_kept_and_what_is_gathered_goes_out_before_each_pause(settings: WorkerSettings) -> None:
    now = 100.0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        pauses.append(seconds)

    with Publisher(settings.kafka, settings.topic_prefix, clock=lambda: now) as publisher:
        publish([view("v", at) for at in range(101)], publisher, rate=50, sleep=sleep, clock=lambda: now)
        assert now == pytest.approx(102.0, abs=0.05)
        assert len(pauses) > 40
        assert len(records(settings, "page-views")) > 95
    told = len(records(settings, "feedback")) / 2
    assert 8 <= told <= 10, "at the start, about every quarter of a second, and at the end"


def test_what_no_broker_takes_is_counted_and_the_rest_goes_on(settings: WorkerSettings) -> None:
    with Publisher(settings.kafka, settings.topic_prefix) as publisher:
        publisher.send("page-views", b"x" * MAX_BATCH_BYTES)
        publisher.send("nowhere", b"{}")
        publisher.send("page-views", b"x" * (MAX_BATCH_BYTES - 1_100))
        publisher.send("page-views", None)
    assert publisher.refused == 2
    assert sorted(len(record.value or b"") for record in records(settings, "page-views")) == [
        0,
        MAX_BATCH_BYTES - 1_100,
    ]


def test_files_are_sent_with_their_end(settings: WorkerSettings, tmp_path: Path) -> None:
    lines = [b'{"visitor_id": "v", "occurred_at": %d}\n' % (NOON + at) for at in range(50)]
    (tmp_path / "page-views.ndjson").write_bytes(b"".join(lines))
    report = publish_files([tmp_path], settings, "ndjson", None, True, Bars(False))
    assert (report["sent"], report["by_topic"], report["refused"]) == (50, {"page-views": 50}, 0)
    told = [value["culdesac_progress"] for value in values(records(settings, "orders"))]
    assert told == [NOON, NOON + 49, NOON + 49 + settings.streams.run_on_ms] * 2


def test_absent_topics_and_no_kafka_are_said_so(kafka: EmbeddedKafka) -> None:
    with pytest.raises(
        TopicError, match=r"there is no topic absent\.page-views: run culdesac topics --create"
    ):
        Publisher(kafka.bootstrap, "absent.")
    with pytest.raises(TopicError, match="no Kafka answers there"):
        Publisher("127.0.0.1:1")
