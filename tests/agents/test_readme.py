"""Every command in the README and in the page on alerts runs, but `deploy/test`, which is what runs this."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from agents.broker import EmbeddedKafka
from tests.agents.board_bench import served

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ALERTS = (ROOT / "deploy" / "alerts.md").read_text()
SHELL = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README + ALERTS, re.DOTALL)
    for line in block.splitlines()
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
    assert others == ["deploy/demo --for 120s", "deploy/test"]


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


def test_the_commands_on_kafka_and_the_subscriber_run(kafka: EmbeddedKafka, folder: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) <= 20
    address = {"localhost:9092": kafka.bootstrap, "9650": "0"}
    ports = dict.fromkeys(
        ("CULDESAC_METRICS_PORT", "CULDESAC_COLLECT_PORT", "CULDESAC_COLLECT_METRICS_PORT"), "0"
    )
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
        texts = (folder / "again" / "sessions.ndjson").read_text().splitlines()
        last = {session["id"]: session for session in map(json.loads, texts)}
        purchased = sum(session.get("outcome") == "purchased" for session in last.values())
        expected = {"sessions": len(last), "purchased": purchased, "page_views": 277}
        limit = time.monotonic() + 90
        counted: dict[str, int] = {}
        while counted != expected and time.monotonic() < limit:
            done = run([sys.executable, "-c", code, kafka.bootstrap], folder)
            assert done.returncode == 0, done.stderr
            counted = json.loads(done.stdout)
            assert all(process.poll() is None for process in going_on), (folder / "log").read_text()[-3000:]
        assert counted == expected
    finally:
        for process in going_on:
            process.terminate()
        codes = [process.wait(20) for process in going_on]
    assert codes[0] == codes[-1] == 0, (folder / "log").read_text()[-3000:]
