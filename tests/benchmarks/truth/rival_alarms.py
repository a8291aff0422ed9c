"""The same shops as in `alarms`, told of by rivals, and by an oracle that nobody can be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks.truth.alarms import broken_world, quiet_world
from tests.benchmarks.truth.drift_detectors import DriftDetectors, adwin, page_hinkley
from tests.benchmarks.truth.oracles import Oracle
from tests.benchmarks.truth.played import Said
from tests.benchmarks.truth.rivals import Rival, StaticRule, ZTest
from tests.benchmarks.truth.verdicts import (
    Experiment,
    Figures,
    false_alerts,
    false_alerts_a_week,
    faults_found,
    recalls,
)
from tests.benchmarks.truth.worlds import Noise, World

RIVALS: Mapping[str, Callable[[World], Rival]] = {
    "static +15 points": StaticRule,
    "z-test with peeking": ZTest,
    "River ADWIN": lambda world: DriftDetectors(world, "adwin", adwin),
    "River Page-Hinkley": lambda world: DriftDetectors(world, "page-hinkley", page_hinkley),
    "oracle of +40 points": lambda world: Oracle(world, 0.4),
    "oracle of +20 points": lambda world: Oracle(world, 0.2),
}


def told_by_rivals(world: World) -> tuple[dict[str, list[Said]], dict[str, float]]:
    """What each rival says of a world, and its CPU time a view (µs)."""
    rivals = {name: make(world) for name, make in RIVALS.items()}
    said: dict[str, list[Said]] = {name: [] for name in rivals}
    seconds = dict.fromkeys(rivals, 0.0)
    count = 0
    for hour, views in world.play():
        count += len(views.minute)
        for name, rival in rivals.items():
            began = time.process_time()
            said[name].extend(rival.hour(hour, views))
            seconds[name] += time.process_time() - began
    return said, {name: 1e6 * spent / max(1, count) for name, spent in seconds.items()}


def _by_rival(
    make: Callable[[int, float, float], World], judged: Callable[[World, Sequence[Said]], Figures]
) -> Callable[[int, float, float], Figures]:
    def told(seed: int, rate: float, sigma: float) -> Figures:
        world = make(seed, rate, sigma)
        said, us_per_view = told_by_rivals(world)
        return {
            name: {**judged(world, of_rival), "us_per_view": us_per_view[name]}
            for name, of_rival in said.items()
        }

    return told


def _pooled(
    pool: Callable[[Sequence[Figures]], list[Figures]],
) -> Callable[[Sequence[Figures]], list[Figures]]:
    def pooled(results: Sequence[Figures]) -> list[Figures]:
        return [
            {"rival": name, **line} for name in RIVALS for line in pool([result[name] for result in results])
        ]

    return pooled


def _quiet_under(noise: Noise) -> Experiment:
    def world(seed: int, rate: float, sigma: float) -> World:
        return quiet_world(noise, seed, rate, sigma)

    def pool(results: Sequence[Figures]) -> list[Figures]:
        us_per_view = sum(result["us_per_view"] for result in results) / len(results)
        return [{**false_alerts_a_week(results), "us_per_view": round(us_per_view, 2)}]

    return Experiment(_by_rival(world, false_alerts), _pooled(pool))


def _faults_of(points: float) -> Experiment:
    def world(seed: int, rate: float, sigma: float) -> World:
        return broken_world(points, seed, rate, sigma)

    return Experiment(_by_rival(world, faults_found), _pooled(recalls))


EXPERIMENTS = {
    "rivals-quiet": _quiet_under("normal"),
    "rivals-heavy": _quiet_under("t3"),
    "rivals-+40": _faults_of(0.4),
    "rivals-+20": _faults_of(0.2),
}
