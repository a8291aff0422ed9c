"""Causes: what an alert says is behind it, from what else is unusual in the same minutes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.dead_end_alerts import DeadEndAlert
from schemas.site_events import Cell, PageMinute
from streams.causes import cause_of
from streams.symptoms import Contrast, Habits, Suspicion
from tests.streams.site_logs import BROKEN_FROM, Run, minute, page_of

Cells = Callable[[], tuple[Cell, ...]]
PAGES = {"sizes": "help", "pay": "checkout", "boots": "product", "coats": "product", "start": "home"}


def usual(page: str) -> tuple[Cell, ...]:
    """Cells of a usual minute: of twenty views eight stall, two of these idle; at the checkout four order."""
    orders = 2 if page == "pay" else 0
    return (
        Cell("organic", "mobile", True, 10, 4, 1, 0, orders),
        Cell("paid", "desktop", False, 10, 4, 1, 0, orders),
    )


def log(broken: str, cells: Cells, minutes: int = 40, elsewhere: Cells | None = None) -> list[PageMinute]:
    """Three usual hours, then minutes in which a page has these cells."""
    return [
        minute(
            number,
            page,
            template=template,
            cells=usual(page)
            if number < BROKEN_FROM
            else cells()
            if page == broken
            else usual(page)
            if elsewhere is None
            else elsewhere(),
        )
        for number in range(BROKEN_FROM + minutes)
        for page, template in PAGES.items()
    ]


def last(run: Run) -> DeadEndAlert:
    """Give the only alert."""
    (name,) = {alert.alert_id for alert in run.alerts}
    return next(alert for alert in reversed(run.alerts) if alert.alert_id == name)


FAULTS: dict[str, tuple[str, Cells]] = {
    "page_broke": (
        "sizes",
        lambda: (
            Cell("organic", "mobile", True, 10, 9, 2),
            Cell("paid", "desktop", False, 10, 9, 2),
        ),
    ),
    "bot_wave": (
        "sizes",
        lambda: (
            Cell("organic", "mobile", True, 40, 34, 31),
            Cell("paid", "desktop", False, 10, 4, 1),
        ),
    ),
    "tag_broke": (
        "sizes",
        lambda: (
            Cell("", "", False, 0, 0, 0, 10),
            Cell("organic", "mobile", True, 10, 9, 2),
            Cell("paid", "desktop", False, 10, 9, 2),
        ),
    ),
    "campaign_mix": (
        "sizes",
        lambda: (
            Cell("organic", "mobile", True, 10, 4, 1),
            Cell("paid", "desktop", False, 10, 4, 1),
            Cell("paid", "mobile", True, 60, 54, 13),
        ),
    ),
    "checkout_outage": (
        "pay",
        lambda: (
            Cell("organic", "mobile", True, 10, 8, 1, 0, 0),
            Cell("paid", "desktop", False, 10, 8, 1, 0, 0),
        ),
    ),
}


@pytest.mark.parametrize("cause", FAULTS)
def test_the_cause_is_named_from_the_first_revision_on(cause: str) -> None:
    page, cells = FAULTS[cause]
    run = Run().follow(log(page, cells))
    opened, alert = run.alerts[0], last(run)
    assert (opened.status, opened.scope, opened.page) == ("opened", "page", page_of(page))
    assert (opened.cause, alert.cause) == (cause, cause)
    assert opened.cause_numbers
    assert opened.summary is not None
    assert page_of(page) in opened.summary


def test_what_decided_is_shown() -> None:
    page, cells = FAULTS["campaign_mix"]
    numbers = last(Run().follow(log(page, cells))).cause_numbers or {}
    assert numbers["share_growth"] == pytest.approx(70 / 80 / 0.5, rel=0.05)
    assert numbers["source_logit"] > 1 > 0.45 > numbers["others_logit"]


def test_who_leaves_is_told_apart() -> None:
    page, cells = FAULTS["campaign_mix"]
    contrasts = last(Run().follow(log(page, cells))).contrasts or []
    by_source = {
        c.value: (c.exits / c.views, c.expected_exits / c.views) for c in contrasts if c.by == "source"
    }
    assert by_source["paid"][0] == pytest.approx(58 / 70)
    assert by_source["paid"][0] > 1.5 * by_source["paid"][1]
    assert by_source["organic"][0] == pytest.approx(0.4)


def test_a_wider_fault_names_where_most_is_lost() -> None:
    def worse(rate: int) -> Cells:
        return lambda: (
            Cell("organic", "mobile", True, 10, rate, 2),
            Cell("paid", "desktop", False, 10, rate, 2),
        )

    alert = last(Run().follow(log("boots", worse(9), elsewhere=worse(8))))
    assert (alert.scope, alert.cause) == ("site", "site_change")
    assert alert.worst_pages
    assert alert.page == alert.worst_pages[0]
    assert alert.contrasts is None


def test_where_nobody_reports_what_is_done_idleness_says_nothing() -> None:
    silent = Habits(views=1_000.0, stalls=400.0, idle=400.0)
    assert (
        cause_of("page", "help", Suspicion(100, 80, 40.0, 24.0, idle=80), silent, 0.0, 0.0).cause
        == "page_broke"
    )


def test_a_source_that_a_page_never_had_is_a_campaign() -> None:
    new = Suspicion(200, 140, 80.0, 48.0)
    new.by = {"source:email": Contrast(100, 100, 40.0), "source:organic": Contrast(100, 40, 40.0)}
    known = Habits(views=900.0, stalls=360.0, idle=90.0, sources={"organic": 900.0})
    assert cause_of("page", "help", new, known, 0.0, 0.0).cause == "campaign_mix"


def test_where_nothing_is_lost_there_is_no_cause() -> None:
    assert cause_of("page", "help", Suspicion(100, 30, 40.0, 24.0), Habits(), 0.0, 0.0) == ("unknown", {})


@pytest.mark.parametrize(
    ("growth", "cause"), [(1.4, "site_change"), (1.6, "campaign_mix")], ids=["as usual", "many more"]
)
def test_a_source_is_a_campaign_when_it_brings_many_more(growth: float, cause: str) -> None:
    found = Suspicion(int(100 * growth), 90, 40.0, 24.0, of_all=1_000)
    assert cause_of("source", "", found, Habits(), 0.1, 0.0).cause == cause
