"""Order feeds: purchases of which nobody hears, or hears late. No page is to blame for that."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.truth.faults import Fault, Kind
from tests.benchmarks.truth.habits import HOUR
from tests.benchmarks.truth.played import Played, Said, play
from tests.benchmarks.truth.verdicts import Experiment, Figures
from tests.benchmarks.truth.worlds import World, pages_for

DAYS, EVERY, MINUTES = 12, 34 * HOUR, 4 * HOUR
"""A fault every 34 hours, from the third day on: by day and by night, and too late to be the same again."""
AFTER = 4 * HOUR
"""So long after its end an alert may still be about it."""
RIGHT = {"orders": "orders_silent", "late_orders": "orders_late"}


def _feed(kind: Kind, size: float) -> Experiment:
    """Orders that don't come any more, or so many minutes late, for four hours, again and again."""

    def find(seed: int, rate: float, sigma: float) -> Figures:
        world = World(seed, rate, 24 * DAYS, sigma=sigma, pages=pages_for(rate))
        world.faults = [
            Fault(kind, 0, begin, MINUTES, size) for begin in range(48 * HOUR, (24 * DAYS - 12) * HOUR, EVERY)
        ]
        played = play(world)
        return {"feeds": [_about(fault, played) for fault in world.faults]}

    def pool(results: Sequence[Figures]) -> list[Figures]:
        return _pooled(RIGHT[kind], results)

    return Experiment(find, pool)


def _about(fault: Fault, played: Played) -> list[Any]:
    """Minutes until it was said, what was said at last, minutes until it was over, pages and scopes blamed."""
    theirs = [one for one in played.said if 0 <= one.minute - fault.begin <= fault.minutes + AFTER]
    names = [one.alert.alert_id for one in theirs if one.alert.cause in RIGHT.values()]
    named = [one for one in theirs if one.alert.alert_id in names[:1]]
    blamed = [one for one in theirs if one.alert.status == "opened" and one.alert.alert_id not in names]
    over = [one.minute for one in named if one.alert.status == "resolved"]
    return [
        _since(named, fault.begin),
        named[-1].alert.cause if named else None,
        over[0] - fault.begin - fault.minutes if over else None,
        len(blamed),
    ]


def _since(said: list[Said], minute: int) -> int | None:
    return said[0].minute - minute if said else None


def _pooled(cause: str, results: Sequence[Figures]) -> list[Figures]:
    found = [one for result in results for one in result["feeds"]]
    right = [one for one in found if one[1] == cause]
    over = [one[2] for one in right if one[2] is not None]
    return [
        {
            "faults": len(found),
            "named": len(right),
            "median_minutes": statistics.median(one[0] for one in right) if right else None,
            "median_minutes_to_resolve": statistics.median(over) if over else None,
            "others_blamed": sum(one[3] for one in found),
        }
    ]


EXPERIMENTS = {"orders": _feed("orders", 1.0), "late-orders": _feed("late_orders", 10.0)}
