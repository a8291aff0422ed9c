"""Links: pages that send many of their visitors to one other page, and lose them there when the link breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.views import Floats, Ints


class Link(NamedTuple):
    """Where a page sends visitors, and which part of those who go on from it."""

    to: int
    part: float


def followed(rng: np.random.Generator, links: Mapping[int, Link], before: Ints, page: Ints) -> Ints:
    """Give the pages that visitors go to who would have gone to `page`, where some follow a link.

    >>> rng, links = np.random.default_rng(1), {3: Link(8, 1.0), 4: Link(9, 0.0)}
    >>> followed(rng, links, np.array([3, 4, 5]), np.array([0, 1, 2])).tolist()
    [8, 1, 2]
    """
    luck, to = rng.random(len(page)), page.copy()
    for number, link in links.items():
        to[(before == number) & (luck < link.part)] = link.to
    return to


def lost_behind(faults: Iterable[Fault], minute: Ints, page: Ints, before: Ints) -> Floats:
    """Give the points that links have broken by: of each view, by its page and the page before it (−1 for none)."""
    points = np.zeros(len(page))
    for fault in faults:
        if fault.kind == "link":
            points += fault.size * (fault.at(minute) & (page == fault.value) & (before == fault.by))
    return points
