"""Wider scopes: one fault is one alert, about what is broken and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from schemas.dead_end_alerts import DeadEndAlert
from schemas.site_events import Cell, PageMinute
from streams.blame import Blame
from streams.calibrations import LEVELS
from streams.evidence import DecayedSums
from streams.memory_states import MemoryState
from streams.page_records import STATE_TYPES, PageRecord, ScopeRecord, ScopesRecord
from streams.scopes import place_of
from streams.settings import HOUR_MS, MINUTE_MS
from streams.symptoms import MinuteCounts
from tests.streams.site_logs import (
    BEGINNING,
    BROKEN_FROM,
    HORIZON_MS,
    REST,
    SITE,
    Run,
    minute,
    ms,
    page_of,
)

PAGES = {
    "boots": "product", "coats": "product", "hats": "product", "belts": "product",
    "sizes": "help", "returns": "help", "contact": "help",
}  # fmt: skip
USUAL, LOST = 4, 9
"""Stalls of ten views."""
Broken = Callable[[str, str, str, bool], bool]
"""Whether a page, its template, a device and first views are broken."""


def shop(begin: int, end: int, is_broken: Broken = lambda *_: False, busy: str = "") -> list[PageMinute]:
    """Minutes of seven pages, with ten views a device, first views or not; a busy one has five times as many."""
    return [
        minute(
            number,
            page,
            template=template,
            cells=tuple(
                Cell(
                    "organic",
                    device,
                    first,
                    10 * (times := 5 if page == busy else 1),
                    times * (LOST if is_broken(page, template, device, first) else USUAL),
                )
                for device in ("desktop", "mobile")
                for first in (False, True)
            ),
        )
        for number in range(begin, end)
        for page, template in PAGES.items()
    ]


SETTLED = 12 * 60
"""By then the usual is known so well that half an hour does not change it."""


def broken_for(minutes: int, is_broken: Broken, busy: str = "") -> list[PageMinute]:
    """Three hours as usual, a fault, and three hours as usual again."""
    mended = BROKEN_FROM + minutes
    return [
        *shop(0, BROKEN_FROM, busy=busy),
        *shop(BROKEN_FROM, mended, is_broken, busy),
        *shop(mended, mended + 180, busy=busy),
    ]


def changes(run: Run) -> list[tuple[str, str, str]]:
    """Status, scope and what it is of, without updates."""
    return [
        (alert.status, alert.scope, alert.value if alert.value is not None else alert.page.rpartition("/")[2])
        for alert in run.alerts
        if alert.status != "updated"
    ]


def counted(run: Run) -> list[float]:
    """Excursions of wider scopes that are taken for noise."""
    wide: ScopesRecord = run.processor.context.state.get(f"h{SITE}")
    return wide.calibration.reached


FAULTS: dict[str, tuple[Broken, str, str]] = {
    "a template": (lambda page, template, device, first: template == "product", "template", "product"),
    "the other template": (lambda page, template, device, first: template == "help", "template", "help"),
    "a device": (lambda page, template, device, first: device == "mobile", "device", "mobile"),
    "first views": (lambda page, template, device, first: first, "first_view", "first"),
    "all": (lambda *_: True, "site", ""),
    "a page": (lambda page, template, device, first: page == "boots", "page", "boots"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_is_one_alert_about_what_is_broken(name: str) -> None:
    is_broken, scope, value = FAULTS[name]
    run = Run().follow(broken_for(60, is_broken))
    assert changes(run) == [("opened", scope, value), ("resolved", scope, value)]
    opened, *_, resolved = run.alerts
    began = BROKEN_FROM * MINUTE_MS + HORIZON_MS
    assert began <= ms(opened.opened_at) <= began + 15 * MINUTE_MS
    assert ms(resolved.updated_at) <= began + 80 * MINUTE_MS
    assert opened.views >= opened.exits > opened.expected_exits
    assert run.processor.context.gauges["open_alerts", ""] == 0
    assert counted(run) == [0.0] * len(LEVELS), "what moved with it was no noise, and makes no scope deaf"
    assert run.end().kinds_left() == REST


@pytest.mark.parametrize("busy", ["boots", "sizes"])
def test_a_page_that_half_of_all_see_is_to_blame_for_itself(busy: str) -> None:
    run = Run().follow(broken_for(60, lambda page, *_: page == busy, busy))
    assert changes(run) == [("opened", "page", busy), ("resolved", "page", busy)]
    assert counted(run) == [0.0] * len(LEVELS), "its template and the site have lost what it lost"


def test_when_a_page_is_mended_its_template_is_not_to_blame_for_what_it_has_lost() -> None:
    mended, beside = BROKEN_FROM + 240, (page_of("returns"), page_of("contact"))
    records = broken_for(240, lambda page, *_: page == "sizes", "sizes")
    for place, record in enumerate(records):
        number = record.minute_ms // MINUTE_MS
        # Others lose a little more just then, too little for an alert.
        if record.page in beside and abs(number - BEGINNING // MINUTE_MS - mended) < 20 and number % 2:
            cells = tuple(msgspec.structs.replace(cell, stalls=cell.stalls + 1) for cell in record.cells)
            records[place] = msgspec.structs.replace(record, cells=cells)
    run = Run().follow(records)
    assert changes(run) == [("opened", "page", "sizes"), ("resolved", "page", "sizes")]
    assert counted(run) == [0.0] * len(LEVELS)


def test_the_alert_of_a_page_becomes_part_of_the_wider_one() -> None:
    first = SETTLED + 30
    run = Run().follow(
        [
            *shop(0, SETTLED),
            *shop(SETTLED, first, lambda page, *_: page == "boots"),
            *shop(first, first + 40, lambda page, template, *_: template == "product"),
        ]
    )
    assert changes(run) == [
        ("opened", "page", "boots"),
        ("withdrawn", "page", "boots"),
        ("opened", "template", "product"),
    ]
    withdrawn, wider = [alert for alert in run.alerts if alert.status in ("withdrawn", "opened")][-2:]
    assert withdrawn.part_of == wider.alert_id
    assert withdrawn.updated_at == wider.opened_at
    assert run.processor.context.gauges["open_alerts", ""] == 1


def test_a_page_that_was_broken_long_before_keeps_its_alert() -> None:
    first = SETTLED + 100
    run = Run().follow(
        [
            *shop(0, SETTLED),
            *shop(SETTLED, first, lambda page, *_: page == "boots"),
            *shop(first, first + 40, lambda page, template, *_: page == "boots" or template == "help"),
        ]
    )
    assert changes(run) == [("opened", "page", "boots"), ("opened", "template", "help")]


@pytest.mark.parametrize(
    ("on_page", "elsewhere", "is_template"),
    [(5, 1, False), (5, 4, False), (5, 6, True), (0, 5, True)],
)
def test_a_template_is_not_to_blame_for_what_is_lost_on_a_page_with_an_alert(
    on_page: int, elsewhere: int, is_template: bool
) -> None:
    """Few views: the last minutes tell nothing, and evidence has grown for hours."""
    now_ms, state = 300 * MINUTE_MS, MemoryState(STATE_TYPES)
    blame = Blame(state, "shop")
    page, scope = PageRecord("product"), ScopeRecord()
    for number in range(300):
        for record, lost in ((page, on_page), (scope, on_page + elsewhere)):
            counts = MinuteCounts(views=20, stalls=5 + (lost if number >= 60 else 0))
            record.suspicion.gather(counts, 5.0, number * MINUTE_MS)
    page.recent, scope.recent = DecayedSums(0.4, 0.5, now_ms), DecayedSums(0.5, 1.0, now_ms)
    state.put(blame.page_key("boots"), page)
    state.put(blame.scope_key("template:product"), scope)
    state.put(blame.scope_key("site:"), ScopeRecord(recent=DecayedSums(0.6, 3.0, now_ms)))
    blame.wide.suspects, blame.wide.alerting = ["boots"], ["boots"]
    assert blame.is_scope("template:product", 21.0) == is_template


def test_what_stays_is_how_things_are_after_half_a_day_and_pages_are_seen_again() -> None:
    changed, later = SETTLED + 26 * 60, SETTLED + 26 * 60 + 60
    mobiles = FAULTS["a device"][0]
    run = Run().follow(
        [
            *shop(0, SETTLED),
            *shop(SETTLED, changed, mobiles),
            *shop(changed, later, lambda page, *of: page == "boots" or mobiles(page, *of)),
        ]
    )
    said = changes(run)
    assert said[:2] == [("opened", "device", "mobile"), ("resolved", "device", "mobile")]
    assert ("opened", "page", "boots") in said[2:]
    learned = next(alert for alert in run.alerts if alert.status == "resolved")
    assert SETTLED + 12 * 60 < ms(learned.updated_at) // MINUTE_MS < changed


def test_what_is_as_usual_raises_nothing() -> None:
    assert Run().follow(shop(0, 600)).alerts == []


def test_restarts_change_nothing() -> None:
    records = broken_for(40, FAULTS["a device"][0])
    whole = Run().follow(records)
    parts = Run()
    hour: list[PageMinute] = []
    for record in records:
        if hour and record.minute_ms - hour[0].minute_ms >= HOUR_MS // 4:
            parts.follow(hour).resume()
            hour = []
        hour.append(record)
    parts.follow(hour)
    assert parts.alerts == whole.alerts


def test_an_alert_of_a_scope_is_given_up_when_nobody_comes_any_more() -> None:
    mobiles = FAULTS["a device"][0]
    run = Run().follow([*shop(0, BROKEN_FROM), *shop(BROKEN_FROM, BROKEN_FROM + 30, mobiles)]).end()
    assert changes(run) == [("opened", "device", "mobile"), ("resolved", "device", "mobile")]
    assert run.kinds_left() == REST


def test_the_worst_page_stands_in_the_alert() -> None:
    run = Run().follow([*shop(0, BROKEN_FROM), *shop(BROKEN_FROM, BROKEN_FROM + 30, FAULTS["a template"][0])])
    last: DeadEndAlert = run.alerts[-1]
    assert (last.scope, last.value, last.template) == ("template", "product", "product")
    assert last.page == "" or PAGES[last.page.rpartition("/")[2]] == "product"


@pytest.mark.parametrize(
    ("inner", "outer", "place"),
    [
        ((30.0, 50.0), (30.0, 50.0), "inside"),
        ((30.0, 50.0), (20.0, 150.0), "inside"),
        ((30.0, 50.0), (120.0, 200.0), "outside"),
        ((-3.0, 50.0), (120.0, 200.0), "outside"),
        ((-3.0, 50.0), (-5.0, 200.0), "unknown"),
        ((5.0, 10.0), (6.0, 30.0), "unknown"),
    ],
)
def test_a_fault_is_where_the_rest_does_not_move(
    inner: tuple[float, float], outer: tuple[float, float], place: str
) -> None:
    assert place_of(DecayedSums(*inner), DecayedSums(*outer)) == place
