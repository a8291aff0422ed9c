"""Later orders: which dead ends of a customer were none, for he bought afterwards, on whatever channel.

All is judged as of an event time: orders, links and sessions of later times say nothing yet. So what is written
depends on what happened when, and not on how partitions interleave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streams.customer_records import Customer, KnownLink, KnownOrder, KnownSession, Later
from streams.visits import by_revision, placing


def judge(customer: Customer, later_ms: int) -> Iterator[tuple[KnownSession, Later | None]]:
    """Find the sessions of which something else holds now than what was written, by end and id, and what it is.

    A dead end is excused by the first order placed after it, if that was at most `later_ms` later. An order counts
    by the time at which it was placed, cancelled afterwards or not, as it does in sessions. A session that is the
    customer's only because its visitor turned out to be him is his no more when that link is taken back.

    Parameters
    ----------
    customer
        As of `seen_ms`; versions of sessions that are of the past are forgotten.
    later_ms
        See `Settings.bought_later_ms`.
    """
    now_ms = customer.seen_ms
    for session in customer.sessions.values():
        versions = session.versions
        while len(versions) > 1 and versions[1].since_ms <= now_ms:
            del versions[0]
    placed: list[KnownOrder] | None = None
    for session in sorted(customer.sessions.values(), key=lambda one: (one.ended_at, one.session_id)):
        version, later = session.versions[0], None
        if (
            version.is_open
            and version.since_ms <= now_ms
            and not (version.is_linked and is_unlinked(customer.links, session, now_ms))
        ):
            if placed is None:
                placed = placed_orders(customer.orders, now_ms)
            order = first_after(placed, session.ended_at, later_ms)
            if order is not None:
                later = Later(
                    session.ended_at, order.order_id, order.channel, order.occurred_at, version.exit
                )
        if later != session.later:
            yield session, later


def placed_orders(orders: Sequence[KnownOrder], now_ms: int) -> list[KnownOrder]:
    """Revisions by which orders were placed, as of an event time (≤), in order of time."""
    revisions: dict[str, list[KnownOrder]] = {}
    for order in orders:
        if order.occurred_at <= now_ms:
            revisions.setdefault(order.order_id, []).append(order)
    found = [placing(sorted(of_one, key=by_revision)) for of_one in revisions.values()]
    return sorted(
        (order for order in found if order is not None), key=lambda order: (order.occurred_at, order.order_id)
    )


def first_after(placed: Sequence[KnownOrder], ended_at: int, later_ms: int) -> KnownOrder | None:
    """First order with ended_at ≤ t ≤ ended_at + `later_ms`.

    Parameters
    ----------
    placed
        In order of time.

    Examples
    --------
    >>> order = KnownOrder(60, "e1", "o1", 1, "placed", "store")
    >>> first_after([order], 60, 0) is order, first_after([order], 50, 10) is order
    (True, True)
    >>> first_after([order], 61, 10), first_after([order], 50, 9)
    (None, None)
    """
    for order in placed:
        if order.occurred_at >= ended_at:
            return order if order.occurred_at <= ended_at + later_ms else None
    return None


def is_unlinked(links: Sequence[KnownLink], session: KnownSession, now_ms: int) -> bool:
    """Whether the last word on a session's visitor, as of an event time (≤), is that he is not the customer."""
    last = None
    for link in links:
        if link.occurred_at <= now_ms and link.visitor_id == session.visitor_id and link.site == session.site:
            last = link
    return last is not None and last.kind == "unlinked"
