"""The runbook: each command that can run runs, its codes are those that workers end with, its cures cure."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from agents import commands
from agents.broker import EmbeddedKafka
from agents.pump import COMMIT_S
from agents.sending import Sender
from agents.settings import WorkerSettings
from agents.topics import ensure_topics
from agents.watchdog import Watchdog
from schemas.decoding import MAX_RECORD_BYTES
from schemas.topics import DAY_MS, OUTPUT_RECORD_BYTES, STATE_RECORD_BYTES, TOPICS
from streams.event_files import find_files, read_events
from streams.settings import Settings
from streams.visits import MAX_CLICKS
from tests.agents.product import COMPARED, ROOT, SECRET, Deployment, differences, final, replayed

RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL)
CONSOLE = [
    line for block in re.findall(r"```console\n(.*?)```", RUNBOOK, re.DOTALL) for line in block.splitlines()
]
FOREIGN = {
    "amtool", "culdesac", "curl", "journalctl", "kafka-configs.sh", "kafka-console-consumer.sh", "kafka-topics.sh",
    "kubectl", "promtool", "rm", "systemctl", ".venv/bin/python",
}  # fmt: skip
"""What cannot run here: there is no machine with systemd, no Kubernetes, Kafka's jars without its scripts, and
nothing in /etc."""


def test_what_does_not_run_here_is_others_programs() -> None:
    assert {shlex.split(line)[0] for line in CONSOLE} == FOREIGN
    fences = re.findall(r"^```(\w+)$", RUNBOOK, re.MULTILINE)
    assert set(fences) == {"sh", "console"}


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[-1][19:50] for block in BLOCKS])
def test_the_commands_run(
    kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: str
) -> None:
    """Each block in a folder and an installation of its own, which only its own settings tell from another."""
    prefix = f"r{uuid.uuid4().hex[:8]}."
    for name, value in {
        "TOPIC_PREFIX": prefix, "APP_ID": prefix + "app", "SECRET": SECRET, "METRICS_PORT": "0",
        "DATA_DIR": str(tmp_path / "data"),
    }.items():  # fmt: skip
        monkeypatch.setenv(f"CULDESAC_{name}", value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    ensure_topics(WorkerSettings(kafka=kafka.bootstrap, topic_prefix=prefix))
    for line in block.splitlines():
        words = [word.replace("localhost:9092", kafka.bootstrap) for word in shlex.split(line)]
        if words[0] == "export":
            for name, _, value in (word.partition("=") for word in words[1:]):
                assert name.startswith("CULDESAC_")
                own = prefix if name in ("CULDESAC_TOPIC_PREFIX", "CULDESAC_APP_ID") else ""
                monkeypatch.setenv(name, own + value)
            continue
        assert words[0] == ".venv/bin/culdesac"
        if words[1] == "worker":
            assert starts_and_stops(words[1:], tmp_path) == 0, (tmp_path / "log").read_text()[-3000:]
            continue
        assert not commands.app(words[1:], prog_name="culdesac", standalone_mode=False), line


def starts_and_stops(words: list[str], folder: Path) -> int:
    """Exit code of a worker that is stopped as soon as it has taken over partitions."""
    with (folder / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "agents", *words],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    limit = time.monotonic() + 90
    while "took over" not in (folder / "log").read_text(errors="replace"):
        assert worker.poll() is None, (folder / "log").read_text()[-3000:]
        assert time.monotonic() < limit, (folder / "log").read_text()[-3000:]
        time.sleep(0.2)
    worker.terminate()
    return worker.wait(60)


def test_every_exit_code_is_explained_and_none_that_does_not_exist() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "agents").glob("*.py"))
    ours = {
        int(code)
        for code in re.findall(r"_?crash\(\s*(\d\d)\b|SystemExit\((\d\d)\)", sources)
        for code in code
        if code
    }
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", RUNBOOK, re.MULTILINE)}
    assert told == ours | {0, 2, 137}


def test_the_figures_are_those_of_the_program() -> None:
    said = " ".join(RUNBOOK.split())
    watchdog = {name: value.default for name, value in inspect.signature(Watchdog).parameters.items()}
    assert f"commits stand still for {watchdog['stall_s']:.0f} s" in said
    assert f"the event loop stood still for {watchdog['blocked_s']:.0f} s" in said
    assert f"the last commit got no answer in {COMMIT_S:.0f} s" in said
    assert f"is waited for up to {Sender('').timeout_s:.0f} s" in said
    assert f"over {MAX_RECORD_BYTES >> 10} KiB are rejected" in said
    assert f"who has {MAX_CLICKS:,} that may still change" in said
    assert f"at most {OUTPUT_RECORD_BYTES:,} bytes a record, a row of state {STATE_RECORD_BYTES:,}" in said
    assert f"capped at {Settings().max_views} views" in said
    kept = {TOPICS[name].retention_ms for name in ("page-views", "visitor-events", "site-events")}
    assert kept == {7 * DAY_MS}, "said to be kept for 7 days"


@pytest.fixture
def deployment(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(kafka.bootstrap, tmp_path)
    yield deployment
    deployment.close()


def test_state_comes_back_to_empty_disks_and_without_its_changelog_under_another_app_id(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = list(read_events(find_files([ROOT / "tests" / "data" / "shop"], "ndjson")))
    expected = final(replayed(events, Settings()))
    middle = len(events) // 2
    deployment.publish(events[:middle])
    worker = deployment.fork()
    deployment.wait_until_done()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    shutil.rmtree(tmp_path / "a")
    admin = KafkaAdminClient(bootstrap_servers=deployment.kafka)
    admin.delete_topics([deployment.prefix + "culdesac-sessions-changelog"])
    admin.close()
    settings = WorkerSettings(kafka=deployment.kafka, topic_prefix=deployment.prefix)
    limit = time.monotonic() + 30
    while all(state.state != "created" for state in ensure_topics(settings)):
        assert time.monotonic() < limit, "the topic does not go away"
        time.sleep(0.2)
    refused = deployment.fork()
    assert refused.wait(60) == 74, deployment.logs()
    assert "culdesac-sessions-changelog was lost" in deployment.logs()
    deployment.publish(events[middle:])
    deployment.end(Settings())
    shutil.rmtree(tmp_path / "a")
    environment = {
        "KAFKA": deployment.kafka, "TOPIC_PREFIX": deployment.prefix, "APP_ID": deployment.prefix + "again",
        "DATA_DIR": str(tmp_path / "again"), "SECRET": SECRET, "METRICS_PORT": "0",
    }  # fmt: skip
    with (tmp_path / "worker-again.log").open("wb") as log:
        again = subprocess.Popen(
            [sys.executable, "-m", "agents", "worker"],
            cwd=ROOT, stdout=log, stderr=log,
            env=os.environ | {f"CULDESAC_{name}": value for name, value in environment.items()},
        )  # fmt: skip
    deployment.workers.append(again)
    limit = time.monotonic() + 90
    while differences(expected, final(deployment.read(COMPARED))):
        assert again.poll() is None, deployment.logs()
        assert time.monotonic() < limit, (
            f"{differences(expected, final(deployment.read(COMPARED)))}\n{deployment.logs()}"
        )
        time.sleep(0.5)
