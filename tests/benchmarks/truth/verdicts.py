"""Verdicts: what was said of a world, held against what is true of it; the same for us and for rivals."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import DAY, HOUR
from tests.benchmarks.truth.played import Said, number_of
from tests.benchmarks.truth.worlds import World

Figures = dict[str, Any]

CLASSES = ((5, 15), (15, 50), (50, 150), (150, 500), (500, 10**9))
"""Pages by their views an hour."""
AFTER = 2 * HOUR
"""So long after its end an alert about a fault is late, not false: labels and noise reach beyond it."""
SILENT_DAYS = 1
"""No alert opens so long after the beginning."""


class Experiment(NamedTuple):
    """Something to be found out.

    Attributes
    ----------
    find
        Seed, sessions an hour and σ to what was found; a pure function of them but for times.
    pool
        What the results of several seeds say together, a figure a line.
    """

    find: Callable[[int, float, float], Figures]
    pool: Callable[[Sequence[Figures]], list[Figures]]


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
        if alert.status in ("opened", "reopened"):
            for one in found:
                since = minute - one.fault.begin
                if number_of(alert.page) == one.fault.value and 0 <= since <= one.fault.minutes + AFTER:
                    if one.opened is None and since <= one.fault.minutes:
                        one.opened = since
                        of_alert[alert.alert_id] = one
                    break
            else:
                false += alert.status == "opened"
        elif alert.status == "resolved" and alert.alert_id in of_alert:
            one = of_alert[alert.alert_id]
            repaired = minute - one.fault.begin - one.fault.minutes
            if repaired >= 0 and one.resolved is None:
                one.resolved = repaired
    return found, false


def opened(said: Iterable[Said]) -> list[Said]:
    """Alerts that opened and were not withdrawn."""
    said = list(said)
    withdrawn = {alert.alert_id for _, alert in said if alert.status == "withdrawn"}
    return [one for one in said if one.alert.status == "opened" and one.alert.alert_id not in withdrawn]


def false_alerts(world: World, said: Iterable[Said]) -> Figures:
    """Alerts about a shop in which nothing is broken: each is a false one."""
    scopes = Counter(one.alert.scope for one in opened(said))
    return {
        "site_weeks": (world.hours * HOUR - SILENT_DAYS * DAY) / (7 * DAY),
        "false_alerts": scopes.total(),
        "by_scope": dict(sorted(scopes.items())),
    }


def faults_found(world: World, said: Sequence[Said]) -> Figures:
    """Minutes until each fault of a page was found and resolved, by the page's views, and false alerts beside."""
    found, false = judge(world.faults, said)
    views = world.usual_views()
    classes = {
        str(low): [[one.opened, one.resolved] for one in found if low <= views[one.fault.value] < high]
        for low, high in CLASSES
    }
    return {"faults": classes, "false_alerts": false}


# ---- pooled over seeds


def false_alerts_a_week(results: Sequence[Figures]) -> Figures:
    """False alerts of several seeds."""
    weeks = sum(result["site_weeks"] for result in results)
    scopes: Counter[str] = Counter()
    for result in results:
        scopes.update(result["by_scope"])
    a_week = share(sum(result["false_alerts"] for result in results), weeks)
    return {"false_alerts_a_week": a_week, "site_weeks": round(weeks, 2), "by_scope": dict(scopes)}


def recalls(results: Sequence[Figures]) -> list[Figures]:
    """Recall and times of several seeds, by the pages' views."""
    lines = [
        _recall(low, high, [pair for result in results for pair in result["faults"][str(low)]])
        for low, high in CLASSES
    ]
    return [*lines, {"false_alerts_beside_faults": sum(result["false_alerts"] for result in results)}]


def _recall(low: int, high: int, found: list[list[Any]]) -> Figures:
    minutes = [first for first, _ in found if first is not None]
    resolved = [last for _, last in found if last is not None]
    return {
        "views_an_hour": f"{low} to {high}" if high < 10**6 else f"more than {low}",
        "found": f"{len(minutes)} of {len(found)}",
        "recall": share(len(minutes), len(found)),
        "median_minutes": statistics.median(minutes) if minutes else None,
        "median_minutes_to_resolve": statistics.median(resolved) if resolved else None,
    }


def share(some: float, of: float) -> float | None:
    """Give what there is of some for each of others; None where there are none.

    >>> share(1, 3), share(0, 0)
    (0.333, None)
    """
    return round(some / of, 3) if of else None


def place_in(low: float, truth: float, high: float) -> float:
    """Tell where a truth is in its interval: −1 at its lower end, 1 at its upper end.

    >>> place_in(10.0, 25.0, 30.0), place_in(10.0, 40.0, 30.0), place_in(5.0, 5.0, 5.0)
    (0.5, 2.0, 0.0)
    """
    reach = max(1e-9, (high - low) / 2)
    return round((truth - (low + high) / 2) / reach, 4)


def coverage(places: Sequence[float]) -> Figures:
    """How many intervals cover the truth, and how many times as wide they would have to be for 90 of 100 to do so.

    >>> coverage([0.1, -0.2, 0.5, 0.3, -0.4, 0.0, 0.2, 0.1, 0.6, -1.5])["as_wide_for_90"]
    0.6
    """
    reaches = sorted(map(abs, places))
    return {
        "intervals": len(places),
        "covered": share(sum(reach <= 1 for reach in reaches), len(places)),
        "truth_below": sum(place < -1 for place in places),
        "truth_above": sum(place > 1 for place in places),
        "as_wide_for_90": round(reaches[ceil(0.9 * len(reaches)) - 1], 3) if reaches else None,
    }
