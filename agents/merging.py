"""Merging: fetched records of all input partitions, handed on in the order in which they were appended.

A backlog is fetched a megabyte of a partition at a time, which is an hour of orders or a minute of page views. Read
like that, most clicks come after later ones of the same visitor, and each of them makes the sessions stage cut that
visitor's events anew. In the order of append time they come as they happened. The order decides cost, never a
result: what is waited for is bounded, and a partition that does not answer is left behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Any

from faust.types import TP

ENOUGH = 4_000
"""Records held of a partition beyond which no more are fetched of it: four fetches of small records."""
LAG = 100
"""Records that a partition must be behind to be waited for. Markers of transactions count as records, too."""
HOLD_S = 0.5
"""How long a partition that is behind, and of which nothing more comes, keeps the others waiting."""

_AT = itemgetter(0)


class Merge:
    """Records of several partitions that are fetched, but not yet folded.

    Examples
    --------
    >>> from types import SimpleNamespace as Record
    >>> views, orders = TP("page-views", 0), TP("orders", 0)
    >>> merge = Merge()
    >>> merge.add(views, [Record(offset=0, timestamp=5), Record(offset=1, timestamp=9)])
    >>> merge.add(orders, [Record(offset=7, timestamp=6), Record(offset=8, timestamp=30)])
    >>> [(tp.topic, record.offset) for tp, record in merge.take({views}, now_s=0.0)]
    [('page-views', 0), ('orders', 7), ('page-views', 1)]
    >>> merge.end(orders), merge.end(views)
    (9, None)
    """

    def __init__(self) -> None:
        self._held: dict[TP, list[Any]] = {}
        self._waited_since_s: dict[TP, float] = {}

    def add(self, tp: TP, records: Iterable[Any]) -> None:
        """Hold records of a partition, which follow those that are held already."""
        self._held.setdefault(tp, []).extend(records)
        self._waited_since_s.pop(tp, None)

    def end(self, tp: TP) -> int | None:
        """Offset that follows what is held of a partition; None if nothing is."""
        held = self._held.get(tp)
        return held[-1].offset + 1 if held else None

    def full(self) -> set[TP]:
        """Partitions of which enough is held."""
        return {tp for tp, held in self._held.items() if len(held) >= ENOUGH}

    def drop(self, *tps: TP) -> set[TP]:
        """Forget what is held of some partitions, or of all if none is named; tell of which something was."""
        dropped = {tp for tp in tps or tuple(self._held) if self._held.pop(tp, None)}
        self._waited_since_s.clear()
        return dropped

    def take(self, behind: Collection[TP], now_s: float) -> list[tuple[TP, Any]]:
        """Take what no partition that is behind can still come before, by append time.

        Of equal times the order is that of the partitions' first records here.

        Parameters
        ----------
        behind
            Partitions of which more stands in the log than is held.
        now_s
            Time (s, monotonic), by which patience is measured.
        """
        until = self._until(behind, now_s)
        if until is not None and until < 0:
            return []
        taken: list[tuple[int, TP, Any]] = []
        for tp, records in list(self._held.items()):
            at = count = 0
            for record in records:
                # Producers may set times themselves, out of order; a partition's own order always holds.
                if record.timestamp > at:
                    at = record.timestamp
                    if until is not None and at > until:
                        break
                taken.append((at, tp, record))
                count += 1
            if count == len(records):
                del self._held[tp]
            else:
                del records[:count]
        taken.sort(key=_AT)
        return [(tp, record) for _, tp, record in taken]

    def _until(self, behind: Collection[TP], now_s: float) -> int | None:
        """Append time up to which to take; None: everything, negative: nothing."""
        until: int | None = None
        waited: dict[TP, float] = {}
        for tp in behind:
            records = self._held.get(tp, ())
            if len(records) < ENOUGH:
                waited[tp] = since_s = self._waited_since_s.get(tp, now_s)
                if now_s - since_s >= HOLD_S:
                    continue
            last = max(record.timestamp for record in records) if records else -1
            until = last if until is None else min(until, last)
        self._waited_since_s = waited
        return until
