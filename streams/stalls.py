"""Stalls: whether a visitor went on within minutes of a page view, known long before the session ends."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from streams.settings import MINUTE_MS, Settings
from streams.visitors import Fact, Identity, Tail, View
from streams.visits import Assembled, Assembly, place


class CellName(NamedTuple):
    """Where a view is counted: minute and page, and what its context was."""

    minute_ms: int
    page: str
    template: str
    source: str
    device: str
    first_view: bool


class Counts(NamedTuple):
    """Views and how many of them are stalls."""

    views: int
    stalls: int


def minute_of(at: int) -> int:
    """Start of the minute (ms).

    Examples
    --------
    >>> minute_of(119_999), minute_of(-1)
    (60000, -60000)
    """
    return at - at % MINUTE_MS


def settled_at(session: Assembled) -> int | None:
    """When the session first purchased or registered (ms); no view from then on (≥) is a stall."""
    times = [purchase.placed.occurred_at for purchase in session.purchases[:1]]
    times.extend(identity.occurred_at for identity in session.identities if identity.kind == "registered")
    return min(times, default=None)


def continuations(assembly: Assembly, facts: list[Fact], settings: Settings) -> list[tuple[int, str]]:
    """Places of all events that end a stall: page views, orders, registrations, hand-offs and the like."""
    ending = {*settings.continuing_names, *settings.handed_off_names}
    places = [
        place(click)
        for session in assembly.sessions
        for click in session.clicks
        if isinstance(click, View | Tail) or click.name in ending
    ]
    places.extend(place(purchase.placed) for purchase in assembly.purchases)
    places.extend(place(fact) for fact in facts if isinstance(fact, Identity) and fact.kind == "registered")
    places.sort()
    return places


def count_cells(assembly: Assembly, facts: list[Fact], settings: Settings) -> dict[CellName, Counts]:
    """Count the labelled views of a visitor by cell; bots' views have no label.

    A view at t is no stall (y = 0) if an event that ends one follows it in canonical order at ≤ t +
    `stall_after_ms`, or if the session had purchased or registered at ≤ t; else it is one. A view whose
    horizon is not over counts as a stall until it is not: whoever sends the counts waits for the horizon.
    """
    ends = continuations(assembly, facts, settings)
    cells: dict[CellName, Counts] = {}
    for session in assembly.sessions:
        views = session.views
        if not views:
            continue
        first = views[0]
        settled = settled_at(session)
        for view in views:
            if view.is_bot:
                continue
            at = view.occurred_at
            stalls = settled is None or at < settled
            if stalls:
                index = bisect_right(ends, place(view))
                stalls = index == len(ends) or ends[index][0] > at + settings.stall_after_ms
            cell = CellName(
                minute_of(at), view.page, view.template, first.source, first.device, view is first
            )
            before = cells.get(cell, _NONE)
            cells[cell] = Counts(before.views + 1, before.stalls + stalls)
    return cells


def differences(before: dict[CellName, Counts], after: dict[CellName, Counts]) -> dict[CellName, Counts]:
    """Tell what has to be added to `before` to give `after`, in canonical order, without zeros.

    Examples
    --------
    >>> cell = CellName(0, "shop/p", "product", "paid", "mobile", True)
    >>> differences({cell: Counts(2, 1)}, {cell: Counts(2, 0)})[cell]
    Counts(views=0, stalls=-1)
    """
    changed: dict[CellName, Counts] = {}
    for cell in sorted({*before, *after}):
        old, new = before.get(cell, _NONE), after.get(cell, _NONE)
        if old != new:
            changed[cell] = Counts(new.views - old.views, new.stalls - old.stalls)
    return changed


_NONE = Counts(0, 0)
