"""Session summaries: what the customers stage is told of closed sessions, and of which customer they are.

A session is of the customer whom its own events name. If they name none, it is of the first customer as whom its
visitor registers or logs in afterwards, as long as the session is kept here (`Settings.retention_ms` after it can
change no more); somebody who turns out to be known later than that is not recognised in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.customer_events import SessionSummary
from streams.outcomes import customer_of, shown_as
from streams.revisions import Writing
from streams.stages import Output
from streams.visitors import Identity, Visitor
from streams.visits import Assembled, Assembly, place

LINKING = frozenset(("registered", "logged_in"))
"""Kinds of identities that say which customer a visitor is."""


class Told(NamedTuple):
    """What the customers stage knows of a session: whose it is, by which revision.

    `is_linked` means that only a later identity of its visitor names the customer.
    """

    customer_id: str
    is_linked: bool
    revision: int
    session: Assembled


def summaries_of(visitor: Visitor, assembly: Assembly, now_ms: int) -> dict[str, Told]:
    """Find the closed sessions of known customers, by id: all that the customers stage is to know of a visitor.

    Parameters
    ----------
    visitor, assembly
        With the same sessions.
    now_ms
        Identities after this (>) say nothing yet.
    """
    told: dict[str, Told] = {}
    links: list[Identity] | None = None
    for visit, session in zip(visitor.visits, assembly.sessions, strict=True):
        if not visit.is_closed:
            continue
        customer_id, is_linked = customer_of(session), False
        if customer_id is None and visitor.facts:
            if links is None:
                links = _links(visitor, now_ms)
            customer_id, is_linked = _first_after(links, session.ended_at), True
        if customer_id is not None:
            told[visit.session_id] = Told(customer_id, is_linked, visit.revision, session)
    return told


def tell_customers(
    writing: Writing, visitor: Visitor, before: Mapping[str, Told], after: Assembly
) -> list[Output]:
    """Write summaries of what has been written or whose customer has changed, and take back those of others.

    A session that late events have opened again is taken back until it closes again.

    Parameters
    ----------
    before
        As `summaries_of` gave them before the step.
    after
        All of the visitor's sessions now, as `visitor.visits` has them.
    """
    now = summaries_of(visitor, after, writing.now_ms)
    outputs = []
    for session_id, told in before.items():
        if session_id not in now or now[session_id].customer_id != told.customer_id:
            outputs.append(_summary(writing, told, retracted=True))
    for session_id, told in now.items():
        if session_id not in before or before[session_id][:3] != told[:3]:
            outputs.append(_summary(writing, told))
    return outputs


def _links(visitor: Visitor, now_ms: int) -> list[Identity]:
    """Identities that tell who the visitor is, in order of time."""
    return [
        fact
        for fact in visitor.facts
        if isinstance(fact, Identity)
        and fact.kind in LINKING
        and fact.customer_id is not None
        and fact.occurred_at <= now_ms
    ]


def _first_after(links: list[Identity], ended_at: int) -> str | None:
    later = [link for link in links if link.occurred_at > ended_at]
    return min(later, key=place).customer_id if later else None


def _summary(writing: Writing, told: Told, *, retracted: bool = False) -> Output:
    session = told.session
    shown = shown_as(
        session, writing.site, writing.visitor_id, writing.settings, told.revision, writing.tables
    )
    record = shown.session
    origin = writing.context.origin()
    summary = SessionSummary(
        origin=origin,
        customer_id=told.customer_id,
        session_id=session.session_id,
        visitor_id=writing.visitor_id,
        site=writing.site,
        since_ms=writing.now_ms,
        started_at=session.started_at,
        ended_at=session.ended_at,
        revision=told.revision,
        outcome=record.outcome or "none",
        exit_reason=record.exit_reason or "",
        exit_rule=record.exit_rule or "",
        exit=shown.exit,
        linked=told.is_linked,
        retracted=retracted,
    )
    upstream, offset, number = origin
    return Output(
        "customer-events", told.customer_id, summary, f"{upstream}/{offset}/{number}", writing.now_ms
    )
