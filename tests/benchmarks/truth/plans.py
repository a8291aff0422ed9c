"""Plans: which faults are planted where, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.truth.played import Said, number_of
from tests.benchmarks.truth.worlds import DAY, HOUR, Fault, World

CLASSES = ((5, 15), (15, 50), (50, 150), (150, 500), (500, 10**9))
"""Pages by their views an hour."""
FAULT_MINUTES = 12 * HOUR
AFTER = 2 * HOUR
"""So long after its end an alert about a fault is late, not false: labels and noise reach beyond it."""
PEACE_DAYS = 5
"""Between two faults of a page."""


def planted(world: World, points: float) -> list[Fault]:
    """Plan faults of pages from the third day to the last but one, at all hours.

    Each day two pages of every class below 150 views an hour break, and one of the greater ones. More would break
    the site and not its pages.
    """
    rng = np.random.default_rng(world.seed + 1)
    views = world.usual_views()
    free = np.zeros(world.pages)
    faults: list[Fault] = []
    for day in range(3, world.hours // 24 - 1):
        for low, high in CLASSES:
            pages = np.flatnonzero((low <= views) & (views < high) & (free <= day))
            for page in rng.permutation(pages)[: 2 if low < 150 else 1].tolist():
                faults.append(
                    Fault("page", page, day * DAY + int(rng.integers(0, 12 * HOUR)), FAULT_MINUTES, points)
                )
                free[page] = day + PEACE_DAYS
    return faults


@dataclass
class Found:
    """What became of a fault.

    Attributes
    ----------
    opened
        Minutes from its beginning until an alert could be read; None if none was.
    resolved
        Minutes from the repair until the alert was resolved.
    """

    fault: Fault
    opened: int | None = None
    resolved: int | None = None


def judge(faults: Iterable[Fault], said: Sequence[Said]) -> tuple[list[Found], int]:
    """Tell what became of each fault of a page, and how many alerts opened that were about none."""
    found = [Found(fault) for fault in faults if fault.kind == "page"]
    false = 0
    of_alert: dict[str, Found] = {}
    for minute, alert in said:
        if alert.status == "opened":
            for one in found:
                since = minute - one.fault.begin
                if number_of(alert.page) == one.fault.value and 0 <= since <= one.fault.minutes + AFTER:
                    if one.opened is None and since <= one.fault.minutes:
                        one.opened = since
                        of_alert[alert.alert_id] = one
                    break
            else:
                false += 1
        elif alert.status == "resolved" and alert.alert_id in of_alert:
            one = of_alert[alert.alert_id]
            repaired = minute - one.fault.begin - one.fault.minutes
            if repaired >= 0 and one.resolved is None:
                one.resolved = repaired
    return found, false
