"""Upstream pages: of a page that loses those who come by one page that page is named, of others none."""

from __future__ import annotations

import msgspec
import pytest

from schemas.dead_end_alerts import DeadEndAlert
from schemas.site_events import ExampleView
from streams.alerts import alert_record, open_alert
from streams.arrivals import ENTERED, REST, Arrivals
from streams.blame import Blame
from streams.credits import PageCredit
from streams.empirical_nulls import score
from streams.evidence import PageState
from streams.page_records import STATE_TYPES, PageRecord, Sizes, TemplateRecord
from streams.settings import MINUTE_MS
from streams.states import KeyedState
from streams.symptoms import Contrast, Suspicion
from streams.upstream_pages import upstream_of
from streams.visitors import SEPARATOR
from tests.streams.site_logs import (
    BEGINNING,
    SITE,
    Record,
    Run,
    left,
    minute,
    ms,
    page_of,
    session,
)
from tests.streams.test_confirming import GAP_MS, life, parts, play

WAYS = ("home",) * 4 + ("list",) * 3 + ("",) * 3
"""By which page each of the ten visitors of a minute comes; the last three enter."""
USUALLY = {0, 4, 7}
BY_HOME = {0, 1, 2, 3, 4, 7}
EVERYBODY = set(range(9))


def visits(
    begin: int, end: int, lost: set[int], back: frozenset[int] = frozenset(), every: int = 1
) -> list[Record]:
    """Build minutes of a page with ten visitors each: some are lost, some go back in 8 s, the others go on."""
    records: list[Record] = []
    for number in range(begin, end, every):
        records.append(minute(number, "sizes", len(WAYS), len(lost)))
        at = number * MINUTE_MS
        for index, way in enumerate(WAYS):
            views = [(at - 30_000, way)] if way else []
            views.append((at, "sizes"))
            if index in back:
                views.append((at + 8_000, way))
            if index not in lost:
                views += [(at + MINUTE_MS, "cart"), (at + 2 * MINUTE_MS, "checkout")]
            last_ms, page = views[-1]
            built = session(last_ms + GAP_MS, page, session_id=f"{number:05d}-{index}", exit_=left(page))
            seen = tuple(ExampleView(BEGINNING + at_ms, page_of(name), name) for at_ms, name in views)
            records.append(msgspec.structs.replace(built, views=seen))
    return records


FROM = 26 * 60
"""By then it is known of each hour how visits usually end."""
QUIET = visits(0, FROM, USUALLY, every=4)
BROKEN_LINK = [*QUIET, *visits(FROM, FROM + 150, BY_HOME, back=frozenset({6}))]


@pytest.fixture(scope="module")
def link() -> Run:
    """A page that all leave who come by one page's link, and from which some go back."""
    return play(Run(), BROKEN_LINK)


def test_a_page_whose_visitors_are_lost_on_the_next_is_named(link: Run) -> None:
    assert life(link) == ["opened", "confirmed"]
    alert = link.alerts[-1]
    assert alert.upstream_page == page_of("home")
    # Of six who are lost four come by it; of four who are not none.
    assert alert.upstream_share == pytest.approx(4 / 6, abs=0.03)
    assert alert.upstream_usual_share == pytest.approx(0.0, abs=0.03)
    assert alert.upstream_lift is not None
    assert alert.upstream_lift_low is not None
    assert 1.5 <= alert.upstream_lift_low < alert.upstream_lift
    assert alert.summary is not None
    assert f"; most of those lost came by {page_of('home')}; " in alert.summary


def test_it_is_named_as_soon_as_sessions_have_told(link: Run) -> None:
    # The first of those who were lost close their sessions after the gap, and the alert opens before.
    told = [alert.upstream_page for alert in link.alerts if ms(alert.updated_at) >= FROM * MINUTE_MS + GAP_MS]
    before = [alert.upstream_page for alert in link.alerts[: -len(told)]]
    assert before
    assert set(before) == {None}
    named = told.index(page_of("home"))
    assert told == [None] * named + [page_of("home")] * (len(told) - named)
    assert named <= 2


def test_those_who_go_back_are_counted_and_compared_with_other_pages(link: Run) -> None:
    alert = link.alerts[-1]
    assert alert.quick_backs is not None
    # One in ten does; hardly one did before, and nobody on other pages.
    assert alert.final_views is not None
    assert alert.quick_backs > alert.final_views / 12
    assert alert.expected_quick_backs == 0.0


def test_of_a_page_that_breaks_for_all_no_other_is_named() -> None:
    run = play(Run(), [*QUIET, *visits(FROM, FROM + 150, EVERYBODY)])
    assert life(run) == ["opened", "confirmed"]
    assert {alert.upstream_page for alert in run.alerts} == {None}
    assert "came by" not in (run.alerts[-1].summary or "")


def test_a_restart_at_any_time_changes_no_byte(link: Run) -> None:
    records = sorted(BROKEN_LINK, key=lambda record: record.due_ms)
    halted = Run()
    for part in parts(records, 40):
        play(halted, part)
        halted.resume()
    assert halted.log == link.log


HOME, LIST = Contrast(40, 38, 16.0), Contrast(60, 25, 24.0)


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ({"home": HOME, "list": LIST}, "home"),
        ({"list": LIST, "home": HOME}, "home"),
        ({"home": HOME, ENTERED: LIST}, "home"),
        ({"home": HOME, REST: LIST}, "home"),
        ({ENTERED: HOME, "list": LIST}, None),
        ({REST: HOME, "list": LIST}, None),
        ({"home": HOME}, None),
        ({"home": Contrast(10, 10, 3.0), "list": LIST}, "home"),
        ({"home": Contrast(9, 9, 2.0), "list": LIST}, None),
        ({"home": HOME, "list": Contrast(20, 8, 8.0)}, "home"),
        # Of so few who were not lost it may be chance that hardly any came by it.
        ({"home": HOME, "list": Contrast(10, 4, 4.0)}, None),
        ({"home": HOME, "list": Contrast(9, 4, 4.0)}, None),
        ({"home": HOME, "list": Contrast(60, 57, 24.0)}, None),
        # Its visitors always left more often than others, and now the page is worse for all.
        ({"home": Contrast(500, 458, 225.0), "list": Contrast(500, 380, 225.0)}, None),
        # It brings nearly all, lost or not.
        ({"home": Contrast(900, 800, 400.0), "list": Contrast(20, 9, 9.0)}, None),
        ({}, None),
    ],
)
def test_a_page_is_named_where_it_alone_loses(before: dict[str, Contrast], found: str | None) -> None:
    upstream = upstream_of(Arrivals(before))
    assert (None if upstream is None else upstream.page) == found


@pytest.mark.parametrize(
    ("credit", "pages", "is_harmful"),
    [
        (PageCredit(900, -60.0, 400.0, 400.0), {}, True),
        (PageCredit(900, 60.0, 400.0, 400.0), {}, False),
        (PageCredit(900, -5.0, 400.0, 400.0), {}, False),
        (PageCredit(), {}, False),
        # Where all pages of the site differ by as much, it may be one of these.
        (PageCredit(900, -60.0, 400.0, 400.0), {1_000: 400}, False),
    ],
)
def test_a_credit_below_zero_stands_in_the_alert(
    credit: PageCredit, pages: dict[int, int], is_harmful: bool
) -> None:
    state = KeyedState(STATE_TYPES)
    state.put(f"t{SITE}{SEPARATOR}help", TemplateRecord())
    state.put(f"z{SITE}", Sizes(pages))
    record = PageRecord("help", credit=credit)
    finding = Blame(state, SITE).page_finding(page_of("help"), record)
    opened = open_alert(finding.subject, BEGINNING, 9.0)
    alert = alert_record(finding, Suspicion(), PageState(), opened, "opened", BEGINNING).value
    assert isinstance(alert, DeadEndAlert)
    if not is_harmful:
        assert alert.purchase_credit is alert.credit_low is alert.credit_high is None
        return
    found = score(credit)
    assert (alert.purchase_credit, alert.credit_low) == (round(found.credit, 3), round(found.credit_low, 3))
    assert alert.credit_high == round(found.credit_high, 3)
    assert found.credit_high < 0.0
