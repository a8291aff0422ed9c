"""The customers stage: what a customer did on all channels, and what that says of sessions written before."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from schemas.customer_events import CustomerEvent, CustomerIdentity, CustomerOrder, SessionSummary
from schemas.marks import Mark, Progress
from schemas.rejected_events import Reason
from schemas.session_revisions import SessionRevision
from schemas.site_events import Exit, SessionCorrection
from schemas.timestamps import MAX_MS, MIN_MS, format_ms
from streams.customer_records import (
    STATE_TYPES,
    Customer,
    KnownSession,
    Later,
    drop_beyond_limits,
    forget,
    keep,
    keep_summary,
    known_link,
    known_order,
    next_deadline,
)
from streams.formats import StateFormat
from streams.later_orders import judge
from streams.rejections import refused
from streams.settings import MINUTE_MS, Settings
from streams.stages import EVERY_PARTITION, Context, Output
from streams.visitors import SEPARATOR

LINKS = frozenset(("registered", "logged_in", "unlinked"))
"""Kinds of identities that say whether a browser is the customer's."""


class Customers:
    """Joins a customer's sessions with his orders on all channels.

    Whatever comes waits for its own event time, and is then judged with all that is known as of that time: so the
    results do not depend on how the partitions that feed the log interleave. What comes late is judged with the
    next mark.

    Parameters
    ----------
    settings
        What decides results.
    partitions
        Of the log.
    visitors
        Partitions of ``visitor-events``; with those of the log they feed each partition of ``site-events``.

    Attributes
    ----------
    state_types
        ``c`` and customer: a `Customer`, deleted `Settings.known_ms` after the last thing that was heard of him.
    """

    name = "customers"
    log = "customer-events"
    outputs = ("session-revisions", "site-events", "rejected-events")
    state_types = STATE_TYPES
    state_format = StateFormat(1, {})
    record_type = CustomerEvent

    def __init__(self, settings: Settings, partitions: int, visitors: int) -> None:
        self._later_ms = settings.bought_later_ms
        self._kept_ms = settings.known_ms
        self._upstreams = visitors + partitions

    def step(self, context: Context, record: Any) -> Iterable[Output]:
        """Let an order, an identity or a session wait for its time."""
        key = f"c{record.customer_id}"
        customer: Customer = context.state.get(key) or Customer()
        if isinstance(record, SessionSummary):
            keep_summary(customer, record)
        elif isinstance(record, CustomerIdentity) and (record.visitor_id is None or record.kind not in LINKS):
            return ()
        elif (refusal := self._refusal(context, record)) is not None:
            # What names a visitor, the sessions stage has refused already.
            return () if record.visitor_id is not None else (refused(context, record, *refusal),)
        else:
            self._keep(context, customer, record)
        dropped = drop_beyond_limits(customer)
        if dropped:
            context.count("dropped", by=dropped)
        self._put(context, key, customer)
        return ()

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Judge a customer's sessions as of an event time, and forget what is older than all that it may touch."""
        customer: Customer = context.state.get(key)
        # Never before the last time: what is late has that time for its deadline, for what was said is not unsaid.
        customer.seen_ms, customer.is_stale = deadline_ms, False
        outputs: list[Output] = []
        for session, later in judge(customer, self._later_ms):
            outputs += _correct(context, session, later, customer.seen_ms)
            outputs.append(_revise(context, key[1:], session, later, customer.seen_ms))
        forget(customer, customer.seen_ms - self._kept_ms)
        self._put(context, key, customer)
        return outputs

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Tell all sites once a minute how far this partition has come, after all that became due."""
        if before_ms // MINUTE_MS == context.watermark // MINUTE_MS:
            return ()
        mark = Mark(self._upstreams, (Progress(context.upstream, context.offset + 1, context.watermark),))
        name = f"{context.upstream}/{context.offset}"
        return (Output("site-events", "", mark, name, context.watermark, partition=EVERY_PARTITION),)

    def _put(self, context: Context, key: str, customer: Customer) -> None:
        if customer.is_empty:
            context.state.delete(key)
        else:
            context.state.put(key, customer, next_deadline(customer, self._kept_ms))

    def _keep(self, context: Context, customer: Customer, record: CustomerOrder | CustomerIdentity) -> None:
        if isinstance(record, CustomerOrder):
            topic, is_new = "orders", keep(customer, customer.orders, known_order(record))
        else:
            topic, is_new = "identities", keep(customer, customer.links, known_link(record))
        if not is_new:
            context.count("duplicates", topic)
        if record.occurred_at < context.watermark:
            context.count("late", topic)

    def _refusal(
        self, context: Context, record: CustomerOrder | CustomerIdentity
    ) -> tuple[Reason, str] | None:
        if not MIN_MS <= record.occurred_at <= MAX_MS:
            return "schema_violation", "`occurred_at` is outside the years 1 to 9999"
        if record.occurred_at < context.watermark - self._kept_ms:
            return "too_late", "it is older than what is kept of customers"
        return None


def _revise(
    context: Context, customer_id: str, session: KnownSession, later: Later | None, now_ms: int
) -> Output:
    """Write what holds of a session from now on."""
    if later is None or session.later is None:
        # Another order than before makes it no second session.
        context.count("session_revisions", "retracted" if later is None else "revised")
    shown, session.later = later or session.later, later
    session.revision += 1
    name = f"{session.session_id}{SEPARATOR}{customer_id}"
    record = SessionRevision(
        id=blake2b(name.encode(), digest_size=10).hexdigest(),
        revision=session.revision,
        status="retracted" if later is None else "revised",
        session_id=session.session_id,
        visitor_id=session.visitor_id,
        customer_id=customer_id,
        site=session.site,
        ended_at=format_ms(session.ended_at),
        exit_page=shown.exit.page if shown is not None and shown.exit is not None else None,
    )
    if later is not None:
        record.exit_reason = "bought_later"
        record.exit_rule = f"order:{later.channel}"
        record.order_id = later.order_id
        record.channel = later.channel  # type: ignore[assignment]  # intake has let no other word pass
        record.ordered_at = format_ms(later.placed_at)
        record.minutes_to_order = round((later.placed_at - session.ended_at) / MINUTE_MS, 1)
    return Output("session-revisions", session.visitor_id, record, record.id, now_ms, session.revision)


def _correct(context: Context, session: KnownSession, later: Later | None, now_ms: int) -> list[Output]:
    """Move a session's exit on its page from one reason to the other, or back.

    The sessions stage corrects what a session itself has become, as if nobody had bought later. So what was moved
    before is moved back as it was, and moved anew as it is.
    """
    old, new = (None if one is None else one.exit for one in (session.later, later))
    if old == new:
        return []
    pairs = []
    if old is not None:
        pairs.append((_excused(old), old))
    if new is not None:
        pairs.append((new, _excused(new)))
    outputs = []
    for removed, added in pairs:
        origin = context.origin()
        correction = SessionCorrection(
            origin, session.site, session.session_id, now_ms, False, removed=removed, added=added
        )
        upstream, offset, number = origin
        outputs.append(
            Output("site-events", session.site, correction, f"{upstream}/{offset}/{number}", now_ms)
        )
    return outputs


def _excused(left: Exit) -> Exit:
    return msgspec.structs.replace(left, reason="bought_later")
