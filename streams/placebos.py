"""Placebo: a made-up page that is shown where pages that inform are shown, and does nothing.

Where it comes out among the pages tells how much of the ranking is chance: what ranks behind it is not known to
be better than nothing. Whether a session "sees" it, and when, is drawn from a hash of the session's id, so that
the answer is the same whoever replays the log. It lands where the first informing page of other sessions was,
and is seen as often as such a page is on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import msgspec

from streams.credits import INFORMATION, MAX_FIRST_VIEWS, FirstView, PageCredit


class Placebo(msgspec.Struct, array_like=True):
    """A site's placebo: its credit, and where sessions are informed.

    `reached` counts sessions that came to their n-th first view, at most 50, without having been informed before;
    `informed` those whose n-th first view was the first to inform. `pages` is the number of pages that inform.
    """

    credit: PageCredit = msgspec.field(default_factory=PageCredit)
    reached: list[int] = []
    informed: list[int] = []
    pages: int = 0


def place_of(placebo: Placebo, session_id: str, length: int) -> int | None:
    """Return the place at which a session sees the placebo; None if it does not.

    The k-th first view is taken with the share of sessions that were first informed there among those that came
    so far and were not informed before, shared out among the pages that inform: a hazard, so that its places are
    spread as theirs. About 1 µs.

    Parameters
    ----------
    placebo
        Of the site.
    session_id
        Its hash decides.
    length
        Number of first views of the session.

    Examples
    --------
    >>> placebo = Placebo(reached=[100, 50], informed=[0, 25], pages=1)
    >>> [place_of(placebo, f"session-{number}", 2) for number in range(6)]
    [1, 1, None, None, 1, 1]
    """
    drawn, unseen = crc32(session_id.encode()) / 2.0**32, 1.0
    for place, (reached, informed) in enumerate(zip(placebo.reached, placebo.informed, strict=True)):
        if place >= length:
            break
        if informed and placebo.pages:
            unseen *= 1.0 - informed / reached / placebo.pages
            if 1.0 - unseen > drawn:
                return place
    return None


def count_places(placebo: Placebo, views: Sequence[FirstView]) -> None:
    """Count where a session was first informed; places behind that are not counted as reached.

    >>> placebo = Placebo()
    >>> known = ("paid", False, "0", "0", "0", "0")
    >>> count_places(placebo, [FirstView("/a", ("product", *known)), FirstView("/sizes", ("help", *known))] * 2)
    >>> placebo.reached, placebo.informed
    ([1, 1], [0, 1])
    """
    for place, view in enumerate(views[:MAX_FIRST_VIEWS]):
        if place == len(placebo.reached):
            placebo.reached.append(0)
            placebo.informed.append(0)
        placebo.reached[place] += 1
        if view.known[0] in INFORMATION:
            placebo.informed[place] += 1
            break
