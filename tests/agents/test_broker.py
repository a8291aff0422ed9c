"""The embedded Kafka against real JVMs: it is a broker, it takes faults, and it leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from agents.broker import BrokerError, EmbeddedKafka

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def own_kafka(kafka: EmbeddedKafka, tmp_path: Path) -> EmbeddedKafka:
    """Give a broker that a test may break, not started; asks for `kafka` so that it skips with it."""
    assert kafka.running
    return EmbeddedKafka(directory=tmp_path / "kafka")


def make_topic(bootstrap: str, partitions: int = 1) -> str:
    topic = f"test-{uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, partitions, 1)])
    admin.close()
    return topic


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=10_000)
    producer.send(topic, value).get(timeout=20)
    producer.close()


def consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=f"group-{topic}", auto_offset_reset="earliest"
    )
    values: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(values) < count and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            values.extend(record.value for record in records)
    consumer.close()
    return values


def answers(bootstrap: str, seconds: float) -> bool:
    host, port = bootstrap.split(":")
    with socket.create_connection((host, int(port)), seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(bytes.fromhex("0000000a 0012 0000 00000001 ffff"))  # ApiVersions
        try:
            return bool(connection.recv(16))
        except TimeoutError:
            return False


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed process whose new parent never reaps it (a container's first process) is as good as gone.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def becomes_true(condition: Callable[[], bool], within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_group_reads_what_was_produced(kafka: EmbeddedKafka) -> None:
    topic = make_topic(kafka.bootstrap)
    produce(kafka.bootstrap, topic, b"one")
    produce(kafka.bootstrap, topic, b"two")
    assert consume(kafka.bootstrap, topic, 2) == [b"one", b"two"]


def test_topics_are_not_made_by_mentioning_them(kafka: EmbeddedKafka) -> None:
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    assert not consumer.partitions_for_topic("never-made")
    assert "never-made" not in consumer.topics()
    consumer.close()


def test_records_outlive_a_kill_and_a_stop(own_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with own_kafka:
        bootstrap, first_pid = own_kafka.bootstrap, own_kafka.pid
        topic = make_topic(bootstrap)
        produce(bootstrap, topic, b"before")
        own_kafka.kill()
        assert not own_kafka.running
        assert own_kafka.pid is None
        own_kafka.restart()
        assert own_kafka.bootstrap == bootstrap
        assert own_kafka.pid != first_pid
        produce(bootstrap, topic, b"after")
        assert consume(bootstrap, topic, 2) == [b"before", b"after"]
    with EmbeddedKafka(directory=tmp_path / "kafka") as again:
        produce(again.bootstrap, topic, b"later")
        assert consume(again.bootstrap, topic, 1) == [b"later"]  # the group still knows that it read two


def test_a_frozen_broker_is_silent_and_goes_on_when_thawed(own_kafka: EmbeddedKafka) -> None:
    with own_kafka:
        assert answers(own_kafka.bootstrap, 5)
        own_kafka.freeze()
        assert own_kafka.running
        assert not answers(own_kafka.bootstrap, 0.3)
        own_kafka.thaw()
        assert answers(own_kafka.bootstrap, 5)
        own_kafka.freeze()
        pid = own_kafka.pid
    assert pid is not None
    assert not lives(pid)  # a frozen one is ended, too


ORPHAN_MAKER = """
import sys, time
from agents.broker import EmbeddedKafka
with EmbeddedKafka() as kafka:
    print(kafka.pid, kafka.directory, flush=True)
    if "freeze" in sys.argv: kafka.freeze()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("state", ["busy", "freeze"])
def test_a_kill_of_the_parent_leaves_neither_process_nor_folder(kafka: EmbeddedKafka, state: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN_MAKER, state], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid_text, folder_text = parent.stdout.readline().split()
    assert parent.stdout.readline() == "ready\n"
    pid, folder = int(pid_text), Path(folder_text)
    assert lives(pid)
    assert folder.is_dir()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert becomes_true(lambda: not lives(pid) and not folder.exists(), within_seconds=3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_kill_of_the_guard_ends_the_broker(kafka: EmbeddedKafka) -> None:
    broker = EmbeddedKafka().start()
    pid, folder = broker.pid, broker.directory
    assert pid is not None
    assert broker._guarded is not None
    broker._guarded._guard.kill()
    assert becomes_true(lambda: not lives(pid), within_seconds=3)
    assert not broker.running
    broker.stop()
    assert not folder.exists()


def test_a_taken_port_is_one_clear_line(kafka: EmbeddedKafka) -> None:
    taken = int(kafka.bootstrap.rpartition(":")[2])
    with pytest.raises(BrokerError, match=rf"^port {taken} is not free .* choose another port$"):
        EmbeddedKafka(port=taken).start()


def test_a_folder_in_use_is_one_clear_line(kafka: EmbeddedKafka) -> None:
    topic = make_topic(kafka.bootstrap)
    with pytest.raises(BrokerError, match=r"^another broker runs in .*: end it, or choose another folder$"):
        EmbeddedKafka(directory=kafka.directory).start()
    produce(kafka.bootstrap, topic, b"unharmed")
    assert consume(kafka.bootstrap, topic, 1) == [b"unharmed"]


def test_what_the_broker_says_when_it_does_not_start_is_passed_on(
    kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.broker._CONFIG", "node.id=not-a-number\nprocess.roles=broker")
    with pytest.raises(BrokerError, match=r"^Kafka ended while it started \(exit code 1\): .*not-a-number.*"):
        EmbeddedKafka(directory=tmp_path).start()


def test_a_folder_that_cannot_be_made_is_one_clear_line(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BrokerError, match="choose another folder"):
        EmbeddedKafka(directory=tmp_path / "file" / "kafka").start()


def test_faults_before_the_start_are_refused() -> None:
    broker = EmbeddedKafka()
    for fault in (broker.kill, broker.freeze, broker.thaw):
        with pytest.raises(BrokerError, match="call start"):
            fault()
    with pytest.raises(BrokerError, match="no address yet"):
        assert broker.bootstrap
    broker.stop()  # nothing to do
