"""From the append of a page view to a subscriber's having its enriched copy, at several rates and after silence.

    python -m tests.benchmarks.latency [--rates 10 1000 5000] [--seconds 30] [--silences 3]

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
from tests.benchmarks.figures import cpu_seconds, loop_seconds, quantile, rss_mb, say
from tests.benchmarks.live import (
    SETTINGS,
    SPEED,
    STEADY_S,
    Playing,
    Subscriber,
    appended,
    shop_at,
    wait_until_taken_over,
)

QUIET_S = 30.0
AFTERWARDS_S = 3.0
LITTLE = 100.0
"""Events a second below which it does not matter how many sessions are open."""


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="*", default=[10.0, 1000.0, 5000.0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--silences", type=int, default=3)
    parser.add_argument("--steady", type=float, default=STEADY_S)
    given = parser.parse_args()
    say("machine_loop_cpu_s", loop_seconds(), loops=10_000_000)
    with EmbeddedKafka() as kafka:
        for rate in given.rates:
            at_rate(kafka.bootstrap, rate, given.seconds, given.steady)
        if given.silences:
            after_silence(kafka.bootstrap, given.silences)
    say("machine_loop_cpu_s", loop_seconds(), loops=10_000_000)


def at_rate(kafka: str, rate: float, seconds: float, steady_s: float) -> None:
    """Delays at a rate; and how much of it the worker could do."""
    if rate < LITTLE:
        steady_s = min(steady_s, 15.0)
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka, Path(folder), SETTINGS)
        subscriber = Subscriber(kafka, deployment.prefix + "enriched-page-views")
        try:
            process = deployment.worker()
            playing = Playing(deployment.publisher, shop_at(rate, steady_s + seconds))
            wait_until_taken_over(deployment)
            time.sleep(1)
            playing.play(rate, steady_s)
            from_ms, cpu = time.time() * 1000, cpu_seconds(process.pid)
            load = os.getloadavg()[0]
            playing.play(rate, seconds)
            until_ms, cpu = time.time() * 1000, cpu_seconds(process.pid) - cpu
            time.sleep(AFTERWARDS_S)
            arrived = subscriber.arrivals()
            rss = rss_mb(process.pid)
        finally:
            subscriber.close()
            deployment.close()
        sent_at, folded_at, enriched_at = (
            appended(kafka, deployment.prefix + topic)
            for topic in ("page-views", "visitor-events", "enriched-page-views")
        )
    came = {name: at for name, at in sent_at.items() if from_ms <= at < until_ms}
    delays = sorted(arrived[name] - at for name, at in came.items() if name in arrived)
    done = sum(from_ms <= at < until_ms for at in arrived.values())
    workload: dict[str, Any] = {
        "events_per_second": rate, "page_views": len(came), "steady_after_s": steady_s,
        "shop_speed": SPEED, "load_before": load,
    }  # fmt: skip
    say("worker_cores", cpu / seconds, **workload)
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


def after_silence(kafka: str, silences: int) -> None:
    """Delays of the first events after half a minute without any, ten a second."""
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka, Path(folder), SETTINGS)
        subscriber = Subscriber(kafka, deployment.prefix + "enriched-page-views")
        spans: list[tuple[float, float]] = []
        try:
            deployment.worker()
            playing = Playing(deployment.publisher, shop_at(100, 60))
            wait_until_taken_over(deployment)
            time.sleep(1)
            playing.play(100, 20)
            for _ in range(silences):
                time.sleep(QUIET_S)
                began = time.time() * 1000
                playing.play(10, 1.0)
                spans.append((began, time.time() * 1000))
            time.sleep(AFTERWARDS_S)
            arrived = subscriber.arrivals()
        finally:
            subscriber.close()
            deployment.close()
        sent_at = appended(kafka, deployment.prefix + "page-views")
    delays = sorted(
        arrived[name] - at
        for name, at in sent_at.items()
        if name in arrived and any(begin <= at < end for begin, end in spans)
    )
    for name, share in (("p50", 0.5), ("max", 1.0)):
        say(f"enriched_delay_after_silence_ms_{name}", quantile(delays, share), silences=silences,
            quiet_s=QUIET_S, page_views=len(delays))  # fmt: skip


if __name__ == "__main__":
    main()
