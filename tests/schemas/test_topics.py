"""The table of topics, pinned: a renamed topic loses its readers, a renamed changelog its state."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from schemas.decoding import INPUT_TYPES
from schemas.topics import TOPICS, PartitionCounts, Topic, partition

DAY_MS = 86_400_000
COUNTS = PartitionCounts(inputs=1, visitors=2, customers=3, sites=4, outputs=5)

PINNED = {  # name: partitions by COUNTS, retention in days or None where compacted
    "page-views": (1, 7),
    "interactions": (1, 7),
    "orders": (1, 7),
    "identities": (1, 7),
    "consents": (1, 7),
    "feedback": (1, 7),
    "alert-decisions": (1, 7),
    "deploys": (1, 7),
    "visitor-events": (2, 7),
    "customer-events": (3, 7),
    "site-events": (4, 7),
    "secret-claims": (4, -1 / DAY_MS),
    "rejected-events": (5, 7),
    "sessions": (5, 7),
    "enriched-page-views": (5, 7),
    "session-revisions": (5, 30),
    "page-scores": (5, None),
    "purchase-associations": (5, None),
    "dead-end-alerts": (5, 90),
    "undelivered-notices": (5, 90),
    "model-snapshots": (5, None),
    "model-reports": (5, 90),
    "culdesac-sessions-changelog": (2, None),
    "culdesac-customers-changelog": (3, None),
    "culdesac-pages-changelog": (4, None),
    "culdesac-models-changelog": (4, None),
}


def test_names_partitions_and_retention_are_pinned() -> None:
    table = {
        name: (topic.partitions(COUNTS), topic.retention_ms and topic.retention_ms / DAY_MS)
        for name, topic in TOPICS.items()
    }
    assert table == PINNED


def test_default_counts() -> None:
    assert msgspec.to_builtins(PartitionCounts()) == {
        "inputs": 4,
        "visitors": 4,
        "customers": 4,
        "sites": 1,
        "outputs": 4,
    }


def test_inputs_are_those_that_can_be_decoded() -> None:
    inputs = {topic.name: topic.type for topic in TOPICS.values() if topic.partitions_of == "inputs"}
    assert inputs == INPUT_TYPES


def test_what_stages_read_has_the_time_of_the_broker() -> None:
    logs = {"visitor-events", "customer-events", "site-events"}
    assert {t.name for t in TOPICS.values() if t.timestamp_type == "LogAppendTime"} == {*INPUT_TYPES, *logs}


def test_internal_topics_are_these() -> None:
    assert {t.name for t in TOPICS.values() if t.internal} == {
        "visitor-events",
        "customer-events",
        "site-events",
        "secret-claims",
        "culdesac-sessions-changelog",
        "culdesac-customers-changelog",
        "culdesac-pages-changelog",
        "culdesac-models-changelog",
    }


@pytest.mark.parametrize("name", [name for name in TOPICS if name.endswith("-changelog")])
def test_a_changelog_is_compacted_after_an_hour_and_has_no_type(name: str) -> None:
    assert TOPICS[name].config() == {
        "cleanup.policy": "compact",
        "message.timestamp.type": "CreateTime",
        "min.compaction.lag.ms": "3600000",
        "max.message.bytes": "33619968",
    }
    with pytest.raises(LookupError, match=name):
        _ = TOPICS[name].type


def test_config_of_an_input() -> None:
    assert TOPICS["page-views"].config() == {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "604800000",
    }


@pytest.mark.parametrize(
    "topic", [t for t in TOPICS.values() if t.partitions_of == "outputs"], ids=lambda t: t.name
)
def test_every_output_has_an_id_and_names_its_schema(topic: Topic) -> None:
    assert topic.type.__struct_config__.tag_field == "schema"
    assert topic.type.__struct_config__.tag == f"{topic.name}/1"
    assert "id" in topic.type.__struct_fields__


@pytest.mark.parametrize(
    "name", ["sessions", "session-revisions", "page-scores", "dead-end-alerts", "model-snapshots"]
)
def test_what_can_change_has_a_revision(name: str) -> None:
    assert "revision" in TOPICS[name].type.__struct_fields__


@pytest.mark.parametrize(
    ("key", "four", "seven"),
    [(b"", 0, 0), (b"visitor-1", 0, 4), (b"visitor-2", 2, 3), ("Köln".encode(), 3, 4)],
)
def test_partitions_are_pinned_as_state_rests_on_them(key: bytes, four: int, seven: int) -> None:
    assert (partition(key, 4), partition(key, 7)) == (four, seven)
    assert partition(key, 7) == zlib.crc32(key) % 7


def test_keys_spread_over_partitions() -> None:
    hits = [0] * 4
    for i in range(4000):
        hits[partition(f"visitor-{i}".encode(), 4)] += 1
    assert min(hits) > 900
