"""The whole product in a test: made-up traffic, a replay of it, workers on a real Kafka, and what comes out."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from agents.publisher import Publisher
from agents.settings import load_settings
from agents.topics import ensure_topics
from schemas.timestamps import parse_time
from streams.event_files import FileEvent
from streams.flow import stages
from streams.replay import Replay
from streams.settings import MINUTE_MS, Settings
from streams.shop import ShopConfig, demo_plan, traffic
from streams.stages import Output
from tests.agents.lives import Life
from tests.agents.pulse import LOGS, Pulse

ROOT = Path(__file__).parents[2]
SECRET = "not a secret, this is a test"
END_MS = 1_780_000_000_000
COMPARED = (
    "sessions",
    "enriched-page-views",
    "session-revisions",
    "page-scores",
    "purchase-associations",
    "dead-end-alerts",
)
"""Topics whose last revisions are a function of what was sent."""
Record = dict[str, Any]
Final = dict[str, dict[Any, Record]]


def shop_events(hours: float, sessions_per_hour: float, seed: int = 7) -> list[FileEvent]:
    """Events of a shop with planted dead ends, in order of time."""
    start_ms = END_MS - int(hours * 3_600_000)
    config = ShopConfig(seed=seed, sessions_per_hour=sessions_per_hour, start_ms=start_ms, hours=hours)
    config = dataclasses.replace(config, plan=demo_plan(config))
    return [
        FileEvent(topic, json.dumps(event).encode(), event["occurred_at"]) for topic, event in traffic(config)
    ]


def and_store_orders(events: Iterable[FileEvent]) -> list[FileEvent]:
    """Add to a shop's events an order in a store by each customer, an hour after he was seen first."""
    together = list(events)
    seen: dict[str, int] = {}
    for event in together:
        customer = json.loads(event.value or b"").get("customer_id")
        if event.topic == "page-views" and customer is not None and event.occurred_at is not None:
            seen.setdefault(customer, event.occurred_at)
    for customer, at in seen.items():
        order = {
            "event_id": f"store-{customer}", "order_id": f"store-{customer}", "customer_id": customer,
            "occurred_at": at + 3_600_000, "channel": "store", "status": "placed", "currency": "EUR",
            "total": "30",
        }  # fmt: skip
        together.append(FileEvent("orders", json.dumps(order).encode(), at + 3_600_000))
    return sorted(together, key=lambda event: event.occurred_at or 0)


def and_decisions(events: Iterable[FileEvent], settings: Settings) -> list[FileEvent]:
    """Add to events what somebody says of each of their alerts, and deploys before them; some of it in vain."""
    together = list(events)
    opened = {
        record["alert_id"]: (record["site"], parse_time(record["opened_at"]))
        for topic, record in replayed(together, settings)
        if topic == "dead-end-alerts" and record["status"] == "opened"
    }

    def add(topic: str, at: int, **fields: Any) -> None:
        event = {"event_id": f"{topic}-{len(together)}", "occurred_at": at, **fields}
        together.append(FileEvent(topic, json.dumps(event).encode(), at))

    for number, (name, (site, at)) in enumerate(opened.items()):
        add("deploys", at - 25 * MINUTE_MS, site=site, version=f"v{number}", note="sizes")
        for minutes, action in (
            (3, "acknowledge"), (5, "acknowledge"), (8, "mute"), (20, "unmute"), (31, "dismiss"), (45, "reopen"),
        ):  # fmt: skip
            add(
                "alert-decisions", at + minutes * MINUTE_MS, site=site, alert_id=name, action=action, by="Ann"
            )
        together.append(together[-1])
        add("alert-decisions", at, site="elsewhere", alert_id=name, action="mute", by="Ann")
    return sorted(together, key=lambda event: event.occurred_at or 0)


def final(outputs: Iterable[tuple[str, Record]]) -> Final:
    """What a reader sees who keeps the last revision of an id; without scores, revisions and retractions."""
    last: Final = {topic: {} for topic in COMPARED}
    for topic, record in outputs:
        if topic not in last:
            continue
        key = (record["id"], record["revision"]) if topic == "dead-end-alerts" else record["id"]
        held = last[topic].get(key)
        if held is None or held.get("revision", 1) <= record.get("revision", 1):
            last[topic][key] = dict(record)
    for topic in ("sessions", "session-revisions"):
        last[topic] = {k: r for k, r in last[topic].items() if r["status"] != "retracted"}
    # Interactions come by another topic than views: which of a session's events is seen first may differ.
    left_out = ("revision", "status", "p_purchase", "p_exit", "model_version")
    for topic in COMPARED[:-1]:
        names = (*left_out, "session_id") if topic == "enriched-page-views" else left_out
        for record in last[topic].values():
            for name in names:
                record.pop(name, None)
    return last


def replayed(
    events: Iterable[FileEvent], settings: Settings, partitions: int = 1
) -> list[tuple[str, Record]]:
    """Outputs of a replay."""
    outputs: list[tuple[str, Record]] = []

    def write(output: Output, line: bytes) -> None:
        outputs.append((output.topic, json.loads(line)))

    counts = {"visitor-events": partitions, "customer-events": partitions, "site-events": 1}
    replay = Replay(stages(settings, SECRET, counts), settings, counts, write)
    for event in events:
        replay.feed(*event)
    replay.finish()
    return outputs


class Deployment:
    """Topics under a prefix of their own, publisher, workers and readers."""

    def __init__(self, kafka: str, directory: Path, environment: dict[str, str] | None = None) -> None:
        self.kafka = kafka
        self.directory = directory
        self.prefix = f"t{uuid.uuid4().hex[:8]}-"
        self.environment = environment or {}
        self.workers: list[subprocess.Popen[bytes] | Life] = []
        partitions = {name: self.environment[name] for name in self.environment if "PARTITIONS" in name}
        ensure_topics(load_settings(environment=partitions, kafka=kafka, topic_prefix=self.prefix))
        self.publisher = Publisher(kafka, self.prefix)
        self.pulse = Pulse(kafka, self.prefix, f"{self.prefix}app")

    def worker(
        self, name: str = "a", metrics_port: int = 0, module: str = "agents"
    ) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, "worker"], cwd=ROOT, stdout=log, stderr=log,
                env=os.environ | self._settings(name, metrics_port),
            )  # fmt: skip
        self.workers.append(process)
        return process

    def beside(self, name: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start what runs beside workers: board, collect or notify, with its arguments."""
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "agents", name, *words], cwd=ROOT, stdout=log, stderr=log,
                env=os.environ | self._settings(name) | variables,
            )  # fmt: skip
        self.workers.append(process)
        return process

    def fork(self, name: str = "a") -> Life:
        """Start a worker that is forked, which takes a tenth of the time."""
        life = Life(self._settings(name), self._log(name))
        self.workers.append(life)
        return life

    def _settings(self, name: str, metrics_port: int = 0) -> dict[str, str]:
        return {
            "CULDESAC_KAFKA": self.kafka,
            "CULDESAC_TOPIC_PREFIX": self.prefix,
            "CULDESAC_APP_ID": f"{self.prefix}app",
            "CULDESAC_DATA_DIR": str(self.directory / name),
            "CULDESAC_SECRET": SECRET,
            "CULDESAC_METRICS_PORT": str(metrics_port),
        } | self.environment

    def _log(self, name: str) -> Path:
        return self.directory / f"worker-{name}.log"

    def publish(self, events: Sequence[FileEvent]) -> None:
        """Send events, and say how far time has come."""
        for event in events:
            self.publisher.send(*event)
        self.publisher.tell()
        self.publisher.push()

    def end(self, settings: Settings) -> None:
        """Say that nothing comes any more."""
        assert self.publisher.now_ms is not None
        self.publisher.tell(self.publisher.now_ms + settings.run_on_ms)
        self.publisher.push()

    def read(self, topics: Sequence[str]) -> list[tuple[str, Record]]:
        """All records of some topics, each partition in its order."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka)
        records: list[tuple[str, Record]] = []
        for topic in topics:
            name = self.prefix + topic
            tps = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())]
            consumer.assign(tps)
            ends = consumer.end_offsets(tps)
            consumer.seek_to_beginning(*tps)
            while any(consumer.position(tp) < ends[tp] for tp in tps):
                for fetched in consumer.poll(timeout_ms=200).values():
                    records += [(topic, json.loads(record.value)) for record in fetched]
        consumer.close()
        return records

    def state_bytes(self, stage: str) -> list[int]:
        """Sizes of the rows of a stage's changelog."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka, max_partition_fetch_bytes=8 << 20)
        name, sizes = f"{self.prefix}culdesac-{stage}-changelog", []
        tps = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())]
        consumer.assign(tps)
        ends = consumer.end_offsets(tps)
        consumer.seek_to_beginning(*tps)
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for fetched in consumer.poll(timeout_ms=200).values():
                sizes += [len(record.value or b"") for record in fetched]
        consumer.close()
        return sizes

    def wait_until_done(self, seconds: float = 120.0, logs: Sequence[str] = LOGS) -> None:
        """Until the inputs and each log, in the order of the data, are read up to where they ended."""
        self.pulse.until_done(
            seconds, self.logs, logs, lambda: any(worker.poll() is None for worker in self.workers)
        )

    def logs(self) -> str:
        """End of the workers' logs."""
        return "\n".join(
            f"--- {path.name}\n" + path.read_text(errors="replace")[-6000:]
            for path in sorted(self.directory.glob("worker-*.log"))
        )

    def close(self) -> None:
        """End what was started."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
        self.publisher.close()
        self.pulse.close()


def differences(one: Final, other: Final) -> dict[str, Any]:
    """How two sets of final outputs differ, by topic, with an example of each kind."""
    found: dict[str, Any] = {}
    for topic in one:
        a, b = one[topic], other[topic]
        wrong = [key for key in a.keys() & b.keys() if a[key] != b[key]]
        if a.keys() != b.keys() or wrong:
            fields = Counter(
                name for key in wrong for name in a[key] | b[key] if a[key].get(name) != b[key].get(name)
            )
            found[topic] = {
                "missing": len(a.keys() - b.keys()), "extra": len(b.keys() - a.keys()),
                "wrong": len(wrong), "fields": fields,
                "example": [(a[key], b[key]) for key in sorted(wrong, key=str)[:1]],
            }  # fmt: skip
    return found
