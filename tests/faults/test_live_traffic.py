"""Workers that come, go, die, freeze and have wrong clocks, and a broker that does, while events come in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from tests.faults.bench import Bench
from tests.faults.faults import FAULTS
from tests.faults.scenarios import begin, late_producer, shop, silent_partitions
from tests.faults.switches import STRETCH_S

STRETCHED = {STRETCH_S: "0.2"}
pytestmark = pytest.mark.timeout(900)


FAULTS_IN_TURN = (
    "worker joins",
    "worker frozen, then a zombie",
    "clock an hour fast",
    "broker killed for 10 s",
    "worker joins",
    "kill -9 at any moment",
    "worker leaves",
    "broker restarted with workers",
    "worker killed for good",
)


def test_after_faults_in_live_traffic_all_is_as_replayed(tmp_path: Path) -> None:
    with EmbeddedKafka() as own, Bench(own, tmp_path, shop(2), random.Random(6), None, STRETCHED) as bench:
        begin(bench, 0.05)
        bench.play()
        for fault in FAULTS_IN_TURN:
            bench.inflict(fault, FAULTS[fault])
        verdict = bench.verdict()
        assert verdict.is_equal, verdict


def test_old_events_among_new_ones_are_counted(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    with Bench(kafka, tmp_path, shop(3), random.Random(7)) as bench:
        late_producer(bench)
        assert bench.late
        verdict = bench.verdict()
        assert verdict.is_equal, verdict


def test_time_goes_on_without_silent_partitions_and_then_with_them(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    with Bench(kafka, tmp_path, shop(1), random.Random(8)) as bench:
        silent_partitions(bench)
        verdict = bench.verdict()
        assert verdict.is_equal, verdict
