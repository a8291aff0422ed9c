"""Minutes at a part of what a worker can do: memory, lag and delay must stay as they are.

    python -m tests.benchmarks.soak [--minutes 10] [--load 0.7] [--rate EVENTS_PER_SECOND]

prints one JSON line a figure, then one a minute; it starts its own Kafka. Without `--rate` the worker first works
a backlog off, and `--load` times its rate per CPU second is played: as much of one core. What is compared are
the mean of the first third after the traffic has become steady, and of the last third. The shop is played as
`tests.benchmarks.live` says, over and over, with new visitors each time.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from pathlib import Path

from agents.broker import EmbeddedKafka
from agents.scrapes import scrape
from tests.agents.product import Deployment
from tests.benchmarks.figures import Stolen, cpu_seconds, rss_mb, say, say_machine
from tests.benchmarks.live import SETTINGS, Playing, shop_at, wait_until_taken_over
from tests.benchmarks.product import worker_seconds

SHOP_S = 120.0
SHORT_MEMORY = SETTINGS | {"CULDESAC_RETENTION": "60s"}
"""Visitors are forgotten after half an hour of the shop's time, not a day: else memory would fill for an hour."""
SETTLED_S = 180.0
"""By then as many visitors are forgotten as come."""
PROBE_EVENTS_PER_SECOND = 400.0


class Watch:
    """Looks at a worker once a second."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._port = port
        self._cpu = cpu_seconds(pid)
        self.rss: list[float] = []
        self.lag: list[float] = []
        self.cores: list[float] = []
        self.stolen: list[float] = []
        self._stolen = Stolen()
        self._at = time.monotonic()

    def look(self) -> None:
        """Note memory (MB), lag (records), cores used since the last look, and what the host took away."""
        self.rss.append(rss_mb(self._pid))
        cpu, now = cpu_seconds(self._pid), time.monotonic()
        self.cores.append((cpu - self._cpu) / (now - self._at))
        self._cpu, self._at = cpu, now
        self.stolen.append(self._stolen.share())
        seen = scrape(self._port)
        if seen is not None:
            self.lag.append(seen.total("culdesac_lag_records"))


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sustainable(kafka: str) -> float:
    """Events a second that one core can do, by the CPU of a backlog."""
    events = shop_at(PROBE_EVENTS_PER_SECOND, 60.0)
    seconds, _ = worker_seconds(kafka, events, dict(SHORT_MEMORY))
    return len(events) / seconds


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    say_machine()
    with EmbeddedKafka() as kafka, tempfile.TemporaryDirectory() as folder:
        rate = given.rate
        if rate is None:
            most = sustainable(kafka.bootstrap)
            say("events_per_cpu_second", most)
            rate = given.load * most
        port = free_port()
        deployment = Deployment(kafka.bootstrap, Path(folder), SHORT_MEMORY)
        try:
            with Playing(kafka.bootstrap, deployment.prefix, rate, SHOP_S) as playing:
                playing.wait_until_ready()
                process = deployment.worker(metrics_port=port)
                wait_until_taken_over(deployment)
                watch = Watch(process.pid, port)
                playing.play(rate, SETTLED_S)
                playing.play(rate, given.minutes * 60, watch.look)
                sent = playing.sent
        finally:
            deployment.close()
    say_machine()
    workload = {"events_per_second": round(rate), "minutes": given.minutes, "events": sent}
    for name, values in (("rss_mb", watch.rss), ("lag_records", watch.lag), ("cores", watch.cores)):
        third = max(1, len(values) // 3)
        say(f"soak_{name}_first_third", statistics.fmean(values[:third]), **workload)
        say(f"soak_{name}_last_third", statistics.fmean(values[-third:]), **workload)
        say(f"soak_{name}_max", max(values), **workload)
    for minute in range(len(watch.rss) // 60):
        some = slice(60 * minute, 60 * minute + 60)
        say("soak_minute_rss_mb", statistics.fmean(watch.rss[some]), minute=minute + 1,
            lag_records=round(statistics.fmean(watch.lag[some] or [0.0])),
            stolen=round(statistics.fmean(watch.stolen[some]), 3))  # fmt: skip


if __name__ == "__main__":
    main()
