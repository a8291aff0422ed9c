"""Experiments: worlds with and without faults, and what of them was said rightly, wrongly and how soon."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from tests.benchmarks.truth.credits import credit_of, pooled_credit
from tests.benchmarks.truth.feeds import feed_under, pooled_feeds
from tests.benchmarks.truth.plans import CLASSES, RIGHT_CAUSES, Found, judge, mixed, planted
from tests.benchmarks.truth.played import Played, Said, play
from tests.benchmarks.truth.worlds import DAY, HOUR, Fault, Kind, Noise, World

Figures = dict[str, Any]
Experiment = Callable[[int, float, float], Figures]
"""Seed, sessions an hour and σ to what was found; a pure function of them."""

QUIET_DAYS, FAULT_DAYS, STEP_DAYS = 15, 12, 3
SILENT_DAYS = 1
"""No alert opens so long after the beginning."""
STEPS: tuple[tuple[Kind, int, str, str], ...] = (
    ("site", 0, "site", ""),
    ("device", 1, "device", "mobile"),
    ("first_view", 0, "first_view", "first"),
    ("template", 2, "template", "product"),
    ("source", 2, "source", "paid"),
)
"""Kind of a fault, number of what breaks, and scope and value of the alert that is right."""
STEP_LOGIT, STEP_MINUTES = 1.5, 4 * HOUR


def opened(played: Played) -> list[Said]:
    """Alerts that opened and were not withdrawn."""
    withdrawn = {alert.alert_id for _, alert in played.said if alert.status == "withdrawn"}
    return [
        said for said in played.said if said.alert.status == "opened" and said.alert.alert_id not in withdrawn
    ]


def quiet_under(noise: Noise) -> Experiment:
    """A shop in which nothing is planted: each alert is a false one."""

    def quiet(seed: int, rate: float, sigma: float) -> Figures:
        played = play(World(seed, rate, 24 * QUIET_DAYS, sigma=sigma, noise=noise))
        return _false_alerts(played)

    return quiet


def _false_alerts(played: Played) -> Figures:
    scopes = Counter(said.alert.scope for said in opened(played))
    return {
        "site_weeks": (QUIET_DAYS - SILENT_DAYS) / 7,
        "false_alerts": scopes.total(),
        "by_scope": dict(sorted(scopes.items())),
        "us_per_view": 1e6 * played.seconds / played.views,
    }


def faults_of(points: float) -> Experiment:
    """Faults of pages, of so many points of exit probability."""

    def faults(seed: int, rate: float, sigma: float) -> Figures:
        world = World(seed, rate, 24 * FAULT_DAYS, sigma=sigma)
        world.faults = planted(world, points)
        found, false = judge(world.faults, play(world).said)
        views = world.usual_views()
        classes: dict[str, list[list[int | None]]] = {}
        for low, high in CLASSES:
            some = [one for one in found if low <= views[one.fault.value] < high]
            classes[str(low)] = [[one.opened, one.resolved] for one in some]
        return {"faults": classes, "false_alerts": false}

    return faults


def steps(seed: int, rate: float, sigma: float) -> Figures:
    """Steps of a whole scope: was the first alert the right one, the only one, and after how many minutes."""
    found: dict[str, list[Any]] = {}
    for kind, number, scope, value in STEPS:
        begin = 2 * DAY + 12 * HOUR
        world = World(seed, rate, 24 * STEP_DAYS, sigma=sigma)
        world.faults = [Fault(kind, number, begin, STEP_MINUTES, STEP_LOGIT)]
        alerts = [said for said in opened(play(world)) if said.minute >= begin]
        right = [said for said in alerts if (said.alert.scope, said.alert.value) == (scope, value)]
        found[scope] = [right[0].minute - begin if right else None, len(alerts) - len(right[:1])]
    return {"steps": found}


def causes(seed: int, rate: float, sigma: float) -> Figures:
    """Three faults a day of all kinds: what the alerts said was the cause, at first and at last."""
    world = World(seed, rate, 24 * FAULT_DAYS, sigma=sigma)
    world.faults = mixed(world)
    said = play(world).said
    found: dict[str, list[list[str | None]]] = {kind: [] for kind in RIGHT_CAUSES}
    for fault in world.faults:
        until = fault.begin + fault.minutes
        theirs = [one.alert for one in said if fault.begin <= one.minute <= until]
        names = [alert.alert_id for alert in theirs if alert.status == "opened"]
        gone = {alert.alert_id for alert in theirs if alert.status == "withdrawn"}
        # Of several the one that stood for most: what was withdrawn stands for nothing.
        stood = [alert for alert in theirs if alert.alert_id in names and alert.alert_id not in gone]
        if not stood:
            found[fault.kind].append([None, None])
            continue
        greatest = max(stood, key=lambda alert: alert.exits - alert.expected_exits).alert_id
        revisions = [alert.cause for alert in stood if alert.alert_id == greatest]
        found[fault.kind].append([revisions[0], revisions[-1]])
    return {"causes": found}


EXPERIMENTS: dict[str, Experiment] = {
    "quiet": quiet_under("normal"),
    "heavy": quiet_under("t3"),
    "+40": faults_of(0.4),
    "+20": faults_of(0.2),
    "+10": faults_of(0.1),
    "steps": steps,
    "causes": causes,
    "orders": feed_under("orders"),
    "late-orders": feed_under("late_orders", 10.0),
    "credit": credit_of(),
    "credit-14-days": credit_of(days=14),
    "credit-mixed": credit_of(mixed=True),
}


# ---- pooled over seeds


def pooled(name: str, results: Iterable[Figures]) -> list[Figures]:
    """What the results of several seeds say together, a figure a line."""
    results = list(results)
    if name.startswith("credit"):
        return pooled_credit(results)
    if name in ("orders", "late-orders"):
        return pooled_feeds(name, results)
    if name in ("quiet", "heavy"):
        weeks = sum(result["site_weeks"] for result in results)
        alerts = sum(result["false_alerts"] for result in results)
        scopes: Counter[str] = Counter()
        for result in results:
            scopes.update(result["by_scope"])
        return [
            {"false_alerts_a_week": alerts / weeks, "site_weeks": weeks, "by_scope": dict(scopes)},
            {"us_per_view": statistics.median(result["us_per_view"] for result in results)},
        ]
    if name == "causes":
        return _causes([result["causes"] for result in results])
    if name == "steps":
        return [_step(scope, [result["steps"][scope] for result in results]) for _, _, scope, _ in STEPS]
    return [
        *(_recall(low, high, [pair for result in results for pair in result["faults"][str(low)]])
          for low, high in CLASSES),
        {"false_alerts_beside_faults": sum(result["false_alerts"] for result in results)},
    ]  # fmt: skip


def _causes(results: list[dict[str, list[list[str | None]]]]) -> list[Figures]:
    lines, named, right = [], 0, 0
    for kind, cause in RIGHT_CAUSES.items():
        pairs = [pair for result in results for pair in result[kind]]
        last = Counter(str(last) for _, last in pairs if last is not None)
        named += last.total()
        right += last[cause]
        lines.append(
            {
                "fault": kind,
                "faults": len(pairs),
                "alerts": last.total(),
                "right_at_first": sum(first == cause for first, _ in pairs),
                "right_at_last": last[cause],
                "said_at_last": dict(last.most_common()),
            }
        )
    return [*lines, {"causes_right": right / named if named else None, "alerts": named}]


def _step(scope: str, found: list[list[Any]]) -> Figures:
    minutes = [first for first, _ in found if first is not None]
    return {
        "scope": scope,
        "found": f"{len(minutes)} of {len(found)}",
        "median_minutes": statistics.median(minutes) if minutes else None,
        "most_minutes": max(minutes, default=None),
        "other_alerts": sum(others for _, others in found),
    }


def _recall(low: int, high: int, found: list[list[Any]]) -> Figures:
    minutes = [opened for opened, _ in found if opened is not None]
    resolved = [resolved for _, resolved in found if resolved is not None]
    return {
        "views_an_hour": f"{low} to {high}" if high < 10**6 else f"more than {low}",
        "found": f"{len(minutes)} of {len(found)}",
        "recall": len(minutes) / len(found) if found else None,
        "median_minutes": statistics.median(minutes) if minutes else None,
        "median_minutes_to_resolve": statistics.median(resolved) if resolved else None,
    }


__all__ = ["EXPERIMENTS", "Found", "pooled"]
