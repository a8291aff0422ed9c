"""The page before: broken links lose those who follow them, and what alerts name is held against that."""

from __future__ import annotations

import msgspec
import numpy as np

from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import DAY, HOUR
from tests.benchmarks.truth.links import Link
from tests.benchmarks.truth.played import Said, name_of
from tests.benchmarks.truth.rivals import Alerts
from tests.benchmarks.truth.upstream import judge_names, linked_world
from tests.benchmarks.truth.views import joined
from tests.benchmarks.truth.worlds import World


def test_who_comes_by_a_broken_link_is_lost_and_nobody_else() -> None:
    world = World(4, 300.0, 12, pages=30, links={2: Link(7, 0.5)})
    world.faults = [Fault("link", 7, 4 * HOUR, 8 * HOUR, 0.6, by=2)]
    views = joined([views for _, views in world.play()])
    order = np.lexsort((views.minute, views.session))
    session, page, left = views.session[order], views.page[order], views.left[order]
    came = np.where(np.diff(session, prepend=-1) == 0, np.roll(page, 1), -1)
    goal, broken = page == 7, world.faults[0].at(views.minute[order])
    assert np.count_nonzero(came[goal] == 2) > 100

    def lost(by_link: bool, while_broken: bool) -> float:
        return float(left[goal & ((came == 2) == by_link) & (broken == while_broken)].mean())

    assert lost(True, True) > 0.7
    assert max(lost(True, False), lost(False, True), lost(False, False)) < 0.45


def test_each_goal_breaks_by_turns_for_those_who_follow_its_link_and_for_all() -> None:
    world = linked_world(7, 1000.0, 0.2)
    goals = {link.to: page for page, link in world.links.items()}
    assert len(goals) == 10
    assert not goals.keys() & world.links.keys()
    for goal, before in goals.items():
        theirs = [fault for fault in world.faults if fault.value == goal]
        assert sorted(fault.kind for fault in theirs) == ["link", "page"]
        assert {fault.by for fault in theirs} == {before, -1}
    assert {fault.kind for fault in world.faults if fault.value not in goals} == {"page"}


def _told(names: list[int | None], minute: int) -> list[Said]:
    """An alert about page 7 that names these pages, a revision an hour."""
    ((_, alert),) = Alerts(World(1, 1.0, 1, pages=9), "").open(7, minute)
    pages = [None if name is None else name_of(name) for name in names]
    return [
        Said(minute + HOUR * hour, msgspec.structs.replace(alert, upstream_page=page, revision=hour + 1))
        for hour, page in enumerate(pages)
    ]


def test_a_name_is_right_of_the_link_that_is_broken_and_of_nothing_else() -> None:
    link = Fault("link", 7, 2 * DAY, 12 * HOUR, 0.6, by=2)
    own = Fault("page", 7, 2 * DAY, 12 * HOUR, 0.6)
    begin = 2 * DAY + 30
    assert judge_names(link, _told([None, 2, 2], begin)) == [True, None, "right", "right", 90]
    assert judge_names(link, _told([2, 3], begin)) == [True, "right", "other", "other", 30]
    assert judge_names(own, _told([None, 2], begin)) == [True, None, "other", "other", None]
    # Named after the repair only; and an alert that opened before anything broke.
    assert judge_names(link, _told([None] * 12 + [2], begin)) == [True, None, None, "right", 750]
    assert judge_names(link, _told([2], begin - HOUR)) == [False, None, None, None, None]
