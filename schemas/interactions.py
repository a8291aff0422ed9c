"""Interactions: a visitor did something on a page, other than going to the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from schemas.events import Event
from schemas.fields import Id, JsonObject, Text, Url, Word, json_object, require_ids


class Interaction(Event, kw_only=True, gc=False):
    """A visitor did something on a page."""

    NEEDS_VISITOR: ClassVar[bool] = True

    visitor_id: Annotated[Id, Meta(description="First-party id of the browser.")]
    name: Annotated[
        Word,
        Meta(
            description="What was done. Known names have a meaning; others only extend the session.",
            examples=[
                "add_to_cart",
                "remove_from_cart",
                "checkout_started",
                "search",
                "error",
                "rage_click",
                "outbound_click",
                "phone_tap",
                "store_finder",
                "engagement",
            ],
        ),
    ]
    url: Annotated[Url | None, Meta(description="Address of the page on which it was done.")] = None
    referrer: Annotated[Text | None, Meta(description="Address of the page before.")] = None
    user_agent: Annotated[Text | None, Meta(description="User-Agent header.")] = None
    customer_id: Annotated[Id | None, Meta(description="Customer, where the shop knows him.")] = None
    properties: Annotated[JsonObject, Meta(description="Details, as the seconds of an engagement.")] = None

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield "visitor_id", self.visitor_id
        yield from super().ids()
        yield "name", self.name
        yield "customer_id", self.customer_id
        yield "url", self.url

    def check(self) -> None:
        """Refuse blank ids, control characters, and properties that are no JSON object.

        Raises
        ------
        FieldError
            Naming the field.
        """
        event, visitor, customer, site = self.event_id, self.visitor_id, self.customer_id, self.site
        # One look at all of them: naming the field is for the few that fail it.
        if (
            event.isspace()
            or visitor.isspace()
            or (customer is not None and customer.isspace())
            or (site is not None and site.isspace())
            or self.name.isspace()
            or not f"{event}{visitor}{customer}{site}{self.name}{self.url}".isprintable()
        ):
            require_ids(self.ids())
        if self.properties is not None:
            self.properties = json_object(self.properties, "properties")
