"""What the pages stage keeps: one record a page, a template and a site; minutes and sessions that wait."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from schemas.marks import UNKNOWN_MS
from schemas.site_events import Cell, PageMinute, SessionCorrection, SessionExample
from streams.association_records import PageNames, SiteAssociations
from streams.calibrations import Calibration
from streams.cell_regressions import CellRegression
from streams.credits import PageCredit, PurchaseModel
from streams.evidence import DecayedSums, PageState, SiteState, TemplateState
from streams.final_exits import FinalExits
from streams.note_records import AlertSubject, SiteDeploys, WaitingNote
from streams.open_alerts import OpenAlert, OpenAlerts
from streams.order_feeds import OrderFeed
from streams.page_revenues import PageRevenue, PassedSession
from streams.rankings import PageTotals
from streams.settings import HOUR_MS
from streams.states import KeyedState
from streams.symptoms import Habits, MinuteCounts, Suspicion
from streams.transitions import Chain, Successors
from streams.usual_exits import UsualExits
from streams.visitors import SEPARATOR

OTHER_PAGES = "(other pages)"
"""Stands for all pages beyond `MAX_PAGES` of a site."""
MAX_PAGES = 20_000


class WaitingMinute(msgspec.Struct, array_like=True, gc=False):
    """Cells of one page and minute, from all partitions of the visitors' log, until its time has come."""

    site: str
    page: str
    template: str
    minute_ms: int
    cells: list[Cell]

    def add(self, cells: tuple[Cell, ...]) -> None:
        """Put cells in; those with the same context become one, and their order is canonical."""
        if len(cells) == 1 and not self.cells:
            self.cells = [cells[0]]
            return
        sums = {(c.source, c.device, c.first_view): c for c in self.cells}
        for cell in cells:
            context = (cell.source, cell.device, cell.first_view)
            known = sums.get(context)
            sums[context] = cell if known is None else sum_of(known, cell)
        self.cells = [cell for _, cell in sorted(sums.items())]


def sum_of(some: Cell, more: Cell) -> Cell:
    """Both cells of one context as one."""
    return Cell(
        some.source,
        some.device,
        some.first_view,
        some.views + more.views,
        some.stalls + more.stalls,
        some.idle + more.idle,
        some.orphans + more.orphans,
        some.orders + more.orders,
    )


class WaitingSession(msgspec.Struct, array_like=True):
    """A closed session until its time has come."""

    example: SessionExample


class WaitingCorrection(msgspec.Struct, array_like=True):
    """A change of a session, such as a refund, or of a minute that was sent before, until its time has come."""

    correction: PageMinute | SessionCorrection


class Measured(msgspec.Struct, array_like=True):
    """What a page adds to the measure by which pages are scored, as of its last score.

    `weight` and `excess` are its terms in its template's spread, `size` its place in the site's `Sizes`.
    """

    weight: float = 0.0
    excess: float = 0.0
    size: int | None = None


class PageRecord(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a page. Its deadline is the hour at which it is scored.

    `views` and `stalls` come from minutes; `exits`, `reasons` and `totals` from closed sessions, `totals` on the
    exits that were dead ends; `credit` and `revenue` from closed sessions too. `recent` are stalls beyond
    expectation of the last while, without the common movement: they tell where it is that visitors are lost.
    `top` is the greatest evidence of an excursion; see `streams.calibrations`. `closed` is the last alert, once it
    was over. `listed`: its name stands among those of the site's pages. `usual`: how its dead ends differ from
    those of its context while it has no alert.
    """

    template: str
    views: int = 0
    stalls: int = 0
    exits: int = 0
    reasons: dict[str, int] = {}
    state: PageState = msgspec.field(default_factory=PageState)
    totals: PageTotals = msgspec.field(default_factory=PageTotals)
    credit: PageCredit = msgspec.field(default_factory=PageCredit)
    suspicion: Suspicion = msgspec.field(default_factory=Suspicion)
    alert: OpenAlert | None = None
    revision: int = 0
    measured: Measured = msgspec.field(default_factory=Measured)
    recent: DecayedSums = msgspec.field(default_factory=DecayedSums)
    habits: Habits = msgspec.field(default_factory=Habits)
    top: float = 0.0
    closed: OpenAlert | None = None
    revenue: PageRevenue = msgspec.field(default_factory=PageRevenue)
    listed: bool = False
    usual: UsualExits = msgspec.field(default_factory=UsualExits)


class TemplateRecord(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a template: the detector's state, sums over its pages, and what became of who went on.

    `habits` are its pages' together: which orders their views usually bring. `credit` is of sessions that saw any
    of its pages, as is `revenue`.
    """

    state: TemplateState = msgspec.field(default_factory=TemplateState)
    weight: float = 0.0
    excess: float = 0.0
    went_on: int = 0
    purchased: int = 0
    habits: Habits = msgspec.field(default_factory=Habits)
    credit: PageCredit = msgspec.field(default_factory=PageCredit)
    revenue: PageRevenue = msgspec.field(default_factory=PageRevenue)
    listed: bool = False


class GroupRecord(msgspec.Struct, array_like=True):
    """What is kept of a content group, of sessions that saw any of its pages."""

    credit: PageCredit = msgspec.field(default_factory=PageCredit)
    revenue: PageRevenue = msgspec.field(default_factory=PageRevenue)


class Money(msgspec.Struct, array_like=True):
    """Orders and revenue of a site in its first currency; amounts are exact decimal strings."""

    currency: str | None = None
    orders: int = 0
    revenue: str = "0"

    def add(self, currency: str | None, revenue: str, orders: int, sign: int = 1) -> None:
        """Count orders in; those in another currency are left out."""
        if not orders or currency is None:
            return
        if self.currency is None:
            self.currency = currency
        if currency == self.currency:
            self.orders += sign * orders
            self.revenue = str(Decimal(self.revenue) + sign * Decimal(revenue))

    @property
    def average_minor(self) -> float:
        """Average order value in hundredths of the currency's unit, 0 before the first order."""
        return float(Decimal(self.revenue)) * 100.0 / self.orders if self.orders > 0 else 0.0


class SiteRecord(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a site: the detector's state, money, and when its pages were scored.

    `changed` are the pages to score at `score_ms`, which is set as long as there are any. `went_on` counts the
    sessions of more than one view, `purchased` those of them that purchased.
    """

    state: SiteState = msgspec.field(default_factory=SiteState)
    money: Money = msgspec.field(default_factory=Money)
    pages: int = 0
    changed: list[str] = []
    score_ms: int | None = None
    scored_ms: int = UNKNOWN_MS
    went_on: int = 0
    purchased: int = 0
    calibration: Calibration = msgspec.field(default_factory=Calibration)


class Crossed(msgspec.Struct, array_like=True, gc=False):
    """A page's evidence that is great enough for an alert, and by which test."""

    event: Literal["open", "open_new"]
    evidence: float


class ScopesMinute(msgspec.Struct, array_like=True, gc=False):
    """A minute of a site while its pages are handled: counts by scope, and pages that may have an alert."""

    site: str
    minute_ms: int
    scopes: dict[str, MinuteCounts] = {}
    crossed: dict[str, Crossed] = {}


class ScopeRecord(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a scope that is wider than a page. `recent` is the sum of its pages'."""

    state: PageState = msgspec.field(default_factory=PageState)
    recent: DecayedSums = msgspec.field(default_factory=DecayedSums)
    suspicion: Suspicion = msgspec.field(default_factory=Suspicion)
    alert: OpenAlert | None = None
    habits: Habits = msgspec.field(default_factory=Habits)
    top: float = 0.0
    closed: OpenAlert | None = None


class ScopesRecord(msgspec.Struct, array_like=True):
    """What is kept of all wider scopes of a site.

    `pools` are the detector's records by kind, for scopes of a kind are alike noisy; `known` all scopes; `watched`
    those with evidence above the watch level, `since_ms` the time from which on there are any; `open` those with an
    alert; `suspects` the pages with some evidence, or that had some lately; `alerting` those with an alert; `feed`
    the site's orders.
    """

    pools: dict[str, SiteState] = {}
    known: list[str] = []
    watched: list[str] = []
    open: list[str] = []
    suspects: list[str] = []
    alerting: list[str] = []
    since_ms: int | None = None
    calibration: Calibration = msgspec.field(default_factory=Calibration)
    feed: OrderFeed = msgspec.field(default_factory=OrderFeed)


class Sizes(msgspec.Struct, array_like=True):
    """How many pages of a site have a credit of which size, by place; see `streams.empirical_nulls.size_of`."""

    pages: dict[int, int] = {}


class Regressions(msgspec.Struct, array_like=True):
    """A site's regressions: stalls and dead-end exits by context, purchases by what was known before a view.

    `purchases` knows the view's template, `template_purchases` does not.
    """

    stalls: CellRegression = msgspec.field(default_factory=CellRegression)
    exits: CellRegression = msgspec.field(default_factory=CellRegression)
    purchases: PurchaseModel = msgspec.field(default_factory=PurchaseModel)
    template_purchases: PurchaseModel = msgspec.field(default_factory=PurchaseModel)


STATE_TYPES: dict[str, type] = {
    "b": WaitingMinute,
    "c": WaitingCorrection,
    "e": WaitingSession,
    "p": PageRecord,
    "t": TemplateRecord,
    "s": SiteRecord,
    "r": Regressions,
    "q": OpenAlert,
    "z": Sizes,
    "o": OpenAlerts,
    "w": ScopesMinute,
    "g": ScopeRecord,
    "h": ScopesRecord,
    "a": SiteAssociations,
    "l": PageNames,
    "n": GroupRecord,
    "x": PassedSession,
    "m": Chain,
    "k": Successors,
    "f": FinalExits,
    "d": WaitingNote,
    "i": SiteDeploys,
    "u": AlertSubject,
}
"""First character of a state key to its type. ``q`` only holds the deadline of an alert on a page gone quiet.
``u``, site and id tell what an alert is about, until a day after it was over."""


def site_of(state: KeyedState, site: str) -> SiteRecord:
    """Record of a site; its caller puts it."""
    return state.get(f"s{site}") or SiteRecord()


def regressions_of(state: KeyedState, site: str) -> Regressions:
    """Regressions of a site; their caller puts them."""
    return state.get(f"r{site}") or Regressions()


def page_of(
    state: KeyedState, of_site: SiteRecord, site: str, page: str, template: str
) -> tuple[str, PageRecord]:
    """Record of a page, under the name that it goes by; its caller puts it, and the site's."""
    record = state.get(f"p{site}{SEPARATOR}{page}")
    if record is not None:
        return page, record
    if of_site.pages >= MAX_PAGES:
        page, template = OTHER_PAGES, "other"
        record = state.get(f"p{site}{SEPARATOR}{page}")
        if record is not None:
            return page, record
    record = PageRecord(template)
    of_site.pages += 1
    key = f"t{site}{SEPARATOR}{template}"
    if state.get(key) is None:
        state.put(key, TemplateRecord())
    return page, record


def final_exits_of(state: KeyedState, site: str, page: str, record: PageRecord) -> FinalExits | None:
    """Give what closed sessions say of a page since it is suspected; None where they say nothing."""
    final: FinalExits | None = state.get(f"f{site}{SEPARATOR}{page}")
    return final if final is not None and final.since_ms == record.suspicion.since_ms else None


def next_score(of_site: SiteRecord, at_ms: int, every_ms: int) -> int:
    """First full hour (or other pace) that is not before a time, and not scored already."""
    return -(-max(at_ms, of_site.scored_ms + 1) // every_ms) * every_ms


def hour_of_week(at_ms: int) -> int:
    """Hour of the week in UTC, 0 on Monday at midnight; 1 January 1970 was a Thursday."""
    return (at_ms // HOUR_MS + 72) % 168


def context_names(
    template: str, source: str, device: str, first_view: bool, hour_of_week: int
) -> tuple[str, ...]:
    """Features of a view without its page: what the same visitors would do elsewhere."""
    day, hour = divmod(hour_of_week, 24)
    return (
        f"template:{template}",
        f"source:{source}",
        f"device:{device}",
        f"hour:{hour}",
        "weekend" if day >= 5 else "weekday",
        f"{template}:{'first' if first_view else 'later'}",
    )
