"""Page views: a visitor was shown a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from schemas.events import Event
from schemas.fields import Address, Id, JsonObject, Text, Url, json_object, require_ids
from schemas.timestamps import Instant, instant_ms


class PageView(Event, kw_only=True, gc=False):
    """A page was shown to a visitor."""

    NEEDS_VISITOR: ClassVar[bool] = True

    visitor_id: Annotated[Id, Meta(description="First-party id of the browser.")]
    url: Annotated[Url, Meta(description="Address of the page, as the browser has it.")]
    referrer: Annotated[Text | None, Meta(description="Address of the page before, as the browser says.")] = (
        None
    )
    title: Annotated[Text | None, Meta(description="Title of the page.")] = None
    user_agent: Annotated[Text | None, Meta(description="User-Agent header.")] = None
    ip: Annotated[Address | None, Meta(description="IP address; cut short before anything else sees it.")] = (
        None
    )
    customer_id: Annotated[Id | None, Meta(description="Customer, where the shop knows him.")] = None
    sent_at: Annotated[
        Instant | None, Meta(description="When the browser sent it; never used as event time.")
    ] = None
    properties: Annotated[JsonObject, Meta(description="Anything else; passed on as it is.")] = None

    def __post_init__(self) -> None:
        # Spelled out instead of super(): this is the busiest topic.
        if self.occurred_at.__class__ is not int:
            self.occurred_at = instant_ms(self.occurred_at, "occurred_at")
        if self.sent_at is not None and self.sent_at.__class__ is not int:
            self.sent_at = instant_ms(self.sent_at, "sent_at")

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield "visitor_id", self.visitor_id
        yield from super().ids()
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
            or not f"{event}{visitor}{customer}{site}{self.url}".isprintable()
        ):
            require_ids(self.ids())
        if self.properties is not None:
            self.properties = json_object(self.properties, "properties")
