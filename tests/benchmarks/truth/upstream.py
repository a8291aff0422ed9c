"""The page before: of pages that lose those who come by one other page, is that one named; and of others none?

Pages on which leaving is being served (account, help) are among them. They have no dead ends, so of them none can
be named.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks.truth.event_stages import EventStages
from tests.benchmarks.truth.events import Delivery
from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import CART, CHECKOUT, DAY, HOUR, USUAL_EXIT
from tests.benchmarks.truth.links import Link
from tests.benchmarks.truth.played import Said, number_of
from tests.benchmarks.truth.verdicts import AFTER, Experiment, Figures, share
from tests.benchmarks.truth.worlds import World, pages_for

DAYS = 7
MINUTES = 12 * HOUR
LINKS = 10
GOALS = (20.0, 150.0)
"""Views an hour of pages that others send visitors to (≥, <), without those."""
SENT = (0.5, 1.0)
"""How many times a page's other views its link brings: a third or a half of all come by it."""
MOST_PART = 0.6
"""Of those who go on from a page hardly more follow one link (≤)."""
POINTS, OWN_POINTS = 0.6, 0.4
UNLINKED = 2
"""So many pages a day break that no link leads to."""
BEHIND, OWN, PLAIN = "behind a link", "for all, with a link", "for all, no link"


def linked_world(seed: int, rate: float, sigma: float) -> World:
    """A shop with links. Each second day each goal breaks, by turns for those who come by the link and for all."""
    world = World(seed, rate, 24 * DAYS, sigma=sigma, pages=pages_for(rate))
    rng = np.random.default_rng(seed + 7)
    views = world.usual_views()
    onward = views * (1 - np.array(USUAL_EXIT)[world.template])
    usual = ~np.isin(world.template, (CART, CHECKOUT))
    links: dict[int, Link] = {}
    goals: list[tuple[int, int]] = []
    for goal in rng.permutation(np.flatnonzero((views >= GOALS[0]) & (views < GOALS[1]) & usual)).tolist():
        taken = {*links, *(to for to, _ in goals)}
        if len(goals) == LINKS or goal in taken:
            continue
        sent = SENT[len(goals) % len(SENT)] * views[goal]
        able = np.flatnonzero((onward * MOST_PART >= sent) & usual)
        pages = [page for page in able.tolist() if page != goal and page not in taken]
        if pages:
            before = int(rng.choice(pages))
            links[before] = Link(goal, float(sent / onward[before]))
            goals.append((goal, before))
    world.links = links
    others = [
        page
        for page in np.flatnonzero((views >= GOALS[0]) & (views < GOALS[1]) & usual).tolist()
        if page not in {*links, *(goal for goal, _ in goals)}
    ]
    for day in range(2, DAYS - 1):
        for number, (goal, before) in enumerate(goals):
            if number % 2 == day % 2:
                begin = day * DAY + int(rng.integers(0, DAY))
                if (number + day) // 2 % 2:
                    world.faults.append(Fault("link", goal, begin, MINUTES, POINTS, by=before))
                else:
                    world.faults.append(Fault("page", goal, begin, MINUTES, OWN_POINTS))
        for page in rng.permutation(others)[:UNLINKED].tolist():
            begin = day * DAY + int(rng.integers(0, DAY))
            world.faults.append(Fault("page", page, begin, MINUTES, OWN_POINTS))
            others.remove(page)
    return world


def _upstream(seed: int, rate: float, sigma: float) -> Figures:
    world = linked_world(seed, rate, sigma)
    said = EventStages().play(world, Delivery()).said
    linked = {link.to for link in world.links.values()}
    found: dict[str, list[Any]] = {BEHIND: [], OWN: [], PLAIN: []}
    theirs: set[str] = set()
    for fault in world.faults:
        kind = BEHIND if fault.kind == "link" else OWN if fault.value in linked else PLAIN
        theirs |= {one.alert.alert_id for one in _about(fault, said)}
        found[kind].append(judge_names(fault, said))
    others = {one.alert.alert_id: one.alert.upstream_page for one in said if one.alert.scope == "page"}
    named = Counter(page is not None for name, page in others.items() if name not in theirs)
    return {"faults": found, "others": named.total(), "others_named": named[True]}


def _about(fault: Fault, said: Sequence[Said]) -> list[Said]:
    """Give the revisions of the first alert about a fault while it is open."""
    theirs = [
        one
        for one in said
        if one.alert.scope == "page"
        and number_of(one.alert.page) == fault.value
        and 0 <= one.minute - fault.begin <= fault.minutes + AFTER
    ]
    names = [one.alert.alert_id for one in theirs if one.alert.status in ("opened", "reopened")]
    return [one for one in theirs if one.alert.alert_id in names[:1]]


def judge_names(fault: Fault, said: Sequence[Said]) -> list[Any]:
    """Tell whether there is an alert about a fault, what it named, and after how many minutes that was right.

    What it named when it opened, last before the repair, and last of all: ``right``, ``other``, or None.
    """
    about = _about(fault, said)
    if not about:
        return [False, None, None, None, None]
    pages = [number_of(one.alert.upstream_page) if one.alert.upstream_page else None for one in about]
    repair = fault.begin + fault.minutes
    before = [page for one, page in zip(about, pages, strict=True) if one.minute < repair]
    right = [one.minute - fault.begin for one, page in zip(about, pages, strict=True) if page == fault.by]
    names = [
        None if page is None else "right" if page == fault.by else "other"
        for page in (pages[0], (before or pages)[-1], pages[-1])
    ]
    return [True, *names, right[0] if right else None]


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    lines: list[Figures] = []
    right, named = 0, 0
    for kind in (BEHIND, OWN, PLAIN):
        faults = [one for result in results for one in result["faults"][kind]]
        alerts = [one for one in faults if one[0]]
        last = Counter(one[3] for one in alerts)
        right += last["right"]
        named += last["right"] + last["other"]
        minutes = [one[4] for one in alerts if one[4] is not None]
        lines.append(
            {
                "broken": kind,
                "faults": len(faults),
                "alerts": len(alerts),
                "right_when_opened": sum(one[1] == "right" for one in alerts),
                "right_before_the_repair": sum(one[2] == "right" for one in alerts),
                "right_at_last": last["right"],
                "another_named": last["other"],
                "none_named": last[None],
                "median_minutes_until_right": statistics.median(minutes) if minutes else None,
            }
        )
    others = sum(result["others"] for result in results)
    others_named = sum(result["others_named"] for result in results)
    lines.append({"broken": "nothing", "alerts": others, "another_named": others_named})
    recall = share(lines[0]["right_at_last"], lines[0]["alerts"])
    return [*lines, {"recall": recall, "precision": share(right, named + others_named)}]


EXPERIMENTS = {"upstream": Experiment(_upstream, _pooled)}
