"""The board's histories: how a page's counts have grown, in few points each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

MAX_POINTS = 96
"""Of more points than this every second one is left out: the history stays whole and becomes coarser."""
_FIELDS = 5


class HistoryPoint(NamedTuple):
    """What was counted of a page between two moments; `at_ms` (event time) is the later one."""

    at_ms: int
    views: int
    exits: int
    expected_exits: float
    dead_ends: int


class History:
    """Counts of a page as they were at some moments; at most `MAX_POINTS`, 4 KB.

    Examples
    --------
    >>> history = History()
    >>> history.add(1_000, 10, 4, 3.5, 4)
    >>> history.add(2_000, 30, 9, 10.5, 8)
    >>> [(point.at_ms, point.views, point.exits) for point in history.points()]
    [(1000, 10, 4), (2000, 20, 5)]
    """

    def __init__(self) -> None:
        self._points = array("d")

    def add(self, at_ms: int, views: int, exits: int, expected_exits: float, dead_ends: int) -> None:
        """Take counts up to a moment in; those of the same moment replace what was known of it.

        What is older than the last is left out: records of a page come in order, or again.
        """
        points = self._points
        if points and at_ms < points[-_FIELDS]:
            return
        if points and at_ms == points[-_FIELDS]:
            del points[-_FIELDS:]
        points.extend((at_ms, views, exits, expected_exits, dead_ends))
        if len(points) > MAX_POINTS * _FIELDS:
            self._thin()

    def points(self) -> list[HistoryPoint]:
        """Give what was counted from each moment to the next, the oldest first."""
        return list(self._steps())

    def _steps(self) -> Iterator[HistoryPoint]:
        before = (0.0, 0.0, 0.0, 0.0)
        for start in range(0, len(self._points), _FIELDS):
            at_ms, *counts = self._points[start : start + _FIELDS]
            # Corrections may take back; a stretch never has less than nothing.
            views, exits, expected, dead_ends = (
                max(0.0, now - then) for now, then in zip(counts, before, strict=True)
            )
            yield HistoryPoint(int(at_ms), round(views), round(exits), expected, round(dead_ends))
            before = (counts[0], counts[1], counts[2], counts[3])

    def _thin(self) -> None:
        """Leave out every second point, and never the newest."""
        points, kept = self._points, array("d")
        number = len(points) // _FIELDS
        for place in range(number):
            if (number - 1 - place) % 2 == 0:
                kept.extend(points[place * _FIELDS : (place + 1) * _FIELDS])
        self._points = kept
