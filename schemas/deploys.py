"""Deploys: when another version of a shop went live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from schemas.events import Event
from schemas.fields import Id, Link, Name, Note


class Deploy(Event, kw_only=True, gc=False):
    """Another version of a shop went live."""

    site: Annotated[Id, Meta(description="Shop that was deployed.")]
    version: Annotated[Name, Meta(description="What went live.")]
    by: Annotated[Name | None, Meta(description="Who deployed it: a person's name or role.")] = None
    note: Annotated[Note | None, Meta(description="What is new, in their own words.")] = None
    url: Annotated[Link | None, Meta(description="Where more is said of it.")] = None

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield from super().ids()
        yield "version", self.version
        yield "by", self.by
        yield "url", self.url
