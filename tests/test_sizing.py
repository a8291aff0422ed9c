"""The sizing table: made from the figures, and sound where one can reckon by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agents.takeover import RECORDS_IN_MEMORY
from schemas.topics import DAY_MS, TOPICS
from streams.settings import Settings
from tests.agents.product import ROOT
from tests.benchmarks.sizing import (
    EVENTS_PER_S,
    KEPT_DAYS,
    STATE_HOURS,
    load_figures,
    site_ceiling_views_per_s,
    size,
    table,
)

FIGURES = load_figures()


def test_the_page_is_what_the_figures_give() -> None:
    assert (ROOT / "deploy" / "sizing.md").read_text() == table(FIGURES), (
        "run python -m tests.benchmarks.sizing > deploy/sizing.md"
    )


def test_what_the_figures_say_of_the_program_is_so() -> None:
    assert FIGURES["records_in_memory"] == RECORDS_IN_MEMORY
    assert FIGURES["bytes_per_page_view"].keys() <= TOPICS.keys()
    assert Settings().retention_ms == STATE_HOURS * 3_600_000
    kept = {TOPICS[topic].retention_ms for topic in FIGURES["bytes_per_page_view"]} - {None}
    assert kept == {KEPT_DAYS * DAY_MS, 90 * DAY_MS}, "model-reports are kept longer, and next to nothing"


def test_ten_times_the_load_takes_ten_times_the_workers_and_never_less_of_anything() -> None:
    sizes = [size(events, FIGURES) for events in EVENTS_PER_S]
    for less, more in pairwise(sizes):
        for name in ("workers", "partitions", "brokers", "sites", "written_mb_per_s", "broker_disk_tb"):
            assert getattr(less, name) <= getattr(more, name), name
    assert size(1e6, FIGURES).workers == pytest.approx(10 * size(1e5, FIGURES).workers, rel=0.02)


def test_a_load_is_reckoned_as_by_hand() -> None:
    figures = FIGURES | {
        "worker_cpu_s_per_100k_page_views": 60.0,
        "events_per_page_view": 2.0,
        "bytes_per_page_view": {"page-views": 1_000.0, "culdesac-sessions-changelog": 500.0},
    }
    found = size(20_000, figures)
    assert found.views_per_s == 10_000
    assert found.workers == 10, "10,000 views at 0.6 ms are 6 cores, and they run at 60 %"
    assert found.partitions == 32
    assert found.written_mb_per_s == pytest.approx(45), "1,500 bytes, three copies"
    assert found.broker_disk_tb == pytest.approx(10_000 * 86_400 * (7 * 1_000 + 2 * 500) * 3 / 1e12)
    assert found.brokers == 4, "20.7 TB on 8 TB each, filled to 80 %"


def test_the_ceiling_of_a_site_is_that_of_pages_and_models_together() -> None:
    stages = {"intake": 10.0, "sessions": 20.0, "pages": 5.0, "models": 15.0}
    figures = {
        "sparse": {"worker_cpu_s_per_100k_page_views": 100.0, "stage_cpu_s_per_100k_page_views": stages}
    }
    assert site_ceiling_views_per_s(figures, "sparse") == pytest.approx(1_500), "0.4 ms a view, at 60 %"
