"""A bench for the runner: toy stages on a shared broker under a prefix of their own, input, workers, an oracle."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove, NewTopic

from agents.broker import EmbeddedKafka
from tests.agents.toy_stages import GAP_MS

ROOT = Path(__file__).parents[2]
VISITORS = 3
START_MS = 1_700_000_000_000


class Bench:
    """A prefix of its own on the shared broker, input, workers and outputs."""

    def __init__(self, kafka: EmbeddedKafka, directory: Path) -> None:
        self.kafka = kafka.bootstrap
        self.directory = directory
        self.prefix = f"toy-{uuid.uuid4().hex[:8]}-"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.times: dict[str, list[int]] = {}
        counts = {
            "page-views": 3, "orders": 2, "visitor-events": VISITORS, "sessions": 2, "rejected-events": 1,
            "site-events": 1, "page-scores": 1,
            "culdesac-sessions-changelog": VISITORS, "culdesac-pages-changelog": 1,
        }  # fmt: skip
        admin = KafkaAdminClient(bootstrap_servers=self.kafka)
        admin.create_topics(
            [
                NewTopic(
                    name=self.prefix + name,
                    num_partitions=count,
                    replication_factor=1,
                    topic_configs={"message.timestamp.type": "LogAppendTime"},
                )
                for name, count in counts.items()
            ]
        )
        admin.close()
        self.connect()

    def connect(self) -> None:
        """Open the clients that the test writes and reads with."""
        self.producer = KafkaProducer(bootstrap_servers=self.kafka, acks="all", linger_ms=5)
        self.reader = KafkaConsumer(bootstrap_servers=self.kafka, fetch_max_wait_ms=50)

    def disconnect(self) -> None:
        """Close them: they would leave sockets behind when the broker goes away."""
        self.producer.close()
        self.reader.close()

    def worker(self, name: str = "a", **switches: object) -> subprocess.Popen[bytes]:
        """Start a worker with a folder of its own; the switches are those of `toy_worker`, such as stretch_s."""
        environment = {f"TOY_{switch.upper()}": str(value) for switch, value in switches.items()}
        with (self.directory / f"worker-{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.agents.toy_worker", self.kafka, self.prefix + "app",
                 str(self.directory / name), self.prefix, str(VISITORS)],
                cwd=ROOT, env=os.environ | environment, stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.workers.append(process)
        return process

    def bury(self, worker: subprocess.Popen[bytes] | None = None) -> None:
        """Take the only worker, when it has ended, out of the group, as the session timeout would."""
        if worker is not None:
            worker.wait(30)
        admin = KafkaAdminClient(bootstrap_servers=self.kafka)
        group = self.prefix + "app"
        members = admin.describe_groups([group])[group]["members"]
        admin.remove_group_members(group, [MemberToRemove(member["member_id"]) for member in members])
        admin.close()

    def write(self, seed: int, begin: int, end: int) -> None:
        """Events in order of time, spread over five input partitions and sixty visitors."""
        source = random.Random(seed)
        for number in range(begin, end):
            visitor = f"v{source.randrange(60)}"
            time_ms = START_MS + number * 100
            self.times.setdefault(visitor, []).append(time_ms)
            topic, partition = source.choice(
                [("page-views", 0), ("page-views", 1), ("page-views", 2), ("orders", 0), ("orders", 1)]
            )
            value = json.dumps({"k": visitor, "t": time_ms}).encode()
            if number % 500 == 499:
                self.producer.send(self.prefix + topic, b"\xff\x00poison", partition=partition)
                self.progress(time_ms)
            self.producer.send(self.prefix + topic, value, partition=partition)
        self.producer.flush()

    def progress(self, time_ms: int) -> None:
        value = json.dumps({"progress": time_ms}).encode()
        for topic, partition in [*itertools.product(["page-views"], range(3)), ("orders", 0), ("orders", 1)]:
            self.producer.send(self.prefix + topic, value, partition=partition)
        self.producer.flush()

    def end(self, number: int) -> None:
        self.progress(START_MS + number * 100 + 3_600_000)

    def expected(self) -> dict[tuple[str, int], tuple[int, int]]:
        windows: dict[tuple[str, int], tuple[int, int]] = {}
        for visitor, times in self.times.items():
            ordered = sorted(times)
            start, last, n = ordered[0], ordered[0], 0
            for time_ms in ordered:
                if time_ms - last > GAP_MS:
                    windows[visitor, start] = (last, n)
                    start, n = time_ms, 0
                last, n = time_ms, n + 1
            windows[visitor, start] = (last, n)
        return windows

    def records(self, topic: str) -> list[Any]:
        """Read a topic's records, each partition in its order."""
        consumer, name = self.reader, self.prefix + topic
        tps = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())]
        consumer.assign(tps)
        ends = consumer.end_offsets(tps)
        consumer.seek_to_beginning(*tps)
        found: list[Any] = []
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for records in consumer.poll(timeout_ms=200).values():
                found += records
        return found

    def read(self, topic: str) -> list[Any]:
        """Read a topic's (value, headers), each partition in its order."""
        return [(record.value, dict(record.headers)) for record in self.records(topic)]

    def sessions(self) -> tuple[dict[tuple[str, int], tuple[int, int]], int]:
        """Windows as a reader who keeps the last copy of an id sees them; how many copies were not needed."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        copies = 0
        for value, _ in self.read("sessions"):
            window = json.loads(value)
            key, content = (window["visitor"], window["first"]), (window["last"], window["n"])
            if key in found:
                copies += 1
                assert found[key] == content, "a duplicate that is not to the letter"
            found[key] = content
        return found, copies

    def wait_for_state(
        self, stage: str, prefix: bytes = b"", seconds: float = 100.0
    ) -> list[tuple[bytes, bytes | None, int]]:
        """Records (key, row, partition) of a stage's changelog, as soon as there is one whose key begins so."""
        limit = time.monotonic() + seconds
        name = f"{self.prefix}culdesac-{stage}-changelog"
        while time.monotonic() < limit:
            rows: list[tuple[bytes, bytes | None, int]] = []
            for partition in sorted(self.reader.partitions_for_topic(name) or ()):
                tp = TopicPartition(name, partition)
                self.reader.assign([tp])
                self.reader.seek_to_beginning(tp)
                while self.reader.position(tp) < self.reader.end_offsets([tp])[tp]:
                    for records in self.reader.poll(timeout_ms=200).values():
                        rows += [(record.key, record.value, partition) for record in records]
            if any(key.startswith(prefix) for key, _, _ in rows):
                return rows
            time.sleep(0.1)
        raise AssertionError(f"no state of {stage}\n{self.logs()}")

    def wait(self, windows: int, seconds: float = 150.0) -> None:
        """Until so many windows are there and the totals speak of all of them."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if len(self.sessions()[0]) >= windows:
                totals = {json.loads(v)["minute"]: json.loads(v) for v, _ in self.read("page-scores")}
                if sum(total["windows"] for total in totals.values()) >= windows:
                    return
            assert any(worker.poll() is None for worker in self.workers), self.logs()
            time.sleep(0.3)
        raise AssertionError(f"{self.logs()}\n{len(self.sessions()[0])} of {windows} windows")

    def check(self) -> None:
        expected = self.expected()
        found, _ = self.sessions()
        assert found == expected
        totals = {json.loads(v)["minute"]: json.loads(v) for v, _ in self.read("page-scores")}
        by_minute: Counter[int] = Counter()
        views: Counter[int] = Counter()
        for (_, first), (_, n) in expected.items():
            by_minute[first // 60_000 * 60_000] += 1
            views[first // 60_000 * 60_000] += n
        assert {m: t["windows"] for m, t in totals.items()} == dict(by_minute)
        assert {m: t["views"] for m, t in totals.items()} == dict(views)

    def log(self, name: str = "a") -> str:
        """What a worker wrote to its log."""
        return (self.directory / f"worker-{name}.log").read_text(errors="replace")

    def wait_until_ready(self, name: str = "a", times: int = 1, seconds: float = 150.0) -> None:
        """Until a worker has taken over partitions so many times."""
        limit = time.monotonic() + seconds
        while self.log(name).count("took over") < times:
            assert time.monotonic() < limit, self.logs()
            assert any(worker.poll() is None for worker in self.workers), self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n" + path.read_text(errors="replace")[-4000:]
            for path in sorted(self.directory.glob("*.log"))
        )

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)  # with the lives that it has forked
            worker.wait()
            if worker.stdin is not None:
                worker.stdin.close()
        self.disconnect()
