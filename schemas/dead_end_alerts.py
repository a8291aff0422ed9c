"""Dead-end alerts: pages on which visitors give up more often than they used to."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import Count, Currency, Id
from schemas.money import AmountText
from schemas.timestamps import UtcTime

AlertStatus: TypeAlias = Literal[
    "opened",
    "updated",
    "confirmed",
    "withdrawn",
    "acknowledged",
    "muted",
    "dismissed",
    "resolved",
    "reopened",
]
AlertScope: TypeAlias = Literal["page", "template", "source", "device", "first_view", "site"]
AlertCause: TypeAlias = Literal[
    "page_broke",
    "tag_broke",
    "bot_wave",
    "campaign_mix",
    "site_change",
    "checkout_outage",
    "unknown",
]


class DeadEndAlert(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="dead-end-alerts/1"
):
    """A page, template or site that loses more visitors than its own past says; the last revision holds."""

    id: Annotated[Id, Meta(description="The alert's id again.")]
    alert_id: Annotated[Id, Meta(description="Hash of site, scope, value and opening.")]
    revision: Annotated[int, Meta(ge=1, description="Grows with each change; the highest holds.")]
    status: Annotated[AlertStatus, Meta(description="What has come of it.")]
    page: Annotated[
        str,
        Meta(description="The page; where the scope is wider the worst one, or empty if none stands out."),
    ]
    template: Annotated[str, Meta(description="Kind of that page.")]
    site: Annotated[Id, Meta(description="Shop that it belongs to.")]
    scope: Annotated[
        AlertScope,
        Meta(
            description="What is broken: a page, all pages of a kind, or all for some visitors, or for all."
        ),
    ]
    opened_at: Annotated[UtcTime, Meta(description="Event time at which it opened.")]
    updated_at: Annotated[UtcTime, Meta(description="Event time of this revision.")]
    resolved_at: Annotated[UtcTime | None, Meta(description="Event time at which it was over.")] = None
    cause: Annotated[AlertCause, Meta(description="What seems to be behind it.")]
    log_evidence: Annotated[float, Meta(description="Evidence (natural log of a tempered likelihood ratio).")]
    views: Annotated[Count, Meta(description="Labelled views since it began.")]
    exits: Annotated[Count, Meta(description="How many of them went no further.")]
    expected_exits: Annotated[float, Meta(ge=0, description="How many usually would have.")]
    excess_low: Annotated[float | None, Meta(description="Lower end of the interval of the excess.")] = None
    excess_high: Annotated[float | None, Meta(description="Upper end of it.")] = None
    money_at_stake: Annotated[AmountText | None, Meta(description="What the excess may have cost.")] = None
    currency: Annotated[Currency | None, Meta(description="Currency of the money at stake.")] = None
    value: Annotated[
        str | None, Meta(description="The template, source or device, where the scope is wider than a page.")
    ] = None
    part_of: Annotated[Id | None, Meta(description="The wider alert that stands for it now.")] = None
    sample_sessions: Annotated[
        list[str] | None, Meta(description="Some of the sessions that ended there.")
    ] = None
