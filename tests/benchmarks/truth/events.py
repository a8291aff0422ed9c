"""Events of a world, as visitors' browsers and the shop send them, and how they arrive: in time, late, or twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from math import log
from typing import NamedTuple

import numpy as np

from schemas.visitor_events import VisitorInteraction, VisitorOrder, VisitorPageView
from streams.settings import HOUR_MS, MINUTE_MS, SECOND_MS
from tests.benchmarks.truth.habits import DEVICES, SOURCES, TEMPLATES
from tests.benchmarks.truth.played import SITE, START_MS, name_of
from tests.benchmarks.truth.views import Views
from tests.benchmarks.truth.walks import PRICE
from tests.benchmarks.truth.worlds import World

ENGAGED_S, ORDERED_MS = 5, 500
"""So long after a view something is done on its page, or its order comes."""
STREWN_MS = 50 * SECOND_MS
"""A visit's views are this far from the beginnings of their minutes, or less."""

Record = VisitorPageView | VisitorInteraction | VisitorOrder


class Event(NamedTuple):
    """Something that happened at a time (ms): a view, what was done on its page, or the order after it."""

    at_ms: int
    topic: str
    name: str
    session: int
    page: int
    source: int
    device: int


class Delivery(NamedTuple):
    """How events arrive.

    Attributes
    ----------
    late, twice
        Part of them that comes late, and that comes again; each by itself.
    least_s, most_s
        By how much: the logarithm is spread evenly between these.
    """

    late: float = 0.0
    twice: float = 0.0
    least_s: float = 60.0
    most_s: float = 108_000.0


def events_of(views: Views) -> list[Event]:
    """Give the events of an hour by their times; a view that stalls has an ``engagement`` if anything was done.

    Where a visit goes on, that alone tells that it does: nothing else is sent.
    """
    events: list[Event] = []
    seen: dict[int, int] = {}
    columns = (views.session, views.minute, views.page, views.source, views.device)
    became = (views.bought, views.stalled * (1 - views.unengaged))
    for session, minute, page, source, device, bought, engaged in zip(
        *(column.tolist() for column in (*columns, *became)), strict=True
    ):
        position = seen[session] = seen.get(session, -1) + 1
        at_ms = START_MS + minute * MINUTE_MS + session * 7919 % STREWN_MS + position
        name = f"{session}-{minute}-{position}"
        who = (session, page, source, device)
        events.append(Event(at_ms, "page-views", name, *who))
        if bought:
            events.append(Event(at_ms + ORDERED_MS, "orders", name, *who))
        elif engaged:
            events.append(Event(at_ms + ENGAGED_S * SECOND_MS, "interactions", name, *who))
    events.sort()
    return events


def delivered(world: World, hours: Iterable[tuple[int, Views]], how: Delivery) -> Iterator[tuple[int, Event]]:
    """Yield when each event arrives (ms), and the event, in order of arrival.

    What has not arrived when the world ends never does. The world is the same however its events are delivered.
    """
    rng = np.random.default_rng(world.seed + 6)
    waiting: list[tuple[int, Event]] = []
    for hour, views in hours:
        events = events_of(views)
        is_late, is_twice = rng.random((2, len(events))) < np.array([[how.late], [how.twice]])
        delays = np.exp(rng.uniform(log(how.least_s), log(how.most_s), (2, len(events)))) * SECOND_MS
        for event, late, twice, by, again in zip(
            events, is_late.tolist(), is_twice.tolist(), *delays.astype(np.int64).tolist(), strict=True
        ):
            first_ms = event.at_ms + by * late
            heappush(waiting, (first_ms, event))
            if twice:
                heappush(waiting, (first_ms + again, event))
        until_ms = START_MS + (hour + 1) * HOUR_MS
        while waiting and waiting[0][0] < until_ms:
            yield heappop(waiting)


def record_of(world: World, event: Event, number: int) -> Record:
    """Give an event as intake would pass it on; `number` grows with each."""
    at_ms, topic, name, session, page, source, device = event
    origin, who = (f"{topic}/0", number, 0), f"v{session}"
    if topic == "orders":
        return VisitorOrder(origin, name, who, at_ms, name, "placed", "web", "EUR", PRICE, SITE)
    where, template = name_of(page), TEMPLATES[world.template[page]]
    context = (SOURCES[source], DEVICES[device])
    if topic == "interactions":
        return VisitorInteraction(
            origin, name, who, at_ms, "engagement", SITE, where, template, *context, seconds=ENGAGED_S
        )
    return VisitorPageView(origin, name, who, at_ms, f"https://{where}", where, template, *context, SITE)
