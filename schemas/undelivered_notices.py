"""Undelivered notices: what somebody should have been told of an alert, and was not."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.dead_end_alerts import AlertStatus
from schemas.fields import Count, Id, Name, Short
from schemas.timestamps import UtcTime

ReceiverKind: TypeAlias = Literal["webhook", "slack", "alertmanager", "email"]
UndeliveredReason: TypeAlias = Literal["refused", "gave_up"]


class UndeliveredNotice(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="schema",
    tag="undelivered-notices/1",
):
    """A notice of an alert that a receiver refused, or that could not be delivered in time."""

    id: Annotated[Short, Meta(min_length=1, description="Route and notice.")]
    alert_id: Annotated[Id, Meta(description="The alert.")]
    alert_revision: Annotated[int, Meta(ge=1, description="Revision of the alert that was to be told.")]
    status: Annotated[AlertStatus, Meta(description="What had come of the alert.")]
    site: Annotated[Id, Meta(description="Shop that it belongs to.")]
    route: Annotated[Name, Meta(description="Route by which it was to be told.")]
    receiver: Annotated[Name, Meta(description="Name of who was to be told.")]
    kind: Annotated[ReceiverKind, Meta(description="By which way.")]
    reason: Annotated[
        UndeliveredReason,
        Meta(description="refused: the receiver said never. gave_up: it could not be reached in time."),
    ]
    detail: Annotated[Short, Meta(description="The last failure in a few words, without the address.")]
    attempts: Annotated[Count, Meta(description="How often it was tried.")]
    undelivered_at: Annotated[UtcTime, Meta(description="When it was given up; not event time.")]
