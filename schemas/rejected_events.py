"""Rejected events: records that can't be used, each with its reason and where it stood."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import Count, Id, Short, Text
from schemas.timestamps import UtcTime

Reason: TypeAlias = Literal[
    "not_json",
    "schema_violation",
    "missing_visitor",
    "too_large",
    "from_future",
    "too_late",
    "unknown_topic",
    "malformed_line",
    "unknown_alert",
    "not_possible",
]
"""Why a record was refused; `malformed_line` is a line of a file that its format's adapter can't read,
`unknown_alert` a decision about an alert that never was or has long been over, `not_possible` one that makes no
sense as the alert is."""

Payload: TypeAlias = Annotated[
    str, Meta(max_length=4 * -(-16 * 1024 // 3), extra_json_schema={"contentEncoding": "base64"})
]


class RejectedEvent(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="schema", tag="rejected-events/1"
):
    """A record that can't be used. It is written once."""

    id: Annotated[Id, Meta(description="Where it stood: topic/partition/offset.")]
    reason: Annotated[Reason, Meta(description="Why it was refused.")]
    detail: Annotated[Text, Meta(description="What was wrong, without personal data.")]
    topic: Annotated[Short | None, Meta(description="Topic that it was read from.")] = None
    partition: Annotated[Count | None, Meta(description="Partition that it was read from.")] = None
    offset: Annotated[
        Count | None, Meta(description="Its offset there; in a file the number of its line.")
    ] = None
    payload: Annotated[Payload | None, Meta(description="The record's first 16 KiB, as base64.")] = None
    rejected_at: Annotated[UtcTime | None, Meta(description="When it was appended to its log.")] = None
