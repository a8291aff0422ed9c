"""What all events of the input topics share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from schemas.fields import Id, require_ids
from schemas.timestamps import Instant, instant_ms


class Event(msgspec.Struct, kw_only=True, gc=False):
    """One thing that happened.

    `occurred_at` is epoch milliseconds, whatever it was on the wire. Decoding checks the types; `check`
    refuses what types can't say, and is asked once, at the door.
    """

    NEEDS_VISITOR: ClassVar[bool] = False
    """Whether a record without visitor is refused as ``missing_visitor``."""

    JSON_RULES: ClassVar[dict[str, Any]] = {}
    """What `check` demands, as far as JSON Schema can say it."""

    event_id: Annotated[Id, Meta(description="Names the event: a copy with the same id is the same event.")]
    occurred_at: Annotated[
        Instant,
        Meta(
            description="When it happened: RFC 3339 with an offset, or epoch milliseconds; years 1 to 9999."
        ),
    ]
    site: Annotated[Id | None, Meta(description="Shop that it belongs to; absent: the default one.")] = None

    def __post_init__(self) -> None:
        if self.occurred_at.__class__ is not int:
            self.occurred_at = instant_ms(self.occurred_at, "occurred_at")

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield "event_id", self.event_id
        yield "site", self.site

    def check(self) -> None:
        """Refuse what the types let through.

        Raises
        ------
        FieldError
            Naming the field.
        """
        require_ids(self.ids())
