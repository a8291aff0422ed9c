"""What a visit leaves behind, as events: views, interactions, orders, identities, consents, feedback."""

from __future__ import annotations

import random
from typing import Any

from streams.shop_catalogue import Catalogue
from streams.shop_faults import HOUR_MS
from streams.shop_visitors import Visitor

Event = dict[str, Any]
Timed = tuple[int, str, Event]

CURRENCY = "EUR"
_COST_SHARE = 58
_CANCELLED, _REFUNDED = 0.03, 0.05
_SURVEYED, _REVIEWED = 0.05, 0.03
_CONSENTED, _REFUSED = 0.05, 0.002
_OTHER_CHANNELS = ("store", "store", "app", "app", "marketplace", "call_centre", "catalogue")
_CITIES = ("Utrecht", "Ghent", "Leipzig", "Lyon")
_REMARKS = ("quick and easy", "could not find the sizes", "delivery took long", "all as expected")


def amount(minor: int) -> str:
    """Write cents as a decimal string.

    Examples
    --------
    >>> amount(1205)
    '12.05'
    """
    return f"{minor // 100}.{minor % 100:02d}"


def order_lines(catalogue: Catalogue, products: list[int], rng: random.Random) -> tuple[list[Event], int]:
    """Make an order's lines, one a product, and their total in cents."""
    lines, total = [], 0
    for page in products:
        quantity = 1 if rng.random() < 0.85 else 2
        price = catalogue.price_minor[page]
        total += quantity * price
        name = catalogue.pages[page].rsplit("/", 1)[1]
        lines.append(
            {
                "sku": name.upper(),
                "name": f"Product {name[1:]}",
                "category": f"range {page % 7}",
                "quantity": quantity,
                "unit_price": amount(price),
            }
        )
    return lines, total


def order_elsewhere(
    catalogue: Catalogue, tag: str, number: int, time_ms: int, customer_id: str, site: str, rng: random.Random
) -> list[Timed]:
    """Make the order of a customer in a store, an app or by telephone: no visitor, and paid at once."""
    products = [catalogue.pick("product", rng.random()) for _ in range(1 + int(rng.random() * 2.5))]
    lines, total = order_lines(catalogue, products, rng)
    channel = _OTHER_CHANNELS[int(rng.random() * len(_OTHER_CHANNELS))]
    order: Event = {
        "event_id": f"{tag}-{number:x}-0",
        "order_id": f"o{tag}{number:x}",
        "revision": 1,
        "status": "paid",
        "occurred_at": time_ms,
        "channel": channel,
        "customer_id": customer_id,
        "currency": CURRENCY,
        "total": amount(total),
        "cost": amount(total * _COST_SHARE // 100),
        "lines": lines,
        "site": site,
    }
    if channel == "store":
        city = int(rng.random() * len(_CITIES))
        order["store"] = {"id": f"s{city + 1}", "city": _CITIES[city]}
    return [(time_ms, "orders", order)]


class VisitRecord:
    """The events of one visit, collected in the order in which they are decided.

    Attributes
    ----------
    events
        (occurred_at, topic, event), not sorted: an order is paid, or sent back, long after the visit.
    customer_id
        Set from the login or registration on; then it travels on the visit's events.
    """

    __slots__ = ("_catalogue", "_prefix", "_rng", "_site", "customer_id", "events", "ordered", "visitor")

    def __init__(
        self, prefix: str, visitor: Visitor, catalogue: Catalogue, site: str, rng: random.Random
    ) -> None:
        self.events: list[Timed] = []
        self.customer_id: str | None = None
        self.visitor = visitor
        self.ordered = False
        self._prefix = prefix
        self._catalogue = catalogue
        self._site = site
        self._rng = rng

    def view(self, time_ms: int, url: str, referrer: str, title: str) -> None:
        """Add a page view; an empty referrer is left out."""
        visitor = self.visitor
        event: Event = {
            "event_id": f"{self._prefix}{len(self.events):x}",
            "visitor_id": visitor.visitor_id,
            "occurred_at": time_ms,
            "url": url,
            "title": title,
            "user_agent": visitor.user_agent,
            "ip": visitor.ip,
            "site": self._site,
        }
        if referrer:
            event["referrer"] = referrer
        if self.customer_id is not None:
            event["customer_id"] = self.customer_id
        self.events.append((time_ms, "page-views", event))

    def act(self, time_ms: int, name: str, url: str, properties: Event) -> None:
        """Add an interaction."""
        visitor = self.visitor
        event: Event = {
            "event_id": f"{self._prefix}{len(self.events):x}",
            "visitor_id": visitor.visitor_id,
            "occurred_at": time_ms,
            "name": name,
            "url": url,
            "user_agent": visitor.user_agent,
            "site": self._site,
        }
        if properties:
            event["properties"] = properties
        if self.customer_id is not None:
            event["customer_id"] = self.customer_id
        self.events.append((time_ms, "interactions", event))

    def add_to_cart(self, time_ms: int, page: int, url: str) -> None:
        """Put a product into the basket."""
        self.visitor.basket.append(page)
        price = amount(self._catalogue.price_minor[page])
        sku = self._catalogue.pages[page].rsplit("/", 1)[1].upper()
        self.act(time_ms, "add_to_cart", url, {"sku": sku, "unit_price": price, "currency": CURRENCY})

    def remove_from_cart(self, time_ms: int, url: str) -> None:
        """Take the last product out of the basket."""
        page = self.visitor.basket.pop()
        sku = self._catalogue.pages[page].rsplit("/", 1)[1].upper()
        self.act(time_ms, "remove_from_cart", url, {"sku": sku})

    def fill_basket(self) -> None:
        """Give a basket from some earlier day to who comes to the cart without one."""
        if not self.visitor.basket:
            self.visitor.basket.append(self._catalogue.pick("product", self._rng.random()))

    def register(self, time_ms: int, customer_id: str) -> None:
        """Make the visitor a customer."""
        self.visitor.customer_id = self.customer_id = customer_id
        traits = {"newsletter": self._rng.random() < 0.4}
        self._identify(time_ms, "registered", traits)

    def log_in(self, time_ms: int) -> None:
        """Tell who the visitor is; he must be a customer already."""
        self.customer_id = self.visitor.customer_id
        self._identify(time_ms, "logged_in", {})

    def order(self, time_ms: int) -> None:
        """Order the basket: placed now, paid soon, a few cancelled or sent back later."""
        rng, visitor = self._rng, self.visitor
        self.fill_basket()
        lines, total = order_lines(self._catalogue, visitor.basket, rng)
        visitor.basket.clear()
        self.ordered = True
        # A visit may order more than once: the running number of the event keeps the orders apart.
        order_id = f"o{self._prefix}{len(self.events):x}"
        statuses = [("placed", time_ms), ("paid", time_ms + 1_000 + int(rng.random() * 90_000))]
        u = rng.random()
        if u < _CANCELLED:
            statuses.append(("cancelled", time_ms + 120_000 + int(rng.random() * HOUR_MS)))
        elif u < _CANCELLED + _REFUNDED:
            statuses.append(("refunded", time_ms + 2 * HOUR_MS + int(rng.random() * 20 * HOUR_MS)))
        for revision, (status, when_ms) in enumerate(statuses, 1):
            event: Event = {
                "event_id": f"{self._prefix}{len(self.events):x}",
                "order_id": order_id,
                "revision": revision,
                "status": status,
                "occurred_at": when_ms,
                "channel": "web",
                "visitor_id": visitor.visitor_id,
                "currency": CURRENCY,
                "total": amount(total),
                "cost": amount(total * _COST_SHARE // 100),
                "lines": lines,
                "site": self._site,
            }
            if self.customer_id is not None:
                event["customer_id"] = self.customer_id
            self.events.append((when_ms, "orders", event))
        if rng.random() < _SURVEYED:
            self._tell(time_ms + 30_000 + int(rng.random() * 60_000), "survey", order_id)
        elif rng.random() < _REVIEWED:
            self._tell(time_ms + HOUR_MS + int(rng.random() * 24 * HOUR_MS), "review", order_id)

    def consent(self, time_ms: int, *, is_new: bool) -> bool:
        """Let a few answer the consent question; False when this one does not want to be known again."""
        u = self._rng.random()
        refuses = u < _REFUSED
        if refuses or (is_new and u < _CONSENTED):
            marketing = not refuses and self._rng.random() < 0.5
            event: Event = {
                "event_id": f"{self._prefix}{len(self.events):x}",
                "occurred_at": time_ms,
                "visitor_id": self.visitor.visitor_id,
                "purposes": {
                    "analytics": not refuses,
                    "personalisation": not refuses,
                    "marketing": marketing,
                },
            }
            self.events.append((time_ms, "consents", event))
        return not refuses

    def _identify(self, time_ms: int, kind: str, traits: Event) -> None:
        event: Event = {
            "event_id": f"{self._prefix}{len(self.events):x}",
            "kind": kind,
            "occurred_at": time_ms,
            "visitor_id": self.visitor.visitor_id,
            "customer_id": self.customer_id,
            "identifiers": {"email": f"{self.customer_id}@mail.example"},
        }
        if traits:
            event["traits"] = traits
        self.events.append((time_ms, "identities", event))

    def _tell(self, time_ms: int, kind: str, order_id: str) -> None:
        score = 1 + int(10 * self._rng.random() ** 0.5)
        event: Event = {
            "event_id": f"{self._prefix}{len(self.events):x}",
            "occurred_at": time_ms,
            "visitor_id": self.visitor.visitor_id,
            "kind": kind,
            "score": score,
            "scale": 10,
            "text": _REMARKS[score % len(_REMARKS)],
            "order_id": order_id,
        }
        self.events.append((time_ms, "feedback", event))
