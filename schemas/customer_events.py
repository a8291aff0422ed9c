"""Customer events: orders, identities and sessions, for the stage that joins channels (internal topic)."""

from __future__ import annotations

import msgspec

from schemas.fields import JsonArray, JsonObject
from schemas.marks import Mark
from schemas.site_events import Exit
from schemas.visitor_events import Origin


class CustomerOrder(msgspec.Struct, tag_field="type", tag="order", frozen=True, omit_defaults=True):
    """One revision of an order of a known customer, on any channel."""

    origin: Origin
    event_id: str
    customer_id: str
    occurred_at: int
    order_id: str
    status: str
    channel: str
    currency: str
    total: str
    site: str
    revision: int = 1
    visitor_id: str | None = None
    identifiers: dict[str, str] = {}
    store_id: str | None = None
    store_city: str | None = None
    campaign: str | None = None
    cost: str | None = None
    lines: JsonArray = None


class CustomerIdentity(msgspec.Struct, tag_field="type", tag="identity", frozen=True, omit_defaults=True):
    """A customer registered, logged in or out, was unlinked from a visitor, or was described."""

    origin: Origin
    event_id: str
    customer_id: str
    occurred_at: int
    kind: str
    site: str
    visitor_id: str | None = None
    identifiers: dict[str, str] = {}
    traits: JsonObject = None


class SessionSummary(msgspec.Struct, tag_field="type", tag="session", frozen=True, omit_defaults=True):
    """A closed session of a known customer, as the topic ``sessions`` has it; the last one of a session holds.

    Attributes
    ----------
    since_ms
        Event time from which on it holds.
    revision
        Of the session record that it tells of.
    exit
        What pages count of it; None where it had no page view.
    linked
        Nothing in the session names the customer: its visitor turned out to be that customer afterwards.
    retracted
        It is this customer's no more, was opened again by late events, or never was.
    """

    origin: Origin
    customer_id: str
    session_id: str
    visitor_id: str
    site: str
    since_ms: int
    started_at: int
    ended_at: int
    revision: int
    outcome: str
    exit_reason: str
    exit_rule: str
    exit: Exit | None = None
    linked: bool = False
    retracted: bool = False


CustomerEvent = CustomerOrder | CustomerIdentity | SessionSummary | Mark
