"""Alert decisions: what people say of dead-end alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta

from schemas.events import Event
from schemas.fields import FieldError, Id, Name, Note
from schemas.timestamps import Instant, instant_ms

DecisionAction: TypeAlias = Literal["acknowledge", "mute", "unmute", "dismiss", "reopen"]


class AlertDecision(Event, kw_only=True, gc=False):
    """Somebody has seen an alert, wants to hear no more of it, says that it is none, or that it is not over."""

    JSON_RULES: ClassVar[dict[str, Any]] = {
        "if": {"required": ["until"], "properties": {"until": {"not": {"type": "null"}}}},
        "then": {"properties": {"action": {"const": "mute"}}},
    }

    site: Annotated[Id, Meta(description="Shop that the alert belongs to.")]
    alert_id: Annotated[Id, Meta(description="The alert.")]
    action: Annotated[DecisionAction, Meta(description="What is to become of it.")]
    by: Annotated[Name | None, Meta(description="Who says so: a person's name or role.")] = None
    why: Annotated[Note | None, Meta(description="Why, in their own words.")] = None
    until: Annotated[
        Instant | None, Meta(description="When a mute ends; absent: when the alert is over.")
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.until is not None:
            self.until = instant_ms(self.until, "until")

    def ids(self) -> Iterator[tuple[str, str | None]]:
        """Fields that may be neither blank nor hold control characters, with their names."""
        yield from super().ids()
        yield "alert_id", self.alert_id
        yield "by", self.by

    def check(self) -> None:
        """Refuse blank ids, control characters in them, and an end of anything but a mute.

        Raises
        ------
        FieldError
            Naming the field.
        """
        super().check()
        if self.until is not None:
            if self.action != "mute":
                raise FieldError("`until` is of a mute only")
            if self.until <= self.occurred_at:
                raise FieldError("`until` is not after `occurred_at`")
