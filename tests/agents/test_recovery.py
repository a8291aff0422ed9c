"""Recovery from a real changelog."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from agents import metrics, recovery, statements
from agents.broker import EmbeddedKafka
from agents.changelogs import FENCE_KEY, StoreError, top_header, write_fence
from agents.recovery import Recovered, recover
from agents.sending import Record, Sender
from agents.statements import Fetched
from agents.stores import Store
from schemas.topics import TOPICS
from streams.processors import Fence

ROOT = Path(__file__).parents[2]


class Changelog:
    """One partition that tests write, and a folder for the stores that read it."""

    def __init__(self, kafka: str, directory: Path) -> None:
        self.kafka, self.directory = kafka, directory
        self.topic = f"recovery-{uuid.uuid4().hex[:8]}"
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        admin.create_topics([NewTopic(name=self.topic, num_partitions=2, replication_factor=1)])
        admin.close()
        self.producer = KafkaProducer(bootstrap_servers=kafka, acks="all", linger_ms=5)

    def write(self, key: bytes, row: bytes | None, top: int) -> None:
        self.producer.send(self.topic, row, key=key, partition=1, headers=top_header(top))

    def fence(self, top: int) -> None:
        self.write(FENCE_KEY, write_fence(Fence(offset=top)), top)
        self.producer.flush()

    def recover(self, store: Store) -> Recovered:
        return asyncio.run(recover(self.kafka, {(self.topic, 1): store}, stall_s=10))

    def store(self, name: str = "0") -> Store:
        return Store(self.directory / name)


@pytest.fixture
def changelog(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Changelog]:
    changelog = Changelog(kafka.bootstrap, tmp_path)
    yield changelog
    changelog.producer.close()


def test_a_cold_store_gets_all_and_a_warm_one_what_it_lacks(changelog: Changelog) -> None:
    for top in range(10):
        changelog.write(b"v%d" % (top % 3), b"%d" % top, top)
        changelog.fence(top)
    store = changelog.store()
    assert changelog.recover(store) == (20, {(changelog.topic, 1): []})
    assert dict(store.rows()) == {b"v0": b"9", b"v1": b"7", b"v2": b"8"}
    store.close()
    changelog.write(b"v1", None, 10)
    changelog.fence(10)
    store = changelog.store()
    assert changelog.recover(store).records == 2
    assert dict(store.rows()) == {b"v0": b"9", b"v2": b"8"}
    assert changelog.recover(store).records == 0
    assert store.persisted == 21
    store.close()


def test_a_long_changelog_without_fences_on_the_way_is_not_held_in_memory(
    changelog: Changelog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As compaction leaves it: it keeps only the last fence."""
    monkeypatch.setattr(recovery, "TAIL", 50)
    monkeypatch.setattr(statements, "CHUNK", 100)
    for number in range(1_000):
        changelog.write(b"v%d" % number, b"1", number)
    changelog.fence(999)
    store = changelog.store()
    most = 0
    take = Store.recover_all

    def watch(self: Store, records: Sequence[Fetched]) -> None:
        nonlocal most
        take(self, records)
        most = max(most, len(self._standing.beyond))

    monkeypatch.setattr(Store, "recover_all", watch)
    assert changelog.recover(store).records == 1_001
    assert len(list(store.rows())) == 1_000
    assert most <= 100
    store.close()


def test_the_log_and_a_metric_show_how_far_it_is(
    changelog: Changelog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recovery, "REPORT_S", -1.0)
    for number in range(1_000):
        changelog.write(b"v%d" % number, b"1", number)
    changelog.fence(999)
    store = changelog.store()
    remaining = metrics.recovering_records.labels()
    seen = []
    take = Store.recover_all

    def watch(self: Store, records: Sequence[Fetched]) -> None:
        take(self, records)
        seen.append(remaining._value.get())

    monkeypatch.setattr(Store, "recover_all", watch)
    with caplog.at_level("INFO"):
        changelog.recover(store)
    assert seen[0] == 1_001
    assert remaining._value.get() == 0
    assert "recovering state: 1001 of about 1001 changelog records (100 %)" in caplog.text
    store.close()


def test_a_row_that_is_far_larger_than_a_brokers_usual_limit_is_sent_and_comes_back(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    name, prefix = "culdesac-pages-changelog", f"r{uuid.uuid4().hex[:8]}-"
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    topic = NewTopic(name=prefix + name, num_partitions=1, replication_factor=1,
                     topic_configs=TOPICS[name].config())  # fmt: skip
    admin.create_topics([topic])
    admin.close()
    rows = {b"v1": b"x", b"tshop|product": b"x" * 15_000_000, b"v2": b"x"}

    async def there_and_back() -> Store:
        sender = Sender(kafka.bootstrap, prefix)
        await sender.start()
        records = [Record(key, row, top_header(5)) for key, row in rows.items()]
        await sender.send(
            {(name, 0): [*records, Record(FENCE_KEY, write_fence(Fence(offset=5)), top_header(5))]}
        )
        await sender.stop()
        store = Store(tmp_path / "0")
        await recover(kafka.bootstrap, {(prefix + name, 0): store}, stall_s=10)
        return store

    store = asyncio.run(there_and_back())
    assert dict(store.rows()) == rows
    store.close()


def test_what_must_be_written_again_is_told(changelog: Changelog) -> None:
    changelog.write(b"va", b"1", 4)
    changelog.fence(4)
    changelog.write(b"va", b"2", 9)
    changelog.producer.flush()
    store = changelog.store()
    assert changelog.recover(store).heal == {(changelog.topic, 1): [b"va"]}
    assert store.get(b"va") == b"1"
    store.close()


def test_a_copy_that_is_ahead_of_its_changelog_is_refused(changelog: Changelog) -> None:
    store = changelog.store()
    store.end_recovery(99)
    store.write([], write_fence(Fence(offset=1)), 1, 100, 100)
    with pytest.raises(StoreError, match="ahead of its changelog"):
        changelog.recover(store)
    store.close()


def test_a_record_of_another_program_is_refused(changelog: Changelog) -> None:
    changelog.producer.send(changelog.topic, b"1", key=b"va", partition=1).get(5)
    store = changelog.store()
    with pytest.raises(StoreError, match="another program"):
        changelog.recover(store)
    store.close()


CANCELLED = """
import asyncio, os, sys
from pathlib import Path
from agents.recovery import recover
from agents.stores import Store

async def run():
    kafka, topic, folder, delay_s = sys.argv[1:]
    recovering = asyncio.ensure_future(recover(kafka, {(topic, 1): Store(Path(folder))}))
    await asyncio.sleep(float(delay_s))
    recovering.cancel()
    done, _ = await asyncio.wait([recovering], timeout=30)
    os._exit(0 if done else 3)  # whatever the client library leaves behind ends with the process

asyncio.run(run())
"""


@pytest.mark.parametrize("delay_s", ["0", "0.01", "0.05"])
def test_it_may_be_cancelled_and_begun_anew(changelog: Changelog, delay_s: str) -> None:
    changelog.write(b"va", b"1", 4)
    changelog.fence(4)
    folder = str(changelog.directory / "0")
    arguments = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        CANCELLED,
        changelog.kafka,
        changelog.topic,
        folder,
        delay_s,
    ]
    assert subprocess.run(arguments, cwd=ROOT, timeout=120, check=False).returncode == 0
    store = changelog.store()
    changelog.recover(store)
    assert dict(store.rows()) == {b"va": b"1"}
    store.close()


def test_without_stores_there_is_nothing_to_do() -> None:
    assert asyncio.run(recover("127.0.0.1:1", {})) == (0, {})
