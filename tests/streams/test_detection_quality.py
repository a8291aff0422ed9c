"""Bounds on what the detector and the ranking find on a small shop; the benchmark has the figures."""

from statistics import median

import pytest

from tests.benchmarks.dead_ends import Outcome, rank_quality, run
from tests.benchmarks.simulated_cells import Shop, planted


@pytest.fixture(scope="module")
def quiet() -> tuple[Shop, Outcome]:
    shop = Shop(seed=11, sessions_per_hour=250, pages=100)
    return shop, run(shop, days=5)


def test_a_shop_without_faults_has_no_alert_where_the_static_rule_has_dozens(
    quiet: tuple[Shop, Outcome],
) -> None:
    _, outcome = quiet
    assert outcome.false_alerts == 0
    assert outcome.static_alerts > 50


def test_the_ranking_finds_the_worst_pages_better_than_exits_or_exit_rates(
    quiet: tuple[Shop, Outcome],
) -> None:
    quality = rank_quality(*quiet)
    assert quality["rank_score"] >= 0.75
    assert quality["rank_score"] > quality["exits"] + 0.2
    assert quality["rank_score"] > quality["exit_rate"] + 0.2
    assert quality["covered"] >= 0.88


def test_pages_that_lose_forty_points_more_are_found_and_the_others_stay_silent() -> None:
    shop = Shop(seed=12, sessions_per_hour=250, pages=100)
    shop.faults = planted(shop, 0.4, days=6)
    outcome = run(shop, days=6)
    busy = [fault for fault in shop.faults if shop.views_per_hour[fault.page] >= 15]
    found = [fault.found_minutes for fault in busy if fault.found_minutes is not None]
    ends = [fault.resolved_minutes for fault in busy if fault.resolved_minutes is not None]
    assert outcome.false_alerts <= 1
    assert len(found) == len(busy) >= 6
    assert median(found) < 240
    assert len(ends) >= 0.6 * len(busy)
    assert median(ends) < 180
