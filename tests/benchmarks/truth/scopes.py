"""Wider scopes: everything in one of them is worse for some hours, or a template is deployed anew and stays so."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.truth.faults import Fault, Kind
from tests.benchmarks.truth.habits import DAY, HOUR, TEMPLATES
from tests.benchmarks.truth.played import play
from tests.benchmarks.truth.verdicts import Experiment, Figures, opened
from tests.benchmarks.truth.worlds import World, pages_for

STEP_DAYS = 3
STEPS: tuple[tuple[Kind, int, str, str], ...] = (
    ("site", 0, "site", ""),
    ("device", 1, "device", "mobile"),
    ("first_view", 0, "first_view", "first"),
    ("template", 2, "template", "product"),
    ("source", 2, "source", "paid"),
)
"""Kind of a fault, number of what breaks, and scope and value of the alert that is right."""
STEP_LOGIT, STEP_MINUTES = 1.5, 4 * HOUR
DEPLOY_DAYS = 5
DEPLOYS: tuple[tuple[str, float, float], ...] = (
    ("product", 1.0, 1.5),
    ("category", 1.0, 1.5),
    ("content", 0.5, 1.5),
    ("product", 0.0, 2.0),
    ("category", -0.5, 1.5),
)
"""Template, by how much (logit) more leave its pages, and how many times as many visits begin there, from then on.
The last two are no faults: others come, or it is better."""


def step_world(kind: Kind, number: int, seed: int, rate: float, sigma: float) -> World:
    """A shop in which something breaks at noon of the last day."""
    world = World(seed, rate, 24 * STEP_DAYS, sigma=sigma, pages=pages_for(rate))
    begin = (STEP_DAYS - 1) * DAY + 12 * HOUR
    world.faults = [Fault(kind, number, begin, STEP_MINUTES, STEP_LOGIT)]
    return world


def _steps(seed: int, rate: float, sigma: float) -> Figures:
    """Was the first alert the right one, the only one, and after how many minutes."""
    found: dict[str, list[Any]] = {}
    for kind, number, scope, value in STEPS:
        world = step_world(kind, number, seed, rate, sigma)
        found[scope] = _told(world, world.faults[0].begin, scope, value)
    return {"steps": found}


def _told(world: World, begin: int, scope: str, value: str) -> list[Any]:
    """Minutes until the right alert, and how many others there are."""
    alerts = [said for said in opened(play(world).said) if said.minute >= begin]
    right = [said for said in alerts if (said.alert.scope, said.alert.value) == (scope, value)]
    others = Counter(said.alert.scope for said in alerts if said not in right[:1])
    return [right[0].minute - begin if right else None, dict(others)]


def _deploys(seed: int, rate: float, sigma: float) -> Figures:
    """What is said of a template that is another one from some minute on."""
    found = []
    for template, logit, mix in DEPLOYS:
        begin, number = DEPLOY_DAYS // 2 * DAY + 12 * HOUR, TEMPLATES.index(template)
        world = World(seed, rate, 24 * DEPLOY_DAYS, sigma=sigma, pages=pages_for(rate))
        rest = world.hours * HOUR - begin
        world.faults = [Fault("template", number, begin, rest, logit), Fault("mix", number, begin, rest, mix)]
        found.append(_told(world, begin, "template", template))
    return {"deploys": found}


# ---- pooled over seeds


def _pooled_steps(results: Sequence[Figures]) -> list[Figures]:
    return [
        {"scope": scope, **_line([result["steps"][scope] for result in results])} for _, _, scope, _ in STEPS
    ]


def _pooled_deploys(results: Sequence[Figures]) -> list[Figures]:
    return [
        {
            "template": template,
            "logit": logit,
            "visits_begin_there": f"× {mix:g}",
            **_line([result["deploys"][number] for result in results]),
        }
        for number, (template, logit, mix) in enumerate(DEPLOYS)
    ]


def _line(found: list[list[Any]]) -> Figures:
    minutes = [first for first, _ in found if first is not None]
    others: Counter[str] = Counter()
    for _, scopes in found:
        others.update(scopes)
    return {
        "found": f"{len(minutes)} of {len(found)}",
        "median_minutes": statistics.median(minutes) if minutes else None,
        "most_minutes": max(minutes, default=None),
        "other_alerts": others.total(),
        "others_by_scope": dict(others),
    }


EXPERIMENTS = {
    "steps": Experiment(_steps, _pooled_steps),
    "deploys": Experiment(_deploys, _pooled_deploys),
}
