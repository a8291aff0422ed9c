"""A real Prometheus reads our metrics, and its linter has nothing to say about them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from prometheus_client import generate_latest

from agents import metrics

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is not installed here; .ci/run installs it",
)


@needs_prometheus
def test_the_linter_is_content() -> None:
    metrics.rejected_events.labels("not_json").inc()
    metrics.enriched_seconds.labels().observe(0.1)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(metrics.registry), capture_output=True
    )
    assert checked.returncode == 0, checked.stderr.decode()
    assert checked.stderr == b""


@needs_prometheus
def test_prometheus_scrapes_a_worker_s_port(tmp_path: Path) -> None:
    metrics.events.labels("page-views").inc(7)
    server = metrics.serve("127.0.0.1", 0, lambda: (True, "ok"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {"job_name": "culdesac", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    prometheus = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        query = urlencode({"query": 'culdesac_events_total{topic="page-views"}'})
        limit = time.monotonic() + 60
        found: list[dict[str, list[object]]] = []
        while not found:
            assert time.monotonic() < limit, "Prometheus has not scraped within a minute"
            assert prometheus.poll() is None
            time.sleep(0.2)
            try:
                with urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
                    found = json.load(answer)["data"]["result"]
            except URLError:
                continue
        assert float(str(found[0]["value"][1])) >= 7
    finally:
        prometheus.terminate()
        prometheus.wait(20)
        server.close()
