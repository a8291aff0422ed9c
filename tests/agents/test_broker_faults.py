"""A broker that is killed and comes back, and one that hangs: the same worker goes on, and nothing is lost."""

from __future__ import annotations

import time
from pathlib import Path

from agents.broker import EmbeddedKafka
from tests.agents.toy_bench import Bench

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
