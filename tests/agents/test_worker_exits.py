"""The worker as a command: what a user sees when it can't start, its port, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from agents.broker import EmbeddedKafka

ROOT = Path(__file__).parents[2]


@dataclass
class Terminal:
    """Where workers are started, each with its own log."""

    kafka: str
    directory: Path
    prefix: str = field(default_factory=lambda: f"exits-{uuid.uuid4().hex[:8]}-")
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str, **settings: object) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "CULDESAC_KAFKA": self.kafka,
            "CULDESAC_TOPIC_PREFIX": self.prefix,
            "CULDESAC_APP_ID": f"{self.prefix}app",
            "CULDESAC_DATA_DIR": str(self.directory / "data"),
            "CULDESAC_SECRET": "not a secret, this is a test",
            "CULDESAC_METRICS_PORT": "0",
        }
        for setting, value in settings.items():
            variable = f"CULDESAC_{setting.upper()}"
            if value is None:
                environment.pop(variable)
            else:
                environment[variable] = str(value)
        with (self.directory / name).open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "agents", "worker"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        self.workers.append(worker)
        return worker

    def said(self, name: str) -> str:
        return (self.directory / name).read_text()

    def refused(self, name: str, code: int = 2, **settings: object) -> str:
        """The one line with which a worker ends that can't start."""
        assert self.start(name, **settings).wait(150) == code, self.said(name)
        [line] = self.said(name).splitlines()
        return line


@pytest.fixture
def terminal(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(kafka.bootstrap, tmp_path)
    yield terminal
    for worker in terminal.workers:
        worker.kill()
        worker.wait()


def get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_answers_for_itself_defends_its_folder_and_its_port_and_ends_with_code_0(
    terminal: Terminal,
) -> None:
    worker = terminal.start("first")
    limit = time.monotonic() + 150
    status, text = 0, ""
    while status != 200:
        assert time.monotonic() < limit, f"{status} {text}\n{terminal.said('first')}"
        assert worker.poll() is None, terminal.said("first")
        time.sleep(0.2)
        found = re.search(r"metrics on (http://\S+)/metrics", terminal.said("first"))
        if found is None:
            continue
        try:
            status, text = get(f"{found[1]}/healthz")
        except URLError:
            continue
        assert (status, text) in [(200, "ok\n"), (503, "starting\n"), (503, "taking over partitions\n")]
    assert found is not None
    metrics = get(f"{found[1]}/metrics")[1]
    assert 'culdesac_lag_records{partition="0",topic="page-views"} 0.0' in metrics

    assert "another worker" in terminal.refused("same folder")
    port = found[1].rpartition(":")[2]
    line = terminal.refused("same port", metrics_port=port, data_dir=terminal.directory / "other")
    assert line.startswith(f"culdesac: metrics_port: 127.0.0.1:{port}: Address already in use")

    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0, terminal.said("first")
    assert time.monotonic() - began < 10
    assert "Traceback" not in terminal.said("first")


def test_without_a_broker_it_says_so_in_one_line_and_may_be_started_again(terminal: Terminal) -> None:
    line = terminal.refused("no broker", code=72, kafka="127.0.0.1:1")
    assert line.startswith("culdesac: 127.0.0.1:1: no Kafka answers there")


def test_of_two_that_start_at_once_with_different_secrets_one_ends_and_says_so(terminal: Terminal) -> None:
    """Neither was given one, so each makes its own: the deployment must have one."""
    names = ("one", "two")
    folders = [terminal.directory / f"of-{name}" for name in names]
    workers = [
        terminal.start(name, data_dir=folder, secret=None)
        for name, folder in zip(names, folders, strict=True)
    ]
    limit = time.monotonic() + 150
    while all(worker.poll() is None for worker in workers):
        assert time.monotonic() < limit, terminal.said("one") + terminal.said("two")
        time.sleep(0.1)
    loser = next(place for place, worker in enumerate(workers) if worker.poll() is not None)
    winner = 1 - loser
    assert workers[loser].returncode == 2, terminal.said(names[loser])
    [line] = terminal.said(names[loser]).splitlines()
    assert line.startswith("culdesac: secret: other workers of")
    assert not (folders[loser] / "secret").exists(), "it would be taken for the deployment's"
    while not (folders[winner] / "state").exists():
        assert time.monotonic() < limit, terminal.said(names[winner])
        assert workers[winner].poll() is None, terminal.said(names[winner])
        time.sleep(0.1)
    assert "set CULDESAC_SECRET" in terminal.refused("given", data_dir=folders[loser])
    given = (folders[winner] / "secret").read_text()
    same = terminal.start("same", data_dir=folders[loser], secret=given)
    while "metrics on" not in terminal.said("same"):
        assert same.poll() is None, terminal.said("same")
        time.sleep(0.1)
