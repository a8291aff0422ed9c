"""Files in other people's formats, and what an adapter makes of them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from schemas.decoding import decode_input
from streams.adapters import Adaptation, Adapter
from tests.streams.real_data import EXTRACTS

FOREIGN = EXTRACTS / "foreign"


class Read(NamedTuple):
    events: list[tuple[str, dict[str, Any]]]
    rejected: list[dict[str, Any]]
    adaptation: Adaptation

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [event for name, event in self.events if name == topic]


def read(adapter: Adapter, lines: list[bytes]) -> Read:
    """Read one file's lines; whatever comes out is what the door takes."""
    adaptation = Adaptation(adapter)
    events, rejected = [], []
    for topic, value, time_ms in adaptation.of_file(lines):
        if topic == "rejected-events":
            rejected.append(json.loads(value))
        else:
            assert decode_input(topic, value).occurred_at == time_ms
            events.append((topic, json.loads(value)))
    return Read(events, rejected, adaptation)


def read_file(adapter: Adapter, name: str) -> Read:
    return read(adapter, (FOREIGN / name).read_bytes().split(b"\n"))
