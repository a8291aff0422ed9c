"""Feedback: what people say in surveys, reviews, calls and chats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from schemas.events import Event
from schemas.fields import Id, Text, Url

FeedbackKind: TypeAlias = Literal["survey", "review", "call", "chat"]

Points: TypeAlias = Annotated[float, Meta(ge=-1000, le=1000)]
Scale: TypeAlias = Annotated[float, Meta(gt=0, le=1000)]


class Feedback(Event, kw_only=True, gc=False):
    """Somebody said something; who, may stay unknown."""

    kind: Annotated[FeedbackKind, Meta(description="How it was said.")]
    visitor_id: Annotated[Id | None, Meta(description="The browser, where it is known.")] = None
    customer_id: Annotated[Id | None, Meta(description="The customer, where he is known.")] = None
    score: Annotated[Points | None, Meta(description="Points given.")] = None
    scale: Annotated[Scale | None, Meta(description="Most points that could be given.")] = None
    text: Annotated[Text | None, Meta(description="In their own words.")] = None
    url: Annotated[Url | None, Meta(description="Page that it is about.")] = None
    order_id: Annotated[Id | None, Meta(description="Order that it is about.")] = None

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield from super().ids()
        yield "visitor_id", self.visitor_id
        yield "customer_id", self.customer_id
        yield "order_id", self.order_id
        yield "url", self.url
