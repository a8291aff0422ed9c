"""What the pages stage keeps of readings: one record a page, a site, and the table that was sent last."""

from __future__ import annotations

from typing import Final

import msgspec

from streams.engagement import BUCKETS
from streams.reading_rules import Known, Strata

HALF_LIFE_DAYS: Final = 14.0
MAX_SHARES: Final = 320
"""Templates of which shares of exits are kept."""
EXITS_KEPT: Final = 500.0
"""How far back shares of exits look."""
SHARE_PRIOR: Final = 20.0
"""Exits that draw such a share to none."""


class Reading(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a page: views by bucket of engaged time. Its deadline is the next midnight (UTC).

    Attributes
    ----------
    day
        Until which it has forgotten what has to be.
    taught, days
        The last day that it learned of, and of how many.
    next_ms
        Its deadline.
    left, stayed
        Views with which sessions ended, and those after which visitors went on.
    leading
        Views that led to a cart or a checkout at once; they are in neither of these.
    """

    template: str
    day: int
    next_ms: int
    taught: int = -1
    days: int = 0
    left: list[float] = msgspec.field(default_factory=lambda: [0.0] * BUCKETS)
    stayed: list[float] = msgspec.field(default_factory=lambda: [0.0] * BUCKETS)
    leading: float = 0.0

    @property
    def views(self) -> float:
        """All views."""
        return sum(self.left) + sum(self.stayed) + self.leading

    def age(self, day: int) -> None:
        """Forget what has to be forgotten until a day; one that is past changes nothing.

        Rounded, so that rows stay small; what comes to nothing is gone.

        >>> reading = Reading("guides", day=0, next_ms=0)
        >>> reading.left[3] = 8.0
        >>> reading.age(14)
        >>> reading.left[3], reading.day
        (4.0, 14)
        """
        if day <= self.day:
            return
        kept = 0.5 ** ((day - self.day) / HALF_LIFE_DAYS)
        self.day = day
        self.left = [round(views * kept, 2) for views in self.left]
        self.stayed = [round(views * kept, 2) for views in self.stayed]
        self.leading = round(self.leading * kept, 2)


class Sums(msgspec.Struct, array_like=True, gc=False):
    """Sums over the pages of a template: views by bucket; what tells of reading; all views, and those that lead."""

    read: list[float] = msgspec.field(default_factory=lambda: [0.0] * BUCKETS)
    strata: Strata = msgspec.field(default_factory=Strata)
    views: float = 0.0
    leading: float = 0.0


class TemplateReading(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a template.

    Attributes
    ----------
    taught, days
        As of a page.
    usual
        Views by bucket of engaged time, as of the last midnight.
    known
        Of its pages' views; what is older than a day counts less and less.
    sums
        What its pages say this midnight.
    """

    taught: int = -1
    days: int = 0
    usual: list[float] = msgspec.field(default_factory=lambda: [0.0] * BUCKETS)
    known: Known = msgspec.field(default_factory=Known)
    sums: Sums = msgspec.field(default_factory=Sums)


class SiteReadings(msgspec.Struct, array_like=True):
    """What is kept of a site: how many pages have readings, its templates, and shares of exits.

    Its deadline is the midnight of its pages, which are handled before it.

    Attributes
    ----------
    shares
        By template how many of the latest exits no rule of the settings explains, and how many of these were read.
    """

    next_ms: int
    pages: int = 0
    templates: dict[str, TemplateReading] = {}
    shares: dict[str, list[float]] = {}

    def kept(self, template: str) -> float:
        """Share of the exits that no rule of the settings explains that are dead ends.

        >>> of_site = SiteReadings(0)
        >>> for number in range(30):
        ...     of_site.count_exit("guides", is_learned=number % 2 > 0)
        >>> round(of_site.kept("guides"), 2), of_site.kept("product")
        (0.7, 1.0)
        """
        share = self.shares.get(template)
        return 1.0 if share is None else 1.0 - share[1] / (share[0] + SHARE_PRIOR)

    def count_exit(self, template: str, *, is_learned: bool) -> None:
        """Count such an exit; of a template nothing is kept before the first that was read."""
        share = self.shares.get(template)
        if share is None:
            if not is_learned or len(self.shares) >= MAX_SHARES:
                return
            share = self.shares[template] = [0.0, 0.0]
        kept = 1.0 - 1.0 / EXITS_KEPT
        share[0] = share[0] * kept + 1.0
        share[1] = share[1] * kept + is_learned


class Candidate(msgspec.Struct, array_like=True, gc=False):
    """A page of which enough is known to say something, as of this midnight.

    Attributes
    ----------
    threshold
        From which bucket of engaged time on it counts as read.
    completes
        Whether reading completes visits there; None where that is not clear.
    strata, views, leading
        What it added to its template's sums.
    """

    page: str
    template: str
    threshold: int
    completes: bool | None
    strata: Strata
    views: float
    leading: float


class SiteTable(msgspec.Struct, array_like=True):
    """The table that was sent last, and what is known for the next one; looked at each midnight only."""

    version: int = 0
    templates: dict[str, int] = {}
    pages: dict[str, int] = {}
    candidates: list[Candidate] = []


READING_TYPES: dict[str, type] = {"j": Reading, "y": SiteReadings, "v": SiteTable}
"""First character of a state key to its type, beside those of `streams.page_records`."""
