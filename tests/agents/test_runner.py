"""The runner with toy stages on a real broker: exact under kill -9, SIGTERM, a second worker, and its own exits."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time

from tests.agents.toy_bench import Bench


def end(bench: Bench, worker: subprocess.Popen[bytes]) -> None:
    """End a worker as supervisors do."""
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0, bench.logs()
    assert time.monotonic() - began < 10


def test_two_stages_equal_the_oracle_and_sigterm_ends_with_code_0_also_under_backlog(bench: Bench) -> None:
    bench.write(1, 0, 4_000)
    bench.end(4_000)
    worker = bench.worker(stretch_s=0.2)
    bench.wait_until_ready()
    time.sleep(0.3)
    end(bench, worker)
    assert len(bench.sessions()[0]) < len(bench.expected()), "there was no backlog"
    worker = bench.worker()
    bench.wait(len(bench.expected()))
    bench.check()
    end(bench, worker)
    rejected = [json.loads(value) for value, _ in bench.read("rejected-events")]
    assert len({(r["topic"], r["partition"], r["offset"]) for r in rejected}) == 8
    assert {r["reason"] for r in rejected} == {"not_json"}


def test_kill_9_in_mid_stream_loses_and_doubles_nothing(bench: Bench) -> None:
    source = random.Random(5)
    number = 0
    for life in range(3):
        worker = bench.worker(stretch_s=0.05)
        bench.wait_until_ready(times=life + 1)
        for _ in range(3):
            bench.write(2 + number, number, number + 500)
            number += 500
            time.sleep(source.random() / 3)
        worker.kill()
        bench.bury(worker)
    bench.end(number)
    bench.worker()
    bench.wait(len(bench.expected()))
    bench.check()


def test_a_second_worker_joins_is_killed_and_comes_back_on_an_empty_disk(bench: Bench) -> None:
    bench.worker("a", session_s=6)
    bench.wait_until_ready("a")
    bench.write(11, 0, 1_500)
    second = bench.worker("b", session_s=6, stretch_s=0.02)
    for step in range(3, 7):
        bench.write(11 + step, step * 500, step * 500 + 500)
        time.sleep(0.8)
    bench.wait_until_ready("b")
    second.kill()
    second.wait()
    bench.write(31, 3_500, 5_000)
    bench.worker("c", session_s=6)
    bench.write(32, 5_000, 6_000)
    bench.end(6_000)
    bench.wait(len(bench.expected()))
    bench.check()


def test_a_crash_between_any_two_writes_loses_and_doubles_nothing(bench: Bench) -> None:
    steps = ("folded", "outputs", "changelog", "stored")
    places = [f"{stage}:{step}" for stage in ("letters", "sessions", "pages") for step in steps]
    places.remove("letters:changelog")  # it has no state
    worker = bench.worker(crashes=" ".join(f"{place}:{2 + n % 3}" for n, place in enumerate(places)))
    number = 0
    for place in places:
        while f"crashed at {place}" not in bench.log():
            bench.write(40 + number, number, number + 60)
            number += 60
            time.sleep(0.05)
            assert worker.poll() is None, bench.logs()
            assert number < 100_000, f"no crash at {place}"
        bench.bury()
        assert worker.stdin is not None
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    bench.end(number)
    bench.wait(len(bench.expected()))
    bench.check()
