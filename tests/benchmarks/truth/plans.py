"""Plans: which faults are planted where."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.truth.faults import Fault, Kind
from tests.benchmarks.truth.habits import DAY, HOUR, TEMPLATES
from tests.benchmarks.truth.verdicts import CLASSES
from tests.benchmarks.truth.worlds import World

GREAT_POINTS, GREAT_MINUTES, SMALL_MINUTES = 0.4, 12 * HOUR, DAY
"""Faults from so many points on last half a day, smaller ones a day."""
PEACE_DAYS = 5
"""From one fault of a page to its next."""


def planted(world: World, points: float) -> list[Fault]:
    """Plan faults of pages from the third day to the last but one, at all hours.

    Each day two pages of every class below 150 views an hour break, and one of the greater ones. More would break
    the site and not its pages.
    """
    rng = np.random.default_rng(world.seed + 1)
    views = world.usual_views()
    free = np.zeros(world.pages)
    minutes = GREAT_MINUTES if points >= GREAT_POINTS else SMALL_MINUTES
    faults: list[Fault] = []
    for day in range(3, world.hours // 24 - 1):
        for low, high in CLASSES:
            pages = np.flatnonzero((low <= views) & (views < high) & (free <= day))
            for page in rng.permutation(pages)[: 2 if low < 150 else 1].tolist():
                faults.append(Fault("page", page, day * DAY + int(rng.integers(0, DAY)), minutes, points))
                free[page] = day + PEACE_DAYS
    return faults


RIGHT_CAUSES: dict[Kind, str] = {
    "page": "page_broke",
    "tag": "tag_broke",
    "bots": "bot_wave",
    "campaign": "campaign_mix",
    "site": "site_change",
    "first_view": "site_change",
    "checkout": "checkout_outage",
}
"""Kinds of faults, and what should be said to be behind them."""
SIZES: dict[Kind, float] = {
    "page": 0.4, "tag": 0.6, "bots": 1.5, "campaign": 4.0, "site": 1.5, "first_view": 1.5, "checkout": 1.5,
}  # fmt: skip
MIXED_MINUTES, MIXED_EVERY = 4 * HOUR, 8 * HOUR
BUSY = 30
"""Pages with fewer views an hour don't break in a mix: it is about causes, not about finding them."""


def mixed(world: World) -> list[Fault]:
    """Plan faults of all kinds by turns, three a day from the third on, four hours each, none beside another."""
    rng = np.random.default_rng(world.seed + 2)
    views = world.usual_views()
    usual = ~np.isin(world.template, [TEMPLATES.index(name) for name in ("cart", "checkout")])
    pages = np.flatnonzero((views >= min(BUSY, views[usual].max())) & usual)
    faults: list[Fault] = []
    for number, begin in enumerate(range(2 * DAY, (world.hours - 8) * HOUR, MIXED_EVERY)):
        kind = list(RIGHT_CAUSES)[number % len(RIGHT_CAUSES)]
        page = int(rng.choice(pages)) if kind in ("page", "tag", "bots", "campaign") else 0
        faults.append(Fault(kind, page, begin + int(rng.integers(0, HOUR)), MIXED_MINUTES, SIZES[kind]))
    return faults
