"""Events that come late, or twice: what that costs in alerts. The same shops, with faults and without, are played
through sessions and pages for each way of delivery."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tests.benchmarks.truth.event_stages import EventStages, same
from tests.benchmarks.truth.events import Delivery
from tests.benchmarks.truth.plans import planted
from tests.benchmarks.truth.verdicts import (
    CLASSES,
    Experiment,
    Figures,
    false_alerts,
    false_alerts_a_week,
    faults_found,
)
from tests.benchmarks.truth.worlds import World, pages_for

DAYS = 7
POINTS = 0.4
PART = 0.05
DELIVERIES = {
    "in time": Delivery(),
    "out of order by up to 9 s": Delivery(late=PART, least_s=1.0, most_s=9.0),
    "late by a minute to 30 hours": Delivery(late=PART),
    "twice, the copy a second to 30 hours later": Delivery(twice=PART, least_s=1.0),
}
"""Time waits for 10 seconds; what comes more than 24 hours later is refused."""


def _deliveries(seed: int, rate: float, sigma: float) -> Figures:
    broken, quiet = {}, {}
    found: dict[str, Figures] = {}
    for name, how in DELIVERIES.items():
        world = World(seed, rate, 24 * DAYS, sigma=sigma, pages=pages_for(rate))
        world.faults = planted(world, POINTS)
        shop = World(seed, rate, 24 * DAYS, sigma=sigma, pages=pages_for(rate))
        broken[name] = EventStages().play(world, how)
        quiet[name] = EventStages().play(shop, how)
        counts = broken[name].counts
        topics = [same([runs["in time"], runs[name]]) for runs in (broken, quiet)]
        found[name] = {
            **faults_found(world, broken[name].said),
            "quiet": false_alerts(shop, quiet[name].said),
            "events": broken[name].events,
            "late": sum(number for (counter, _), number in counts.items() if counter == "late"),
            "too_late": counts["rejected", "too_late"],
            "corrected_minutes": counts["corrected_minutes", ""],
            "as_in_time": {topic: all(one[topic] for one in topics) for topic in topics[0]},
        }
    return found


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    return [{"events_come": name, **_line([result[name] for result in results])} for name in DELIVERIES]


def _line(results: Sequence[Figures]) -> Figures:
    pairs = {low: [pair for result in results for pair in result["faults"][str(low)]] for low, _ in CLASSES}
    whole = [pair for some in pairs.values() for pair in some]
    resolved = [last for _, last in whole if last is not None]
    return {
        **{name: sum(result[name] for result in results) for name in _SUMS},
        **_minutes(whole),
        "median_minutes_to_resolve": statistics.median(resolved) if resolved else None,
        "by_views_an_hour": {f"from {low}": _minutes(some) for low, some in pairs.items() if some},
        "alerts_about_others": sum(result["false_alerts"] for result in results),
        "without_faults": false_alerts_a_week([result["quiet"] for result in results]),
        "as_in_time": {
            topic: all(result["as_in_time"][topic] for result in results)
            for topic in results[0]["as_in_time"]
        },
    }


_SUMS = ("events", "late", "too_late", "corrected_minutes")


def _minutes(pairs: Sequence[Sequence[int | None]]) -> Figures:
    minutes = [first for first, _ in pairs if first is not None]
    return {
        "found": f"{len(minutes)} of {len(pairs)}",
        "median_minutes": statistics.median(minutes) if minutes else None,
    }


EXPERIMENTS = {"deliveries": Experiment(_deliveries, _pooled)}
