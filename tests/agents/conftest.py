"""What tests of the runner share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from tests.agents.toy_bench import Bench


@pytest.fixture
def bench(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Bench]:
    """Give toy stages on the shared broker; workers that are left are killed at the end."""
    bench = Bench(kafka, tmp_path)
    yield bench
    bench.close()
