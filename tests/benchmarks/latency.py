"""From the append of a page view to a subscriber's having its enriched copy, at several rates and after silence.

    python -m tests.benchmarks.latency [--rates 10 1000 5000] [--seconds 30] [--silences 15]

prints one JSON line a figure; it starts its own Kafka. A worker, a publisher and a subscriber share the machine.
The traffic is steady (sessions end as often as they begin) before anything is measured. The append time is the
broker's. Where the worker can't follow, the delay says nothing but how long it was tried: there the rate at which
it saturates is printed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.broker import EmbeddedKafka
from tests.agents.product import Deployment
from tests.benchmarks.figures import Stolen, cpu_seconds, quantile, rss_mb, say, say_machine
from tests.benchmarks.live import SETTINGS, SPEED, STEADY_S, Playing, wait_until_taken_over
from tests.benchmarks.subscribing import Subscriber, appended

QUIET_S = 10.0
"""Twice the time after which an input is taken for silent."""
AFTERWARDS_S = 3.0
LITTLE = 100.0
"""Events a second below which it does not matter how many sessions are open."""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="*", default=[10.0, 1000.0, 5000.0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--silences", type=int, default=15)
    parser.add_argument("--steady", type=float, default=STEADY_S)
    given = parser.parse_args()
    say_machine()
    with EmbeddedKafka() as kafka:
        for rate in given.rates:
            at_rate(kafka, rate, given.seconds, given.steady)
            say_machine()
        if given.silences:
            after_silence(kafka, given.silences)
    say_machine()


class Cores:
    """CPU of all who share the machine, in cores."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._began = time.monotonic()
        self._spent = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def so_far(self) -> dict[str, float]:
        """Cores used since the beginning, by name."""
        seconds = time.monotonic() - self._began
        return {name: (cpu_seconds(pid) - self._spent[name]) / seconds for name, pid in self._pids.items()}


def at_rate(kafka: EmbeddedKafka, rate: float, seconds: float, steady_s: float) -> None:
    """Delays at a rate; and how much of it the worker could do."""
    if rate < LITTLE:
        steady_s = min(steady_s, 10.0)
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka.bootstrap, Path(folder), SETTINGS)
        subscriber = Subscriber(kafka.bootstrap, deployment.prefix + "enriched-page-views")
        try:
            with Playing(kafka.bootstrap, deployment.prefix, rate, steady_s + seconds) as playing:
                playing.wait_until_ready()
                process = deployment.worker()
                wait_until_taken_over(deployment)
                time.sleep(1)
                playing.play(rate, steady_s)
                load = os.getloadavg()[0]
                cores = Cores(
                    worker=process.pid,
                    broker=kafka.pid or 0,
                    publisher=playing.pid,
                    subscriber=subscriber.pid,
                )
                stolen = Stolen()
                from_ms = time.time() * 1000
                playing.play(rate, seconds)
                until_ms = time.time() * 1000
                taken = stolen.share()
                used = cores.so_far()
                late_ms = playing.late_ms
            time.sleep(AFTERWARDS_S)
            arrived = subscriber.arrivals()
            rss = rss_mb(process.pid)
        finally:
            subscriber.close()
            deployment.close()
        sent_at, folded_at, enriched_at = (
            appended(kafka.bootstrap, deployment.prefix + topic, from_ms)
            for topic in ("page-views", "visitor-events", "enriched-page-views")
        )
    came = {name: at for name, at in sent_at.items() if from_ms <= at < until_ms}
    delays = sorted(arrived[name] - at for name, at in came.items() if name in arrived)
    done = sum(from_ms <= at < until_ms for at in arrived.values())
    workload: dict[str, Any] = {
        "events_per_second": rate, "page_views": len(came), "steady_after_s": steady_s,
        "shop_speed": SPEED, "load_before": round(load, 2), "stolen": round(taken, 3),
    }  # fmt: skip
    for name, share in used.items():
        say(f"{name}_cores", share, **workload)
    say("published_late_ms_max", late_ms, **workload)
    say("worker_rss_mb", rss, **workload)
    if len(delays) < 0.98 * len(came) or done < 0.98 * len(came):
        say("saturates_at_events_per_second", rate * done / len(came), **workload)
        return
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        say(f"enriched_delay_ms_{name}", quantile(delays, share), **workload)
    legs: dict[str, tuple[Mapping[str, float], Mapping[str, float]]] = {
        "intake": (came, folded_at),
        "sessions": (folded_at, enriched_at),
        "subscriber": (enriched_at, arrived),
    }
    for leg, (begins, ends) in legs.items():
        spent = sorted(ends[name] - begins[name] for name in came)
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            say(f"delay_of_{leg}_ms_{name}", quantile(spent, share), **workload)


def after_silence(kafka: EmbeddedKafka, silences: int) -> None:
    """Delays of the events of the first second after a while without any, ten a second."""
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka.bootstrap, Path(folder), SETTINGS)
        subscriber = Subscriber(kafka.bootstrap, deployment.prefix + "enriched-page-views")
        spans: list[tuple[float, float]] = []
        stolen = Stolen()
        try:
            with Playing(kafka.bootstrap, deployment.prefix, 100, 60) as playing:
                playing.wait_until_ready()
                deployment.worker()
                wait_until_taken_over(deployment)
                time.sleep(1)
                playing.play(100, 20)
                for _ in range(silences):
                    time.sleep(QUIET_S)
                    began = time.time() * 1000
                    playing.play(10, 1.0)
                    spans.append((began, time.time() * 1000))
            taken = stolen.share()
            time.sleep(AFTERWARDS_S)
            arrived = subscriber.arrivals()
        finally:
            subscriber.close()
            deployment.close()
        sent_at = appended(kafka.bootstrap, deployment.prefix + "page-views", spans[0][0])
    delays = sorted(
        arrived[name] - at
        for name, at in sent_at.items()
        if name in arrived and any(begin <= at < end for begin, end in spans)
    )
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        say(f"enriched_delay_after_silence_ms_{name}", quantile(delays, share), silences=silences,
            quiet_s=QUIET_S, page_views=len(delays), stolen=round(taken, 3))  # fmt: skip


if __name__ == "__main__":
    main()
