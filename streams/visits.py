"""Visits: how a visitor's events fall into sessions, as a function of the set of them and nothing else."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol, TypeVar

from streams.settings import Settings
from streams.visitors import (
    SEPARATOR,
    Click,
    Fact,
    Identity,
    Order,
    Retracted,
    Tail,
    View,
    Visit,
    Visitor,
)

CLICKS_PER_VIEW = 4
"""A session is capped, too, when it has more than this times `max_views` clicks of any kind."""
MAX_CLICKS = 8_000
"""Clicks that are kept of a visitor, in all sessions that may still change; 9 MB with the longest of ids."""
MAX_FACTS = 2_000
"""Orders and identities that are kept of a visitor; 4 MB with the longest of ids."""


class Purchase(NamedTuple):
    """An order of a visitor: the revision by which it was placed, and the one that holds at the time asked for."""

    placed: Order
    latest: Order


class Assembled(NamedTuple):
    """A session with all that belongs to it. Equal ones give equal sessions.

    Attributes
    ----------
    clicks, views, purchases, identities
        Each in order of time; `views` are those among the clicks.
    is_cut
        It ended by its length only: the next session goes on without a pause.
    is_returning
        Another session of the visitor ended at most the retention before it.
    """

    session_id: str
    started_at: int
    ended_at: int
    clicks: tuple[Click, ...]
    views: tuple[View, ...]
    purchases: tuple[Purchase, ...]
    identities: tuple[Identity, ...]
    is_cut: bool
    is_returning: bool

    @property
    def tail(self) -> Tail | None:
        """Clicks that were not kept, if the session is capped."""
        last = self.clicks[-1]
        return last if isinstance(last, Tail) else None


class Assembly(NamedTuple):
    """All sessions of a visitor in order of time, all purchases, and facts that belong to no session."""

    sessions: list[Assembled]
    purchases: list[Purchase]
    loose: list[Fact]


def session_id(site: str, visitor_id: str, first: Click) -> str:
    """Id of the session of a visitor that begins with this click: 20 hexadecimal digits.

    The click's `id` tells its topic, so a page view and an interaction of one event id name two sessions. Its
    time takes part, since a producer that counts its event ids anew each day would overwrite yesterday's.
    """
    name = f"{site}{SEPARATOR}{visitor_id}{SEPARATOR}{first.id}{SEPARATOR}{first.occurred_at}"
    return blake2b(name.encode(), digest_size=10).hexdigest()


def place(event: Click | Fact) -> tuple[int, str]:
    """Where an event stands in canonical order: time, then page views before interactions, then event id."""
    return event.occurred_at, event.id


def insert(visitor: Visitor, event: Click | Fact) -> None:
    """Keep one more event; `resegment` has to follow."""
    if isinstance(event, Order | Identity):
        insort(visitor.facts, event, key=place)
    else:
        insort(visitor.clicks, event, key=place)


def remove(visitor: Visitor, event: Click | Fact) -> None:
    """Keep an event no more; `resegment` has to follow."""
    if isinstance(event, Order | Identity):
        visitor.facts.remove(event)
    else:
        visitor.clicks.remove(event)


def segment(clicks: Sequence[Click], gap_ms: int, max_length_ms: int) -> list[list[Click]]:
    """Cut clicks in order of time into sessions, from the earliest on.

    A click belongs to the running session if it comes ≤ `gap_ms` after its last and ≤ `max_length_ms` after
    its first click.

    Examples
    --------
    >>> from streams.visitors import Action
    >>> clicks = [Action(at, f"1e{at}", "error") for at in (0, 10, 21, 30, 40)]
    >>> [[click.occurred_at for click in session] for session in segment(clicks, 10, 15)]
    [[0, 10], [21, 30], [40]]
    """
    sessions: list[list[Click]] = []
    started_at = ended_at = 0
    for click in clicks:
        at = click.occurred_at
        if sessions and at - ended_at <= gap_ms and at - started_at <= max_length_ms:
            sessions[-1].append(click)
            ended_at = max(ended_at, _end(click))
        else:
            sessions.append([click])
            started_at, ended_at = at, _end(click)
    return sessions


def resegment(visitor: Visitor, site: str, visitor_id: str, settings: Settings) -> list[Visit]:
    """Cut a visitor's clicks anew; tell which visits there are no more.

    A visit that begins with the same click as before stays the same, with whatever was written of it.
    """
    known = {visit.session_id: visit for visit in visitor.visits}
    retracted = visitor.retracted or {}
    visits: list[Visit] = []
    kept: list[Click] = []
    for clicks in segment(visitor.clicks, settings.gap_ms, settings.max_length_ms):
        clicks = _capped(clicks, settings.max_views)
        ended_at = max(map(_end, clicks))
        name = session_id(site, visitor_id, clicks[0])
        visit = known.pop(name, None)
        if visit is None:
            visit = Visit(name, clicks[0].occurred_at, ended_at, len(clicks))
            before = retracted.pop(name, None)
            if before is not None:
                visit.revision, visit.is_exampled = before.revision, before.is_exampled
        else:
            visit.started_at, visit.ended_at, visit.clicks = clicks[0].occurred_at, ended_at, len(clicks)
        visits.append(visit)
        kept.extend(clicks)
    visitor.visits, visitor.clicks = visits, kept
    return list(known.values())


def forget_retracted(visitor: Visitor) -> None:
    """Forget retracted ids whose first click is kept no more: they can't come back."""
    if visitor.retracted is not None:
        kept = {click.id for click in visitor.clicks}
        left = {name: old for name, old in visitor.retracted.items() if old.click_id in kept}
        visitor.retracted = left or None


def free(visitor: Visitor, before_ms: int, settings: Settings) -> None:
    """Forget what ended at ≤ `before_ms`: sessions with all their orders and identities, and loose facts."""
    if not visitor.facts:
        # Nothing has to be shared out among the sessions, as for nearly all visitors.
        visits = visitor.visits
        while visits and visits[0].ended_at <= before_ms:
            del visitor.clicks[: visits.pop(0).clicks]
        return
    assembly = assemble(visitor, settings, before_ms)
    past = {id(fact) for fact in assembly.loose if fact.occurred_at <= before_ms}
    past_orders: set[str] = set()
    for session in assembly.sessions:
        if session.ended_at > before_ms:
            break
        del visitor.clicks[: len(session.clicks)]
        del visitor.visits[0]
        past.update(map(id, session.identities))
        past_orders.update(purchase.placed.order_id for purchase in session.purchases)
    visitor.facts = [
        fact
        for fact in visitor.facts
        if id(fact) not in past and not (isinstance(fact, Order) and fact.order_id in past_orders)
    ]


def retract(visitor: Visitor, visit: Visit, first: Click) -> None:
    """Remember what was written of a visit that is no more, and which click began it."""
    if visitor.retracted is None:
        visitor.retracted = {}
    visitor.retracted[visit.session_id] = Retracted(visit.revision, visit.is_exampled, first.id)


class OrderRevision(Protocol):
    """What tells of an order's revision when the order was placed."""

    @property
    def occurred_at(self) -> int:
        """When it happened (ms)."""
        ...

    @property
    def id(self) -> str:
        """Names the event."""
        ...

    @property
    def revision(self) -> int:
        """Grows with each change of the order."""
        ...

    @property
    def status(self) -> str:
        """What the order has come to."""
        ...


_Revision = TypeVar("_Revision", bound=OrderRevision)


def by_revision(order: OrderRevision) -> tuple[int, int, str]:
    """Give the order in which revisions of an order follow each other."""
    return order.revision, order.occurred_at, order.id


def placing(revisions: Sequence[_Revision]) -> _Revision | None:
    """Revision that says when an order was placed; None where that is not known.

    It is the first `placed`, else revision 1 if it is `paid`. A later revision alone says nothing: revisions of
    old orders come days later, and the session that happens then did not buy. An order that was placed counts,
    cancelled later or not.

    Parameters
    ----------
    revisions
        Of one order, at least one, sorted `by_revision`.

    Examples
    --------
    >>> paid = Order(7, "2e1", "o1", 1, "paid", "EUR", "10")
    >>> cancelled = Order(9, "2e2", "o1", 2, "cancelled", "EUR", "10")
    >>> placing([paid, cancelled]) is paid, placing([cancelled])
    (True, None)
    """
    placed = next((order for order in revisions if order.status == "placed"), revisions[0])
    if placed.status == "placed" or (placed.status == "paid" and placed.revision <= 1):
        return placed
    return None


def purchases_of(facts: Sequence[Fact], now_ms: int) -> list[Purchase]:
    """Orders of which it is known when they were placed, by that time.

    A later revision (a refund, say) holds from its own time on (≤ `now_ms`), however early it was read: what
    is written of a session must not depend on how far the watermark jumps.

    Which revision says that: see `placing`.
    """
    orders: dict[str, list[Order]] = {}
    for fact in facts:
        if isinstance(fact, Order):
            orders.setdefault(fact.order_id, []).append(fact)
    purchases: list[Purchase] = []
    for revisions in orders.values():
        revisions.sort(key=by_revision)
        placed = placing(revisions)
        if placed is not None:
            latest = next((order for order in reversed(revisions) if order.occurred_at <= now_ms), placed)
            purchases.append(Purchase(placed, latest))
    purchases.sort(key=lambda purchase: (purchase.placed.occurred_at, purchase.placed.order_id))
    return purchases


def assemble(visitor: Visitor, settings: Settings, now_ms: int) -> Assembly:
    """Share out a visitor's events among the visits, as known at an event time.

    An order or identity belongs to the latest visit with started_at ≤ t ≤ ended_at + `order_wait_ms`; an
    order by the time it was placed, and all its revisions with it.
    """
    purchases = purchases_of(visitor.facts, now_ms) if visitor.facts else []
    bought: dict[str, list[Purchase]] = {}
    identified: dict[str, list[Identity]] = {}
    attached: set[str] = set()
    for purchase in purchases:
        visit = _visit_at(visitor.visits, purchase.placed.occurred_at, settings.order_wait_ms)
        if visit is not None:
            bought.setdefault(visit.session_id, []).append(purchase)
            attached.add(purchase.placed.order_id)
    loose: list[Fact] = []
    for fact in visitor.facts:
        if isinstance(fact, Identity):
            visit = _visit_at(visitor.visits, fact.occurred_at, settings.order_wait_ms)
            if visit is not None:
                identified.setdefault(visit.session_id, []).append(fact)
            else:
                loose.append(fact)
        elif fact.order_id not in attached:
            loose.append(fact)
    sessions: list[Assembled] = []
    start = 0
    visits = visitor.visits
    for index, visit in enumerate(visits):
        stop = start + visit.clicks
        following = visits[index + 1] if index + 1 < len(visits) else None
        clicks = tuple(visitor.clicks[start:stop])
        sessions.append(
            Assembled(
                visit.session_id,
                visit.started_at,
                visit.ended_at,
                clicks,
                tuple([click for click in clicks if isinstance(click, View)]),
                tuple(bought.get(visit.session_id, ())),
                tuple(identified.get(visit.session_id, ())),
                following is not None and following.started_at - visit.ended_at <= settings.gap_ms,
                index > 0 and visits[index - 1].ended_at >= visit.started_at - settings.retention_ms,
            )
        )
        start = stop
    return Assembly(sessions, purchases, loose)


def _visit_at(visits: Sequence[Visit], at: int, wait_ms: int) -> Visit | None:
    for visit in reversed(visits):
        if visit.started_at <= at:
            return visit if at <= visit.ended_at + wait_ms else None
    return None


def _end(click: Click) -> int:
    return click.ended_at if isinstance(click, Tail) else click.occurred_at


def _capped(clicks: list[Click], max_views: int) -> list[Click]:
    """Keep the first `max_views` views and what lies between; fold the rest into a tail."""
    views = 0
    limit = CLICKS_PER_VIEW * max_views
    for index, click in enumerate(clicks):
        views += click.__class__ is View
        if views > max_views or index >= limit or (isinstance(click, Tail) and index + 1 < len(clicks)):
            return [*clicks[:index], _tail(clicks[index:])]
    return clicks


def _tail(clicks: Sequence[Click]) -> Tail:
    tail = Tail(clicks[0].occurred_at, clicks[0].id, max(map(_end, clicks)), 0, 0)
    for click in clicks:
        if isinstance(click, Tail):
            tail.views += click.views
            tail.interactions += click.interactions
        elif isinstance(click, View):
            tail.views += 1
        else:
            tail.interactions += 1
    return tail
