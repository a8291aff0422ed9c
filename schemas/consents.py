"""Consents: what a visitor or customer allows, and the wish to be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from schemas.events import Event
from schemas.fields import FieldError, Id


class Purposes(msgspec.Struct, kw_only=True, gc=False):
    """What is allowed; a purpose that is absent stays as it was."""

    analytics: Annotated[bool | None, Meta(description="May be counted and analysed.")] = None
    personalisation: Annotated[bool | None, Meta(description="May be shown what suits.")] = None
    marketing: Annotated[bool | None, Meta(description="May be written to.")] = None


class Consent(Event, kw_only=True, gc=False):
    """A visitor or customer allowed or forbade something, or asked to be forgotten."""

    JSON_RULES: ClassVar[dict[str, Any]] = {
        "anyOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("visitor_id", "customer_id")
        ]
    }

    visitor_id: Annotated[Id | None, Meta(description="The browser; this or customer_id is needed.")] = None
    customer_id: Annotated[Id | None, Meta(description="The customer; this or visitor_id is needed.")] = None
    purposes: Annotated[Purposes | None, Meta(description="What is allowed.")] = None
    erase: Annotated[bool, Meta(description="Whether all that is known is to be forgotten.")] = False

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield from super().ids()
        yield "visitor_id", self.visitor_id
        yield "customer_id", self.customer_id

    def check(self) -> None:
        """Refuse what names nobody, and blank ids.

        Raises
        ------
        FieldError
            With neither visitor nor customer.
        """
        super().check()
        if self.visitor_id is None and self.customer_id is None:
            raise FieldError("`visitor_id` or `customer_id` is needed")
