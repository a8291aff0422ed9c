"""Readings: what closed sessions say of how long a page was read, and whether visitors then left or went on.

Learned slowly, and only where nothing is the matter: a page that breaks makes visitors stay longer and leave, which
looks like reading. So of what is learned half is forgotten in two weeks, and nothing is learned of a page while it
is suspected, of a site while anything wider is, of visitors who ran into errors, nor of any who had a cart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.site_events import SessionExample
from streams.engagement import TROUBLED
from streams.page_records import OTHER_PAGES, PageRecord, ScopesRecord
from streams.reading_records import Reading, SiteReadings, TemplateReading
from streams.served_tables import CARTING
from streams.settings import DAY_MS, Settings
from streams.states import KeyedState
from streams.visitors import SEPARATOR

MAX_PAGES: Final = 2_000
MAX_TEMPLATES: Final = 128
"""Of so many pages and templates of a site readings are kept; of what comes later when some are forgotten."""
_TEACHING = frozenset(("dead_end", "served"))
"""Reasons of exits that say what became of a reading: the served ones too, or it would teach itself."""


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
                if not _takes(of_site, page, record.template):
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


def _takes(of_site: SiteReadings, page: str, template: str) -> bool:
    """Whether there is room for another page of this template; a template that is new is noted.

    What stands for all pages beyond those that are known by themselves is no page that could be read.
    """
    if of_site.pages >= MAX_PAGES or page == OTHER_PAGES:
        return False
    if template not in of_site.templates:
        if len(of_site.templates) >= MAX_TEMPLATES:
            return False
        of_site.templates[template] = TemplateReading()
    return True


def _midnight(at_ms: int) -> int:
    """Next midnight (UTC) after a time (>)."""
    return (at_ms // DAY_MS + 1) * DAY_MS
