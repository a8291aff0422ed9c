"""Workers with names of their own in the group: who comes back gets its partitions, and nobody else stops."""

from __future__ import annotations

import signal
import time
from collections import Counter

from tests.agents.toy_bench import Bench

SESSION_S = 60.0
"""Longer than the bench waits for anything: who takes over, did not wait until the group gave someone up."""


def wait_until_counted(bench: Bench) -> None:
    """Until each event is in just one window; in which, may depend on the silence while a worker is away."""
    wanted = {visitor: len(times) for visitor, times in bench.times.items()}
    limit = time.monotonic() + 60
    found: Counter[str] = Counter()
    while found != wanted:
        assert time.monotonic() < limit, (
            f"{found - Counter(wanted)}, {Counter(wanted) - found}\n{bench.logs()}"
        )
        time.sleep(0.3)
        found = Counter()
        for (visitor, _), (_, views) in bench.sessions()[0].items():
            found[visitor] += views


def test_a_worker_that_comes_back_under_its_name_disturbs_nobody(bench: Bench) -> None:
    bench.worker("b", instance="worker-1", session_s=SESSION_S)
    bench.wait_until_ready("b")
    a = bench.worker("a", instance="worker-0", session_s=SESSION_S)
    bench.wait_until_ready("a")
    bench.wait_until_ready("b", times=2)
    bench.write(1, 0, 2_000)
    for begin, way in ((5_000, signal.SIGKILL), (8_000, signal.SIGTERM)):
        taken, undisturbed = bench.log("a").count("took over"), bench.log("b").count("took over")
        a.send_signal(way)
        a.wait(30)
        bench.write(begin, begin, begin + 1_000)
        a = bench.worker("a", instance="worker-0", session_s=SESSION_S)
        bench.wait_until_ready("a", times=taken + 1)
        assert bench.log("b").count("took over") == undisturbed, "the others had to stop and take over anew"
    bench.end(9_000)
    wait_until_counted(bench)


def test_two_workers_that_share_a_name_by_mistake_spoil_nothing(bench: Bench) -> None:
    bench.worker("a", instance="worker-0", session_s=SESSION_S)
    bench.wait_until_ready("a")
    bench.write(1, 0, 1_500)
    bench.worker("twin", instance="worker-0", session_s=SESSION_S)
    bench.wait_until_ready("twin")
    bench.write(2, 5_000, 6_500)
    # One of them, or both, see that someone else writes, and end with 76: their supervisors would start them again.
    limit = time.monotonic() + 5
    while time.monotonic() < limit and all(worker.poll() is None for worker in bench.workers):
        time.sleep(0.1)
    for worker in bench.workers:
        worker.kill()
        worker.wait()
    bench.worker("c", instance="worker-0", session_s=SESSION_S)
    bench.end(6_500)
    wait_until_counted(bench)
