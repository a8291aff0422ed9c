"""What a worker writes and uses, by topic and stage: the figures that `tests.benchmarks.sizing` reckons with.

``python -m tests.benchmarks.footprint`` starts its own Kafka, sends a shop's traffic at two rates (600 and
20,000 sessions an hour), and prints one JSON line a figure: bytes and records written to each topic, CPU of each
stage and of the process, and how fast state comes back to an empty disk. Bytes are those of the brokers' segment
files, nothing being compressed; CPU is that of the worker alone.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

from agents.broker import EmbeddedKafka
from agents.scrapes import scrape
from schemas.topics import TOPICS
from streams.settings import Settings
from tests.agents.product import Deployment, shop_events
from tests.benchmarks.figures import cpu_seconds, loop_seconds, rss_mb, say
from tests.benchmarks.product import views_in

RATES: tuple[tuple[float, float], ...] = ((600, 8.0), (20_000, 0.3))
"""Sessions an hour, and hours."""
_TOOK_OVER = re.compile(r"took over \d+ partitions in ([\d.]+) s, (\d+) changelog records read")


def measure(kafka: EmbeddedKafka, sessions_per_hour: float, hours: float) -> None:
    """Carry some traffic, and tell what it cost."""
    events = shop_events(hours=hours, sessions_per_hour=sessions_per_hour)
    views = views_in(events)
    workload = {"sessions_per_hour": sessions_per_hour, "page_views": views, "events": len(events)}
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka.bootstrap, Path(folder), {"CULDESAC_SESSION_TIMEOUT": "30s"})
        port = _free_port()
        try:
            process = deployment.worker(metrics_port=port)
            _wait_for_takeovers(deployment, 1)
            say("worker_idle_rss_mb", rss_mb(process.pid))
            deployment.publish(events)
            deployment.end(Settings())
            deployment.wait_until_done(900)
            found = scrape(port)
            assert found is not None
            say("worker_cpu_s_per_100k_page_views", cpu_seconds(process.pid) / views * 1e5, **workload)
            say("worker_rss_mb", rss_mb(process.pid), **workload)
            for stage, seconds in found.by("culdesac_stage_cpu_seconds_total", "stage").items():
                say("stage_cpu_s_per_100k_page_views", seconds / views * 1e5, stage=stage, **workload)
            for topic in TOPICS:
                logs = (kafka.directory / "data").glob(f"{deployment.prefix}{topic}-[0-9]*/*.log")
                size = sum(log.stat().st_size for log in logs)
                if size:
                    say("bytes_per_page_view", size / views, topic=topic, **workload)
            state = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            say("local_state_bytes_per_page_view", state / views, **workload)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            shutil.rmtree(Path(folder) / "a")
            deployment.worker(metrics_port=_free_port())
            seconds, records = _wait_for_takeovers(deployment, 2)
            say("recovery_records_per_s", records / seconds, records=records, seconds=seconds, **workload)
        finally:
            deployment.close()


def _wait_for_takeovers(deployment: Deployment, number: int) -> tuple[float, int]:
    """Seconds and records of the last takeover, as soon as there have been so many."""
    limit = time.monotonic() + 120
    log = deployment.directory / "worker-a.log"
    while len(took := _TOOK_OVER.findall(log.read_text(errors="replace"))) < number:
        assert any(worker.poll() is None for worker in deployment.workers), deployment.logs()
        assert time.monotonic() < limit, deployment.logs()
        time.sleep(0.2)
    return float(took[-1][0]), int(took[-1][1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure at each rate, or at one."""
    parser = argparse.ArgumentParser(description="Measure what a worker writes and uses.")
    parser.add_argument("--sessions-per-hour", type=float, help="one rate only")
    parser.add_argument("--hours", type=float, default=1.0)
    options = parser.parse_args()
    rates = RATES
    if options.sessions_per_hour:
        rates = ((options.sessions_per_hour, options.hours),)
    with EmbeddedKafka() as kafka:
        for sessions_per_hour, hours in rates:
            say("loop_cpu_s", loop_seconds())
            measure(kafka, sessions_per_hour, hours)


if __name__ == "__main__":
    main()
