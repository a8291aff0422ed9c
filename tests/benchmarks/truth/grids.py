"""Grids: which experiments are made for which shops; a small one by default, and one that takes hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

SEEDS = tuple(range(201, 211))
"""Reported; nothing was chosen on them."""


class Row(NamedTuple):
    """Experiments, sessions an hour, σ, and seeds that are pooled: each with each."""

    names: Sequence[str]
    rates: Sequence[float] = (1000.0,)
    sigmas: Sequence[float] = (0.2,)
    seeds: Sequence[int] = SEEDS[:5]


class Asked(NamedTuple):
    """One result: an experiment on one shop."""

    name: str
    rate: float
    sigma: float
    seed: int


MINUTES = (
    Row(("quiet", "rivals-quiet", "+40", "rivals-+40"), (300.0,), seeds=SEEDS[:2]),
    Row(("steps",), (300.0,), seeds=SEEDS[:1]),
)
HOURS = (
    Row(("quiet",), (300.0, 1000.0), (0.0, 0.2, 0.4), SEEDS),
    Row(("quiet",), (4000.0,), (0.2, 0.4), SEEDS[:3]),
    Row(("quiet",), (10_000.0,), (0.2,), SEEDS[:2]),
    Row(("heavy",), sigmas=(0.4,)),
    Row(("+40", "+20"), (300.0, 1000.0), (0.2, 0.4)),
    Row(("+40", "+20"), (4000.0,), seeds=SEEDS[:2]),
    Row(("+10",)),
    Row(("rivals-quiet",), (300.0, 1000.0), (0.2, 0.4)),
    Row(("rivals-quiet",), (4000.0, 10_000.0), seeds=SEEDS[:2]),
    Row(("rivals-heavy",), sigmas=(0.4,)),
    Row(("rivals-+40", "rivals-+20"), sigmas=(0.2, 0.4)),
    Row(("steps", "deploys", "causes", "newborns", "orders", "late-orders")),
    Row(("sale", "weeks", "drift", "long-reads", "blockers")),
    Row(("intervals-40", "intervals-20", "intervals-scopes", "ranking")),
    Row(("credit", "credit-14-days", "credit-mixed")),
    Row(("deliveries",), (300.0,), seeds=SEEDS[:3]),
    Row(("upstream",)),
)
"""20 site-weeks without faults at 300 and 1,000 sessions an hour, 6 at 4,000 and 4 at 10,000, each with σ .2."""


def pools(rows: Sequence[Row]) -> Iterator[list[Asked]]:
    """Give what is asked, by what is pooled.

    >>> [[asked.seed for asked in pool] for pool in pools([Row(("quiet",), (300.0, 1000.0), seeds=(1, 2))])]
    [[1, 2], [1, 2]]
    """
    for names, rates, sigmas, seeds in rows:
        for name in names:
            for rate in rates:
                for sigma in sigmas:
                    yield [Asked(name, rate, sigma, seed) for seed in seeds]
