"""A world's sessions, each as the sessions stage would write it when it closes, and what its pages truly did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from schemas.site_events import ExampleView, Exit, SessionExample
from streams.settings import HOUR_MS, MINUTE_MS
from tests.benchmarks.truth.habits import (
    BY_DEVICE,
    BY_SOURCE,
    CART,
    CHECKOUT,
    DEVICES,
    DEVICES_SHARE,
    FIRST_VIEW,
    NEXT,
    SOURCES,
    SOURCES_SHARE,
    TEMPLATES,
)
from tests.benchmarks.truth.played import SITE, START_MS, UPSTREAM, name_of
from tests.benchmarks.truth.views import Floats, Ints, Views
from tests.benchmarks.truth.worlds import World

INTENTS = np.linspace(-4.0, 6.0, 101)
"""Places at which the worth of being on a page is computed."""
PRICE = "40"


@dataclass
class Walk:
    """A session: its pages, when each was shown (ms), the intent before each, and whether it purchased."""

    source: int
    device: int
    pages: list[int] = field(default_factory=list)
    shown_at: list[int] = field(default_factory=list)
    intents: list[float] = field(default_factory=list)
    bought: bool = False


def walks(world: World, hear: Callable[[Views], object] | None = None) -> Iterator[Walk]:
    """Yield sessions as they end; those that nobody ended, an hour after their last view.

    Somebody may hear of each hour's views before.
    """
    open_walks: dict[int, Walk] = {}
    for hour, views in world.play():
        if hear is not None:
            hear(views)
        yield from ended(open_walks, hour, views)


def ended(open_walks: dict[int, Walk], hour: int, views: Views) -> Iterator[Walk]:
    """Add an hour's views to the sessions that are open, and yield those that end."""
    columns = (views.session, views.minute, views.page, views.source, views.device, views.intent)
    ends = (views.left | views.bought, views.bought)
    for session, minute, page, source, device, intent, ends_here, bought in zip(
        *(column.tolist() for column in (*columns, *ends)), strict=True
    ):
        walk = open_walks.get(session)
        if walk is None:
            walk = open_walks[session] = Walk(source, device)
        walk.shown_at.append(START_MS + minute * MINUTE_MS + len(walk.pages))
        walk.pages.append(page)
        walk.intents.append(intent)
        if ends_here:
            walk.bought = bool(bought)
            yield open_walks.pop(session)
    over_ms = START_MS + (hour - 1) * HOUR_MS
    for session in [session for session, walk in open_walks.items() if walk.shown_at[-1] < over_ms]:
        yield open_walks.pop(session)


def closed_sessions(world: World) -> Callable[[int, Views], Iterator[SessionExample]]:
    """Give what turns each hour's views into the sessions that end in it, as they close an hour later."""
    open_walks: dict[int, Walk] = {}
    numbers = count()

    def sessions(hour: int, views: Views) -> Iterator[SessionExample]:
        now_ms = START_MS + hour * HOUR_MS
        for walk in ended(open_walks, hour, views):
            yield example(world, walk, next(numbers), max(now_ms, walk.shown_at[-1] + HOUR_MS))

    return sessions


def example(world: World, walk: Walk, number: int, due_ms: int) -> SessionExample:
    """Give a walk as the session that it is to the pages stage."""
    last = walk.pages[-1]
    reason = "purchased" if walk.bought else "dead_end"
    return SessionExample(
        origin=(UPSTREAM, number, 0),
        site=SITE,
        session_id=f"s{number}",
        due_ms=due_ms,
        source=SOURCES[walk.source],
        device=DEVICES[walk.device],
        is_bot=False,
        returning=False,
        views=tuple(
            ExampleView(at, name_of(page), TEMPLATES[world.template[page]])
            for at, page in zip(walk.shown_at, walk.pages, strict=True)
        ),
        actions=(),
        exit=Exit(
            name_of(last),
            TEMPLATES[world.template[last]],
            reason,
            "purchased" if walk.bought else "none",
            revenue=PRICE if walk.bought else "0",
            currency="EUR" if walk.bought else None,
            orders=int(walk.bought),
        ),
        purchased_at=walk.shown_at[-1] if walk.bought else None,
    )


class Truth:
    """What the first view of a page is worth, by the chain that the world walks: purchases beyond a usual page's.

    The probability of a purchase from each template on, given intent, solves a system of nine equations; other
    drivers that may still be met, and the noise of hours, are left out. A page's effect at an intent is what it
    makes of it (its exit, its drive) less what the pages of its template make of it on average, by popularity.
    """

    def __init__(self, world: World) -> None:
        template, weight = world.template, world.weight
        stay = 1.0 - _usual_exit(world.logit)
        kinds = len(TEMPLATES)
        share = np.zeros((kinds, world.pages))
        for kind in range(kinds):
            some = template == kind
            share[kind, some] = weight[some] / weight[some].sum()
        onward = np.array([_onward(intent, share @ stay) for intent in INTENTS])
        worth = np.empty((len(INTENTS), world.pages))
        for page in range(world.pages):
            moved = np.interp(INTENTS + world.drives[page], INTENTS, onward[:, template[page]])
            worth[:, page] = stay[page] * moved
        self._effects: Floats = worth - (worth @ share.T)[:, template]

    def effect(self, page: Ints, intent: Floats) -> Floats:
        """Purchases that one first view of each page adds."""
        place = np.clip((intent - INTENTS[0]) / (INTENTS[1] - INTENTS[0]), 0, len(INTENTS) - 1.001)
        below = place.astype(np.int64)
        part = place - below
        effects: Floats = (1 - part) * self._effects[below, page] + part * self._effects[below + 1, page]
        return effects


def _usual_exit(logit: Floats) -> Floats:
    """A page's probability of exit, over sources and devices; of later views, as most are."""
    z = logit[:, None, None] + np.array(BY_SOURCE)[:, None] + np.array(BY_DEVICE) + 0.1 * FIRST_VIEW
    exits: Floats = np.einsum(
        "psd,s,d->p", 1 / (1 + np.exp(-z)), np.array(SOURCES_SHARE), np.array(DEVICES_SHARE)
    )
    return exits


def _onward(intent: float, stay: Floats) -> Floats:
    """Probability of a purchase for who has not left a page, by its template."""
    chances = np.array(NEXT)
    chances[:, CART] *= np.exp(intent)
    chances /= chances.sum(axis=1, keepdims=True)
    buys = np.zeros(len(TEMPLATES))
    buys[CHECKOUT] = 1 / (1 + np.exp(-(1 + intent)))
    step = (1 - buys)[:, None] * chances * stay
    solved: Floats = np.linalg.solve(np.eye(len(TEMPLATES)) - step, buys)
    return solved
