"""Matomo's visits log: what ``Live.getLastVisitsDetails`` answers, as one JSON array or one visit a line.

Visits are read one at a time, so that an export of any size needs the memory of its longest visit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import ijson

from streams.adapters import MAX_RAW_BYTES, Adapted, Adapter, Raw, RawError
from streams.foreign_values import amount, digest, filled, json_object, objects, part, text, word

NAMES = {
    "search": "search",
    "outlink": "outbound_click",
    "ecommerceAbandonedCart": "add_to_cart",
}
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP"}


class MatomoVisits(Adapter):
    """Reads one visit: its actions become page views, interactions and orders.

    Examples
    --------
    >>> visit = b'''{"idVisit": "1", "visitorId": "v", "actionDetails": [
    ...     {"type": "action", "url": "https://shop.example/", "pageTitle": "Shop", "timestamp": 1720118585}]}'''
    >>> [(topic, view)] = MatomoVisits().read(visit, "")
    >>> topic, view["occurred_at"], view["title"]
    ('page-views', 1720118585000, 'Shop')
    """

    name = "matomo"
    cannot_know = (
        "Matomo keeps no user agents: browsers and bots can't be told (it has left out the bots that it knows)",
        "IP addresses are those that Matomo has kept, most often cut short",
        "customers are known only where the site sets a User ID",
        "a cart that was left is an add_to_cart at its last change; when articles were put into it isn't told",
    )

    def split(self, lines: Iterable[bytes]) -> Iterator[Raw | tuple[Raw, RawError]]:
        """Cut an array into visits; a file that begins otherwise has one visit a line."""
        rest = iter(lines)
        for blank, first in enumerate(rest):
            if first.strip():
                whole = chain([b""] * blank, [first], rest)
                start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
                return self._visits(_Source(whole)) if start.startswith(b"[") else super().split(whole)
        return iter(())

    def _visits(self, source: _Source) -> Iterator[Raw | tuple[Raw, RawError]]:
        number = -1
        try:
            for number, visit in enumerate(ijson.items(source, "item", use_float=True, multiple_values=True)):
                source.since = 0
                try:
                    yield Raw(number, json.dumps(visit, ensure_ascii=False).encode())
                except (RecursionError, UnicodeError):
                    yield Raw(number, b""), RawError("not_json", "nested too deep, or half a character")
        except (ijson.JSONError, UnicodeDecodeError, RawError, OverflowError) as error:
            problem = (
                error
                if isinstance(error, RawError)
                else RawError("not_json", "the array is broken here: what follows can't be read")
            )
            yield Raw(number + 1, source.last[: 16 * 1024]), problem

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one visit; see `Adapter.read`."""
        visit = json_object(raw)
        if visit.get("result") == "error":
            raise RawError("malformed_line", "Matomo answered with an error instead of visits")
        actions = visit.get("actionDetails")
        if not isinstance(actions, list):
            raise RawError("schema_violation", "`actionDetails` is missing")
        visit_id = f"matomo-{text(visit.get('idSite')) or ''}-{text(visit.get('idVisit')) or ''}"
        about = filled(
            visitor_id=text(visit.get("visitorId")),
            customer_id=text(visit.get("userId")),
        )
        seen: Counter[str] = Counter()
        records: Adapted = []
        url, first = None, True
        for action in objects(actions):
            occurred_at = action.get("timestamp", visit.get("serverTimestamp"))
            own = digest(action.get("type"), occurred_at, action.get("url"), action.get("orderId"))
            seen[own] += 1
            event = about | filled(
                event_id=f"{visit_id}-{own}-{seen[own]}",
                occurred_at=occurred_at * 1000 if isinstance(occurred_at, int) else occurred_at,
            )
            if action.get("type") == "action":
                came_from = text(visit.get("referrerUrl")) if first else url
                url, first = text(action.get("url")), False
                view = filled(
                    url=url,
                    referrer=came_from,
                    title=text(action.get("pageTitle")),
                    ip=text(visit.get("visitIp")),
                )
                records.append(("page-views", event | view))
            else:
                records += self._other(action, event, url, visit)
        return records

    def _other(
        self, action: dict[str, Any], event: dict[str, Any], url: str | None, visit: dict[str, Any]
    ) -> Adapted:
        kind = text(action.get("type")) or ""
        if kind == "ecommerceOrder":
            return [("orders", event | _order(action, visit))]
        if kind in NAMES:
            return [("interactions", event | filled(name=NAMES[kind], url=url))]
        if kind == "event":
            name = word(text(action.get("eventAction")) or "")
            return [("interactions", event | filled(name=name, url=url))]
        if kind in ("goal", "download"):
            name = "download" if kind == "download" else "goal_" + word(text(action.get("goalName")) or "")
            return [("interactions", event | filled(name=name.strip("_")[:64], url=url))]
        self.skipped[word(kind) or "no_type"] += 1
        return []


class _Source:
    """A file's lines as one stream of bytes, which ends with an error where one visit is too long."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._held = b""
        self._first = True
        self.since = 0
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """Give at most `size` bytes; none at the end."""
        if size == 0:
            return b""
        while not self._held:
            line = next(self._lines, None)
            if line is None:
                return b""
            # A line of many megabytes comes in pieces that must not be parted anew: ends of lines are left out.
            self._held = line.removeprefix(b"\xef\xbb\xbf") if self._first and line else line
            self._first = self._first and not line
        self.last, self._held = self._held[:size], self._held[size:]
        self.since += len(self.last)
        if self.since > MAX_RAW_BYTES + size:
            raise RawError(
                "too_large", f"a visit of more than {MAX_RAW_BYTES} bytes: what follows can't be read"
            )
        return self.last


def _order(action: dict[str, Any], visit: dict[str, Any]) -> dict[str, Any]:
    lines = [
        filled(
            sku=text(item.get("itemSKU")) or text(item.get("itemName")),
            name=text(item.get("itemName")),
            category=text(item.get("itemCategory")),
            quantity=amount(item.get("quantity")) or "1",
            unit_price=amount(item.get("price")) or "0",
        )
        for item in objects(action.get("itemDetails"))
    ]
    currency = text(visit.get("siteCurrency")) or ""
    symbol = text(part(visit).get("siteCurrencySymbol")) or ""
    return filled(
        order_id=text(action.get("orderId")),
        status="placed",
        channel="web",
        currency=currency or _CURRENCIES.get(symbol),
        total=amount(action.get("revenue")),
        lines=[line for line in lines if "sku" in line],
    )
