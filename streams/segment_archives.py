"""Segment's archives: NDJSON (packed or not), one message a line."""

from __future__ import annotations

from streams.adapters import Adapted, Adapter, RawError
from streams.foreign_values import json_object, text
from streams.segment_events import read_segment_message

TYPES = frozenset({"page", "track", "identify", "screen", "group", "alias"})


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
        message = json_object(raw)
        kind = text(message.get("type")) or ""
        if kind not in TYPES:
            raise RawError("schema_violation", "`type` is none of Segment's")
        records = read_segment_message(message)
        if not records:
            self.skipped[kind] += 1
        return records
