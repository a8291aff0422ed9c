"""CPU per event of a worker that owns 1, 12 and 100 partitions of everything.

    python -m tests.benchmarks.partitions [--partitions 1 12 100] [--hours 2]

prints one JSON line a figure; it starts its own Kafka. The same events each time, worked off as a backlog, and CPU
of the worker while nothing comes. One worker owns all partitions here, which is the worst case: in service they are
shared out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from agents.broker import EmbeddedKafka
from tests.agents.product import Deployment, shop_events
from tests.benchmarks.figures import cpu_seconds, rss_mb, say, say_machine
from tests.benchmarks.live import wait_until_taken_over

IDLE_S = 10.0


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 12, 100])
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--sessions-per-hour", type=float, default=1000.0)
    given = parser.parse_args()
    say_machine()
    events = shop_events(given.hours, given.sessions_per_hour)
    first = 0.0
    with EmbeddedKafka() as kafka:
        for number in given.partitions:
            with tempfile.TemporaryDirectory() as folder:
                counts = f"inputs={number},visitors={number},outputs={number}"
                deployment = Deployment(kafka.bootstrap, Path(folder), {"CULDESAC_PARTITIONS": counts})
                try:
                    process = deployment.worker()
                    wait_until_taken_over(deployment)
                    time.sleep(2)
                    idle = cpu_seconds(process.pid)
                    time.sleep(IDLE_S)
                    before = cpu_seconds(process.pid)
                    idle = (before - idle) / IDLE_S
                    deployment.publish(events)
                    deployment.wait_until_done(900)
                    cpu = cpu_seconds(process.pid) - before
                    rss = rss_mb(process.pid)
                finally:
                    deployment.close()
            first = first or cpu
            workload = {"partitions": number, "events": len(events)}
            say("growth_partitions_cpu_us_per_event", cpu / len(events) * 1e6,
                ratio=round(cpu / first, 2), **workload)  # fmt: skip
            say("growth_partitions_idle_cores", idle, **workload)
            say("growth_partitions_rss_mb", rss, **workload)
            say_machine()


if __name__ == "__main__":
    main()
