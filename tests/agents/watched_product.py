"""The product as Prometheus sees it: a worker and what runs beside it on a real Kafka, planted dead ends."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.request import Request, urlopen

from agents.dashboards.prometheus import Prometheus, Series
from agents.settings import load_settings
from agents.topics import ensure_topics
from streams.event_files import FileEvent
from streams.shop import ShopConfig, demo_plan, traffic
from tests.agents.product import ROOT, Deployment, and_store_orders

HOUR_MS = 3_600_000
SCRAPE_S = 1.0
RATE_INTERVAL = "15s"
"""Stands for ``$__rate_interval``: a feed at high speed comes in lumps."""
RULES = ROOT / "deploy" / "prometheus" / "culdesac.rules.yml"
HAS_PROMETHEUS = shutil.which("prometheus") is not None and shutil.which("promtool") is not None


def shop_until(end_ms: int, hours: float, sessions_per_hour: float, seed: int = 7) -> list[FileEvent]:
    """Events of a shop with planted dead ends that ends then; store orders, and what workers refuse, among them."""
    config = ShopConfig(
        seed=seed, sessions_per_hour=sessions_per_hour, start_ms=end_ms - int(hours * HOUR_MS), hours=hours
    )
    config = dataclasses.replace(config, plan=demo_plan(config))
    events = and_store_orders(
        FileEvent(topic, json.dumps(event).encode(), event["occurred_at"]) for topic, event in traffic(config)
    )
    for place in range(len(events) // 40, len(events), len(events) // 20):
        at = events[place].occurred_at
        events[place:place] = [FileEvent("page-views", b"{", at), events[place - 1], events[place // 3]]
    return events


class WatchedProduct:
    """A worker with board, collector and notify beside it, and a Prometheus that scrapes them by our rules.

    All end with `close`.

    Parameters
    ----------
    kafka, directory
        Where it runs, and what may be written into.
    warm_up
        See `Settings.warm_up_ms`; as a duration, such as ``3h``.
    """

    def __init__(self, kafka: str, directory: Path, warm_up: str) -> None:
        self.deployment = Deployment(kafka, directory, {"CULDESAC_WARM_UP": warm_up})
        worker_port, board_port, collect_port, notify_port, port, self.collecting = _free_ports(6)
        self.worker = self.deployment.worker(metrics_port=worker_port)
        self.deployment.beside("board", CULDESAC_BOARD_PORT="0", CULDESAC_BOARD_METRICS_PORT=str(board_port))
        # Into topics of its own: its clicks are of another year than the shop's, and time would run on to them.
        elsewhere = f"{self.deployment.prefix}collected-"
        ensure_topics(load_settings(environment={}, kafka=kafka, topic_prefix=elsewhere))
        self.deployment.beside(
            "collect", CULDESAC_COLLECT_PORT=str(self.collecting), CULDESAC_COLLECT_SITES="k1=shop.example",
            CULDESAC_COLLECT_METRICS_PORT=str(collect_port), CULDESAC_TOPIC_PREFIX=elsewhere,
        )  # fmt: skip
        routes = ROOT / "deploy" / "notify.toml"
        self.deployment.beside(
            "notify", CULDESAC_NOTIFY=str(routes), CULDESAC_NOTIFY_METRICS_PORT=str(notify_port)
        )
        jobs = [
            {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}
            for name, scraped in {
                "culdesac": worker_port, "culdesac-board": board_port, "culdesac-collect": collect_port,
                "culdesac-notify": notify_port,
            }.items()
        ]  # fmt: skip
        every = f"{SCRAPE_S:g}s"
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(RULES)],
            "scrape_configs": jobs,
        }
        (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        with (directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={directory / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        self.url = f"http://127.0.0.1:{port}"
        self.prometheus = Prometheus(self.url)
        self.began = time.time()

    def feed(self, events: Sequence[FileEvent], parts: int = 1, pause_s: float = 0.0) -> None:
        """Publish events in so many parts, each as soon as Kafka has the one before and a pause is over."""
        cuts = [len(events) * part // parts for part in range(parts + 1)]
        for begin, end in itertools.pairwise(cuts):
            self.deployment.publish(events[begin:end])
            time.sleep(pause_s)

    def collect(self) -> None:
        """Send the collector two clicks, and wait until Prometheus can tell their rate."""
        click = {"n": "pageview", "u": "https://shop.example/", "d": "shop.example"}
        request = Request(
            f"http://127.0.0.1:{self.collecting}/api/event", json.dumps(click).encode(),
            {"Origin": "https://shop.example", "Content-Type": "text/plain", "User-Agent": "Mozilla/5.0"},
        )  # fmt: skip
        series = 'culdesac_collect_requests_total{endpoint="plausible"}'
        # Some more scrapes at last: a query over the run is asked by its own seconds.
        for seen in (series, f"count_over_time({series}[15s]) >= 4"):
            with urlopen(request, timeout=60) as answer:
                assert answer.status == 202
            self.wait_for(seen)

    def ask(self, expr: str) -> list[Series]:
        """Evaluate a query over the whole run."""
        return self.prometheus.over(expr, self.began, time.time(), SCRAPE_S)

    def wait_for(self, expr: str, seconds: float = 120.0) -> None:
        """Until a query has an answer now."""
        limit = time.monotonic() + seconds
        while True:
            assert self.worker.poll() is None, self.deployment.logs()
            assert self._process.poll() is None, "Prometheus has ended"
            try:
                now = time.time()
                if any(series.points for series in self.prometheus.over(expr, now, now, 1)):
                    return
            except OSError:
                pass  # it has only just begun
            assert time.monotonic() < limit, f"not within {seconds:.0f} s: {expr}\n{self.deployment.logs()}"
            time.sleep(0.3)

    def close(self) -> None:
        """End what was started."""
        self._process.terminate()
        self._process.wait(20)
        self.deployment.close()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(free.getsockname()[1]) for free in sockets]
    finally:
        for free in sockets:
            free.close()
