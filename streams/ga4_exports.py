"""GA4's export to BigQuery as NDJSON: one event a line, as ``bq extract`` and the console write it.

Known names become ours (`begin_checkout` is ``checkout_started``); all others are interactions under their own
name, for a visitor who does something is still there. ``session_start`` and ``first_visit`` only stand beside
the view that caused them and are passed over.
"""

from __future__ import annotations

from typing import Any

from streams.adapters import Adapted, Adapter, RawError
from streams.foreign_values import amount, digest, filled, json_object, objects, part, seconds, text, word

NAMES = {
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "begin_checkout": "checkout_started",
    "search": "search",
    "view_search_results": "search",
    "user_engagement": "engagement",
    "exception": "error",
}
PASSED_OVER = frozenset({"session_start", "first_visit", "first_open"})
_VALUES = ("string_value", "int_value", "double_value", "float_value")


class Ga4Export(Adapter):
    """Reads one exported event.

    Examples
    --------
    >>> line = (
    ...     b'{"event_name":"page_view","event_timestamp":"1609039659225742","user_pseudo_id":"7.1","event_params":'
    ...     b'[{"key":"page_location","value":{"string_value":"https://shop.example/"}}]}'
    ... )
    >>> [(topic, view)] = Ga4Export().read(line, "")
    >>> topic, view["occurred_at"], view["url"]
    ('page-views', 1609039659225, 'https://shop.example/')
    """

    name = "ga4"
    cannot_know = (
        "GA4's export has no customer ids unless user_id is set: orders of others count for the visit alone",
        "it has no user agents and no IP addresses: browsers, systems and bots can't be told "
        "(Google has left out the bots that it knows)",
        "who has not consented to analytics has no user_pseudo_id: such events are rejected as missing_visitor",
        "orders on other channels, costs and cancellations are not in it",
    )

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one line; see `Adapter.read`."""
        row = json_object(raw)
        name = text(row.get("event_name"))
        if name is None:
            raise RawError("schema_violation", "`event_name` is missing")
        if name in PASSED_OVER:
            self.skipped[name] += 1
            return []
        params = _params(row.get("event_params"))
        url = text(params.get("page_location"))
        fields: dict[str, Any] = filled(
            event_id=_event_id(row, name),
            visitor_id=text(row.get("user_pseudo_id")),
            customer_id=text(row.get("user_id")),
            occurred_at=_milliseconds(row.get("event_timestamp")),
        )
        seen = filled(url=url, referrer=text(params.get("page_referrer")))
        if name == "page_view":
            return [("page-views", fields | seen | filled(title=text(params.get("page_title"))))]
        if name in ("purchase", "refund"):
            return [("orders", fields | _order(row, params, name))]
        if name in ("sign_up", "login") and "customer_id" in fields:
            kind = "registered" if name == "sign_up" else "logged_in"
            return [("identities", fields | {"kind": kind})]
        known = NAMES.get(name) or word(name)
        if name == "click" and text(params.get("outbound")) == "true":
            known = "outbound_click"
        properties = filled(
            seconds=seconds(params.get("engagement_time_msec"), 1000) if known == "engagement" else None,
            sku=text(next(iter(objects(row.get("items"))), {}).get("item_id")),
        )
        return [("interactions", fields | seen | filled(name=known, properties=properties))]


def _params(value: object) -> dict[str, Any]:
    """Parameters by key; each value is the one of its kinds that is set."""
    params = {}
    for item in objects(value):
        kinds = part(item, "value")
        found = [kinds[kind] for kind in _VALUES if kinds.get(kind) is not None]
        if found and isinstance(item.get("key"), str):
            params[item["key"]] = found[0]
    return params


def _milliseconds(value: object) -> int:
    shown = text(value)
    if shown is None or not shown.isascii() or not shown.isdigit() or len(shown) > 20:
        raise RawError("schema_violation", "`event_timestamp` is no whole number of microseconds")
    return int(shown) // 1000


def _event_id(row: dict[str, Any], name: str) -> str:
    """Hash of what the event is, without what later exports of a day add to it (attribution, sums)."""
    return "ga4-" + digest(
        row.get("user_pseudo_id"),
        row.get("event_timestamp"),
        name,
        row.get("batch_page_id"),
        row.get("batch_ordering_id"),
        row.get("batch_event_index"),
        row.get("event_params"),
        row.get("items"),
    )


def _order(row: dict[str, Any], params: dict[str, Any], name: str) -> dict[str, Any]:
    ecommerce = part(row, "ecommerce")
    revenue = ecommerce.get("purchase_revenue" if name == "purchase" else "refund_value")
    lines = [
        filled(
            sku=text(item.get("item_id")) or text(item.get("item_name")),
            name=text(item.get("item_name")),
            category=text(item.get("item_category")),
            quantity=amount(item.get("quantity")) or "1",
            unit_price=amount(item.get("price")) or "0",
        )
        for item in objects(row.get("items"))
    ]
    return filled(
        order_id=text(ecommerce.get("transaction_id")) or text(params.get("transaction_id")),
        status="placed" if name == "purchase" else "refunded",
        revision=1 if name == "purchase" else 2,
        channel="web",
        currency=text(params.get("currency")),
        total=amount(revenue if revenue is not None else params.get("value")),
        lines=[line for line in lines if "sku" in line],
    )
