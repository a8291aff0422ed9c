"""Open alerts: what is kept of an alert from its opening until it is over, and how many are open."""

from __future__ import annotations

import msgspec

from streams.note_records import Answers


class OpenAlert(msgspec.Struct, array_like=True):
    """An alert of a page or a scope: when it opened, was last written, last had views (`seen_ms`), opened again.

    `confirmed_ms` is when final exits confirmed it, since it opened the last time; `answers` is what people said.
    """

    alert_id: str
    revision: int
    opened_ms: int
    updated_ms: int
    seen_ms: int
    evidence: float
    reopened_ms: int | None = None
    confirmed_ms: int | None = None
    answers: Answers = msgspec.field(default_factory=Answers)


class OpenAlerts(msgspec.Struct, array_like=True):
    """How many alerts are open, of all sites of the partition."""

    number: int = 0
