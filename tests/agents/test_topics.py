"""Topics: made once, compared with the table, and refused where they would break the state."""

from __future__ import annotations

import json
import socket
import uuid

import pytest

from agents.broker import EmbeddedKafka
from agents.settings import WorkerSettings
from agents.topics import NoKafkaError, TopicError, check_topics, ensure_topics, partition_counts
from agents.topics_view import show_topics
from schemas.topics import TOPICS, PartitionCounts


@pytest.fixture
def settings(kafka: EmbeddedKafka) -> WorkerSettings:
    counts = PartitionCounts(inputs=2, visitors=3, customers=1, outputs=1)
    return WorkerSettings(kafka=kafka.bootstrap, topic_prefix=f"t{uuid.uuid4().hex[:8]}.", partitions=counts)


def with_counts(settings: WorkerSettings, counts: PartitionCounts) -> WorkerSettings:
    return WorkerSettings(kafka=settings.kafka, topic_prefix=settings.topic_prefix, partitions=counts)


def test_topics_are_created_once_with_the_partitions_and_settings_of_the_table(
    settings: WorkerSettings,
) -> None:
    assert {state.state for state in check_topics(settings)} == {"missing"}
    created = ensure_topics(settings)
    assert [state.topic for state in created] == [settings.topic_prefix + name for name in TOPICS]
    assert {state.state for state in created} == {"created"}
    assert [state.partitions for state in created] == list(settings.topic_partitions().values())
    assert {state.state for state in check_topics(settings)} == {"ok"}, "also their settings are as wanted"
    assert {state.state for state in ensure_topics(settings)} == {"ok"}


def test_another_partition_count_of_a_log_is_refused_with_its_mend(settings: WorkerSettings) -> None:
    ensure_topics(settings)
    other = with_counts(settings, PartitionCounts(inputs=2, visitors=4, customers=1, outputs=1))
    with pytest.raises(
        TopicError, match=r"visitor-events: has 3 partitions, not 4.*set partitions \{ visitors = 3 \}"
    ):
        ensure_topics(other)
    wrong = [
        state.topic.removeprefix(settings.topic_prefix)
        for state in check_topics(other)
        if state.state == "wrong"
    ]
    assert wrong == ["visitor-events", "culdesac-sessions-changelog"]


def test_another_partition_count_of_inputs_and_outputs_is_told_and_used(settings: WorkerSettings) -> None:
    ensure_topics(settings)
    other = with_counts(settings, PartitionCounts(inputs=5, visitors=3, customers=1, outputs=1))
    states = {state.topic.removeprefix(settings.topic_prefix): state for state in ensure_topics(other)}
    assert (states["page-views"].state, states["page-views"].partitions) == ("differs", 2)
    assert states["sessions"].state == "ok"


def test_more_copies_than_brokers_are_refused_with_their_mend(settings: WorkerSettings) -> None:
    greedy = WorkerSettings(kafka=settings.kafka, topic_prefix=settings.topic_prefix, replication_factor=3)
    with pytest.raises(TopicError, match="page-views: can't be created: there are fewer brokers"):
        ensure_topics(greedy)


def test_counts_of_absent_topics_say_how_to_create_them(settings: WorkerSettings) -> None:
    with pytest.raises(TopicError, match=r"there is no topic absent: run culdesac topics --create"):
        partition_counts(settings.kafka, ["absent"])
    ensure_topics(settings)
    name = settings.topic_prefix + "page-views"
    assert partition_counts(settings.kafka, [name]) == {name: 2}


def test_no_kafka_is_one_line() -> None:
    with pytest.raises(TopicError, match=r"^127\.0\.0\.1:1: no Kafka answers there: start it"):
        check_topics(WorkerSettings(kafka="127.0.0.1:1"))


def test_who_takes_the_connection_and_does_not_answer_may_do_so_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.topics.ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NoKafkaError):
        check_topics(WorkerSettings(kafka=f"127.0.0.1:{silent.getsockname()[1]}"))


def test_the_check_tells_by_its_exit_code_whether_work_can_go_on(
    settings: WorkerSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_topics(settings, create=False, check=True, as_json=False) == 1
    assert "does not exist" in capsys.readouterr().out
    assert show_topics(settings, create=True, check=False, as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["kafka"]["state"] == "created"
    assert show_topics(settings, create=False, check=True, as_json=False) == 0


def test_without_kafka_the_table_is_printed_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_topics(WorkerSettings(kafka="127.0.0.1:1"), create=False, check=False, as_json=True) == 0
    rows = {row["topic"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(TOPICS)
    assert rows["visitor-events"]["partitions"] == 4
    assert "kafka" not in rows["visitor-events"]
