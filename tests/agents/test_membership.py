"""Workers with names of their own in the group: who comes back gets its partitions, and nobody else stops."""

from __future__ import annotations

import signal
import time

from tests.agents.toy_bench import Bench

SESSION_S = 60.0
"""Longer than the bench waits for anything: who takes over, did not wait until the group gave someone up."""


def test_a_worker_that_comes_back_under_its_name_disturbs_nobody(bench: Bench) -> None:
    bench.worker("b", instance="worker-1", session_s=SESSION_S)
    bench.wait_until_ready("b")
    a = bench.worker("a", instance="worker-0", session_s=SESSION_S)
    bench.wait_until_ready("a")
    bench.wait_until_ready("b", times=2)
    bench.write(1, 0, 2_000)
    for way in (signal.SIGKILL, signal.SIGTERM):
        taken, undisturbed = bench.log("a").count("took over"), bench.log("b").count("took over")
        a.send_signal(way)
        a.wait(30)
        bench.write(2, 2_000, 3_000)
        a = bench.worker("a", instance="worker-0", session_s=SESSION_S)
        bench.wait_until_ready("a", times=taken + 1)
        assert bench.log("b").count("took over") == undisturbed, "the others had to stop and take over anew"
    bench.end(3_000)
    bench.wait(len(bench.expected()))
    bench.check()


def test_two_workers_that_share_a_name_by_mistake_spoil_nothing(bench: Bench) -> None:
    bench.worker("a", instance="worker-0", session_s=SESSION_S)
    bench.wait_until_ready("a")
    bench.write(1, 0, 1_500)
    bench.worker("twin", instance="worker-0", session_s=SESSION_S)
    bench.wait_until_ready("twin")
    bench.write(2, 1_500, 3_000)
    # One of them, or both, see that someone else writes, and end with 76: their supervisors would start them again.
    limit = time.monotonic() + 5
    while time.monotonic() < limit and all(worker.poll() is None for worker in bench.workers):
        time.sleep(0.1)
    for worker in bench.workers:
        worker.kill()
        worker.wait()
    bench.worker("c", instance="worker-0", session_s=SESSION_S)
    bench.end(3_000)
    bench.wait(len(bench.expected()))
    bench.check()
