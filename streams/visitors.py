"""Visitors: what is kept of each, the events that may still change a session, in the fields that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import TypeAlias

import msgspec

from schemas.sessions import Session
from schemas.site_events import Exit
from schemas.visitor_events import VisitorIdentity, VisitorInteraction, VisitorOrder, VisitorPageView
from streams.features import Journey

SEPARATOR = "\x1f"
"""Between the parts of a state key: no id holds a control character, so no two things share a key."""

# In an `id`, the digit before the event's id says what it is, so that text order is the canonical order.
_VIEW, _ACTION, _ORDER, _IDENTITY = "0", "1", "2", "3"


class View(msgspec.Struct, array_like=True, tag="v", frozen=True, gc=False):
    """A page view that is kept. `came_from` is the page of the shop that its referrer names."""

    occurred_at: int
    id: str
    page: str
    template: str
    source: str
    device: str
    campaign: str | None = None
    customer_id: str | None = None
    is_bot: bool = False
    came_from: str | None = None


class Action(msgspec.Struct, array_like=True, tag="a", frozen=True, gc=False):
    """An interaction that is kept."""

    occurred_at: int
    id: str
    name: str
    page: str = ""
    seconds: float = 0.0
    customer_id: str | None = None


class Tail(msgspec.Struct, array_like=True, tag="t", gc=False):
    """Clicks of a runaway session beyond those that are kept: when, and how many; nothing else."""

    occurred_at: int
    id: str
    ended_at: int
    views: int
    interactions: int


class Order(msgspec.Struct, array_like=True, tag="o", frozen=True, gc=False):
    """A revision of an order that is kept."""

    occurred_at: int
    id: str
    order_id: str
    revision: int
    status: str
    currency: str
    total: str
    customer_id: str | None = None


class Identity(msgspec.Struct, array_like=True, tag="i", frozen=True, gc=False):
    """An identity event that is kept."""

    occurred_at: int
    id: str
    kind: str
    customer_id: str | None = None


Click: TypeAlias = View | Action | Tail
Fact: TypeAlias = Order | Identity


class Shown(msgspec.Struct, array_like=True):
    """A session as it was last written, and the exit that was counted for it, if any."""

    session: Session
    exit: Exit | None


class Visit(msgspec.Struct, array_like=True):
    """A session of a visitor, as it is cut now, and what has been written of it.

    Attributes
    ----------
    clicks
        How many of the visitor's kept clicks belong to it; visits share them out in order.
    is_closed
        What it is now has been written.
    revision
        Last one written, 0 before the first.
    is_exampled
        Its example has been sent, so from now on its exits are corrected.
    shown
        Only while late events have opened it again: what stands in the topic.
    """

    session_id: str
    started_at: int
    ended_at: int
    clicks: int
    is_closed: bool = False
    revision: int = 0
    is_exampled: bool = False
    shown: Shown | None = None


class Retracted(msgspec.Struct, array_like=True, gc=False):
    """What was written of an id that no session has now; it may come back, and revisions only grow.

    `click_id` is that of the click which began it: as long as it is kept, it may begin a session again.
    """

    revision: int
    is_exampled: bool
    click_id: str


class Tip(msgspec.Struct, array_like=True):
    """What the next click of an open session needs to know, so that it need not go through all before.

    Attributes
    ----------
    views, viewed_at
        Page views so far, and the time of the latest (ms).
    source, device
        Of the session's first view; they name its cells.
    is_settled
        It has purchased or registered: no view after that is a stall.
    is_stalling
        The latest view counts as a stall up to now.
    is_idle
        And nothing has been done on its page yet.
    """

    views: int = 0
    viewed_at: int = 0
    source: str = ""
    device: str = ""
    customer_id: str | None = None
    is_settled: bool = False
    is_stalling: bool = False
    journey: Journey | None = None
    is_idle: bool = False


class Visitor(msgspec.Struct, array_like=True):
    """All that is kept of a visitor.

    Attributes
    ----------
    clicks, facts
        Sorted by (occurred_at, id).
    visits
        The sessions, in order of time.
    tip
        Of the last visit, while it is open.
    deadline_ms
        When to look again; may be too early, never too late. Clicks need not move it, which saves a heap
        entry each.
    """

    clicks: list[Click] = msgspec.field(default_factory=list)
    visits: list[Visit] = msgspec.field(default_factory=list)
    facts: list[Fact] = msgspec.field(default_factory=list)
    tip: Tip | None = None
    deadline_ms: int | None = None
    retracted: dict[str, Retracted] | None = None


def visitor_key(site: str, visitor_id: str) -> str:
    """State key of a visitor of a site."""
    return f"v{site}{SEPARATOR}{visitor_id}"


def named_by(key: str) -> tuple[str, str]:
    """Site and visitor of a state key.

    Examples
    --------
    >>> named_by(visitor_key("shop", "ann"))
    ('shop', 'ann')
    """
    site, _, visitor_id = key[1:].partition(SEPARATOR)
    return site, visitor_id


def kept_view(record: VisitorPageView) -> View:
    """Keep a page view. Words that all visitors share are held once in memory."""
    campaign, came_from = record.campaign, record.came_from
    return View(
        record.occurred_at,
        _VIEW + record.event_id,
        intern(record.page),
        intern(record.template),
        intern(record.source),
        intern(record.device),
        campaign if campaign is None else intern(campaign),
        record.customer_id,
        record.is_bot,
        came_from if came_from is None else intern(came_from),
    )


def kept_action(record: VisitorInteraction) -> Action:
    """Keep an interaction."""
    return Action(
        record.occurred_at,
        _ACTION + record.event_id,
        intern(record.name),
        intern(record.page),
        record.seconds,
        record.customer_id,
    )


def kept_order(record: VisitorOrder) -> Order:
    """Keep a revision of an order."""
    return Order(
        record.occurred_at,
        _ORDER + record.event_id,
        record.order_id,
        record.revision,
        intern(record.status),
        intern(record.currency),
        record.total,
        record.customer_id,
    )


def kept_identity(record: VisitorIdentity) -> Identity:
    """Keep an identity event."""
    return Identity(record.occurred_at, _IDENTITY + record.event_id, intern(record.kind), record.customer_id)


def find_copy(events: Sequence[Click | Fact], event_id: str) -> Click | Fact | None:
    """Event with this `id` that is kept already, or None; some 30 ns an event."""
    for event in events:
        if event.id == event_id:
            return event
    return None


def canonical(event: msgspec.Struct) -> bytes:
    """Canonical JSON (sorted keys, nothing absent) of the fields of an event that sessions are made of.

    Of copies that contradict each other the least counts. The fields that no session depends on (title,
    address, browser, …) take no part: to keep them for the rare copy that contradicts another would double
    the memory of every visitor, and no session would differ.

    Examples
    --------
    >>> canonical(Identity(7, "3e1", "logged_out"))
    b'{"id":"3e1","kind":"logged_out","occurred_at":7}'
    """
    fields = {name: value for name in event.__struct_fields__ if (value := getattr(event, name)) is not None}
    return msgspec.json.encode(fields, order="sorted")
