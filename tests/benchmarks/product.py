"""What the whole product costs: CPU of replay and worker, delay to the enriched view, memory of open visitors.

``python -m tests.benchmarks.product`` prints one JSON line a figure; it starts its own Kafka. CPU seconds of this
process or of the worker's, by the operating system; the same events for both, so that they can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from agents.broker import EmbeddedKafka
from schemas.marks import Mark, Progress
from schemas.visitor_events import VisitorPageView
from streams.event_files import FileEvent
from streams.flow import stages
from streams.processors import LogProcessor
from streams.replay import Replay
from streams.sessions import Sessions
from streams.settings import HOUR_MS, Settings
from tests.agents.product import SECRET, Deployment, shop_events

TICKS = os.sysconf("SC_CLK_TCK")
WARM_RECORDS = 1_500


def say(figure: str, value: float, **workload: Any) -> None:
    """Print a figure with its workload."""
    sys.stdout.write(json.dumps({"figure": figure, "value": round(value, 3), **workload}) + "\n")
    sys.stdout.flush()


def loop_seconds() -> float:
    """CPU seconds of a fixed piece of work: how fast this machine is just now."""
    began = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number * number
    return time.process_time() - began


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def views_in(events: Sequence[FileEvent]) -> int:
    """How many of the events are page views."""
    return sum(event.topic == "page-views" for event in events)


def replay(events: Sequence[FileEvent]) -> None:
    """CPU of a replay, decode to alert, outputs encoded."""
    settings = Settings()
    counts = {"visitor-events": 1}
    runner = Replay(stages(settings, SECRET, counts), settings, counts, lambda output, line: None)
    began = time.process_time()
    for event in events:
        runner.feed(*event)
    runner.finish()
    cpu = time.process_time() - began
    say("replay_cpu_s_per_100k_page_views", cpu / views_in(events) * 1e5, page_views=views_in(events))


def worker(kafka: str, events: Sequence[FileEvent], seconds: float) -> None:
    """CPU of a worker over a backlog, then delays at 100 events a second."""
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka, Path(folder))
        try:
            process = deployment.worker()
            time.sleep(8)
            before = cpu_seconds(process.pid)
            deployment.publish(events)
            deployment.wait_until_done(600)
            cpu = cpu_seconds(process.pid) - before
            say("worker_cpu_s_per_100k_page_views", cpu / views_in(events) * 1e5, page_views=views_in(events))
            say("worker_rss_mb", rss_mb(process.pid), page_views=views_in(events))
            delays = sorted(_delays(deployment, events, seconds))
            for share in (0.5, 0.99):
                place = delays[min(len(delays) - 1, int(share * len(delays)))]
                name = f"enriched_delay_ms_p{round(share * 100)}"
                say(name, place, events_per_second=100, page_views=len(delays))
        finally:
            deployment.close()


def _delays(deployment: Deployment, events: Sequence[FileEvent], seconds: float) -> list[float]:
    """From the append time of a page view to a subscriber's having its enriched copy (ms)."""
    prefix = deployment.prefix
    consumer = KafkaConsumer(bootstrap_servers=deployment.kafka, fetch_max_wait_ms=5)
    names = (prefix + "enriched-page-views", prefix + "page-views")
    tps = [TopicPartition(name, p) for name in names for p in consumer.partitions_for_topic(name) or ()]
    consumer.assign(tps)
    consumer.seek_to_end(*tps)
    for tp in tps:
        consumer.position(tp)
    appended: dict[str, float] = {}
    arrived: dict[str, float] = {}
    now_ms = int(time.time() * 1000)
    began = time.monotonic()
    # The first records bring the watermark from the shop's last day to now, which closes all that was open.
    for number in range(int(seconds * 100) + WARM_RECORDS):
        record = json.loads(events[number].value or b"{}")
        record["event_id"] = f"live-{number}"
        record["occurred_at"] = now_ms + number * 10
        deployment.publisher.send(events[number].topic, json.dumps(record).encode(), record["occurred_at"])
        deployment.publisher.push()
        while time.monotonic() - began < number / 100:
            _poll(consumer, appended, arrived, prefix)
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        _poll(consumer, appended, arrived, prefix)
    consumer.close()
    warm = {f"live-{number}" for number in range(WARM_RECORDS)}
    return [at - appended[name] for name, at in arrived.items() if name in appended and name not in warm]


def _poll(
    consumer: KafkaConsumer, appended: dict[str, float], arrived: dict[str, float], prefix: str
) -> None:
    for tp, records in consumer.poll(timeout_ms=2).items():
        now_ms = time.time() * 1000
        for record in records:
            name = json.loads(record.value or b"{}").get("event_id", "")
            if tp.topic == prefix + "page-views":
                appended[name] = record.timestamp
            else:
                arrived[name] = now_ms


def open_visitors(number: int) -> None:
    """Resident memory of open visitors with four views each, all in memory."""
    processor = LogProcessor(Sessions(Settings(), partitions=1), 0)
    before = rss_mb(os.getpid())
    for visitor in range(number):
        for step in range(4):
            at = 1_700_000_000_000 + visitor + step * 20_000
            view = VisitorPageView(
                origin=("page-views/0", visitor * 4 + step, 0),
                event_id=f"{visitor}-{step}-0123456789abcdef",
                visitor_id=f"v_{visitor:022d}",
                occurred_at=at,
                url=f"https://shop.example/product/p{visitor * 7 % 200}",
                page=f"shop.example/product/p{visitor * 7 % 200}",
                template="product",
                source="organic",
                device="mobile",
                site="shop.example",
            )
            processor.apply_record(visitor * 4 + step, at, view)
        if visitor % 1_000 == 999:
            processor.context.state.drain()
            processor.context.state.settle()
    mark = Mark(1, (Progress("page-views/0", number * 4, 1_700_000_000_000 + number - HOUR_MS),))
    processor.apply_record(number * 4, 0, mark)
    grown = rss_mb(os.getpid()) - before
    say("memory_mb_per_100k_open_visitors", grown / number * 1e5, visitors=number, views_each=4)


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--hours", type=float, default=30.0)
    arguments.add_argument("--sessions-per-hour", type=float, default=600.0)
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--visitors", type=int, default=50_000)
    given = arguments.parse_args()
    say("machine_loop_cpu_s", loop_seconds(), loops=10_000_000)
    open_visitors(given.visitors)
    events = shop_events(given.hours, given.sessions_per_hour)
    replay(events)
    with EmbeddedKafka() as kafka:
        worker(kafka.bootstrap, events, given.seconds)
    say("machine_loop_cpu_s", loop_seconds(), loops=10_000_000)


if __name__ == "__main__":
    main()
