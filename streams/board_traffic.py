"""The board's traffic: page views and closed sessions by minute of event time, of the last hours."""

from __future__ import annotations

from typing import NamedTuple

from streams.settings import MINUTE_MS

MINUTES = 180
"""So many minutes are kept of each site."""
MAX_SITES = 200
"""Of more sites than this the minutes are not counted."""


class TrafficMinute(NamedTuple):
    """What happened within a minute; `at_ms` is its start (event time)."""

    at_ms: int
    views: int
    sessions: int
    purchases: int
    dead_ends: int


class Traffic:
    """Counts by minute, the latest of each site; older ones are forgotten as time goes on.

    Memory is bounded: at most `MINUTES` × `MAX_SITES` records.

    Examples
    --------
    >>> traffic = Traffic()
    >>> traffic.add_view("shop", 60_000)
    >>> traffic.add_view("shop", 61_000)
    >>> traffic.add_session("shop", 185_000, purchased=True, dead_end=False)
    >>> [(minute.at_ms, minute.views, minute.purchases) for minute in traffic.minutes(None)]
    [(60000, 2, 0), (120000, 0, 0), (180000, 0, 1)]
    """

    def __init__(self) -> None:
        # By site and minute: views, sessions, purchases, dead ends.
        self._sites: dict[str, dict[int, list[int]]] = {}
        self._newest: dict[str, int] = {}

    def add_view(self, site: str, at_ms: int) -> None:
        """Count a page view."""
        counts = self._counts(site, at_ms)
        if counts is not None:
            counts[0] += 1

    def add_session(self, site: str, at_ms: int, purchased: bool, dead_end: bool, by: int = 1) -> None:
        """Count a session by when it ended; `by` -1 takes it back."""
        counts = self._counts(site, at_ms)
        if counts is not None:
            counts[1] += by
            counts[2] += by * purchased
            counts[3] += by * dead_end

    def minutes(self, site: str | None) -> list[TrafficMinute]:
        """Give the minutes of a site, or of all together (None), without gaps, the oldest first."""
        wanted = [site] if site is not None else list(self._sites)
        rows = [self._sites[name] for name in wanted if name in self._sites]
        if not any(rows):
            return []
        last = max(max(row) for row in rows if row)
        first = max(min(min(row) for row in rows if row), last - MINUTES + 1)
        found = []
        for minute in range(first, last + 1):
            sums = [0, 0, 0, 0]
            for row in rows:
                for place, count in enumerate(row.get(minute, ())):
                    sums[place] += max(0, count)
            found.append(TrafficMinute(minute * MINUTE_MS, *sums))
        return found

    def newest_ms(self, site: str | None) -> int | None:
        """Start of the latest minute that is known; None before the first."""
        names = [site] if site is not None else list(self._newest)
        return max((self._newest[name] * MINUTE_MS for name in names if name in self._newest), default=None)

    def _counts(self, site: str, at_ms: int) -> list[int] | None:
        minute = at_ms // MINUTE_MS
        row = self._sites.get(site)
        if row is None:
            if len(self._sites) >= MAX_SITES:
                return None
            row = self._sites[site] = {}
        newest = self._newest.get(site, minute)
        if minute <= newest - MINUTES:
            return None
        if minute > newest or site not in self._newest:
            self._newest[site] = minute
            if len(row) >= MINUTES:
                for old in [known for known in row if known <= minute - MINUTES]:
                    del row[old]
        counts = row.get(minute)
        if counts is None:
            counts = row[minute] = [0, 0, 0, 0]
        return counts
