"""Engagement: how long a visitor was engaged with each page of a session, as its tracker says, in few words.

What is learned of it needs no seconds: a place in a histogram whose buckets grow by the square root of two, so that
reading for twice as long is two buckets more, on a short page and on a long one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from streams.visitors import Action, Click, View

EDGES: Final = (4, 5, 8, 11, 15, 21, 30, 42, 60, 85, 120, 170, 240, 340, 480, 680, 960, 1360, 1920)
"""Seconds from which (≥) the next bucket begins; the first bucket begins at 0."""
BUCKETS: Final = len(EDGES) + 1
UNKNOWN: Final = -1
"""Stands for a view of which nobody says how long it was looked at."""
TROUBLED: Final = -2
"""Stands for a view of a page on which something went wrong in the session: long is not read."""
MOST_SECONDS: Final = 86_400.0
"""More than a day (>) is no time that anybody spent on a page."""
_TROUBLES = frozenset(("error", "rage_click"))


def bucket_of(seconds: float) -> int:
    """Bucket of a time on a page, from 0; `UNKNOWN` of what can't be one: not above 0, above a day, not a number.

    Parameters
    ----------
    seconds
        As the tracker says. 0 is what stands where it says nothing.

    Examples
    --------
    >>> bucket_of(3.9), bucket_of(4.0), bucket_of(29.9), bucket_of(30.0), bucket_of(7200.0)
    (0, 1, 6, 7, 19)
    >>> bucket_of(0.0), bucket_of(-3.0), bucket_of(float("nan")), bucket_of(1e300)
    (-1, -1, -1, -1)
    """
    # Written so that a comparison with what is not a number is false.
    return bisect_right(EDGES, seconds) if 0.0 < seconds <= MOST_SECONDS else UNKNOWN


def engaged_buckets(clicks: Iterable[Click]) -> list[int]:
    """Give for each page view of a session the bucket of its engaged time, `UNKNOWN` or `TROUBLED`.

    An ``engagement`` tells of the latest view of its page up to it, or of the latest view where it names no page:
    trackers send it when a page is left, so it may come after the next view. Of several that tell of one view the
    longest counts. An ``error`` or ``rage_click`` on a page spoils all views of it, an unnamed page being that of
    the latest view.

    Parameters
    ----------
    clicks
        Of one session, in canonical order.

    Examples
    --------
    >>> def view(at, page):
    ...     return View(at, f"0{at}", page, "content", "organic", "mobile")
    >>> def engagement(at, page, seconds):
    ...     return Action(at, f"1{at}", "engagement", page, seconds)
    >>> engaged_buckets([view(0, "a"), view(60, "b"), engagement(61, "a", 59.0), view(90, "c")])
    [8, -1, -1]
    """
    buckets: list[int] = []
    latest: dict[str, int] = {}
    pages: list[str] = []
    troubled: set[str] | None = None
    for click in clicks:
        if isinstance(click, View):
            latest[click.page] = len(buckets)
            buckets.append(UNKNOWN)
            pages.append(click.page)
        elif buckets and isinstance(click, Action):
            name = click.name
            if name == "engagement":
                place = latest.get(click.page, -1) if click.page else len(buckets) - 1
                if place >= 0:
                    bucket = bucket_of(click.seconds)
                    if bucket > buckets[place]:
                        buckets[place] = bucket
            elif name in _TROUBLES:
                if troubled is None:
                    troubled = set()
                troubled.add(click.page or pages[-1])
    if troubled is not None:
        return [TROUBLED if page in troubled else bucket for page, bucket in zip(pages, buckets, strict=True)]
    return buckets
