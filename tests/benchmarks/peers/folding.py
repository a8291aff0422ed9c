"""The job, as every peer in Python does it: views of a visitor into sessions, one open session a visitor.

A session is closed by its visitor's next view, if that comes more than `GAP_MS` later. It needs no clock and no
timer, so it is the least that each peer can do alike, and every figure is about the same work.
"""

from __future__ import annotations

from typing import Any

import msgspec

GAP_MS = 30 * 60_000


class View(msgspec.Struct, gc=False):
    """What the job needs of a page view."""

    visitor_id: str
    occurred_at: int
    url: str


class Session(msgspec.Struct, array_like=True):
    """An open session; the state."""

    started_at: int
    ended_at: int
    pages: list[str]


def fold(session: Session | None, at: int, url: str) -> Session | None:
    """Take a view in; return the session that it opens, or None if it goes on with the one given."""
    if session is None or at - session.ended_at > GAP_MS:
        return Session(at, at, [url])
    session.ended_at = at
    session.pages.append(url)
    return None


def closed(visitor_id: str, session: Session) -> dict[str, Any]:
    """Record of a closed session."""
    return {
        "visitor_id": visitor_id,
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "views": len(session.pages),
        "pages": session.pages,
    }
