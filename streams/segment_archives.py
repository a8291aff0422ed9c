"""Segment's archives: NDJSON (packed or not), one message a line."""

from __future__ import annotations

from collections import Counter
from typing import Any

from schemas.decoding import RejectedError
from schemas.rejected_events import Reason
from streams.adapters import Adapted, Adapter, RawError
from streams.collected import Received, Skip
from streams.foreign_values import digest
from streams.segment_events import collect_segment, read_message

TYPES = frozenset({"page", "track", "identify", "screen", "group", "alias"})


class _Archived:
    """What an archived message comes to, as it is: privacy is the affair of the door, as of all files."""

    def __init__(self, name: str) -> None:
        self.received = Received(id=name, at_ms=0, site="", salt=b"")
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.skipped: Counter[str] = Counter()

    def add(self, topic: str, fields: dict[str, Any], payload: bytes) -> None:
        self.records.append((topic, {name: value for name, value in fields.items() if value is not None}))

    def reject(self, reason: Reason, detail: str, payload: bytes) -> None:
        raise RawError(reason, detail)

    def skip(self, reason: Skip) -> None:
        self.skipped[reason] += 1


class SegmentArchive(Adapter):
    """Reads one archived message.

    Examples
    --------
    >>> archive = SegmentArchive()
    >>> archive.read(b'{"type": "group", "groupId": "g"}', ""), dict(archive.skipped)
    ([], {'group': 1})
    """

    name = "segment"
    cannot_know = (
        "an archive has messages of browsers, apps and servers alike: those without an anonymousId belong to no "
        "visit and are rejected as missing_visitor, orders excepted",
        "screens of apps, groups and aliases are passed over",
        "an order has a currency only if the shop sends one; without it is rejected",
    )

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one line; see `Adapter.read`."""
        try:
            message = read_message(raw)
        except RejectedError as error:
            raise RawError(error.reason, error.detail) from None
        if message.type not in TYPES:
            raise RawError("schema_violation", "`type` is none of Segment's")
        # The timestamp of an archive has been put right by the clock of Segment.
        message.timestamp = message.timestamp or message.original_timestamp or message.sent_at
        message.sent_at = None
        if message.timestamp is None and message.type in ("page", "track", "identify"):
            raise RawError("schema_violation", "no `timestamp`")
        archived = _Archived(f"segment-{digest(raw.decode(errors='replace'))}")
        collect_segment(message, archived, raw)
        self.skipped.update(archived.skipped)
        return archived.records
