"""Served tables: on which pages whoever has read long enough and leaves was served, as learned; by time.

The pages stage learns them, and sends one when they change (`streams.reading_rules`). A session is judged by the
table that held when it closed, however often it is written again: what it was counted as has to be known then.
"""

from __future__ import annotations

import msgspec

from schemas.visitor_events import ServedTable
from streams.engagement import BUCKETS, EDGES, engaged_buckets
from streams.settings import DAY_MS, Settings
from streams.stages import Context
from streams.visitors import Action
from streams.visits import Assembled

CARTING = frozenset(("add_to_cart", "checkout_started"))
"""Interactions of visitors who came to buy: whoever leaves after one of them was not served by reading."""
NEVER = -1
"""Stands in a table for a page on which nobody is served by reading, although its template's pages serve."""
LEAD_MS = DAY_MS
"""A table holds from so long after the day of which it was learned: until then all partitions have it, as long as
none of them is further ahead of the stage that learns. What is learned in weeks can wait for a day."""


class KeptTable(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A table, and from when on (≥, event time) a session that closes is judged by it."""

    from_ms: int
    templates: dict[str, int]
    pages: dict[str, int]

    def threshold(self, page: str, template: str) -> int:
        """Bucket of engaged time from which (≥) leaving the page is being served; `NEVER` where it is not."""
        known = self.pages.get(page)
        return self.templates.get(template, NEVER) if known is None else known


class ServedTables(msgspec.Struct, array_like=True):
    """The tables of a site by which sessions may still be judged, in order of time.

    Tables come once a day at most, and go when no session that they judged can change: about as many as the
    retention and `LEAD_MS` have days, and two.
    """

    tables: tuple[KeptTable, ...] = ()

    def at(self, at_ms: int) -> KeptTable | None:
        """Table that held at an event time, None before the first.

        Examples
        --------
        >>> tables = ServedTables((KeptTable(5, {"guides": 9}, {}), KeptTable(9, {}, {})))
        >>> tables.at(4), tables.at(8).templates, tables.at(9).templates
        (None, {'guides': 9}, {})
        """
        return next((table for table in reversed(self.tables) if table.from_ms <= at_ms), None)


def keep_table(context: Context, record: ServedTable, settings: Settings) -> None:
    """Judge by a table from its time on, or, if time is further here already, from now on.

    What has closed was judged without it, and stays so. Where a partition that works off a backlog is more than
    `LEAD_MS` ahead of the stage that learns, its sessions are therefore judged by an older table than in a replay;
    that is counted.
    """
    key = f"r{record.site}"
    known: ServedTables = context.state.get(key) or ServedTables()
    now_ms = context.watermark
    from_ms = max(record.from_ms, now_ms)
    context.count("served_tables", "in_time" if from_ms == record.from_ms else "late")
    tables = [table for table in known.tables if table.from_ms < from_ms]
    tables.append(KeptTable(from_ms, record.templates, record.pages))
    # A session that closed before this can change no more. The last table that began until then still holds.
    frozen_ms = now_ms - settings.retention_ms - settings.hold_ms
    while len(tables) > 1 and tables[1].from_ms <= frozen_ms:
        del tables[0]
    # Of a site where nothing is learned any more nothing is kept once all that was judged can change no more.
    is_empty = not record.templates and not record.pages
    deadline_ms = from_ms + settings.retention_ms + settings.hold_ms if is_empty else None
    context.state.put(key, ServedTables(tuple(tables)), deadline_ms)


def learned_rule(session: Assembled, tables: ServedTables, closed_ms: int) -> str | None:
    """Name the rule by which a session that ends with a page view was served by reading, None where it was not.

    Never in a session with a cart, and never where something went wrong on the page.

    Parameters
    ----------
    session
        With a page view.
    tables
        Of its site.
    closed_ms
        When it closed: no click and no order could join it any more.
    """
    table = tables.at(closed_ms)
    if table is None:
        return None
    last = session.views[-1]
    threshold = table.threshold(last.page, last.template)
    # A table of a later version may know more buckets.
    if not 0 < threshold < BUCKETS:
        return None
    if any(isinstance(click, Action) and click.name in CARTING for click in session.clicks):
        return None
    if engaged_buckets(session.clicks)[-1] < threshold:
        return None
    return f"learned:{EDGES[threshold - 1]}s"
