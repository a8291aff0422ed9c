"""Site events: counts per minute and page, and what came of each session, in one log by site (internal)."""

from __future__ import annotations

import msgspec

from schemas.marks import Mark
from schemas.visitor_events import Origin, SiteNote


class Cell(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Views of one page in one minute that share their context.

    Attributes
    ----------
    stalls
        Views after which the visitor did not go on within the horizon.
    idle
        Stalls after which nothing at all was done there within the horizon.
    orphans
        Sessions that began on another page and say that they come from this one: they lost who they were. Such a
        cell has no views.
    orders
        Views after which an order was what came next, within the horizon.
    """

    source: str
    device: str
    first_view: bool
    views: int
    stalls: int
    idle: int = 0
    orphans: int = 0
    orders: int = 0


class PageMinute(msgspec.Struct, tag_field="type", tag="page_minute", frozen=True):
    """Labelled views of one page in one minute, bots left out.

    Attributes
    ----------
    minute_ms
        Start of the minute (event time).
    due_ms
        When its labels were complete: the minute's end and the stall horizon.
    template
        Empty where nothing but orphans is known of the page.
    correction
        True where late events changed a minute that was sent before: then the cells hold differences, which
        change counts and money, never the evidence of an alert.
    """

    origin: Origin
    site: str
    page: str
    template: str
    minute_ms: int
    due_ms: int
    cells: tuple[Cell, ...]
    correction: bool = False


class ExampleView(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One page view of a closed session, in order of time.

    `engaged` is how long it was looked at, as a place in a histogram: -1 where nothing tells, -2 where something
    went wrong on its page.
    """

    occurred_at: int
    page: str
    template: str
    engaged: int = -1


class ExampleAction(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One interaction of a closed session, in order of time."""

    occurred_at: int
    name: str


class Exit(msgspec.Struct, frozen=True):
    """How a session ended: what pages count of it. `revenue` is an exact decimal string."""

    page: str
    template: str
    reason: str
    outcome: str
    revenue: str = "0"
    currency: str | None = None
    orders: int = 0


class SessionExample(msgspec.Struct, tag_field="type", tag="session_example", frozen=True):
    """A closed session: what was known when, and what came of it. Written once, when it first closes.

    Attributes
    ----------
    due_ms
        When it closed (event time): no click and no order can join it any more without being late.
    returning
        The visitor had been seen before this session, within retention.
    purchased_at
        Time of the first order (ms); views after it say nothing about purchasing.
    learned
        No rule of the settings says that its exit was ``served``, only what was learned of reading.
    """

    origin: Origin
    site: str
    session_id: str
    due_ms: int
    source: str
    device: str
    is_bot: bool
    returning: bool
    views: tuple[ExampleView, ...]
    actions: tuple[ExampleAction, ...]
    exit: Exit
    purchased_at: int | None = None
    known_customer: bool = False
    capped: bool = False
    learned: bool = False


class SessionCorrection(msgspec.Struct, tag_field="type", tag="session_correction", frozen=True):
    """A session that was written before has changed: take `removed` out of the counts, put `added` in.

    Attributes
    ----------
    views, purchased_at
        As in its example, where it has orders now: its revenue is counted on the way to the purchase.
    """

    origin: Origin
    site: str
    session_id: str
    due_ms: int
    is_bot: bool
    removed: Exit | None = None
    added: Exit | None = None
    views: tuple[ExampleView, ...] = ()
    purchased_at: int | None = None


SiteEvent = PageMinute | SessionExample | SessionCorrection | SiteNote | Mark
