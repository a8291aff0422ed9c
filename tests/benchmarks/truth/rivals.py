"""Rivals: what people use today, on the same views, told by alerts that can be judged as ours are.

All are silent for the first day, have one alert a page at a time, and hear of a view when its label is known.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import exp, sqrt
from typing import NamedTuple, Protocol

import numpy as np

from schemas.dead_end_alerts import AlertStatus, DeadEndAlert
from schemas.timestamps import format_ms
from streams.cell_regressions import CellRegression
from streams.page_records import context_names, hour_of_week
from streams.settings import MINUTE_MS
from tests.benchmarks.truth.habits import DAY, HOUR, TEMPLATES
from tests.benchmarks.truth.played import SITE, START_MS, Said, minutes_of, name_of
from tests.benchmarks.truth.verdicts import SILENT_DAYS
from tests.benchmarks.truth.views import Views
from tests.benchmarks.truth.worlds import World

LABELLED_AFTER = 6
"""Minutes from the beginning of a minute until the labels of its views are known, as for us."""
STATIC_POINTS, STATIC_VIEWS, STATIC_PAST = 0.15, 20, 100
"""The rule of dashboards: points above the page's average so far, of so many views in an hour; and how many views
an average has at least."""
Z_OPEN, Z_CLOSE, Z_LEAST = 4.0, 1.0, 5.0
"""The z-test: where an alert opens and closes, and how many stalls and non-stalls have to be expected in an hour
(the rule of thumb for when a count is near to normal)."""
EFFECT_VARIANCE = 0.16
"""How much pages differ from their context, as a variance of logits; the same as ours."""


class Rival(Protocol):
    """Tells of an hour's views, in order, which alerts open and which are over."""

    def hour(self, hour: int, views: Views) -> Iterator[Said]:
        """Look at an hour."""


class Alerts:
    """Alerts of a rival: one a page, none on the first day."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._open: dict[int, str] = {}

    def __contains__(self, page: int) -> bool:
        return page in self._open

    def open(self, page: int, minute: int) -> Iterator[Said]:
        """Open one, if there is none."""
        if page not in self._open and minute >= SILENT_DAYS * DAY:
            self._open[page] = f"{self._name} {page} {minute}"
            yield self._said(page, minute, "opened", self._open[page])

    def close(self, page: int, minute: int) -> Iterator[Said]:
        """Resolve it, if there is one."""
        if page in self._open:
            yield self._said(page, minute, "resolved", self._open.pop(page))

    def _said(self, page: int, minute: int, status: AlertStatus, name: str) -> Said:
        at = format_ms(START_MS + minute * MINUTE_MS)
        return Said(
            minute,
            DeadEndAlert(
                id=name,
                alert_id=name,
                revision=1 if status == "opened" else 2,
                status=status,
                page=name_of(page),
                template=TEMPLATES[self._world.template[page]],
                site=SITE,
                scope="page",
                opened_at=at,
                updated_at=at,
                cause="unknown",
                log_evidence=0.0,
                views=0,
                exits=0,
                expected_exits=0.0,
            ),
        )


class StaticRule:
    """Fifteen points or more (≥) above the page's own average so far, in an hour of at least 20 views."""

    def __init__(self, world: World) -> None:
        self._alerts = Alerts(world, "static")
        self._views, self._stalls = np.zeros(world.pages), np.zeros(world.pages)

    def hour(self, hour: int, views: Views) -> Iterator[Said]:
        """Look at all pages when the hour is over and its labels are known."""
        minute = (hour + 1) * HOUR - 1 + LABELLED_AFTER
        pages = len(self._views)
        n = np.bincount(views.page, minlength=pages)
        y = np.bincount(views.page, weights=views.stalled, minlength=pages)
        judged = (n >= STATIC_VIEWS) & (self._views >= STATIC_PAST)
        for page in np.flatnonzero(judged).tolist():
            high = y[page] / n[page] >= self._stalls[page] / self._views[page] + STATIC_POINTS
            yield from (self._alerts.open if high else self._alerts.close)(page, minute)
        self._views += n
        self._stalls += y


class _Minute(NamedTuple):
    minute: int
    views: int
    stalls: int
    expected: float
    variance: float


@dataclass
class _Page:
    """A page of the z-test: its last hour, and what is known of it from before."""

    last: deque[_Minute]
    effect: float = 0.0
    information: float = 0.0


class ZTest:
    """Each minute the page's last hour against its context and its own past; whoever looks so often is peeking.

    The context is our own regression; on top comes the page's effect, a logit, learned from hour to hour by one
    Newton step under a normal prior. Nothing is learned of a page while it has an alert.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._alerts = Alerts(world, "z")
        self._context = CellRegression()
        self._pages: defaultdict[int, _Page] = defaultdict(lambda: _Page(deque()))

    def hour(self, hour: int, views: Views) -> Iterator[Said]:
        """Look at each page in each minute in which it is seen."""
        context, week = self._context, hour_of_week(START_MS + hour * HOUR * MINUTE_MS)
        learned: defaultdict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for minute, page, cells in minutes_of(self._world, views):
            known, template = self._pages[page], TEMPLATES[self._world.template[page]]
            n, y, expected, variance = 0, 0, 0.0, 0.0
            for cell in cells:
                if not cell.views:
                    continue
                names = (template, cell.source, cell.device, cell.first_view, week)
                predicted = context.predict(names, context_names)
                m = 1.0 / (1.0 + exp(-predicted.logit - known.effect))
                n += cell.views
                y += cell.stalls
                expected += cell.views * m
                variance += cell.views * m * (1.0 - m)
                if page not in self._alerts:
                    context.add(predicted, cell.views, cell.stalls)
            context.settle()
            if not n:
                continue
            known.last.append(_Minute(minute, n, y, expected, variance))
            while known.last[0].minute <= minute - HOUR:
                known.last.popleft()
            yield from self._look(page, known.last, minute + LABELLED_AFTER)
            if page not in self._alerts:
                learned[page][0] += y - expected
                learned[page][1] += variance
        for page, (residual, variance) in learned.items():
            known = self._pages[page]
            known.information += variance
            known.effect += residual / (known.information + 1.0 / EFFECT_VARIANCE)

    def _look(self, page: int, last: Iterable[_Minute], minute: int) -> Iterator[Said]:
        _, views, stalls, expected, variance = map(sum, zip(*last, strict=True))
        if min(expected, views - expected) < Z_LEAST:
            return
        z = (stalls - expected) / sqrt(variance)
        if z > Z_OPEN:
            yield from self._alerts.open(page, minute)
        elif z < Z_CLOSE:
            yield from self._alerts.close(page, minute)
