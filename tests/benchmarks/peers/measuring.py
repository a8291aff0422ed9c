"""Measuring one peer: its process's CPU from the operating system, its progress from its output topic."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from tests.benchmarks.figures import cpu_seconds, rss_mb
from tests.benchmarks.peers.views import Key, Views

ROOT = Path(__file__).parents[3]
PARTITIONS = 4
QUIET_CPU = 0.08
"""A process that takes less of a core than this has finished starting."""
SETTLE_S = 1.5
"""After its last output a peer gets so long to make its state durable; that CPU counts too."""


class StoppedError(RuntimeError):
    """A peer ended, or did not finish in time."""


@dataclass(frozen=True)
class Figures:
    """What a peer needed for the whole input, its start taken off, and what was wrong with its result."""

    cpu_s: float
    views_per_s: float
    rss_mb: float
    start_cpu_s: float
    missing: int
    wrong: int
    extra: int
    duplicates: int


class Topics:
    """Topics of the benchmark, made and removed at will."""

    def __init__(self, kafka: str) -> None:
        self.kafka = kafka
        self._admin = KafkaAdminClient(bootstrap_servers=kafka)
        self._consumer = KafkaConsumer(bootstrap_servers=kafka, fetch_max_bytes=64 << 20)

    def renew(self, names: Sequence[str], partitions: int = PARTITIONS, compacted: bool = False) -> None:
        """Make topics, empty."""
        self.remove(names)
        configs = {"cleanup.policy": "compact"} if compacted else {}
        new = [NewTopic(name, partitions, 1, topic_configs=configs) for name in names]
        self._admin.create_topics(new)

    def remove(self, names: Sequence[str]) -> None:
        """Remove topics, and wait until they are gone."""
        there = [name for name in names if name in self._admin.list_topics()]
        if there:
            self._admin.delete_topics(there)
        while any(name in self._admin.list_topics() for name in there):
            time.sleep(0.1)

    def remove_like(self, part: str) -> None:
        """Remove the topics with `part` in their names."""
        self.remove([name for name in self._admin.list_topics() if part in name])

    def count(self, topic: str) -> int:
        """Records in a topic that nothing has been deleted from."""
        ends = self._consumer.end_offsets([TopicPartition(topic, p) for p in range(PARTITIONS)])
        return sum(ends.values())

    def read(self, topic: str) -> list[dict[str, Any]]:
        """All records of a topic."""
        consumer = self._consumer
        tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        consumer.assign(tps)
        ends = consumer.end_offsets(tps)
        consumer.seek_to_beginning(*tps)
        values: list[dict[str, Any]] = []
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for records in consumer.poll(timeout_ms=200).values():
                values += [json.loads(record.value) for record in records]
        consumer.unsubscribe()
        return values

    def close(self) -> None:
        """Close the clients."""
        self._admin.close()
        self._consumer.close()


class Peer:
    """One way to do the job, as a process: ``COMMAND KAFKA GROUP INPUT OUTPUT FOLDER [KIND]``."""

    def __init__(
        self, name: str, command: Sequence[str], kind: str = "", durable: str = "disk and changelog"
    ) -> None:
        self.name = name
        self.command = command
        self.kind = kind
        self.durable = durable

    def measure(self, topics: Topics, source: str, views: Views, limit_s: float) -> Figures:
        """Do the whole input once, and check the result.

        Raises
        ------
        StoppedError
            It ended by itself, or was not done within `limit_s`.
        """
        group = f"peers-{uuid.uuid4().hex[:8]}"
        sessions = views.sessions
        start_cpu = self._start_cpu(topics)
        output = self._prepare(topics, group)
        with tempfile.TemporaryDirectory() as folder:
            process, log = self._start(topics.kafka, group, source, output, Path(folder))
            try:
                began, read = 0.0, 0
                limit = time.monotonic() + limit_s
                while (count := topics.count(output)) < len(sessions):
                    if began == 0.0 and count:
                        began, read = time.monotonic(), views.closings[count - 1]
                    self._check(process, log, limit, f"{count} of {len(sessions)} sessions")
                    time.sleep(0.05)
                ended = time.monotonic()
                memory = rss_mb(process.pid)
                time.sleep(SETTLE_S)
                cpu = cpu_seconds(process.pid) - start_cpu
            finally:
                self._end(process)
        found = topics.read(output)
        topics.remove_like(group)
        rate = (len(views.records) - read) / (ended - began)
        return Figures(cpu, rate, memory, start_cpu, *_differences(found, sessions))

    def _start_cpu(self, topics: Topics) -> float:
        """CPU of a start that finds nothing to do."""
        group = f"peers-{uuid.uuid4().hex[:8]}"
        output = self._prepare(topics, group)
        empty = f"{group}-in"
        topics.renew([empty])
        with tempfile.TemporaryDirectory() as folder:
            process, log = self._start(topics.kafka, group, empty, output, Path(folder))
            try:
                limit = time.monotonic() + 60
                before, now = -1.0, cpu_seconds(process.pid)
                time.sleep(3)
                while now - before > QUIET_CPU:
                    self._check(process, log, limit, "starting")
                    time.sleep(1.0)
                    before, now = now, cpu_seconds(process.pid)
            finally:
                self._end(process)
        topics.remove_like(group)
        return now

    def _prepare(self, topics: Topics, group: str) -> str:
        output = f"{group}-sessions"
        topics.renew([output, "visitor-events"])
        topics.renew(["rejected-events"], 1)
        topics.renew(["culdesac-sessions-changelog"], compacted=True)
        return output

    def _start(
        self, kafka: str, group: str, source: str, output: str, folder: Path
    ) -> tuple[subprocess.Popen[bytes], Path]:
        path = folder / "log"
        places = [kafka, group, source, output, str(folder / "state"), self.kind]
        with path.open("wb") as log:
            process = subprocess.Popen(
                [*self.command, *places],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": "."},
            )
        return process, path

    def _check(self, process: subprocess.Popen[bytes], log: Path, limit: float, state: str) -> None:
        if process.poll() is not None or time.monotonic() > limit:
            tail = log.read_text(errors="replace")[-2_000:]
            raise StoppedError(f"{self.name} at {state}: exit code {process.poll()}\n{tail}")

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _differences(
    found: Sequence[dict[str, Any]], sessions: Mapping[Key, dict[str, Any]]
) -> tuple[int, int, int, int]:
    """Count what is missing, wrong, extra and there more than once."""
    by_key: dict[Key, dict[str, Any]] = {}
    duplicates = wrong = 0
    for record in found:
        key = record["visitor_id"], record["started_at"]
        if key in by_key:
            duplicates += 1
            wrong += by_key[key] != record
        by_key[key] = record
    common = by_key.keys() & sessions.keys()
    wrong += sum(by_key[key] != sessions[key] for key in common)
    return len(sessions) - len(common), wrong, len(by_key) - len(common), duplicates
