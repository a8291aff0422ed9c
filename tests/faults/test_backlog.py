"""A worker that dies at every step of a batch, and in worse ways, while it works off a backlog."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from tests.faults.bench import Bench
from tests.faults.faults import DELAYS_MS, PLACES, crash, fill_disk, kill, lose_disk, terminate
from tests.faults.scenarios import shop
from tests.faults.switches import STRETCH_S

pytestmark = pytest.mark.timeout(900)


def test_dying_in_every_step_of_every_stage_loses_nothing(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with Bench(kafka, tmp_path, shop(0), random.Random(4), bury=True) as bench:
        bench.traffic.send_share(0.1)
        post = bench.crew.hire("a")
        bench.crew.wait_until_ready(post)
        crash(bench, post, [(*place, 1 + n % 2, DELAYS_MS[n % 3]) for n, place in enumerate(PLACES)])
        verdict = bench.verdict()
        assert verdict.is_equal, verdict


def test_kills_sigterm_poison_an_empty_and_a_full_disk_under_backlog(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    with Bench(kafka, tmp_path, shop(1), random.Random(5), None, {STRETCH_S: "0.3"}) as bench:
        bench.storm(50)
        bench.traffic.send_share(0.5)
        bench.storm(50)
        bench.crew.wait_until_ready(bench.crew.hire("a"))
        for fault in (kill, terminate, lose_disk, fill_disk):
            bench.traffic.send_share(0.1)
            bench.inflict(fault.__name__, fault)
        verdict = bench.verdict()
        assert verdict.is_equal, verdict
