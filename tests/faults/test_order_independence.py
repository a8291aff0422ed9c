"""The same input over any number of partitions and workers, in batches of any size: the same final output."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from schemas.topics import PartitionCounts
from tests.faults.bench import Bench
from tests.faults.scenarios import shop
from tests.faults.switches import UNITS

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("partitions", "workers", "constants", "at_once"),
    [
        (1, 1, "SLICE=1,FOLD_AHEAD=20,STORE_EVERY_S=0.0", 0.3),
        (4, 2, "SLICE=5000,FOLD_AHEAD=100000,STORE_EVERY_S=5.0", 1.0),
        (12, 3, "SLICE=37,FOLD_AHEAD=500", 0.6),
    ],
)
def test_equal_output_over(
    kafka: EmbeddedKafka, tmp_path: Path, partitions: int, workers: int, constants: str, at_once: float
) -> None:
    counts = PartitionCounts(inputs=partitions, visitors=partitions, customers=partitions, outputs=partitions)
    with Bench(kafka, tmp_path, shop(2), random.Random(1), counts, {UNITS: constants}) as bench:
        bench.traffic.send_share(at_once)
        posts = [bench.crew.hire(name) for name in "abc"[:workers]]
        for post in posts:
            bench.crew.wait_until_ready(post)
        while bench.traffic.left:
            bench.traffic.send_share(0.1)
            bench.pass_time(0.0, 0.5)
        verdict = bench.verdict()
        assert verdict.is_equal, verdict
