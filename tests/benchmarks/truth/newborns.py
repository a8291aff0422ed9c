"""Newborn pages: some are bad from birth, and have no past to be compared with; most are well.

Of these some are read for ten minutes and more by most of their visitors, who go on then.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import CART, CHECKOUT, DAY, HOUR, TEMPLATES
from tests.benchmarks.truth.played import number_of, play
from tests.benchmarks.truth.verdicts import Experiment, Figures, judge, opened, share
from tests.benchmarks.truth.walks import closed_sessions
from tests.benchmarks.truth.worlds import World, pages_for

NEWBORN_DAYS = 10
BROKEN, BROKEN_VIEWS, POINTS = 8, (15, 50), 0.4
"""How many are bad from birth, by their views an hour, and by how many points of exit probability."""
HEALTHY, HEALTHY_VIEWS = 32, (5, 150)
READERS, READ_PART = 8, 0.6
"""How many of them are read for long, and by which part of their visitors."""
BIRTHS = (2, 7)
"""Days from and until which they are born."""


def newborn_world(seed: int, rate: float, sigma: float) -> World:
    """A shop in which pages are born on every day."""
    rng = np.random.default_rng(seed + 6)
    plain = World(seed, rate, 1, sigma=sigma, pages=pages_for(rate))
    views = plain.usual_views()
    usual = ~np.isin(plain.template, (CART, CHECKOUT))
    usual[: len(TEMPLATES)] = False  # each template has one that is older
    broken = _some(rng, usual & (BROKEN_VIEWS[0] <= views) & (views < BROKEN_VIEWS[1]), BROKEN)
    usual[broken] = False
    healthy = _some(rng, usual & (HEALTHY_VIEWS[0] <= views) & (views < HEALTHY_VIEWS[1]), HEALTHY)
    world = World(
        seed,
        rate,
        24 * NEWBORN_DAYS,
        sigma=sigma,
        pages=plain.pages,
        long_reads=dict.fromkeys(healthy[:READERS], READ_PART),
    )
    for page in broken + healthy:
        world.born[page] = int(rng.integers(BIRTHS[0] * 24, BIRTHS[1] * 24)) * HOUR
    end = world.hours * HOUR
    world.faults = [Fault("page", page, world.born[page], end - world.born[page], POINTS) for page in broken]
    return world


def _some(
    rng: np.random.Generator, which: np.ndarray[tuple[int], np.dtype[np.bool_]], count: int
) -> list[int]:
    found: list[int] = rng.permutation(np.flatnonzero(which))[:count].tolist()
    return found


def _newborns(seed: int, rate: float, sigma: float) -> Figures:
    world = newborn_world(seed, rate, sigma)
    said = play(world, sessions=closed_sessions(world)).said
    found, _ = judge(world.faults, said)
    broken = {fault.value for fault in world.faults}
    about = [number_of(one.alert.page) if one.alert.scope == "page" else -1 for one in opened(said)]
    healthy, readers = set(world.born) - broken, set(world.long_reads)
    return {
        "minutes": [one.opened for one in found],
        "healthy": len(healthy) - len(readers),
        "healthy_blamed": len((healthy - readers) & set(about)),
        "readers": len(readers),
        "readers_blamed": len(readers & set(about)),
        "others_blamed": sum(page not in world.born for page in about),
    }


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    minutes = [one for result in results for one in result["minutes"]]
    soon = [one for one in minutes if one is not None and one <= DAY]
    healthy, blamed, readers, readers_blamed = (
        sum(result[name] for result in results)
        for name in ("healthy", "healthy_blamed", "readers", "readers_blamed")
    )
    return [
        {
            "bad_from_birth": len(minutes),
            "views_an_hour": f"{BROKEN_VIEWS[0]} to {BROKEN_VIEWS[1]}",
            "found_in_24_hours": len(soon),
            "recall": share(len(soon), len(minutes)),
            "median_minutes": statistics.median(soon) if soon else None,
        },
        {
            "healthy_newborns": healthy,
            "blamed": blamed,
            "share": share(blamed, healthy),
            "read_for_long": readers,
            "of_these_blamed": readers_blamed,
            "other_alerts": sum(result["others_blamed"] for result in results),
        },
    ]


EXPERIMENTS = {"newborns": Experiment(_newborns, _pooled)}
