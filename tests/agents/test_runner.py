"""The runner with toy stages on a real broker: exact under kill -9, SIGTERM, a second worker, and its own exits."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest

from tests.agents.toy_bench import Bench


def test_two_stages_equal_the_oracle_and_sigterm_ends_with_code_0(bench: Bench) -> None:
    bench.write(1, 0, 4_000)
    bench.end(4_000)
    worker = bench.worker()
    bench.wait(len(bench.expected()))
    bench.check()
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0, bench.logs()
    assert time.monotonic() - began < 10
    rejected = [json.loads(value) for value, _ in bench.read("rejected-events")]
    assert len({(r["topic"], r["partition"], r["offset"]) for r in rejected}) == 8
    assert {r["reason"] for r in rejected} == {"not_json"}


def test_kill_9_in_mid_stream_loses_and_doubles_nothing(bench: Bench) -> None:
    source = random.Random(5)
    number = 0
    for life in range(4):
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


def test_sigterm_under_backlog_ends_in_time_and_the_next_worker_goes_on(bench: Bench) -> None:
    bench.write(3, 0, 6_000)
    for life in range(2):
        worker = bench.worker(stretch_s=0.2)
        bench.wait_until_ready(times=life + 1)
        time.sleep(0.3)
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0, bench.logs()
        assert time.monotonic() - began < 10
    assert len(bench.sessions()[0]) < len(bench.expected()), "there was no backlog"
    bench.end(6_000)
    bench.worker()
    bench.wait(len(bench.expected()))
    bench.check()


def test_a_second_worker_joins_is_killed_and_comes_back_on_an_empty_disk(bench: Bench) -> None:
    bench.worker("a")
    bench.wait_until_ready("a")
    bench.write(11, 0, 1_500)
    second = bench.worker("b", stretch_s=0.02)
    for step in range(3, 9):
        bench.write(11 + step, step * 500, step * 500 + 500)
        time.sleep(0.8)
    bench.wait_until_ready("b")
    second.kill()
    second.wait()
    bench.write(31, 4_500, 6_000)
    bench.worker("c")
    bench.write(32, 6_000, 7_000)
    bench.end(7_000)
    bench.wait(len(bench.expected()))
    bench.check()


@pytest.mark.parametrize("stage", ["letters", "sessions", "pages"])
def test_a_crash_between_any_two_writes_loses_and_doubles_nothing(bench: Bench, stage: str) -> None:
    steps = (
        ["folded", "outputs", "stored"]
        if stage == "letters"
        else ["folded", "outputs", "changelog", "stored"]
    )
    number = 0
    for life, step in enumerate(steps):
        worker = bench.worker(crash=f"{stage}:{step}:{3 + life}")
        bench.wait_until_ready(times=life + 1)
        while worker.poll() is None:
            bench.write(40 + number, number, number + 500)
            number += 500
            time.sleep(0.2)
            assert number < 50_000, f"no crash at {step}"
        assert worker.returncode == 9, bench.logs()
        bench.bury(worker)
    bench.end(number)
    bench.worker()
    bench.wait(len(bench.expected()))
    bench.check()
