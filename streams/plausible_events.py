"""Events of Plausible's tracker, as our records.

It sets no cookie: a visitor is who has the same truncated address and browser on the same site on the same day.
What it sends has neither time nor id: an event counts when it is received, and a copy of it counts again.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from schemas.decoding import RejectedError
from streams.collected import Collected, day_visitor, safe_detail
from streams.segment_events import snake_case

NAMES: Final = {
    "Outbound Link: Click": "outbound_click",
    "404": "error",
    "Add to Cart": "add_to_cart",
    "Site Search": "search",
}
"""Names that mean something here; others are written in snake case."""
PURCHASES: Final = ("purchase", "purchased", "order", "order_completed")
"""With revenue these are orders. An order's id may stand in a property of one of the names below."""
ORDER_IDS: Final = ("order_id", "orderId", "transaction_id")

_HASH_PATH = re.compile(r"#!?(/[^?#]*)")


class PlausibleEvent(msgspec.Struct):
    """One event; the tracker writes short names, Plausible's Events API long ones."""

    n: Annotated[str | None, Meta(description="Name: pageview, engagement, or any other.")] = None
    u: Annotated[str | None, Meta(description="URL of the page.")] = None
    d: Annotated[str | None, Meta(description="Domain of the site.")] = None
    r: Annotated[str | None, Meta(description="Referrer.")] = None
    p: Annotated[dict[str, Any] | str | None, Meta(description="Custom properties.")] = None
    revenue: Annotated[dict[str, Any] | str | None, Meta(description="Amount and currency.")] = msgspec.field(
        default=None, name="$"
    )
    e: Annotated[float | None, Meta(description="Engagement (ms).")] = None
    sd: Annotated[float | None, Meta(description="Greatest scroll depth (%).")] = None
    h: Annotated[int | None, Meta(description="1: the fragment is the page.")] = None
    name: str | None = None
    url: str | None = None
    domain: str | None = None
    referrer: str | None = None
    props: dict[str, Any] | str | None = None
    long_revenue: dict[str, Any] | str | None = msgspec.field(default=None, name="revenue")


_decode = msgspec.json.Decoder(PlausibleEvent).decode


def read_plausible(body: bytes) -> PlausibleEvent:
    """Read the body of a request.

    Raises
    ------
    RejectedError
        ``not_json``, or ``schema_violation`` where it is another object.

    Examples
    --------
    >>> read_plausible(b'{"n": "pageview", "d": "shop.example"}').d
    'shop.example'
    """
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise RejectedError("schema_violation", safe_detail(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RejectedError("not_json", "no JSON in UTF-8") from None


def collect_plausible(event: PlausibleEvent, collected: Collected, payload: bytes) -> None:
    """Take one event.

    Parameters
    ----------
    event
        As `read_plausible` gives it.
    collected
        Takes what it comes to: a page view, an interaction, or an order where a purchase has revenue.
    payload
        Its text.

    Examples
    --------
    >>> from streams.collected import Received
    >>> collected = Collected(Received(id="r", at_ms=7, site="shop", salt=b"s"))
    >>> event = PlausibleEvent(n="engagement", u="https://shop.example/", e=4200.0, sd=80.0)
    >>> collect_plausible(event, collected, b"")
    >>> msgspec.json.decode(collected.records[0].value)["properties"]
    {'seconds': 4.2, 'scroll_percent': 80.0}
    """
    received = collected.received
    name = event.n or event.name
    if not name:
        collected.reject("schema_violation", "`n` is missing", payload)
        return
    properties = _object(event.p if event.p is not None else event.props)
    fields: dict[str, Any] = {
        "event_id": received.id,
        "visitor_id": day_visitor(received, received.network or "", received.user_agent or ""),
        "occurred_at": received.at_ms,
        "url": _page(event),
        "referrer": event.r or event.referrer,
    }
    if name == "pageview":
        collected.add("page-views", fields | {"properties": properties or None}, payload)
        return
    if name == "engagement":
        measured = {"seconds": None if event.e is None else event.e / 1000, "scroll_percent": event.sd}
        properties |= {key: value for key, value in measured.items() if value is not None}
        collected.add("interactions", fields | {"name": name, "properties": properties}, payload)
        return
    word = NAMES.get(name) or snake_case(name)
    revenue = _object(event.revenue if event.revenue is not None else event.long_revenue)
    if revenue and word in PURCHASES:
        found = next((properties[key] for key in ORDER_IDS if properties.get(key)), received.id)
        order = {
            "event_id": received.id,
            "order_id": str(found),
            "status": "placed",
            "occurred_at": received.at_ms,
            "channel": "web",
            "visitor_id": fields["visitor_id"],
            "currency": revenue.get("currency"),
            "total": revenue.get("amount"),
        }
        collected.add("orders", order, payload)
        return
    if revenue:
        properties["revenue"] = revenue
    collected.add("interactions", fields | {"name": word, "properties": properties or None}, payload)


def _page(event: PlausibleEvent) -> str | None:
    url = event.u or event.url
    match = _HASH_PATH.search(url) if url and event.h else None
    if url is None or match is None:
        return url
    return url[: match.start()].partition("?")[0].rstrip("/") + match[1]


def _object(value: dict[str, Any] | str | None) -> dict[str, Any]:
    """Give an object that may come as its text, as older trackers send it."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return {}
    return dict(value) if isinstance(value, dict) else {}
