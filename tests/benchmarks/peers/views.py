"""The input: page views of some 360 B in order of time, and the sessions that must come of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.benchmarks.peers.folding import GAP_MS

START_MS = 1_780_000_000_000
VIEWS_PER_SESSION = 5
PAUSE_MS = 60_000
SESSIONS_PER_VISITOR = 4
HOURS = 8
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 Safari/537.36"
_PATHS = [f"https://shop.example/{kind}/{kind[0]}{n}" for kind in ("product", "category") for n in range(100)]
Key = tuple[str, int]


@dataclass
class Views:
    """Page views and what they are worth.

    Attributes
    ----------
    records
        (visitor, value) in order of time.
    sessions
        (visitor, start) to the closed session that is to be written.
    closings
        How many views have been read, in order of time, when each of the sessions is closed.
    """

    records: list[tuple[bytes, bytes]] = field(default_factory=list)
    sessions: dict[Key, dict[str, Any]] = field(default_factory=dict)
    closings: list[int] = field(default_factory=list)


def make_views(number: int, seed: int = 1) -> Views:
    """Make about `number` page views."""
    source = random.Random(seed)
    visitors = max(1, number // (VIEWS_PER_SESSION * SESSIONS_PER_VISITOR + 1))
    happened = sorted(
        (at, f"v_{visitor:06d}5d41402abc4b2a76", path)
        for visitor in range(visitors)
        for at, path in _visitor(source)
    )
    views = Views()
    by_visitor: dict[str, list[tuple[int, str]]] = {}
    for n, (at, name, path) in enumerate(happened):
        view = {
            "event_id": f"{n:012x}-4f3a-9b1c-0242ac120002",
            "visitor_id": name,
            "occurred_at": at,
            "url": path,
            "referrer": "https://search.example/",
            "title": "Something that is worth having in the house",
            "user_agent": _AGENT,
        }
        views.records.append((name.encode(), msgspec.json.encode(view)))
        events = by_visitor.setdefault(name, [])
        if events and at - events[-1][0] > GAP_MS:
            views.closings.append(n)
        events.append((at, path))
    for name, events in by_visitor.items():
        views.sessions.update(_sessions(name, events))
    return views


def _visitor(source: random.Random) -> Iterator[tuple[int, str]]:
    """A visitor's views: some sessions, and one view a day later that closes the last of them."""
    times = sorted(source.randrange(HOURS * 3_600_000) for _ in range(SESSIONS_PER_VISITOR))
    at = START_MS
    for time in times:
        at = max(at + GAP_MS + 1, START_MS + time)
        yield at, source.choice(_PATHS)
        while source.random() < 1 - 1 / VIEWS_PER_SESSION:
            at += min(GAP_MS, int(source.expovariate(1 / PAUSE_MS)))
            yield at, source.choice(_PATHS)
    yield START_MS + 48 * 3_600_000 + source.randrange(60_000), source.choice(_PATHS)


def _sessions(name: str, events: list[tuple[int, str]]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The oracle: cut a visitor's views, whole and in order of time, wherever the pause is too long."""
    cuts = [n for n in range(1, len(events)) if events[n][0] - events[n - 1][0] > GAP_MS]
    for begin, end in zip([0, *cuts], cuts, strict=False):
        part = events[begin:end]
        yield (
            (name, part[0][0]),
            {
                "visitor_id": name,
                "started_at": part[0][0],
                "ended_at": part[-1][0],
                "views": len(part),
                "pages": [path for _, path in part],
            },
        )
