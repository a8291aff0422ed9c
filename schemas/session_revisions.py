"""Session revisions: what is learned of a session after it was written, from the customer's other channels."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import Id, NotNegative
from schemas.orders import OrderChannel
from schemas.timestamps import UtcTime

RevisionStatus: TypeAlias = Literal["revised", "retracted"]


class SessionRevision(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="session-revisions/1"
):
    """Another exit reason of a session, beside the record in ``sessions``; keep the last revision of an id.

    While the last one is `revised`, its reason takes the place of the session's ``dead_end``. Once it is
    `retracted`, what stands in ``sessions`` holds again.
    """

    id: Annotated[Id, Meta(description="Hash of session and customer.")]
    revision: Annotated[
        int, Meta(ge=1, description="Of this id, apart from the session's own; the highest holds.")
    ]
    status: Annotated[RevisionStatus, Meta(description="Whether it holds, or is taken back.")]
    session_id: Annotated[Id, Meta(description="The session, as in sessions.")]
    visitor_id: Annotated[Id, Meta(description="The browser, pseudonymised.")]
    customer_id: Annotated[Id, Meta(description="The customer, pseudonymised.")]
    site: Annotated[Id, Meta(description="Shop that the session belongs to.")]
    ended_at: Annotated[UtcTime, Meta(description="Time of the session's last click.")]
    exit_page: Annotated[str | None, Meta(description="The session's last page, normalised.")] = None
    exit_reason: Annotated[
        Literal["bought_later"] | None, Meta(description="Why it ended; absent once it is taken back.")
    ] = None
    exit_rule: Annotated[str | None, Meta(description="Names the rule that gave the reason.")] = None
    order_id: Annotated[Id | None, Meta(description="The first order placed after the exit.")] = None
    channel: Annotated[OrderChannel | None, Meta(description="Where it was placed.")] = None
    ordered_at: Annotated[UtcTime | None, Meta(description="When it was placed.")] = None
    minutes_to_order: Annotated[NotNegative | None, Meta(description="From the exit to the order.")] = None
