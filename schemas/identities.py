"""Identities: which customer a visitor is, and what is known of customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.events import Event
from schemas.fields import FieldError, Id, JsonObject, json_object

IdentityKind: TypeAlias = Literal["registered", "logged_in", "logged_out", "unlinked", "described"]


class Identifiers(msgspec.Struct, kw_only=True, gc=False):
    """What a customer is known by outside the shop: keyed hashes, or plain and hashed at the door."""

    email: Annotated[Id | None, Meta(description="E-mail address, plain or hashed.")] = None
    phone: Annotated[Id | None, Meta(description="Telephone number, plain or hashed.")] = None
    loyalty: Annotated[Id | None, Meta(description="Number of a loyalty card, plain or hashed.")] = None

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield "identifiers.email", self.email
        yield "identifiers.phone", self.phone
        yield "identifiers.loyalty", self.loyalty

    @property
    def is_empty(self) -> bool:
        """Whether it identifies nobody."""
        return self.email is None and self.phone is None and self.loyalty is None


_SOME_IDENTIFIER: dict[str, Any] = {
    "type": "object",
    "anyOf": [
        {"required": [name], "properties": {name: {"type": "string"}}}
        for name in ("email", "phone", "loyalty")
    ],
}


class Identity(Event, kw_only=True, gc=False):
    """A visitor registered, logged in or out, was unlinked from a customer; or a customer was described."""

    NEEDS_VISITOR: ClassVar[bool] = True
    JSON_RULES: ClassVar[dict[str, Any]] = {
        "allOf": [
            {
                "anyOf": [
                    {"required": ["customer_id"], "properties": {"customer_id": {"type": "string"}}},
                    {"required": ["identifiers"], "properties": {"identifiers": _SOME_IDENTIFIER}},
                ]
            },
            {
                "if": {"properties": {"kind": {"const": "described"}}},
                "else": {"required": ["visitor_id"], "properties": {"visitor_id": {"type": "string"}}},
            },
        ]
    }

    kind: Annotated[IdentityKind, Meta(description="What happened; described needs no visitor.")]
    visitor_id: Annotated[Id | None, Meta(description="The browser; needed unless kind is described.")] = None
    customer_id: Annotated[Id | None, Meta(description="The customer; this or an identifier is needed.")] = (
        None
    )
    identifiers: Annotated[
        Identifiers | None, Meta(description="What the customer is known by outside the shop.")
    ] = None
    traits: Annotated[JsonObject, Meta(description="What is known of the customer; passed on as it is.")] = (
        None
    )

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield "visitor_id", self.visitor_id
        yield from super().ids()
        yield "customer_id", self.customer_id
        if self.identifiers is not None:
            yield from self.identifiers.ids()

    def check(self) -> None:
        """Refuse what names no visitor or no customer, blank ids, and traits that are no JSON object.

        Raises
        ------
        FieldError
            Without visitor, unless `kind` is described; with neither customer nor identifier.
        """
        super().check()
        if self.visitor_id is None and self.kind != "described":
            raise FieldError("`visitor_id` is missing")
        if self.customer_id is None and (self.identifiers is None or self.identifiers.is_empty):
            raise FieldError("`customer_id` or one of `identifiers` is needed")
        if self.traits is not None:
            self.traits = json_object(self.traits, "traits")
