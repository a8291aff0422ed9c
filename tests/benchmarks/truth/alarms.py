"""Alarms: what is said of shops in which nothing is broken, and of pages that break."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tests.benchmarks.truth.plans import planted
from tests.benchmarks.truth.played import play
from tests.benchmarks.truth.verdicts import (
    Experiment,
    Figures,
    false_alerts,
    false_alerts_a_week,
    faults_found,
    recalls,
)
from tests.benchmarks.truth.worlds import Noise, World, pages_for

QUIET_DAYS, FAULT_DAYS = 15, 12


def quiet_world(noise: Noise, seed: int, rate: float, sigma: float) -> World:
    """A shop in which nothing is planted."""
    return World(seed, rate, 24 * QUIET_DAYS, sigma=sigma, noise=noise, pages=pages_for(rate))


def broken_world(points: float, seed: int, rate: float, sigma: float) -> World:
    """A shop with pages that lose so many points more of their visitors."""
    world = World(seed, rate, 24 * FAULT_DAYS, sigma=sigma, pages=pages_for(rate))
    world.faults = planted(world, points)
    return world


def _quiet_under(noise: Noise) -> Experiment:
    def quiet(seed: int, rate: float, sigma: float) -> Figures:
        world = quiet_world(noise, seed, rate, sigma)
        played = play(world)
        return {**false_alerts(world, played.said), "us_per_view": 1e6 * played.seconds / played.views}

    return Experiment(quiet, _pooled_quiet)


def _pooled_quiet(results: Sequence[Figures]) -> list[Figures]:
    us_per_view = statistics.median(result["us_per_view"] for result in results)
    return [false_alerts_a_week(results), {"us_per_view": us_per_view}]


def _faults_of(points: float) -> Experiment:
    def faults(seed: int, rate: float, sigma: float) -> Figures:
        world = broken_world(points, seed, rate, sigma)
        return faults_found(world, play(world).said)

    return Experiment(faults, recalls)


EXPERIMENTS = {
    "quiet": _quiet_under("normal"),
    "heavy": _quiet_under("t3"),
    "+40": _faults_of(0.4),
    "+20": _faults_of(0.2),
    "+10": _faults_of(0.1),
}
