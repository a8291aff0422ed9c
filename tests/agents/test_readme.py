"""Every command in the README and in the pages for users runs, but `deploy/test`, which is what runs this."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema_rs
import pytest
from kafka import KafkaConsumer, KafkaProducer

from agents.broker import EmbeddedKafka
from schemas.cloud_events import header_schema
from tests.agents.board_bench import served
from tests.npm import NODE, installed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [
    README,
    *((ROOT / "deploy" / name).read_text() for name in ("alerts.md", "subscribers.md", "operators.md")),
]
SUBSCRIBER = ".venv/bin/python deploy/subscribers/dead_ends.py localhost:9092"
SHELL = [
    line for block in re.findall(r"```sh\n(.*?)```", "".join(PAGES), re.DOTALL) for line in block.splitlines()
]
LINKING = [ROOT / "README.md", *sorted((ROOT / "deploy").glob("*.md")), ROOT / "tests" / "data" / "README.md"]
WITHOUT_KAFKA = [line for line in SHELL if line.startswith(".venv/bin/culdesac") and "--kafka" not in line]
WITH_KAFKA = [line for line in SHELL if "--kafka" in line]
SECRET = {"CULDESAC_SECRET": "not a secret, this is a test"}


def arguments(line: str, **replaced: str) -> list[str]:
    words = shlex.split(line)
    assert words[0] == ".venv/bin/culdesac"
    return [sys.executable, "-m", "agents", *(replaced.get(word, word) for word in words[1:])]


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=os.environ | SECRET | environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("agents", "streams", "schemas", "tests", "deploy"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_the_readme_names_no_command_that_no_test_runs() -> None:
    others = [line for line in SHELL if line not in WITHOUT_KAFKA and line not in WITH_KAFKA]
    assert others == ["deploy/demo --for 120s", "deploy/test", SUBSCRIBER]


@pytest.mark.parametrize("page", LINKING, ids=[page.name for page in LINKING])
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{target}#{anchor}"


def test_the_commands_on_files_run(folder: Path) -> None:
    for line in WITHOUT_KAFKA:
        if " board " in line:
            words = [folder / word if word == "culdesac-out" else word for word in shlex.split(line)[2:]]
            with served(*("0" if word == "9650" else word for word in words)) as address:
                assert urlopen(address, timeout=20).status == 200
            continue
        done = run(arguments(line), folder, XDG_DATA_HOME=str(folder / "data"))
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert (folder / "culdesac-out" / "sessions.ndjson").stat().st_size > 0


@pytest.fixture(scope="module")
def subscribers(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Commands of both, without the address."""
    folder = installed(ROOT / "deploy" / "subscribers", tmp_path_factory.mktemp("npm") / "subscribers")
    return [[sys.executable, str(folder / "dead_ends.py")], [*NODE, str(folder / "dead_ends.mjs")]]


def test_the_commands_on_kafka_and_the_subscribers_run(
    kafka: EmbeddedKafka, folder: Path, subscribers: list[list[str]]
) -> None:
    address = {"localhost:9092": kafka.bootstrap, "9650": "0"}
    ports = dict.fromkeys(
        (
            "CULDESAC_METRICS_PORT", "CULDESAC_COLLECT_PORT", "CULDESAC_COLLECT_METRICS_PORT",
            "CULDESAC_BOARD_METRICS_PORT",
        ), "0",
    )  # fmt: skip
    environment = {"XDG_DATA_HOME": str(folder / "kafka-data")} | ports
    going_on: list[subprocess.Popen[bytes]] = []
    try:
        for line in WITH_KAFKA:
            command = arguments(line, **address)
            if any(word in line for word in ("worker", "--follow", "collect", "notify", " board ")):
                with (folder / "log").open("ab") as log:
                    going_on.append(
                        subprocess.Popen(
                            command, cwd=folder, env=os.environ | SECRET | environment, stdout=log, stderr=log
                        )
                    )
                continue
            done = run(command, folder, **environment)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        replay = run([*arguments(WITHOUT_KAFKA[0])[:-2], "--out", "again"], folder, **environment)
        assert replay.returncode == 0, replay.stderr
        expected = became_of(folder / "again")
        limit = time.monotonic() + 90
        counted: dict[str, int] = {}
        while counted != expected and time.monotonic() < limit:
            counted = told(subscribers[0], kafka)
            assert all(process.poll() is None for process in going_on), (folder / "log").read_text()[-3000:]
        assert counted == expected
        headers_are_as_said(kafka)
        send_what_changes(kafka)
        for name, more in CHANGES.items():
            expected[name] += more
        for subscriber in subscribers:
            assert told(subscriber, kafka) == expected
    finally:
        for process in going_on:
            process.terminate()
        codes = [process.wait(20) for process in going_on]
    assert codes[0] == codes[-1] == 0, (folder / "log").read_text()[-3000:]


def told(subscriber: list[str], kafka: EmbeddedKafka) -> dict[str, int]:
    done = run([*subscriber, kafka.bootstrap], ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def became_of(folder: Path) -> dict[str, int]:
    """Count what a replay wrote: its files hold each record once, the last of an id is what holds."""

    def last(topic: str) -> list[dict[str, Any]]:
        file = folder / f"{topic}.ndjson"
        lines = file.read_text().splitlines() if file.exists() else []
        held = {record["id"]: record for record in map(json.loads, lines)}
        return [record for record in held.values() if record["status"] != "retracted"]

    reasons = Counter(session["exit_reason"] for session in last("sessions"))
    later = len(last("session-revisions"))
    over = {"withdrawn", "dismissed", "resolved"}
    return {
        "sessions": reasons.total(),
        "purchased": reasons["purchased"],
        "dead_ends": reasons["dead_end"] - later,
        "bought_later": later,
        "open_alerts": sum(alert["status"] not in over for alert in last("dead-end-alerts")),
    }


CHANGES = {"sessions": 3, "purchased": 1, "dead_ends": 1, "bought_later": 1, "open_alerts": 1}
"""What `send_what_changes` adds."""


def send_what_changes(kafka: EmbeddedKafka) -> None:
    """Send sessions that are revised, retracted, bought later, not after all, and copies of what is old."""

    def session(name: str, revision: int, reason: str, status: str = "final") -> tuple[str, dict[str, Any]]:
        outcome = "purchased" if reason == "purchased" else "none"
        return "sessions", {
            "id": name, "revision": revision, "status": status, "exit_reason": reason, "outcome": outcome,
        }  # fmt: skip

    def later(name: str, of: str, revision: int, status: str) -> tuple[str, dict[str, Any]]:
        return "session-revisions", {"id": name, "revision": revision, "status": status, "session_id": of}

    def alert(name: str, revision: int, status: str) -> tuple[str, dict[str, Any]]:
        return "dead-end-alerts", {"id": name, "revision": revision, "status": status}

    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    for topic, value in (
        session("bought", 1, "dead_end"), session("bought", 2, "purchased", "revised"),
        session("bought", 1, "dead_end"),
        session("joined", 1, "dead_end"), session("joined", 2, "dead_end", "retracted"),
        session("joined", 1, "dead_end"),
        session("store", 1, "dead_end"), later("s", "store", 1, "revised"), later("s", "store", 1, "revised"),
        session("undone", 1, "dead_end"), later("u", "undone", 1, "revised"), later("u", "undone", 2, "retracted"),
        alert("over", 1, "opened"), alert("over", 2, "resolved"), alert("over", 1, "opened"),
        alert("open", 1, "opened"),
    ):  # fmt: skip
        producer.send(topic, json.dumps(value).encode(), key=value["id"].encode())
    producer.close(30)


def headers_are_as_said(kafka: EmbeddedKafka) -> None:
    """Look at the headers of all that the worker wrote."""
    consumer = KafkaConsumer(
        "sessions", "enriched-page-views", "page-scores", "model-reports", bootstrap_servers=kafka.bootstrap,
        auto_offset_reset="earliest", consumer_timeout_ms=3000,
    )  # fmt: skip
    validators = {
        topic: jsonschema_rs.Draft7Validator(header_schema(topic)) for topic in consumer.subscription()
    }
    seen = set()
    for record in consumer:
        value = json.loads(record.value)
        headers = {name: text.decode() for name, text in record.headers}
        validators[record.topic].validate(headers)
        assert headers["ce_id"] == f"{value['id']}:{value.get('revision', 1)}"
        seen.add(record.topic)
    consumer.close()
    assert seen == set(validators)
