"""Pacing: how many fetches a second are asked for while records keep coming.

A broker answers a fetch as soon as there is one record. While records trickle in all the time, each answer then
holds one or two: at a thousand events a second a worker asked a hundred times a second, and what a fetch, a fold, a
batch and its acknowledgement cost was spent on a handful of records each time. Whoever has been idle asks at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

FETCHES_PER_S = 50.0
"""A record waits 20 ms for its fetch at most, and 10 ms on average."""
AT_ONCE = 4
"""Fetches after a pause that nothing holds up: an event, what the worker itself makes of it, and its copies."""


class Pace:
    """So many things a second, and a few of them at once after a pause.

    Parameters
    ----------
    per_s
        How many a second.
    at_once
        How many may come together when there were fewer before.

    Examples
    --------
    >>> pace = Pace(per_s=50, at_once=2)
    >>> [round(pace.wait_s(now_s), 3) for now_s in (7.0, 7.001, 7.002, 7.022, 9.0, 9.0, 9.0)]
    [0.0, 0.0, 0.018, 0.018, 0.0, 0.0, 0.02]
    """

    def __init__(self, per_s: float = FETCHES_PER_S, at_once: int = AT_ONCE) -> None:
        self._every_s = 1 / per_s
        self._credit_s = (at_once - 1) / per_s
        self._next_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Take a place, and tell how long to wait for it (s); `now_s` is monotonic."""
        place_s = max(self._next_s, now_s - self._credit_s)
        self._next_s = place_s + self._every_s
        return max(0.0, place_s - now_s)


def paced(fetch: Callable[[Any, int, Any], Awaitable[bool]]) -> Callable[[Any, int, Any], Awaitable[bool]]:
    """Ask each broker for records at a pace.

    Parameters
    ----------
    fetch
        Takes an assignment, a broker's number and a request; gives whether there is something new. When it is
        cancelled it says that there is not, and so does what is returned here.
    """
    paces: dict[int, Pace] = {}

    async def fetch_later(assignment: Any, node: int, request: Any) -> bool:
        wait_s = paces.setdefault(node, Pace()).wait_s(time.monotonic())
        if wait_s:
            try:
                await asyncio.sleep(wait_s)
            except asyncio.CancelledError:
                return False
        return await fetch(assignment, node, request)

    return fetch_later
