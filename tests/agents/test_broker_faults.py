"""A broker that is killed and comes back, and one that hangs: the same worker goes on, and nothing is lost.

One that stays away ends its workers, and says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from agents.broker import EmbeddedKafka
from tests.agents.test_no_stall import LIMITS, Seen, look
from tests.agents.toy_bench import ROOT, Bench

ENDS = {"a": "72", "idle": "72", "starting": "72", "gone": "72"}
"""Workers, and the codes with which they end when the broker stays away."""
PAUSE = 3_000
"""Events that are left out where nothing is written for a while: five minutes of event time, for in a silence time
runs on, and what went on where it stopped would be late."""


def test_a_broker_that_is_killed_and_one_that_hangs(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    with EmbeddedKafka() as own:  # the shared one has to live on
        bench = Bench(own, tmp_path)
        worker = bench.worker(stall_s=60)
        bench.wait_until_ready()
        number = 0

        def write(seconds: float) -> None:
            nonlocal number
            limit = time.monotonic() + seconds
            while time.monotonic() < limit:
                bench.write(number, number, number + 200)
                number += 200
                time.sleep(0.1)
            number += PAUSE

        write(2)
        bench.disconnect()
        own.kill()
        time.sleep(3)
        own.restart()
        bench.connect()
        write(2)
        bench.disconnect()
        own.freeze()
        time.sleep(12)  # longer than a session
        own.thaw()
        bench.connect()
        write(2)
        bench.end(number)
        bench.wait(len(bench.expected()), 60)
        bench.check()
        assert worker.poll() is None, bench.logs()
        bench.close()


def test_a_broker_that_stays_away_ends_who_runs_and_who_starts(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    """First it hangs, under one that runs and two that start; then it is gone."""
    with EmbeddedKafka() as own:
        bench = Bench(own, tmp_path)
        running, seen = bench.worker(**(LIMITS | {"unassigned_s": 8, "send_s": 20})), Seen()
        bench.wait_until_ready()
        bench.write(1, 0, 100)
        idle = bench.worker("idle", **LIMITS)
        bench.wait_until_ready("idle")
        bench.wait_until_ready(times=2)
        bench.disconnect()
        own.freeze()
        starting = bench.worker("starting", **LIMITS)
        with (tmp_path / "command").open("wb") as log:
            command = subprocess.Popen(
                [sys.executable, "-m", "agents", "worker", "--kafka", own.bootstrap],
                cwd=ROOT, env=os.environ | {"CULDESAC_DATA_DIR": str(tmp_path / "d")}, stdout=log, stderr=log,
            )  # fmt: skip
        limit = time.monotonic() + 90
        while any(process.poll() is None for process in (running, idle, starting, command)):
            assert time.monotonic() < limit, bench.logs()
            look(bench, seen)
            time.sleep(0.1)
        own.kill()
        gone = bench.worker("gone", **LIMITS)
        gone.wait(60)
        ends = {name: bench.log(name).rpartition("culdesac worker: exit ")[2] for name in ENDS}
        assert {name: end[:2] for name, end in ends.items()} == ENDS, bench.logs()
        assert all("\n" not in end.strip() for name, end in ends.items() if ENDS[name] == "72"), ends
        assert [p.returncode for p in (running, idle, starting, gone)] == [
            int(code) for code in ENDS.values()
        ]
        assert command.returncode == 72
        [line] = (tmp_path / "command").read_text().splitlines()
        assert "no Kafka answers there" in line
        assert any(status == 503 and "the broker does not answer" in text for status, text in seen.health), (
            seen.health
        )
        assert seen.metrics <= {(200, 1.0), (503, 0.0)}
        bench.close()
