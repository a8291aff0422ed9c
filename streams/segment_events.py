"""Segment's messages, one by one: what a ``page``, ``track`` or ``identify`` call says, as our records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.foreign_values import amount, digest, filled, objects, part, seconds, text, word

NAMES = {
    "product_added": "add_to_cart",
    "product_removed": "remove_from_cart",
    "checkout_started": "checkout_started",
    "products_searched": "search",
    "product_searched": "search",
}
"""Events of the e-commerce specification (V2) whose names are others than ours."""
ORDERS = {
    "order_completed": ("placed", 1),
    "order_cancelled": ("cancelled", 3),
    "order_refunded": ("refunded", 4),
}
"""Status and revision that an event gives an order; an update without a new state is passed over."""
IDENTITIES = {"signed_up": "registered", "signed_in": "logged_in", "signed_out": "logged_out"}
_CONTACTS = frozenset({"email", "phone", "address", "name", "firstName", "lastName", "birthday", "username"})
"""Traits that tell who somebody is; e-mail and phone go where they are hashed at the door, the others nowhere."""


def read_segment_message(message: Mapping[str, object]) -> list[tuple[str, dict[str, Any]]]:
    """Read one message into topics and records; an empty list where it says nothing we use.

    Fields that are missing are left out, so that the door refuses the record with its reason.

    Parameters
    ----------
    message
        One message, as the trackers send and archives keep it; a batch's own fields are filled in before.

    Examples
    --------
    >>> page = {"type": "page", "messageId": "m", "anonymousId": "a", "timestamp": "2026-03-01T12:00:00Z",
    ...         "properties": {"url": "https://shop.example/", "title": "Shop"}}
    >>> [(topic, view)] = read_segment_message(page)
    >>> topic, view["url"], view["visitor_id"]
    ('page-views', 'https://shop.example/', 'a')
    """
    kind = message.get("type")
    properties = part(message, "properties")
    page = part(message, "context", "page")
    about: dict[str, Any] = filled(
        event_id=text(message.get("messageId")) or "segment-" + digest(dict(message)),
        visitor_id=text(message.get("anonymousId")),
        customer_id=text(message.get("userId")),
        occurred_at=message.get("timestamp") or message.get("originalTimestamp") or message.get("sentAt"),
    )
    agent = filled(user_agent=text(part(message, "context").get("userAgent")))
    seen = filled(
        url=text(properties.get("url")) or text(page.get("url")),
        referrer=text(properties.get("referrer")) or text(page.get("referrer")),
    )
    if kind == "page":
        title = filled(
            title=text(properties.get("title")) or text(page.get("title")),
            ip=text(part(message, "context").get("ip")),
        )
        return [("page-views", about | seen | agent | title)]
    if kind == "track":
        name = word(text(message.get("event")) or "")
        if name in ORDERS:
            return [("orders", about | _order(name, properties))]
        if name in IDENTITIES and "customer_id" in about:
            return [("identities", about | {"kind": IDENTITIES[name]})]
        details = filled(
            sku=text(properties.get("sku")) or text(properties.get("product_id")),
            seconds=seconds(properties.get("seconds")) if name == "engagement" else None,
        )
        known = filled(name=NAMES.get(name, name), properties=details)
        return [("interactions", about | seen | agent | known)]
    if kind == "identify":
        return _identify(about, part(message, "traits"))
    return []


def _identify(about: dict[str, Any], traits: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    identifiers = filled(email=text(traits.get("email")), phone=text(traits.get("phone")))
    if "customer_id" not in about and not identifiers:
        return []  # traits of somebody unknown
    others = {name: value for name, value in traits.items() if name not in _CONTACTS}
    kind = "logged_in" if "visitor_id" in about else "described"
    return [("identities", about | filled(kind=kind, identifiers=identifiers, traits=others))]


def _order(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    status, revision = ORDERS[name]
    lines = [
        filled(
            sku=text(product.get("sku")) or text(product.get("product_id")),
            name=text(product.get("name")),
            category=text(product.get("category")),
            quantity=amount(product.get("quantity")) or "1",
            unit_price=amount(product.get("price")) or "0",
        )
        for product in objects(properties.get("products"))
    ]
    total = properties.get("total")
    return filled(
        order_id=text(properties.get("order_id")),
        status=status,
        revision=revision,
        channel="web",
        currency=text(properties.get("currency")),
        total=amount(properties.get("revenue") if total is None else total),
        lines=[line for line in lines if "sku" in line],
    )
