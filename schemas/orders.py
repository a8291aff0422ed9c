"""Orders: each record is one revision of an order, on any channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.events import Event
from schemas.fields import Currency, Id, Text
from schemas.identities import Identifiers
from schemas.money import Amount, OptionalAmount, parse_amount

OrderStatus: TypeAlias = Literal["placed", "paid", "cancelled", "refunded", "returned"]
OrderChannel: TypeAlias = Literal["web", "app", "store", "call_centre", "marketplace", "catalogue"]


class Store(msgspec.Struct, kw_only=True, gc=False):
    """A shop of bricks."""

    id: Annotated[Id | None, Meta(description="Names the store.")] = None
    city: Annotated[Id | None, Meta(description="Where it stands.")] = None


class OrderLine(msgspec.Struct, kw_only=True, gc=False):
    """One article of an order. Amounts are exact decimals."""

    sku: Annotated[Id, Meta(description="Names the article.")]
    quantity: Annotated[Amount, Meta(description="How many, or how much; below zero where it came back.")]
    unit_price: Annotated[Amount, Meta(description="Price of one, in the order's currency.")]
    name: Annotated[Text | None, Meta(description="What the article is called.")] = None
    category: Annotated[Text | None, Meta(description="What kind of article it is.")] = None

    def __post_init__(self) -> None:
        self.quantity = parse_amount(self.quantity, "quantity")
        self.unit_price = parse_amount(self.unit_price, "unit_price")


class Order(Event, kw_only=True):
    """One revision of an order. Amounts are exact decimals; `cost` is None where it is not known."""

    order_id: Annotated[Id, Meta(description="Names the order; its revisions share it.")]
    status: Annotated[OrderStatus, Meta(description="What the order has come to.")]
    channel: Annotated[OrderChannel, Meta(description="Where it was placed.")]
    currency: Annotated[Currency, Meta(description="Currency of all its amounts, as ISO 4217 writes it.")]
    total: Annotated[Amount, Meta(description="What the customer pays in all.")]
    revision: Annotated[
        int,
        Meta(ge=1, le=1_000_000_000, description="Grows with each change of the order; the highest holds."),
    ] = 1
    visitor_id: Annotated[Id | None, Meta(description="The browser, where there was one.")] = None
    customer_id: Annotated[Id | None, Meta(description="The customer, where the shop knows him.")] = None
    identifiers: Annotated[
        Identifiers | None, Meta(description="What the customer is known by outside the shop.")
    ] = None
    store: Annotated[Store | None, Meta(description="The store, where there was one.")] = None
    cost: Annotated[OptionalAmount, Meta(description="What the articles cost the shop.")] = None
    lines: Annotated[list[OrderLine], Meta(description="Its articles.")] = msgspec.field(default_factory=list)
    campaign: Annotated[Id | None, Meta(description="Campaign that it is credited to by the shop.")] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = parse_amount(self.total, "total")
        if self.cost is not None:
            self.cost = None if self.cost == _NULL else parse_amount(self.cost, "cost")

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield from super().ids()
        yield "order_id", self.order_id
        yield "visitor_id", self.visitor_id
        yield "customer_id", self.customer_id
        yield "campaign", self.campaign
        if self.identifiers is not None:
            yield from self.identifiers.ids()
        if self.store is not None:
            yield "store.id", self.store.id
            yield "store.city", self.store.city
        for i, line in enumerate(self.lines):
            yield f"lines[{i}].sku", line.sku


_NULL = msgspec.Raw(b"null")
