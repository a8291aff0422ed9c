"""Sessions: what a visitor did between two pauses, and what came of it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import Count, Currency, Id
from schemas.money import AmountText
from schemas.timestamps import UtcTime

SessionStatus: TypeAlias = Literal["final", "revised", "retracted"]
Outcome: TypeAlias = Literal["purchased", "registered", "none"]
ExitReason: TypeAlias = Literal[
    "purchased",
    "registered",
    "handed_off",
    "served",
    "bot",
    "measurement_gap",
    "bought_later",
    "dead_end",
]
ExitRuleKind: TypeAlias = Literal[
    "order",
    "identity",
    "interaction",
    "template",
    "reading",
    "page_view",
    "session",
    "learned",
    "otherwise",
]
"""What the rule that gave an exit reason looks at, before its colon."""


class Session(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="sessions/1"):
    """Page views and interactions of a visitor without a longer pause; keep the last revision of an id.

    Written when it closes (`final`), then only when late events change it (`revised`) or join it to others or
    split it (`retracted`: it never was, others stand in its place).
    """

    id: Annotated[Id, Meta(description="The session's id again.")]
    revision: Annotated[int, Meta(ge=1, description="Grows with each change; the highest holds.")]
    status: Annotated[SessionStatus, Meta(description="Whether it holds, has changed, or never was.")]
    session_id: Annotated[Id, Meta(description="Hash of visitor and first event.")]
    visitor_id: Annotated[Id, Meta(description="The browser, pseudonymised.")]
    started_at: Annotated[UtcTime, Meta(description="Time of its first click.")]
    ended_at: Annotated[UtcTime, Meta(description="Time of its last click.")]
    page_views: Annotated[Count, Meta(description="How many pages were shown.")]
    interactions: Annotated[Count, Meta(description="How many interactions it has.")]
    customer_id: Annotated[Id | None, Meta(description="The customer, pseudonymised, where he is known.")] = (
        None
    )
    site: Annotated[Id | None, Meta(description="Shop that it belongs to.")] = None
    entry_page: Annotated[str | None, Meta(description="Its first page, normalised.")] = None
    exit_page: Annotated[str | None, Meta(description="Its last page, normalised.")] = None
    pages: Annotated[list[str] | None, Meta(description="Its pages in order of time, normalised.")] = None
    source: Annotated[str | None, Meta(description="Channel that brought the visitor.")] = None
    campaign: Annotated[str | None, Meta(description="Campaign that brought the visitor.")] = None
    device: Annotated[str | None, Meta(description="Kind of device.")] = None
    is_bot: Annotated[bool | None, Meta(description="Whether no human did it.")] = None
    outcome: Annotated[Outcome | None, Meta(description="What came of it.")] = None
    exit_reason: Annotated[ExitReason | None, Meta(description="Why it ended on its last page.")] = None
    exit_rule: Annotated[str | None, Meta(description="Names the rule that gave the reason.")] = None
    order_ids: Annotated[list[str] | None, Meta(description="Orders that belong to it.")] = None
    revenue: Annotated[AmountText | None, Meta(description="Sum of its orders.")] = None
    currency: Annotated[Currency | None, Meta(description="Currency of the revenue.")] = None
    capped: Annotated[
        bool | None,
        Meta(description="Whether it had more page views than are kept; then figures are partial."),
    ] = None
