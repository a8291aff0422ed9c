"""What the customers stage keeps of a customer: orders, links to browsers, sessions, until each is forgotten."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from sys import intern
from typing import TypeAlias, TypeVar

import msgspec

from schemas.customer_events import CustomerIdentity, CustomerOrder, SessionSummary
from schemas.marks import UNKNOWN_MS
from schemas.site_events import Exit
from streams.visitors import canonical

MAX_ORDERS = 2_000
"""Revisions of orders that are kept of a customer; some 1.5 MB with the longest of ids,"""
MAX_LINKS = 500
"""identities that name a browser,"""
MAX_SESSIONS = 500
"""and sessions; 8 MB with the longest of pages. Beyond that the oldest are forgotten first."""


class KnownOrder(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A revision of an order that is kept."""

    occurred_at: int
    id: str
    order_id: str
    revision: int
    status: str
    channel: str


class KnownLink(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An identity that links a browser to the customer, or unlinks it."""

    occurred_at: int
    id: str
    site: str
    visitor_id: str
    kind: str


class Version(msgspec.Struct, array_like=True, frozen=True):
    """What a session is from an event time on, as far as orders may still change it.

    `is_open` says that it is a dead end of this customer's; `is_linked` that only its visitor's later identity
    makes it so.
    """

    since_ms: int
    ended_at: int
    is_open: bool
    is_linked: bool
    exit: Exit | None


class Later(msgspec.Struct, array_like=True, frozen=True):
    """The order that came after a session, and the end of the session that it excuses."""

    ended_at: int
    order_id: str
    channel: str
    placed_at: int
    exit: Exit | None


class KnownSession(msgspec.Struct, array_like=True):
    """A session of the customer.

    `versions` holds the one of now, at least one, and those of times that have not come yet; `revision` is the last
    one that was written, 0 before the first, and `later` what it said, None if nothing holds.
    """

    session_id: str
    site: str
    visitor_id: str
    versions: list[Version]
    revision: int = 0
    later: Later | None = None

    @property
    def ended_at(self) -> int:
        """When its last click was (ms)."""
        return self.versions[0].ended_at


class Customer(msgspec.Struct, array_like=True):
    """All that is kept of a customer.

    Attributes
    ----------
    orders, links
        Sorted by (occurred_at, id); also those of times that have not come yet.
    sessions
        By id.
    seen_ms
        Event time as of which all was judged last (ms).
    is_stale
        Something has come since that holds from `seen_ms` or earlier on.
    """

    orders: list[KnownOrder] = msgspec.field(default_factory=list)
    links: list[KnownLink] = msgspec.field(default_factory=list)
    sessions: dict[str, KnownSession] = {}
    seen_ms: int = UNKNOWN_MS
    is_stale: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        return not (self.orders or self.links or self.sessions)


STATE_TYPES: dict[str, type] = {"c": Customer}
"""First character of a state key to the type of its record."""

_Fact = TypeVar("_Fact", KnownOrder, KnownLink)
Kept: TypeAlias = KnownOrder | KnownLink


def known_order(record: CustomerOrder) -> KnownOrder:
    """Keep a revision of an order. Words that all orders share are held once in memory."""
    return KnownOrder(
        record.occurred_at,
        record.event_id,
        record.order_id,
        record.revision,
        intern(record.status),
        intern(record.channel),
    )


def known_link(record: CustomerIdentity) -> KnownLink:
    """Keep what an identity says of a browser."""
    return KnownLink(
        record.occurred_at, record.event_id, record.site, record.visitor_id or "", intern(record.kind)
    )


def keep(customer: Customer, facts: list[_Fact], fact: _Fact) -> bool:
    """Keep an order or a link; of copies that contradict each other, the one whose canonical JSON is the least.

    Parameters
    ----------
    facts
        Those of the customer to which it belongs.

    Returns
    -------
    bool
        False if it is a copy, whichever of them is kept.
    """
    copy = next((known for known in facts if known.id == fact.id), None)
    if copy is not None:
        if canonical(fact) >= canonical(copy):
            return False
        facts.remove(copy)
    insort(facts, fact, key=_place)
    customer.is_stale |= fact.occurred_at <= customer.seen_ms
    return copy is None


def keep_summary(customer: Customer, summary: SessionSummary) -> None:
    """Keep what a summary says of a session; it holds from its own time on, not before."""
    session = customer.sessions.get(summary.session_id)
    if session is None:
        if summary.retracted:
            return
        session = customer.sessions[summary.session_id] = KnownSession(
            summary.session_id, summary.site, summary.visitor_id, []
        )
    since_ms = summary.since_ms
    if session.versions:
        since_ms = max(since_ms, session.versions[-1].since_ms)
    is_open = not summary.retracted and summary.exit_reason == "dead_end"
    exit_ = summary.exit if is_open else None
    session.versions.append(Version(since_ms, summary.ended_at, is_open, summary.linked, exit_))
    customer.is_stale |= since_ms <= customer.seen_ms


def times(customer: Customer) -> Iterator[int]:
    """Give the event times from which something of the customer holds, in no order."""
    yield from (fact.occurred_at for fact in customer.orders)
    yield from (fact.occurred_at for fact in customer.links)
    yield from (version.since_ms for session in customer.sessions.values() for version in session.versions)


def next_deadline(customer: Customer, kept_ms: int) -> int:
    """When something begins to hold that does not yet, or the first thing can be forgotten; never before `seen_ms`.

    Parameters
    ----------
    customer
        One of whom something is kept.
    kept_ms
        How long things are kept.
    """
    if customer.is_stale:
        return customer.seen_ms
    oldest = [facts[0].occurred_at for facts in (customer.orders, customer.links) if facts]
    oldest += [session.ended_at for session in customer.sessions.values()]
    forgotten_ms = max(min(oldest) + kept_ms, customer.seen_ms)
    return min(
        (at for at in times(customer) if at > customer.seen_ms and at < forgotten_ms), default=forgotten_ms
    )


def forget(customer: Customer, before_ms: int) -> None:
    """Forget what is of ≤ `before_ms`; a session counts by its end."""
    for facts in (customer.orders, customer.links):
        past = 0
        while past < len(facts) and facts[past].occurred_at <= before_ms:
            past += 1
        del facts[:past]
    sessions = customer.sessions
    for name in [name for name, session in sessions.items() if session.ended_at <= before_ms]:
        del sessions[name]


def drop_beyond_limits(customer: Customer) -> int:
    """Forget the oldest of what is more than is kept of a customer; tell how many."""
    dropped = 0
    for facts, most in ((customer.orders, MAX_ORDERS), (customer.links, MAX_LINKS)):
        surplus = max(0, len(facts) - most)
        del facts[:surplus]
        dropped += surplus
    sessions = customer.sessions
    while len(sessions) > MAX_SESSIONS:
        oldest = min(sessions, key=lambda name: (sessions[name].ended_at, name))
        del sessions[oldest]
        dropped += 1
    return dropped


def _place(fact: Kept) -> tuple[int, str]:
    return fact.occurred_at, fact.id
