"""Stalls: whether a visitor went on within minutes of a page view, known long before the session ends."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from streams.settings import MINUTE_MS, Settings
from streams.visitors import Action, Fact, Identity, Tail, View
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
    """What is counted of a cell; see `Cell`."""

    views: int
    stalls: int
    idle: int = 0
    orphans: int = 0
    orders: int = 0


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

    A stall is idle if no interaction at all follows it in canonical order at ≤ t + `stall_after_ms`. A session
    whose first view comes from a page of the shop counts as an orphan of that page. An order counts for the view
    that it ends the horizon of.
    """
    ends = continuations(assembly, facts, settings)
    orders = {place(purchase.placed) for purchase in assembly.purchases}
    actions = [
        place(click) for session in assembly.sessions for click in session.clicks if isinstance(click, Action)
    ]
    horizon_ms = settings.stall_after_ms
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
            at, where = view.occurred_at, place(view)
            stalls = settled is None or at < settled
            idle = orders_ = False
            if stalls:
                next_ = _next(ends, where, at + horizon_ms)
                stalls, orders_ = next_ is None, next_ in orders
                idle = stalls and _next(actions, where, at + horizon_ms) is None
            cell = CellName(
                minute_of(at), view.page, view.template, first.source, first.device, view is first
            )
            seen, stalled, idled, orphans, ordered = cells.get(cell, _NONE)
            cells[cell] = Counts(seen + 1, stalled + stalls, idled + idle, orphans, ordered + orders_)
        orphan = orphan_of(first)
        if orphan is not None:
            cells[orphan] = add(cells.get(orphan, _NONE), Counts(0, 0, 0, 1))
    return cells


def orphan_of(first: View) -> CellName | None:
    """Cell that the first view of a session counts in as an orphan, if it says that it comes from a page."""
    if first.came_from is None or first.is_bot:
        return None
    return CellName(minute_of(first.occurred_at), first.came_from, "", "", "", False)


def add(some: Counts, more: Counts) -> Counts:
    """Sum of two counts.

    >>> add(Counts(3, 2, 1), Counts(1, 0, 0, 4))
    Counts(views=4, stalls=2, idle=1, orphans=4, orders=0)
    """
    return Counts(*map(int.__add__, some, more))


def differences(before: dict[CellName, Counts], after: dict[CellName, Counts]) -> dict[CellName, Counts]:
    """Tell what has to be added to `before` to give `after`, in canonical order, without zeros.

    Examples
    --------
    >>> cell = CellName(0, "shop/p", "product", "paid", "mobile", True)
    >>> differences({cell: Counts(2, 1)}, {cell: Counts(2, 0)})[cell]
    Counts(views=0, stalls=-1, idle=0, orphans=0, orders=0)
    """
    changed: dict[CellName, Counts] = {}
    for cell in sorted({*before, *after}):
        old, new = before.get(cell, _NONE), after.get(cell, _NONE)
        if old != new:
            changed[cell] = Counts(*map(int.__sub__, new, old))
    return changed


def _next(places: list[tuple[int, str]], where: tuple[int, str], until_ms: int) -> tuple[int, str] | None:
    """First of the sorted places behind this one and up to a time (≤)."""
    index = bisect_right(places, where)
    return places[index] if index < len(places) and places[index][0] <= until_ms else None


_NONE = Counts(0, 0)
