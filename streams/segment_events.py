"""Messages of Segment's libraries (``page``, ``track``, ``identify``), as our records.

Names of the ecommerce and B2B specifications get their meaning (``Product Added`` is ``add_to_cart``, ``Order
Completed`` an order, ``Signed Up`` a registration); all other tracks are interactions, in snake case. What has no
counterpart (``group``, ``alias``, ``screen``, traits of nobody) is counted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Sized
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from schemas.decoding import RejectedError
from schemas.rejected_events import Reason
from streams.collected import Received, Skip, corrected_ms, safe_detail
from streams.settings import SECOND_MS

NAMES: Final = {
    "product_added": "add_to_cart",
    "product_removed": "remove_from_cart",
    "products_searched": "search",
    "application_error": "error",
}
"""Specified events whose name is another one here."""
ORDERS: Final = {
    "order_completed": "placed",
    "order_paid": "paid",
    "order_cancelled": "cancelled",
    "order_refunded": "refunded",
    "order_returned": "returned",
}
IDENTITIES: Final = {"signed_up": "registered", "signed_in": "logged_in", "signed_out": "logged_out"}
PERSONAL: Final = frozenset(
    (
        *("address", "avatar", "birthday", "email", "firstName", "id", "lastName"),
        *("loyalty", "name", "phone", "title", "username", "website"),
    )
)
"""Traits that tell who somebody is; they are left out, beside the identifiers, which are hashed."""

_FIRST_REVISION_MS = 1_577_836_800_000
"""2020: changes of an order are numbered by the seconds since then, for a message tells no number."""
_PAGE = ("path", "referrer", "search", "title", "url")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")


class SegmentPage(msgspec.Struct, gc=False):
    """The page on which it happened."""

    url: str | None = None
    referrer: str | None = None
    title: str | None = None


class SegmentCampaign(msgspec.Struct, gc=False):
    """The campaign that led there."""

    name: str | None = None


class SegmentContext(msgspec.Struct, rename="camel"):
    """What a library adds to each message."""

    page: SegmentPage | None = None
    campaign: SegmentCampaign | None = None
    ip: str | None = None
    user_agent: str | None = None


class SegmentMessage(msgspec.Struct, rename="camel", kw_only=True):
    """One message, as far as it is read."""

    type: Annotated[str | None, Meta(description="page, track, identify; others are left out.")] = None
    message_id: Annotated[str | None, Meta(description="Names it; a copy has the same.")] = None
    anonymous_id: Annotated[str | int | None, Meta(description="The browser.")] = None
    user_id: Annotated[str | int | None, Meta(description="The customer.")] = None
    event: Annotated[str | None, Meta(description="Name of a track.")] = None
    name: Annotated[str | None, Meta(description="Name of a page.")] = None
    category: str | None = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: SegmentContext | None = None
    timestamp: Annotated[str | int | None, Meta(description="When it happened, by the browser.")] = None
    original_timestamp: Annotated[
        str | int | None, Meta(description="The same in archives, whose timestamp is put right already.")
    ] = None
    sent_at: Annotated[str | int | None, Meta(description="When it was sent, by the browser.")] = None
    write_key: Annotated[str | None, Meta(description="Key of the site.")] = None


class SegmentBatch(msgspec.Struct, rename="camel"):
    """Several messages at once."""

    batch: Annotated[list[msgspec.Raw], Meta(description="Messages.")]
    sent_at: str | int | None = None
    write_key: Annotated[str | None, Meta(description="Key of the site.")] = None


class Taker(Protocol):
    """Takes what messages come to: `streams.collected.Collected` of a request, or who reads an archive."""

    @property
    def received(self) -> Received:
        """What is known beside the message."""

    @property
    def records(self) -> Sized:
        """What was taken so far."""

    def add(self, topic: str, fields: dict[str, Any], payload: bytes) -> None:
        """Take a record."""

    def reject(self, reason: Reason, detail: str, payload: bytes) -> None:
        """Write down what can't be used."""

    def skip(self, reason: Skip) -> None:
        """Count what is left out."""


_decode = msgspec.json.Decoder(SegmentMessage).decode
_decode_batch = msgspec.json.Decoder(SegmentBatch).decode


def snake_case(name: str) -> str:
    """Write a name's words small, with underscores between them, in at most 64 characters.

    Examples
    --------
    >>> [snake_case(name) for name in ("Order Completed", "addToCart", "PDF: Größe 42", "???")]
    ['order_completed', 'add_to_cart', 'pdf_größe_42', '']
    """
    return "_".join(_WORD.findall(name[:256])).lower()[:64]


def read_batch(body: bytes) -> SegmentBatch:
    """Read the body of a batch; its messages are left as they are.

    Raises
    ------
    RejectedError
        ``not_json``, or ``schema_violation`` where it is another object.

    Examples
    --------
    >>> len(read_batch(b'{"batch": [{}, 5], "writeKey": "k"}').batch)
    2
    """
    try:
        return _decode_batch(body)
    except msgspec.ValidationError as error:
        raise RejectedError("schema_violation", safe_detail(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RejectedError("not_json", "no JSON in UTF-8") from None


def read_message(body: bytes) -> SegmentMessage:
    """Read one message.

    Raises
    ------
    RejectedError
        ``not_json``, or ``schema_violation``.

    Examples
    --------
    >>> read_message(b'{"type": "track", "userId": 7}').user_id
    7
    """
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise RejectedError("schema_violation", safe_detail(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RejectedError("not_json", "no JSON in UTF-8") from None


def collect_segment(
    message: SegmentMessage, collected: Taker, payload: bytes, kind: str = "", sent_at: Any = None
) -> None:
    """Take one message.

    Parameters
    ----------
    message
        As `read_message` gives it.
    collected
        Takes what it comes to.
    payload
        Its text.
    kind
        Its type, where the message tells none: what its path says.
    sent_at
        When its batch was sent, by the browser; its own counts where it has one.

    Examples
    --------
    >>> from streams.collected import Collected, Received
    >>> collected = Collected(Received(id="r", at_ms=7, site="shop", salt=b"s"))
    >>> message = SegmentMessage(type="track", event="Product Added", anonymous_id="a", message_id="m")
    >>> collect_segment(message, collected, b"")
    >>> msgspec.json.decode(collected.records[0].value)
    {'event_id': 'm', 'visitor_id': 'a', 'occurred_at': 7, 'name': 'add_to_cart', 'site': 'shop'}
    """
    kind = message.type or kind
    sent_at = message.sent_at if message.sent_at is not None else sent_at
    try:
        occurred_ms = corrected_ms(
            message.timestamp,
            None if message.original_timestamp is not None else sent_at,
            collected.received.at_ms,
        )
    except RejectedError as error:
        collected.reject(error.reason, error.detail, payload)
        return
    fields: dict[str, Any] = {
        "event_id": message.message_id or f"{collected.received.id}-{len(collected.records)}",
        "visitor_id": _id(message.anonymous_id),
        "occurred_at": occurred_ms,
        "customer_id": _id(message.user_id),
    }
    if kind == "page":
        collected.add("page-views", fields | _page_view(message, sent_at), payload)
    elif kind == "track":
        _track(message, fields, collected, payload)
    elif kind == "identify":
        traits = message.traits or {}
        described = "described" if message.anonymous_id is None else "logged_in"
        _identify(described, traits, fields, collected, payload)
    elif kind in ("group", "alias", "screen"):
        collected.skip(kind)  # type: ignore[arg-type]  # one of its reasons
    else:
        collected.skip("other_type")


def _page_view(message: SegmentMessage, sent_at: Any) -> dict[str, Any]:
    context = message.context or SegmentContext()
    page = context.page or SegmentPage()
    said = message.properties or {}
    more = {name: value for name, value in said.items() if name not in _PAGE}
    more |= {"name": message.name, "category": message.category}
    try:
        sent = None if sent_at is None else corrected_ms(sent_at, None, 0)
    except RejectedError:
        sent = None
    return {
        "url": said.get("url") or page.url,
        "referrer": said.get("referrer") or page.referrer or None,
        "title": said.get("title") or page.title,
        "user_agent": context.user_agent,
        "ip": context.ip,
        "sent_at": sent,
        "properties": {name: value for name, value in more.items() if value is not None} or None,
    }


def _track(message: SegmentMessage, fields: dict[str, Any], collected: Taker, payload: bytes) -> None:
    context = message.context or SegmentContext()
    page = context.page or SegmentPage()
    properties = message.properties or {}
    name = snake_case(message.event or "")
    if name in ORDERS:
        collected.add("orders", fields | _order(name, properties, context, fields, collected), payload)
    elif name in IDENTITIES and (fields["customer_id"] or _identifiers(properties)):
        _identify(IDENTITIES[name], properties, fields, collected, payload)
    else:
        more = {
            "name": NAMES.get(name, name),
            "url": page.url,
            "referrer": page.referrer or None,
            "user_agent": context.user_agent,
            "properties": properties or None,
        }
        collected.add("interactions", fields | more, payload)


def _order(
    name: str,
    properties: dict[str, Any],
    context: SegmentContext,
    fields: dict[str, Any],
    collected: Taker,
) -> dict[str, Any]:
    first = name == "order_completed"
    seconds = max(fields["occurred_at"] - _FIRST_REVISION_MS, 0) // SECOND_MS
    total = next((properties[key] for key in ("total", "revenue", "value") if key in properties), None)
    lines = []
    products = properties.get("products")
    for product in products if isinstance(products, list) else []:
        sku = _id(product.get("sku") or product.get("product_id")) if isinstance(product, dict) else None
        price = product.get("price") if sku else None
        if sku is None or price is None:
            collected.skip("order_line")
            continue
        line = {
            "sku": sku,
            "quantity": product.get("quantity", 1),
            "unit_price": price,
            "name": product.get("name"),
            "category": product.get("category"),
        }
        lines.append({key: value for key, value in line.items() if value is not None})
    return {
        "order_id": _id(properties.get("order_id")),
        "revision": 1 if first else min(2 + seconds, 1_000_000_000),
        "status": ORDERS[name],
        "channel": "web",
        "currency": properties.get("currency"),
        "total": total if first or total is not None else 0,
        "lines": lines,
        "campaign": context.campaign.name if context.campaign else None,
    }


def _identify(
    kind: str, traits: dict[str, Any], fields: dict[str, Any], collected: Taker, payload: bytes
) -> None:
    identifiers = _identifiers(traits)
    if fields["customer_id"] is None and not identifiers:
        collected.skip("anonymous_traits")
        return
    more = {name: value for name, value in traits.items() if name not in PERSONAL}
    identity = {"kind": kind, "identifiers": identifiers or None, "traits": more or None}
    collected.add("identities", fields | identity, payload)


def _identifiers(traits: dict[str, Any]) -> dict[str, str]:
    found = {kind: _id(traits.get(kind)) for kind in ("email", "phone", "loyalty")}
    return {kind: value for kind, value in found.items() if value}


def _id(value: Any) -> str | None:
    """Give an id as text; libraries of servers send numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None
