"""Merging: fetched records of all input partitions, handed on in the order in which things happened.

A backlog is fetched a megabyte of a partition at a time, which is an hour of orders or a minute of page views. Read
like that, most clicks come after later ones of the same visitor, and each of them makes the sessions stage cut that
visitor's events anew. The order decides cost, never a result: what is waited for is bounded, and a partition that
does not answer is left behind.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Any

from faust.types import TP

ENOUGH = 4_000
"""Records held of a partition beyond which no more are fetched of it: a fetch of small records is about as many."""
ENOUGH_BYTES = 2 << 20
"""Bytes held of a partition beyond which no more are fetched of it; a fetch brings 1 MiB of it, or one record."""
LAG = 100
"""Records that a partition must be behind to be waited for. Markers of transactions count as records, too."""
HOLD_S = 0.5
"""How long a partition that is behind, and of which nothing more comes, keeps the others waiting."""
LIVE_MS = 60_000
"""Events younger than this wait for nobody: an import of last year's orders must not hold up who is on the site."""

_AT = itemgetter(0)


class Merge:
    """Records of several partitions that are fetched, but not yet folded.

    Examples
    --------
    >>> views, orders = TP("page-views", 0), TP("orders", 0)
    >>> merge = Merge()
    >>> merge.add(views, [(5, "view"), (9, "view")], end=2)
    >>> merge.add(orders, [(6, "order"), (30, "order")], end=9)
    >>> merge.take({views}, now_s=0.0, live_ms=60_000)
    [(5, TP(topic='page-views', partition=0), 'view'), (6, TP(topic='orders', partition=0), 'order'), \
(9, TP(topic='page-views', partition=0), 'view')]
    >>> merge.end(orders), merge.end(views)
    (9, None)
    """

    def __init__(self) -> None:
        self._held: dict[TP, list[tuple[int, TP, Any]]] = {}
        self._bytes: dict[TP, float] = {}
        self._ends: dict[TP, int] = {}
        self._reached: dict[TP, int] = {}
        self._waited_since_s: dict[TP, float] = {}

    def add(self, tp: TP, records: Iterable[tuple[int, Any]], end: int, size: int = 0) -> None:
        """Hold records of a partition, which follow those that are held already.

        Parameters
        ----------
        records
            (event time, record) each. What comes out of order in its partition counts as of the greatest time
            before it, for a partition's own order always holds.
        end
            Offset that follows the last one.
        size
            Of all of them together (bytes).
        """
        held = self._held.setdefault(tp, [])
        reached = self._reached.get(tp, -(2**62))
        for at, record in records:
            if at > reached:
                reached = at
            held.append((reached, tp, record))
        self._reached[tp] = reached
        self._ends[tp] = end
        self._bytes[tp] = self._bytes.get(tp, 0.0) + size
        self._waited_since_s.pop(tp, None)

    def end(self, tp: TP) -> int | None:
        """Offset that follows what is held of a partition; None if nothing is."""
        return self._ends[tp] if self._held.get(tp) else None

    def full(self) -> set[TP]:
        """Partitions of which enough is held."""
        return {tp for tp in self._held if self._is_full(tp)}

    def _is_full(self, tp: TP) -> bool:
        held = self._held.get(tp)
        return held is not None and (len(held) >= ENOUGH or self._bytes[tp] >= ENOUGH_BYTES)

    def drop(self) -> set[TP]:
        """Forget all that is held; tell of which partitions something was."""
        dropped = {tp for tp, held in self._held.items() if held}
        for part in (self._held, self._bytes, self._ends, self._reached, self._waited_since_s):
            part.clear()
        return dropped

    def take(self, behind: Collection[TP], now_s: float, live_ms: int) -> list[tuple[int, TP, Any]]:
        """Take what no partition that is behind can still come before: (time, partition, record), by time.

        Of equal times the order is that in which the partitions were added.

        Parameters
        ----------
        behind
            Partitions of which more stands in the log than is held.
        now_s
            Time (s, monotonic), by which patience is measured.
        live_ms
            A partition that is not behind and has come to this event time (≥) waits for nobody.
        """
        until = self._until(behind, now_s)
        taken: list[tuple[int, TP, Any]] = []
        for tp, held in list(self._held.items()):
            count = len(held)
            if until is not None and (tp in behind or (held and held[-1][0] < live_ms)):
                count = bisect_right(held, until, key=_AT)
            taken += held[:count]
            if count:
                self._bytes[tp] *= 1 - count / len(held)
                self._held[tp] = held[count:]
        taken.sort(key=_AT)
        return taken

    def _until(self, behind: Collection[TP], now_s: float) -> int | None:
        """Time up to which to take, None: everything."""
        until: int | None = None
        waited: dict[TP, float] = {}
        for tp in behind:
            held = self._held.get(tp)
            if not self._is_full(tp):
                waited[tp] = since_s = self._waited_since_s.get(tp, now_s)
                if now_s - since_s >= HOLD_S:
                    continue
            last = held[-1][0] if held else self._reached.get(tp, -(2**62))
            until = last if until is None else min(until, last)
        self._waited_since_s = waited
        return until
