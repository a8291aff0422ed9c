"""A world played through the pages stage, from counts as the sessions stage would write them, and what was said."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import numpy as np
from msgspec.structs import replace

from schemas.dead_end_alerts import DeadEndAlert
from schemas.marks import Mark, Progress
from schemas.site_events import Cell, PageMinute, SessionExample
from streams.detection import DetectorSettings
from streams.memory_states import MemoryState
from streams.pages import Pages
from streams.processors import LogProcessor
from streams.settings import MINUTE_MS, Settings
from streams.stages import Output
from tests.benchmarks.truth.habits import DEVICES, HOUR, SOURCES, TEMPLATES
from tests.benchmarks.truth.views import Ints, Views
from tests.benchmarks.truth.worlds import World

START_MS = 1_767_571_200_000
"""Monday, 5 January 2026, 00:00 UTC."""
UPSTREAM = "visitor-events/0"
SITE = "shop"
STEP = 10
"""Minutes after which time is told."""


Counted: TypeAlias = tuple[int, int, list[Cell]]
Late: TypeAlias = tuple[int, Counted]


class Said(NamedTuple):
    """An alert's record, and the minute (since the world's beginning) at which it could be read."""

    minute: int
    alert: DeadEndAlert


@dataclass
class Played:
    """What was said of a world, and what it cost.

    Attributes
    ----------
    views, seconds
        Page views, and CPU seconds of the pages stage.
    """

    said: list[Said] = field(default_factory=list)
    views: int = 0
    seconds: float = 0.0


def name_of(page: int) -> str:
    """Page as the stage sees it."""
    return f"shop.example/p{page}"


def number_of(page: str) -> int:
    """World's number of a page; −1 for none, as where an alert is wider and no page stands out.

    >>> number_of(name_of(12)), number_of("")
    (12, -1)
    """
    return int(page.rpartition("p")[2]) if page else -1


def minutes_of(world: World, views: Views) -> Iterator[Counted]:
    """Yield minute, page and cells, in canonical order."""
    context = (views.source * len(DEVICES) + views.device) * 2 + views.first
    contexts = len(SOURCES) * len(DEVICES) * 2 + 1  # the last: of orphans nothing is known
    key = (views.minute * world.pages + views.page) * contexts + context
    lost = views.orphan_of >= 0
    orphans = (views.minute[lost] * world.pages + views.orphan_of[lost]) * contexts + contexts - 1
    cells, where = np.unique(np.concatenate((key, orphans)), return_inverse=True)
    seen = where[: len(key)]

    def count(what: Ints) -> list[int]:
        counted: list[int] = np.bincount(seen, weights=what, minlength=len(cells)).astype(np.int64).tolist()
        return counted

    idle = views.unengaged * views.stalled
    heard = views.bought * (1 - views.stalled)
    counts = count(np.ones(len(key), dtype=np.int64)), count(views.stalled), count(idle), count(heard)
    of_orphans = np.bincount(where[len(key) :], minlength=len(cells)).tolist()
    last, gathered = -1, list[Cell]()
    for cell, n, y, idled, orders, orphaned in zip(cells.tolist(), *counts, of_orphans, strict=True):
        place, rest = divmod(cell, contexts)
        if place != last and gathered:
            yield last // world.pages, last % world.pages, gathered
            gathered = []
        last = place
        if rest == contexts - 1:
            gathered.append(Cell("", "", False, 0, 0, 0, orphaned))
            continue
        source, device, first = rest // (2 * len(DEVICES)), rest // 2 % len(DEVICES), rest % 2
        gathered.append(Cell(SOURCES[source], DEVICES[device], bool(first), n, y, idled, 0, orders))
    if gathered:
        yield last // world.pages, last % world.pages, gathered


def late_orders_of(world: World, views: Views) -> Iterator[Late]:
    """Yield of each purchase that is heard of late when, and its view's minute, page and cells as a difference."""
    for view in np.flatnonzero(views.late).tolist():
        minute, page = int(views.minute[view]), int(views.page[view])
        source, device = SOURCES[views.source[view]], DEVICES[views.device[view]]
        idle = -int(views.unengaged[view])
        cell = Cell(source, device, bool(views.first[view]), 0, -1, idle, 0, 1)
        yield minute + int(views.late[view]), (minute, page, [cell])


def play(
    world: World,
    settings: Settings | None = None,
    detector: DetectorSettings | None = None,
    hear: Callable[[Views], object] | None = None,
    sessions: Callable[[int, Views], Iterable[SessionExample]] | None = None,
) -> Played:
    """Play a world to its end, and let somebody hear what truly happened, an hour at a time.

    Sessions that end are told only where somebody says which: most figures are about counts a minute.
    """
    settings = settings or Settings()
    processor = LogProcessor(Pages(settings, detector), 0)
    processor.context.state = MemoryState(Pages.state_types)
    played, offset, number, late = Played(), 0, 0, list[Late]()

    def page_minute(minute: int, page: int, cells: list[Cell], correction: bool = False) -> PageMinute:
        nonlocal number
        number += 1
        return PageMinute(
            (UPSTREAM, number, 0),
            SITE,
            name_of(page),
            TEMPLATES[world.template[page]],
            START_MS + minute * MINUTE_MS,
            START_MS + (minute + 1) * MINUTE_MS + settings.stall_after_ms,
            tuple(cells),
            correction,
        )

    for hour, views in world.play():
        played.views += len(views.minute)
        if hear is not None:
            hear(views)
        late = sorted([*late, *late_orders_of(world, views)], key=itemgetter(0))
        minutes = list(minutes_of(world, views))
        closed = list[SessionExample]()
        for session in () if sessions is None else sessions(hour, views):
            number += 1
            closed.append(replace(session, origin=(UPSTREAM, number, 0)))
        outputs: list[Output] = []
        for until in range(hour * HOUR + STEP, (hour + 1) * HOUR + 1, STEP):
            due = bisect_left(minutes, until, key=itemgetter(0))
            heard = bisect_left(late, until, key=itemgetter(0))
            records: list[PageMinute | SessionExample | Mark] = [page_minute(*one) for one in minutes[:due]]
            records += [page_minute(*one, True) for _, one in late[:heard]]
            records.append(Mark(1, (Progress(UPSTREAM, number, START_MS + until * MINUTE_MS),)))
            records, closed = [*closed, *records], []
            minutes, late = minutes[due:], late[heard:]
            began = time.process_time()
            for record in records:
                offset += 1
                outputs += processor.apply_record(offset, START_MS, record)
            played.seconds += time.process_time() - began
        for output in outputs:
            if output.topic == "dead-end-alerts":
                assert isinstance(output.value, DeadEndAlert)
                played.said.append(Said((output.time_ms - START_MS) // MINUTE_MS, output.value))
    return played
