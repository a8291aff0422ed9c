"""What the whole product costs: CPU of replay and worker for the same events, from decode to alert.

    python -m tests.benchmarks.product [--hours 30] [--sessions-per-hour 600]

prints one JSON line a figure; it starts its own Kafka. CPU seconds of this process or of the worker's, by the
operating system; the same events for both, so that they can be compared.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from agents.broker import EmbeddedKafka
from streams.event_files import FileEvent
from streams.flow import stages
from streams.replay import Replay
from streams.settings import Settings
from tests.agents.product import SECRET, Deployment, shop_events
from tests.benchmarks.figures import cpu_seconds, rss_mb, say, say_machine
from tests.benchmarks.live import wait_until_taken_over


def views_in(events: Sequence[FileEvent]) -> int:
    """How many of the events are page views."""
    return sum(event.topic == "page-views" for event in events)


def replay_seconds(events: Sequence[FileEvent], settings: Settings | None = None) -> float:
    """CPU seconds of a replay, decode to alert, outputs encoded."""
    settings = settings or Settings()
    counts = {"visitor-events": 1}
    runner = Replay(stages(settings, SECRET, counts), settings, counts, lambda output, line: None)
    began = time.process_time()
    for event in events:
        runner.feed(*event)
    runner.finish()
    return time.process_time() - began


def worker_seconds(
    kafka: str, events: Sequence[FileEvent], environment: dict[str, str] | None = None
) -> tuple[float, float]:
    """CPU seconds of a worker that works a backlog off, and its resident memory afterwards (MB)."""
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka, Path(folder), environment)
        try:
            process = deployment.worker()
            wait_until_taken_over(deployment)
            time.sleep(2)
            before = cpu_seconds(process.pid)
            deployment.publish(events)
            deployment.wait_until_done(600)
            return cpu_seconds(process.pid) - before, rss_mb(process.pid)
        finally:
            deployment.close()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=30.0)
    parser.add_argument("--sessions-per-hour", type=float, default=600.0)
    given = parser.parse_args()
    say_machine()
    events = shop_events(given.hours, given.sessions_per_hour)
    views = views_in(events)
    workload = {"page_views": views, "sessions_per_hour": given.sessions_per_hour}
    say("replay_cpu_s_per_100k_page_views", replay_seconds(events) / views * 1e5, **workload)
    with EmbeddedKafka() as kafka:
        seconds, rss = worker_seconds(kafka.bootstrap, events)
    say("worker_cpu_s_per_100k_page_views", seconds / views * 1e5, **workload)
    say("worker_rss_mb", rss, **workload)
    say_machine()


if __name__ == "__main__":
    main()
