"""The demo: figures come soon, and nothing is left however it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from agents.broker import EmbeddedKafka

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
ROOT = Path(__file__).parents[2]


def descendants(folder: Path) -> dict[int, str]:
    """Processes that were started with this folder for temporary files: their ids and command lines."""
    mark = f"TMPDIR={folder}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def patient(address: str) -> bytes:
    """Ask until somebody answers."""
    until = time.monotonic() + 60
    while True:
        try:
            with urlopen(address, timeout=20) as answer:
                return bytes(answer.read())
        except URLError:
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.fixture
def demo(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that plays little traffic for long; needs what the embedded Kafka needs, so it is skipped with it."""
    command = [sys.executable, "-m", "agents", "demo", "--for", "10m", "--sessions-per-hour", "10"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1", "CULDESAC_GAP": "nonsense"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    yield process
    for pid in descendants(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(20)
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_figures_come_and_no_process_and_no_file_is_left(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert demo.stdout is not None
    said = []
    for line in demo.stdout:
        said.append(line)
        if " page views" in line:
            break
    assert " page views" in said[-1], said
    [address] = re.findall(r"Board: (http://\S+)", "".join(said))
    assert b"What loses visitors now" in patient(address)
    names = " ".join(descendants(tmp_path).values())
    for part in ("agents worker", "agents shop", "agents board", "kafka.Kafka"):
        assert part in names
    demo.send_signal(number)
    assert demo.wait(20) == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    until = time.monotonic() + 10
    while (descendants(tmp_path) or list(tmp_path.iterdir())) and time.monotonic() < until:
        time.sleep(0.1)
    assert descendants(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
