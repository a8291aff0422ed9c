"""Readings: what closed sessions say of how long a page was read, and whether visitors then left or went on.

Learned slowly, and only where nothing is the matter: a page that breaks makes visitors stay longer and leave, which
looks like reading. So of what is learned half is forgotten in two weeks, and nothing is learned of a page while it
is suspected, of a site while anything wider is, of visitors who ran into errors, nor of any who had a cart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.site_events import SessionExample
from streams.engagement import BUCKETS, TROUBLED
from streams.page_records import PageRecord, ScopesRecord
from streams.reading_rules import Known, Strata
from streams.served_tables import CARTING
from streams.settings import DAY_MS, Settings
from streams.states import KeyedState
from streams.visitors import SEPARATOR

HALF_LIFE_DAYS: Final = 14.0
MAX_PAGES: Final = 2_000
"""Pages of a site of which readings are kept, and templates; a row of readings is below 1 kB."""
MAX_TEMPLATES: Final = 128
MAX_SHARES: Final = 320
EXITS_KEPT: Final = 500.0
"""How far back shares of exits look."""
SHARE_PRIOR: Final = 20.0
"""Exits that draw such a share to none."""
_TEACHING = frozenset(("dead_end", "served"))
"""Reasons of exits that say what became of a reading: the served ones too, or it would teach itself."""


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


class ReadingBook:
    """Learns from closed sessions how long pages are read.

    Parameters
    ----------
    settings
        See `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self._learns = settings.learn_served

    def session(
        self,
        state: KeyedState,
        example: SessionExample,
        of_site: SiteReadings | None,
        names: Mapping[str, str],
        records: Mapping[str, PageRecord],
    ) -> None:
        """Learn from a closed session.

        Parameters
        ----------
        state
            Of the pages stage.
        example
            The session, neither a bot's nor capped, with a view.
        of_site
            What is kept of its site, if anything.
        names, records
            Its pages to the names that they go by, and these to what is kept of them.
        """
        site, views, exit_ = example.site, example.views, example.exit
        if not self._learns or exit_.outcome != "none":
            return
        if of_site is None:
            if all(view.engaged < 0 for view in views):
                return
            of_site = SiteReadings(_midnight(example.due_ms))
        if example.learned or (of_site.shares and exit_.reason == "dead_end"):
            of_site.count_exit(records[names[exit_.page]].template, is_learned=example.learned)
        scopes: ScopesRecord | None = state.get(f"h{site}")
        # Orders that are missing do no harm: whoever orders had a cart.
        is_usual = scopes is None or not (scopes.open or scopes.watched)
        day, last = example.due_ms // DAY_MS, len(views) - 1
        ends = exit_.reason in _TEACHING
        carted = [action.occurred_at for action in example.actions if action.name in CARTING]
        templates = of_site.templates
        for place, view in enumerate(views if is_usual else ()):
            at_end, engaged = place == last, view.engaged
            leads = False
            if carted:
                if view.occurred_at > carted[0]:
                    break
                leads = at_end or views[place + 1].occurred_at > carted[0]
            if engaged == TROUBLED or (at_end and not ends and not leads):
                continue
            page = names[view.page]
            record = records[page]
            if record.alert is not None or record.suspicion.since_ms is not None:
                continue
            of_template = templates.get(record.template)
            if of_template is not None and not leads:
                known = of_template.known
                if at_end:
                    known.left += 1.0
                    known.left_unknown += engaged < 0
                else:
                    known.stayed += 1.0
                    known.stayed_unknown += engaged < 0
            if engaged < 0:
                continue
            key = f"j{site}{SEPARATOR}{page}"
            reading: Reading | None = state.get(key)
            if reading is None:
                if not _takes(of_site, record.template):
                    continue
                of_site.pages += 1
                reading = Reading(record.template, day, max(of_site.next_ms, _midnight(example.due_ms)))
            if day > reading.taught:
                reading.age(day)
                reading.taught = day
                reading.days += 1
            if leads:
                reading.leading += 1.0
            else:
                (reading.left if at_end else reading.stayed)[engaged] += 1.0
            state.put(key, reading, reading.next_ms)
            of_template = templates[reading.template]
            if day > of_template.taught:
                of_template.taught = day
                of_template.days += 1
        if of_site.pages:
            state.put(f"y{site}", of_site, of_site.next_ms)


def _takes(of_site: SiteReadings, template: str) -> bool:
    """Whether there is room for another page of this template; a template that is new is noted."""
    if of_site.pages >= MAX_PAGES:
        return False
    if template not in of_site.templates:
        if len(of_site.templates) >= MAX_TEMPLATES:
            return False
        of_site.templates[template] = TemplateReading()
    return True


def _midnight(at_ms: int) -> int:
    """Next midnight (UTC) after a time (>)."""
    return (at_ms // DAY_MS + 1) * DAY_MS
