"""Intervals: does an alert's 90 % interval of what was lost cover what its fault has truly cost until then?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.dead_end_alerts import AlertStatus, DeadEndAlert
from tests.benchmarks.truth.alarms import broken_world
from tests.benchmarks.truth.habits import DEVICES, SOURCES, TEMPLATES
from tests.benchmarks.truth.played import Said, number_of, play
from tests.benchmarks.truth.rivals import LABELLED_AFTER
from tests.benchmarks.truth.scopes import STEPS, step_world
from tests.benchmarks.truth.verdicts import Experiment, Figures, coverage, place_in
from tests.benchmarks.truth.views import Views
from tests.benchmarks.truth.worlds import World

STANDING: frozenset[AlertStatus] = frozenset({"opened", "reopened", "updated", "confirmed"})
"""What is said while it lasts."""


class _Seen(NamedTuple):
    """Views of a scope in order: their minutes, and how many of the first n were lost by a fault."""

    minute: npt.NDArray[Any]
    lost: npt.NDArray[np.int64]


class Ledger:
    """What has truly been lost, by scope."""

    def __init__(self) -> None:
        self._hours: list[tuple[npt.NDArray[Any], ...]] = []
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._columns: list[npt.NDArray[Any]] = []

    def hear(self, views: Views) -> None:
        """Book an hour: what is asked for later, in 12 bytes a view."""
        small = (views.source, views.device, views.first, views.caused)
        whole = (views.minute.astype(np.int32), views.page.astype(np.int32))
        self._hours.append((*whole, *(column.astype(np.int8) for column in small)))

    def lost(self, world: World, alert: DeadEndAlert, minute: int) -> int | None:
        """Views that were lost by a fault among those that an alert counts, all until some minute (≤).

        None where the alert does not count whole minutes of its scope up to then: what it says is of another time.
        """
        seen = self._of(world, alert)
        end = int(np.searchsorted(seen.minute, minute, side="right"))
        begin = end - alert.views
        if begin < 0 or (0 < begin < end and seen.minute[begin] == seen.minute[begin - 1]):
            return None
        return int(seen.lost[end] - seen.lost[begin])

    def _of(self, world: World, alert: DeadEndAlert) -> _Seen:
        value = alert.page if alert.scope == "page" else alert.value or ""
        known = self._seen.get((alert.scope, value))
        if known is None:
            if not self._columns:
                self._columns = [np.concatenate(parts) for parts in zip(*self._hours, strict=True)]
            minutes, page, source, device, first, caused = self._columns
            which = np.ones(len(minutes), dtype=np.bool_)
            if alert.scope == "page":
                which = page == number_of(value)
            elif alert.scope == "template":
                which = world.template[page] == TEMPLATES.index(value)
            elif alert.scope == "source":
                which = source == SOURCES.index(value)
            elif alert.scope == "device":
                which = device == DEVICES.index(value)
            elif alert.scope == "first_view":
                which = first == 1
            lost = np.concatenate(([0], np.cumsum(caused[which], dtype=np.int64)))
            known = self._seen[alert.scope, value] = _Seen(minutes[which], lost)
        return known


def _judged(world: World) -> list[list[object]]:
    """Scope, which revision, and where the truth is in the interval: see `place_in`.

    Of every alert the first revision, the last one that stands while the fault does, and those between.
    """
    ledger = Ledger()
    said = play(world, hear=ledger.hear).said
    judged: list[list[object]] = []
    ends = max((fault.begin + fault.minutes for fault in world.faults), default=0)
    by_alert: dict[str, list[Said]] = {}
    for one in said:
        if one.alert.status in STANDING and one.minute <= ends:
            by_alert.setdefault(one.alert.alert_id, []).append(one)
    for revisions in by_alert.values():
        last = _last_while_broken(world, revisions)
        for one in revisions:
            alert, which = one.alert, "between"
            if alert.status in ("opened", "reopened"):
                which = "first"
            elif one is last:
                which = "last"
            lost = ledger.lost(world, alert, one.minute - LABELLED_AFTER)
            place = None
            if lost is not None:
                assert alert.excess_low is not None
                assert alert.excess_high is not None
                place = place_in(alert.excess_low, lost, alert.excess_high)
            judged.append([alert.scope if alert.scope == "page" else "wider", which, place])
    return judged


def _last_while_broken(world: World, revisions: Sequence[Said]) -> Said | None:
    """The last that was said before its page was repaired; of wider scopes, before the only fault was."""
    for one in reversed(revisions):
        for fault in world.faults:
            its = fault.kind != "page" or fault.value == number_of(one.alert.page)
            if its and fault.begin <= one.minute <= fault.begin + fault.minutes:
                return one
    return None


def _of_pages(points: float) -> Experiment:
    def intervals(seed: int, rate: float, sigma: float) -> Figures:
        return {"judged": _judged(broken_world(points, seed, rate, sigma))}

    return Experiment(intervals, _pooled)


def _of_scopes(seed: int, rate: float, sigma: float) -> Figures:
    judged = []
    for kind, number, _, _ in STEPS:
        judged += _judged(step_world(kind, number, seed, rate, sigma))
    return {"judged": judged}


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    judged = [one for result in results for one in result["judged"]]
    lines = []
    for scope in ("page", "wider"):
        for which in ("first", "between", "last"):
            places = [place for s, w, place in judged if s == scope and w == which]
            known = [place for place in places if place is not None]
            what = {"scope": scope, "revision": which, **coverage(known)}
            lines.append(what | {"not_comparable": len(places) - len(known)})
    return lines


EXPERIMENTS = {
    "intervals-40": _of_pages(0.4),
    "intervals-20": _of_pages(0.2),
    "intervals-scopes": Experiment(_of_scopes, _pooled),
}
