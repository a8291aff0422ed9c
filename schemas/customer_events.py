"""Customer events: orders and identities by customer, for the stage that joins channels (internal topic)."""

from __future__ import annotations

import msgspec

from schemas.fields import JsonArray, JsonObject
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


CustomerEvent = CustomerOrder | CustomerIdentity
