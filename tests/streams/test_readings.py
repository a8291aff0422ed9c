"""Readings: what closed sessions teach of pages, what they don't, and the tables that come of it."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from schemas.site_events import ExampleAction, ExampleView, Exit, SessionExample
from streams import page_records
from streams.engagement import BUCKETS, TROUBLED, UNKNOWN
from streams.open_alerts import OpenAlert
from streams.page_records import ScopesRecord
from streams.reading_records import Candidate, Reading, SiteReadings, SiteTable, Sums, TemplateReading
from streams.reading_rules import Known, Sides, stratum_of
from streams.reading_tables import MAX_LISTED_PAGES, MAX_LISTED_TEMPLATES, decide_table
from streams.readings import MAX_PAGES
from streams.served_tables import LEAD_MS, NEVER
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings
from streams.stages import Context
from streams.states import KeyedState
from tests.streams.site_logs import AT_THE_END, BEGINNING, SITE, Run, page_of

FIRST_DAY = BEGINNING // DAY_MS
GLANCE, READING = 2, 12
SECOND_WEEK = 9


def at_hour(day: int, hour: float) -> int:
    """Give a time after the beginning (ms) of a day and hour in UTC; the first day is that of the beginning."""
    return int((FIRST_DAY + day) * DAY_MS + hour * HOUR_MS - BEGINNING)


def visit(
    after: int, name: str, *views: tuple[str, int], reason: str = "dead_end", carts: int = -1, **fields: Any
) -> SessionExample:
    """Build a session of views (page, engaged), the part of a page's name before a dash being its template.

    `carts` is the place of the view after which something is put into a cart.
    """
    began = BEGINNING + after - HOUR_MS
    shown = tuple(
        ExampleView(began + place * MINUTE_MS, page_of(page), page.partition("-")[0], engaged)
        for place, (page, engaged) in enumerate(views)
    )
    actions = () if carts < 0 else (ExampleAction(began + carts * MINUTE_MS + 5, "add_to_cart"),)
    outcome = fields.pop("outcome", "none")
    return SessionExample(
        origin=("", 0, 0),
        site=SITE,
        session_id=name,
        due_ms=BEGINNING + after,
        source="organic",
        device="mobile",
        is_bot=fields.pop("is_bot", False),
        returning=False,
        views=shown,
        actions=actions,
        exit=Exit(shown[-1].page, shown[-1].template, reason, outcome),
        **fields,
    )


def day_of(
    day: int,
    page: str,
    *,
    read: tuple[int, int] = (12, 3),
    glanced: tuple[int, int] = (5, 10),
    carts: int = 0,
    reading: int = READING,
) -> list[SessionExample]:
    """Build sessions of a page on a day: who reads leaves or goes on, and so does who glances; some fill a cart."""
    kinds = [(reading, True)] * read[0] + [(reading, False)] * read[1]
    kinds += [(GLANCE, True)] * glanced[0] + [(GLANCE, False)] * glanced[1]
    sessions = []
    for number, (engaged, leaves) in enumerate(kinds):
        views = [(page, engaged)] if leaves else [(page, engaged), ("home", UNKNOWN)]
        name, after = f"{page}-{day}-{number}", at_hour(day, 23) + number * 1_000
        sessions.append(visit(after, name, *views, carts=0 if number < carts else -1))
    return sessions


def days_of(page: str, days: int = SECOND_WEEK, **fields: Any) -> list[SessionExample]:
    """Build as many days that are alike."""
    return [session for day in range(days) for session in day_of(day, page, **fields)]


def after(*sessions: SessionExample, days: int = SECOND_WEEK + 1, settings: Settings | None = None) -> Run:
    """Carry the stage over sessions, and some days on."""
    return Run(settings=settings).follow(sessions).mark(at_hour(days, 1))


def reading_of(run: Run, page: str) -> Reading | None:
    """What is kept of a page."""
    reading: Reading | None = run.processor.context.state.get(f"j{SITE}\x1f{page_of(page)}")
    return reading


def test_a_page_is_listed_once_a_week_has_shown_that_it_is_left_when_it_was_read() -> None:
    run = after(*days_of("guide"))
    (table,) = run.tables
    assert table.templates == {"guide": READING}
    assert table.pages == {}
    # The seventh day ends with the midnight before the eighth.
    assert table.from_ms == (FIRST_DAY + 7) * DAY_MS + LEAD_MS
    assert table.version == 1
    assert table.origin[0] == "pages:site-events/0"


@pytest.mark.parametrize(
    "sessions",
    [
        days_of("guide", days=6),
        days_of("guide", read=(3, 12), glanced=(10, 5)),
        days_of("guide", read=(5, 10), glanced=(5, 10)),
        days_of("guide", read=(4, 1), glanced=(5, 10)),
        days_of("guide", carts=3),
        days_of("guide", reading=5),
        days_of("guide", reading=UNKNOWN),
    ],
    ids=[
        "six days",
        "reading leads on",
        "reading changes nothing",
        "few read",
        "it sells",
        "short",
        "unknown",
    ],
)
def test_no_other_page_is(sessions: list[SessionExample]) -> None:
    assert after(*sessions).tables == []


def test_a_page_of_a_template_may_need_more_time_or_be_left_out() -> None:
    run = after(
        *days_of("guide-1", reading=8),
        *days_of("guide-2", reading=8),
        *days_of("guide-3", reading=14, read=(24, 6), glanced=(10, 20)),
        *days_of("guide-4", read=(2, 13), glanced=(9, 6)),
    )
    assert run.tables[-1].templates == {"guide": 8}
    assert run.tables[-1].pages == {page_of("guide-3"): 14, page_of("guide-4"): NEVER}


def test_a_page_that_stands_alone_in_a_template_of_another_kind_might_be_broken() -> None:
    products = [session for n in range(4) for session in days_of(f"item-{n}", read=(4, 11), glanced=(8, 7))]
    assert after(*products, *days_of("item-9")).tables == []
    selling = [session for n in range(4) for session in days_of(f"item-{n}", carts=3)]
    assert after(*selling, *days_of("item-9")).tables == []


def test_a_page_is_listed_by_itself_where_its_template_says_nothing() -> None:
    # Of the others it is not clear: it may make a difference whether they were read, or not.
    others = [s for n in range(8) for s in days_of(f"info-{n}", read=(8, 7), glanced=(8, 7))]
    table = after(*others, *days_of("info-9", read=(14, 1), glanced=(1, 14))).tables[-1]
    assert (table.templates, table.pages) == ({}, {page_of("info-9"): READING})


def test_nobody_who_leaves_early_is_seen() -> None:
    unseen = [
        msgspec.structs.replace(session, views=(msgspec.structs.replace(session.views[0], engaged=UNKNOWN),))
        for session in days_of("guide", read=(0, 0), glanced=(25, 0))
    ]
    renamed = [msgspec.structs.replace(session, session_id=f"u{session.session_id}") for session in unseen]
    assert after(*days_of("guide")).tables
    assert after(*days_of("guide"), *renamed).tables == []


A_VIEW = at_hour(0, 12)
TAUGHT: dict[str, tuple[SessionExample, float, float]] = {
    "left": (visit(A_VIEW, "a", ("guide", READING)), 1, 0),
    "went on": (visit(A_VIEW, "a", ("guide", READING), ("home", UNKNOWN)), 0, 1),
    "served": (visit(A_VIEW, "a", ("guide", READING), reason="served", learned=True), 1, 0),
    "bot": (visit(A_VIEW, "a", ("guide", READING), is_bot=True), 0, 0),
    "purchased": (visit(A_VIEW, "a", ("guide", READING), reason="purchased", outcome="purchased"), 0, 0),
    "registered": (visit(A_VIEW, "a", ("guide", READING), reason="registered", outcome="registered"), 0, 0),
    "handed off": (visit(A_VIEW, "a", ("guide", READING), reason="handed_off"), 0, 0),
    "capped": (visit(A_VIEW, "a", ("guide", READING), capped=True), 0, 0),
    "not seen to the end": (visit(A_VIEW, "a", ("guide", READING), reason="measurement_gap"), 0, 0),
    "trouble": (visit(A_VIEW, "a", ("guide", TROUBLED)), 0, 0),
    "behind a cart": (visit(A_VIEW, "a", ("item", 9), ("guide", READING), carts=0), 0, 0),
    "before a cart": (visit(A_VIEW, "a", ("guide", READING), ("item", 9), carts=1), 0, 1),
}


@pytest.mark.parametrize("case", TAUGHT)
def test_only_what_tells_of_reading_teaches(case: str) -> None:
    session, left, stayed = TAUGHT[case]
    run = Run().follow([session])
    reading = reading_of(run, "guide")
    assert reading is None or reading.next_ms == (FIRST_DAY + 1) * DAY_MS
    found = (0, 0) if reading is None else (sum(reading.left), sum(reading.stayed))
    assert found == (left, stayed)


def test_a_view_that_leads_to_a_cart_is_no_reading() -> None:
    run = Run().follow([visit(A_VIEW, "a", ("guide", READING), ("item", 9), ("item-2", 9), carts=0)])
    reading = reading_of(run, "guide")
    assert reading is not None
    assert (reading.leading, reading.views) == (1, 1)
    assert reading_of(run, "item") is None


def test_without_engagement_nothing_is_kept() -> None:
    run = Run().follow([visit(A_VIEW, "a", ("guide", UNKNOWN), ("home", UNKNOWN))]).mark(A_VIEW + HOUR_MS)
    assert not run.kinds_left() & {"j", "y", "v"}


@pytest.mark.parametrize("what", ["alert", "suspicion", "wider"])
def test_what_is_suspected_teaches_nothing(what: str) -> None:
    run = Run().follow([visit(A_VIEW, "a", ("guide", READING))])
    state = run.processor.context.state
    record = state.get(f"p{SITE}\x1f{page_of('guide')}")
    if what == "alert":
        record.alert = OpenAlert("a", 1, 0, 0, 0, 9.0)
    elif what == "suspicion":
        record.suspicion.since_ms = BEGINNING
    else:
        state.put(f"h{SITE}", ScopesRecord(watched=["site:"]))
    run.send(visit(A_VIEW + 1, "b", ("guide", READING))).mark(A_VIEW + 2)
    reading = reading_of(run, "guide")
    assert reading is not None
    assert reading.views == 1


def test_a_page_with_an_alert_at_midnight_is_left_out_until_it_is_over() -> None:
    run = after(*days_of("guide-1"), *days_of("guide-2"), days=SECOND_WEEK)
    record = run.processor.context.state.get(f"p{SITE}\x1f{page_of('guide-2')}")
    record.alert = OpenAlert("a", 1, 0, 0, 0, 9.0)
    run.mark(at_hour(SECOND_WEEK + 1, 1))
    assert run.tables[-1].pages == {page_of("guide-2"): NEVER}
    record.alert = None
    run.mark(at_hour(SECOND_WEEK + 2, 1))
    assert run.tables[-1].pages == {}
    assert [table.version for table in run.tables] == [1, 2, 3]


def test_the_order_of_arrival_changes_nothing() -> None:
    sessions = [*days_of("guide-1"), *days_of("guide-2", reading=14), *days_of("item", read=(4, 11))]
    expected = after(*sessions).tables
    assert expected
    for seed in range(2):
        shuffled, run = random.Random(seed), Run(partitions=3)
        for day in range(SECOND_WEEK + 1):
            of_day = [s for s in sessions if (s.due_ms - BEGINNING - at_hour(day, 0)) // DAY_MS == 0]
            for session in shuffled.sample(of_day, len(of_day)):
                run.send(session, partition=shuffled.randrange(3))
            for partition in shuffled.sample(range(3), 3):
                run.mark(at_hour(day + 1, 1), partition)
            run.resume()
        assert [_without_origin(table) for table in run.tables] == [_without_origin(t) for t in expected]


def _without_origin(table: Any) -> Any:
    return msgspec.structs.replace(table, origin=("", 0, 0))


def test_who_was_served_is_not_expected_to_be_a_dead_end() -> None:
    # All leave, and of every two one had read.
    sessions = []
    for number in range(600):
        is_read = number % 2 > 0
        at, reason = A_VIEW + number * MINUTE_MS, "served" if is_read else "dead_end"
        seen = ("guide", READING if is_read else GLANCE)
        sessions.append(visit(at, f"s{number:03d}", seen, reason=reason, learned=is_read))
    run = Run().follow(sessions[:300])
    totals = run.processor.context.state.get(f"p{SITE}\x1f{page_of('guide')}").totals
    exits, expected = totals.exits, totals.expected
    run.follow(sessions[300:])
    assert totals.exits - exits == 150
    assert totals.expected - expected == pytest.approx(150, rel=0.1)


def test_what_is_not_read_any_more_is_forgotten_and_taken_off_the_list() -> None:
    run = after(*days_of("guide"))
    run.mark(AT_THE_END).mark(at_hour(150, 1))
    assert [table.templates for table in run.tables] == [{"guide": READING}, {}]
    assert not run.kinds_left() & {"j", "y", "v"}


def test_it_can_be_switched_off() -> None:
    run = after(*days_of("guide"), settings=Settings(learn_served=False))
    assert run.tables == []
    assert not run.kinds_left() & {"j", "y", "v"}


def test_memory_is_bounded() -> None:
    run = Run().follow([visit(A_VIEW + n, f"s{n}", (f"g-{n}", READING)) for n in range(MAX_PAGES + 5)])
    of_site: SiteReadings = run.processor.context.state.get(f"y{SITE}")
    assert of_site.pages == MAX_PAGES
    assert reading_of(run, f"g-{MAX_PAGES - 1}") is not None
    assert reading_of(run, f"g-{MAX_PAGES}") is None


def test_pages_that_are_not_known_by_themselves_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_records, "MAX_PAGES", 1)
    run = Run().follow(visit(A_VIEW + n, f"s{n}", (f"g-{n}", READING)) for n in range(3))
    of_site: SiteReadings = run.processor.context.state.get(f"y{SITE}")
    assert of_site.pages == 1
    assert run.processor.context.state.get(f"p{SITE}\x1f{page_records.OTHER_PAGES}") is not None


def test_a_table_is_bounded_and_those_that_are_left_out_of_a_template_go_first() -> None:
    state = KeyedState({"y": SiteReadings, "v": SiteTable})
    sums = {f"t{n:03d}": _read_template(n) for n in range(MAX_LISTED_TEMPLATES + 9)}
    most = f"t{MAX_LISTED_TEMPLATES + 8:03d}"
    good = [Candidate(f"g{n}", most, 14, True, sums[most].sums.strata, 1e6, 0.0) for n in range(200)]
    bad = [Candidate(f"b{n}", most, 14, False, sums[most].sums.strata, 1.0, 0.0) for n in range(200)]
    state.put(f"y{SITE}", SiteReadings(DAY_MS, 1, sums), DAY_MS)
    state.put(f"v{SITE}", SiteTable(candidates=good + bad))
    (output,) = decide_table(Context(state, "site-events/0", 7), f"y{SITE}", DAY_MS)
    table = output.value
    assert len(table.templates) == MAX_LISTED_TEMPLATES
    assert min(table.templates) == "t009"
    assert len(table.pages) == MAX_LISTED_PAGES
    assert sum(threshold == NEVER for threshold in table.pages.values()) == 200
    assert state.get(f"v{SITE}").candidates == []


def _read_template(weight: int) -> TemplateReading:
    strata = stratum_of(Sides(200.0, 160.0, 200.0, 60.0))
    sums = Sums([0.0] * BUCKETS, strata, 1_000.0 + weight)
    return TemplateReading(0, 9, [0.0] * BUCKETS, Known(200.0, 0.0, 200.0, 0.0), sums)
