"""The board's visits: the latest sessions, and from them where visitors of a page came from and went to."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

MAX_VISITS = 5_000
"""So many of the sessions that came last are kept."""
MAX_STEPS = 40
"""Of a session's pages the last so many count."""
NEIGHBOURS = 6
"""So many pages before and after are named; the rest are together."""


class Visit(NamedTuple):
    """A closed session: no more of it than what the board counts, and nobody's name."""

    revision: int
    site: str
    ended_ms: int
    purchased: bool
    dead_end: bool
    pages: tuple[str, ...]
    end: str


class Neighbour(NamedTuple):
    """A page before or after another, or how visits ended there; `page` is None for all the rest together."""

    page: str | None
    number: int
    is_end: bool = False


class Neighbours(NamedTuple):
    """Where visitors of a page came from and where they went, by views; the most first."""

    views: int
    before: list[Neighbour]
    after: list[Neighbour]


class Visits:
    """Keeps the latest sessions by id.

    Examples
    --------
    >>> visits = Visits()
    >>> _ = visits.take("a", Visit(1, "shop", 0, False, True, ("shop/", "shop/sizes"), "dead_end"))
    >>> visits.neighbours(None, "shop/sizes").before
    [Neighbour(page='shop/', number=1, is_end=False)]
    >>> visits.neighbours(None, "shop/sizes").after
    [Neighbour(page='dead_end', number=1, is_end=True)]
    """

    def __init__(self) -> None:
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._visits)

    def take(self, session_id: str, visit: Visit) -> tuple[Visit | None, bool]:
        """Keep a session; give what was known of it, and whether this is news.

        Its pages should be at most `MAX_STEPS`.
        """
        known = self._visits.get(session_id)
        if known is not None and known.revision >= visit.revision:
            return known, False
        self._visits[session_id] = visit
        if len(self._visits) > MAX_VISITS:
            self._visits.popitem(last=False)
        return known, True

    def retract(self, session_id: str) -> Visit | None:
        """Forget a session that never was; give what was known of it."""
        return self._visits.pop(session_id, None)

    def neighbours(self, site: str | None, page: str) -> Neighbours:
        """Count what came before and after each view of a page; a cost of some ms for all that is kept."""
        before: Counter[tuple[str, bool]] = Counter()
        after: Counter[tuple[str, bool]] = Counter()
        views = 0
        for visit in self._visits.values():
            pages = visit.pages
            if page not in pages or (site is not None and visit.site != site):
                continue
            last = len(pages) - 1
            for place, seen in enumerate(pages):
                if seen != page:
                    continue
                views += 1
                before[(pages[place - 1], False) if place else ("entered", True)] += 1
                after[(pages[place + 1], False) if place < last else (visit.end, True)] += 1
        return Neighbours(views, _most(before), _most(after))


def _most(counts: Counter[tuple[str, bool]]) -> list[Neighbour]:
    """Name the most frequent ones, and put the rest together; ends are always named."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    pages = [Neighbour(page, count) for (page, is_end), count in ordered if not is_end]
    ends = [Neighbour(page, count, True) for (page, is_end), count in ordered if is_end]
    named, rest = pages[:NEIGHBOURS], sum(neighbour.number for neighbour in pages[NEIGHBOURS:])
    others = [Neighbour(None, rest)] if rest else []
    return [*named, *others, *ends]
