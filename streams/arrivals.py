"""Arrivals: by which pages visitors came to a page under suspicion, and how many went quickly back.

Kept as long as a page is suspected, of sessions that were there: nothing is done for other pages.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.site_events import ExampleView
from streams.symptoms import Contrast

MAX_BEFORE = 32
"""Pages before that are told apart; of more, those that lose fewest are counted together."""
ENTERED, REST = "", "(other pages)"
"""Stand for no page before, and for pages that are counted together: neither is ever named."""
QUICK_MS = 10_000
"""Who goes back within this time (≤) has not read the page."""
LEAST_CHANCES = 10
"""Views of other pages from which on (≥) they say how many usually go back."""


class Arrivals(msgspec.Struct, array_like=True):
    """By which pages views of a page under suspicion came, and how many went back. At most 33 pages before.

    Attributes
    ----------
    before
        Page before to views, how many of them were dead ends, and how many were to be expected to be.
    backs, chances
        Views from which visitors went quickly back, and views from which they could: with another page before and
        behind.
    other_backs, other_chances
        The same of the other pages of these sessions.
    """

    before: dict[str, Contrast] = {}
    backs: int = 0
    chances: int = 0
    other_backs: int = 0
    other_chances: int = 0

    def add(self, came_by: str, lost: int, expected: float) -> None:
        """Count a view.

        Parameters
        ----------
        came_by
            The page before, or `ENTERED`.
        lost
            1 if it was a dead end, else 0.
        expected
            Probability with which it was to be one.

        Examples
        --------
        >>> arrivals = Arrivals()
        >>> for number in range(MAX_BEFORE + 1):
        ...     arrivals.add(f"{number:02}", lost=number % 4 > 0, expected=0.5)
        >>> len(arrivals.before), "00" in arrivals.before, "04" in arrivals.before
        (33, False, True)
        >>> arrivals.add("33", lost=1, expected=0.5)
        >>> len(arrivals.before), "04" in arrivals.before, arrivals.before[REST]
        (33, False, Contrast(views=2, stalls=0, expected=1.0))
        """
        before = self.before
        found = before.get(came_by)
        if found is None:
            if len(before) - (REST in before) >= MAX_BEFORE:
                least = min(
                    (name for name in before if name != REST),
                    key=lambda name: (before[name].stalls, before[name].views, name),
                )
                join(before.setdefault(REST, Contrast()), before.pop(least))
            found = before[came_by] = Contrast()
        join(found, Contrast(1, lost, expected))

    @property
    def expected_backs(self) -> float | None:
        """Quick-backs to be expected by what the same visitors do on other pages; None where that is little.

        >>> Arrivals(backs=7, chances=20, other_backs=1, other_chances=9).expected_backs is None
        True
        >>> Arrivals(backs=7, chances=20, other_backs=1, other_chances=10).expected_backs
        2.0
        """
        if self.other_chances < LEAST_CHANCES:
            return None
        return self.chances * self.other_backs / self.other_chances


def came_by(shown: Sequence[str], position: int) -> str:
    """Name the page before a view, whatever often this one was shown anew in between.

    Parameters
    ----------
    shown
        Pages of a session.
    position
        Of the view, from 1.

    Examples
    --------
    >>> came_by(["home", "sizes", "sizes"], 3), came_by(["sizes"], 1) == ENTERED
    ('home', True)
    """
    page = shown[position - 1]
    for name in reversed(shown[: position - 1]):
        if name != page:
            return name
    return ENTERED


def note_backs(
    arrivals: Arrivals,
    shown: Sequence[str],
    views: Sequence[ExampleView],
    page: str,
    from_ms: int,
    left: bool,
) -> None:
    """Count from which views of a session the visitor went back to the page before.

    A quick-back is one within ten seconds, or one with which the visit ended.

    Parameters
    ----------
    arrivals
        Of the page; changed.
    shown, views
        Pages of the session by the names that they go by, and its views.
    page, from_ms
        The page under suspicion; its views from this time on (≥) count.
    left
        Whether the session ended in a dead end.

    Examples
    --------
    Back after a minute, which was the end, and quickly back on another page.

    >>> found, names = Arrivals(), ["home", "sizes", "home", "sizes", "home"]
    >>> views = [ExampleView(at * 1_000, "", "") for at in (0, 60, 70, 200, 260)]
    >>> note_backs(found, names, views, "sizes", 61_000, left=True)
    >>> found.backs, found.chances, found.other_backs, found.other_chances
    (1, 1, 0, 1)
    """
    last = len(shown) - 1
    for index in range(1, last):
        name, behind = shown[index], shown[index + 1]
        if behind == name:
            continue
        origin = came_by(shown, index + 1)
        if origin == ENTERED:
            continue
        at_ms = views[index].occurred_at
        is_back = behind == origin and (
            views[index + 1].occurred_at - at_ms <= QUICK_MS or (left and index + 1 == last)
        )
        if name != page:
            arrivals.other_chances += 1
            arrivals.other_backs += is_back
        elif at_ms >= from_ms:
            arrivals.chances += 1
            arrivals.backs += is_back


def join(to: Contrast, more: Contrast) -> None:
    """Add the counts of others.

    >>> both = Contrast(2, 1, 0.5)
    >>> join(both, Contrast(1, 1, 0.25))
    >>> both
    Contrast(views=3, stalls=2, expected=0.75)
    """
    to.views += more.views
    to.stalls += more.stalls
    to.expected += more.expected
