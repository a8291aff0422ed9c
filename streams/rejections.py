"""Records that can't be used: each becomes a `rejected-events` record with its reason, position and payload."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Protocol

import msgspec

from schemas.rejected_events import Reason, RejectedEvent
from schemas.timestamps import MAX_MS, MIN_MS, format_ms
from schemas.visitor_events import Origin
from streams.stages import Context, Output

MAX_PAYLOAD_BYTES = 16 * 1024
"""Longer payloads are cut: enough to see what was wrong, too little to fill a disk."""


def rejection(
    context: Context, reason: Reason, detail: str, topic: str, partition: int, value: bytes | None
) -> Output:
    """Record that tells why and where something was refused.

    Parameters
    ----------
    context
        Of the step that refuses; gives offset and append time.
    reason
        One of the typed reasons of `RejectedEvent`.
    detail
        What was wrong, without personal data.
    topic, partition, value
        Where it stood, and its bytes.
    """
    # Producers with clocks of their own may have given any number as the record's time.
    at_ms = min(max(context.append_ms, MIN_MS), MAX_MS)
    position = f"{topic}/{partition}/{context.offset}"
    event = RejectedEvent(
        id=position,
        reason=reason,
        detail=detail[:500],
        topic=topic,
        partition=partition,
        offset=context.offset,
        payload=base64.b64encode((value or b"")[:MAX_PAYLOAD_BYTES]).decode(),
        rejected_at=format_ms(at_ms),
    )
    return Output("rejected-events", position, event, position, at_ms)


class _Internal(Protocol):
    @property
    def origin(self) -> Origin: ...


def refused(context: Context, record: _Internal, reason: Reason, detail: str) -> Output:
    """Rejection of an internal record that names where it first stood, not where it stands in this log; counted."""
    upstream, offset, _ = record.origin
    topic, _, partition = upstream.rpartition("/")
    context.count("rejected", reason)
    payload = msgspec.json.encode(record)
    position = replace(context, offset=offset)
    return rejection(position, reason, detail, topic, int(partition) if partition.isdigit() else 0, payload)
