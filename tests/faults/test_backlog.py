"""A worker that dies at every step of a batch, and in worse ways, while it works off a backlog."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from tests.agents.product import shop_events
from tests.faults.bench import Bench
from tests.faults.faults import PLACES, crash, fill_disk, lose_disk, terminate


@pytest.fixture
def bench(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(kafka, tmp_path, shop_events(hours=7, sessions_per_hour=200), random.Random(4))
    yield bench
    bench.close()


def test_dying_in_every_step_of_every_stage_loses_nothing(bench: Bench) -> None:
    bench.traffic.send_share(0.3)
    post = bench.crew.hire("a")
    bench.crew.wait_until_ready(post)
    for number, (stage, step) in enumerate(PLACES):
        bench.traffic.send_share(0.7 / len(PLACES))
        delay_ms = (0, 0, 2)[number % 3]
        assert crash(bench, post, stage, step, count=1 + number % 2, delay_ms=delay_ms), (stage, step)
    verdict = bench.verdict()
    assert verdict.is_equal, verdict


def test_sigterm_an_empty_and_a_full_disk_and_poison_under_backlog(bench: Bench) -> None:
    bench.storm(60)
    bench.traffic.send_share(0.5)
    bench.storm(60)
    bench.crew.wait_until_ready(bench.crew.hire("a"))
    for fault in (terminate, lose_disk, fill_disk, terminate):
        bench.traffic.send_share(0.1)
        bench.inflict(fault.__name__, fault)
    verdict = bench.verdict()
    assert verdict.is_equal, verdict
