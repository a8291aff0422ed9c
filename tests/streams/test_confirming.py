"""Confirming: closed sessions confirm the alert of a broken page, and withdraw that of one where visitors pause."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import msgspec
import pytest

from schemas.dead_end_alerts import AlertContrast, DeadEndAlert
from schemas.site_events import ExampleAction, ExampleView, Exit, SessionExample
from streams.calibrations import LEVELS
from streams.confirming import FORGET_MS, LOOK_EVERY_MS, REST_EVERY_MS, SETTLE_MS, Seen, note_session
from streams.evidence import PageState
from streams.evidence_packs import WENT_ON
from streams.page_records import STATE_TYPES, PageRecord, SiteRecord, final_exits_of
from streams.sample_paths import MAX_ACTIONS, MAX_CONTINUED, MAX_ENDED, MAX_STEPS
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS
from streams.states import KeyedState
from streams.usual_exits import UsualExits
from tests.streams.site_logs import (
    BEGINNING,
    BROKEN_FROM,
    OF_SESSIONS,
    REST,
    SITE,
    Record,
    Run,
    minute,
    ms,
    page_of,
    session,
)

GAP_MS = 30 * MINUTE_MS
VIEWS = 10
PAUSE_MINUTES = 8
MANY = 60 * 6


def visits(
    begin: int,
    end: int,
    exits: int = 5,
    pausing: int = 0,
    page: str = "sizes",
    template: str = "sizes",
    reason: str = "dead_end",
    is_bot: bool = False,
    every: int = 1,
) -> list[Record]:
    """Build minutes of a page with ten sessions each: so many end there, so many pause, the others go on."""
    records: list[Record] = []
    for number in range(begin, end, every):
        records.append(minute(number, page, VIEWS, exits + pausing, template=template))
        for index in range(VIEWS):
            at = BEGINNING + number * MINUTE_MS
            views = [ExampleView(at, page_of(page), template)]
            left = Exit(page_of(page), template, reason, "none")
            if index >= exits:
                pause = PAUSE_MINUTES if index < exits + pausing else 1
                views.append(ExampleView(at + pause * MINUTE_MS, page_of("cart"), "cart"))
                left = Exit(page_of("cart"), "cart", "dead_end", "none")
            after = views[-1].occurred_at - BEGINNING + GAP_MS
            name = f"{page}-{number:05d}-{index}"
            built = session(after, page, exit_=left, session_id=name, is_bot=is_bot, returning=index % 2 == 1)
            records.append(msgspec.structs.replace(built, views=tuple(views)))
    return records


def play(run: Run, records: list[Record]) -> Run:
    """Append records in order of their time, with a mark before each minute."""
    records = sorted(records, key=lambda record: record.due_ms)
    for due_ms, of_minute in groupby(records, lambda record: record.due_ms // MINUTE_MS * MINUTE_MS):
        run.mark(due_ms - BEGINNING).send(*of_minute)
    return run.mark(records[-1].due_ms - BEGINNING + 1)


def parts(records: list[Record], minutes: int) -> Iterator[list[Record]]:
    """Cut records, in order of their time, into parts of so many minutes: what is behind a mark would be late."""
    for _, part in groupby(records, lambda record: record.due_ms // (minutes * MINUTE_MS)):
        yield list(part)


QUIET = visits(0, BROKEN_FROM)


def life(run: Run) -> list[str]:
    """Statuses beside updates."""
    return [alert.status for alert in run.alerts if alert.status != "updated"]


def as_learned(records: list[Record], from_minute: int, until_minute: int) -> list[Record]:
    """Let exits of some minutes be served, by what was learned of reading."""
    began, ended = (BEGINNING + number * MINUTE_MS for number in (from_minute, until_minute))
    learned: list[Record] = []
    for record in records:
        ends = isinstance(record, SessionExample) and record.exit.template == "sizes"
        if isinstance(record, SessionExample) and ends and began <= record.views[-1].occurred_at < ended:
            exit_ = msgspec.structs.replace(record.exit, reason="served")
            record = msgspec.structs.replace(record, exit=exit_, learned=True)
        learned.append(record)
    return learned


def first(run: Run, status: str) -> DeadEndAlert:
    """The first revision of a status."""
    return next(alert for alert in run.alerts if alert.status == status)


@pytest.fixture(scope="module")
def broken() -> Run:
    """A page that breaks for three hours, and is repaired."""
    mended = visits(BROKEN_FROM + 180, BROKEN_FROM + 420)
    return play(Run(), [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + 180, exits=9), *mended])


def test_a_broken_page_is_confirmed_once_and_stays_so(broken: Run) -> None:
    assert life(broken) == ["opened", "confirmed", "resolved"]
    confirmed = first(broken, "confirmed")
    assert confirmed.confirmed_at == confirmed.updated_at
    assert confirmed.summary is not None
    assert "; confirmed: of " in confirmed.summary
    index = broken.alerts.index(confirmed)
    assert {alert.confirmed_at for alert in broken.alerts[:index]} == {None}
    assert {alert.confirmed_at for alert in broken.alerts[index:]} == {confirmed.confirmed_at}
    assert len(broken.alerts[index:]) > 3
    assert [alert.revision for alert in broken.alerts] == list(range(1, len(broken.alerts) + 1))


@pytest.mark.parametrize(
    ("from_minute", "until_minute"),
    [(0, MANY + 240), (BROKEN_FROM, MANY + 240), (0, BROKEN_FROM), (BROKEN_FROM + 20, BROKEN_FROM + 70)],
)
def test_what_is_learned_of_reading_neither_confirms_nor_withdraws(
    broken: Run, from_minute: int, until_minute: int
) -> None:
    # A table begins to hold, or holds no more: as many as before are lost.
    mended = visits(BROKEN_FROM + 180, BROKEN_FROM + 420)
    records = [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + 180, exits=9), *mended]
    run = play(Run(), as_learned(records, from_minute, until_minute))
    assert life(run) == ["opened", "confirmed", "resolved"]
    for found, expected in zip(run.alerts, broken.alerts, strict=True):
        assert (found.final_exits, found.expected_final_exits) == (
            expected.final_exits,
            expected.expected_final_exits,
        )
        assert found.updated_at == expected.updated_at
    assert (
        run.last_scores()[page_of("sizes")].excess_exits < broken.last_scores()[page_of("sizes")].excess_exits
    )


def test_views_count_when_those_who_go_on_have_ended_as_well(broken: Run) -> None:
    confirmed = first(broken, "confirmed")
    began_ms = ms(confirmed.changed_at or "")
    assert began_ms == BROKEN_FROM * MINUTE_MS
    at_ms = ms(confirmed.updated_at)
    assert at_ms % LOOK_EVERY_MS == 0
    assert confirmed.final_views == (at_ms - began_ms - GAP_MS - SETTLE_MS) // MINUTE_MS * VIEWS
    assert confirmed.final_exits == confirmed.final_views * 9 // 10
    # Of ten five usually leave; what an hour of the day adds is not known on the first one.
    assert confirmed.expected_final_exits is not None
    assert 0.3 < confirmed.expected_final_exits / confirmed.final_views < 0.55


def test_new_and_returning_visitors_are_told_apart(broken: Run) -> None:
    confirmed = first(broken, "confirmed")
    visitors = [contrast for contrast in confirmed.contrasts or () if contrast.by == "visitor"]
    assert confirmed.final_views is not None
    assert confirmed.expected_final_exits is not None
    # Of ten the first nine leave, and every other one has been there before.
    found = [msgspec.structs.replace(contrast, expected_exits=0.0) for contrast in visitors]
    n = confirmed.final_views // 2
    assert found == [
        AlertContrast(by="visitor", value="new", views=n, exits=n, expected_exits=0.0),
        AlertContrast(by="visitor", value="returning", views=n, exits=n * 4 // 5, expected_exits=0.0),
    ]
    half = confirmed.expected_final_exits / 2
    assert [contrast.expected_exits for contrast in visitors] == pytest.approx([half, half], abs=0.01)


def test_the_latest_paths_are_shown(broken: Run) -> None:
    last = [alert for alert in broken.alerts if ms(alert.updated_at) < (BROKEN_FROM + 180) * MINUTE_MS][-1]
    assert last.paths_ended is not None
    assert last.paths_continued is not None
    assert (len(last.paths_ended), len(last.paths_continued)) == (MAX_ENDED, MAX_CONTINUED)
    names = [path.session_id for path in last.paths_ended]
    assert last.sample_sessions == names
    # The last that had closed before: it was seen half an hour earlier.
    newest = (ms(last.updated_at) - GAP_MS) // MINUTE_MS - 1
    assert names[-9:] == [f"sizes-{newest:05d}-{index}" for index in range(9)]
    ended, went_on = last.paths_ended[-1], last.paths_continued[-1]
    assert [(step.page, step.seconds) for step in ended.steps] == [(page_of("sizes"), 0)]
    assert [(step.page, step.seconds) for step in went_on.steps] == [
        (page_of("sizes"), 0),
        (page_of("cart"), 60),
    ]
    assert (ended.source, ended.device, ended.returning) == ("organic", "mobile", False)


def test_no_path_is_from_before_it_began(broken: Run) -> None:
    for alert in broken.alerts[:-1]:
        for path in (*(alert.paths_ended or ()), *(alert.paths_continued or ())):
            seen = int(path.session_id.split("-")[1])
            assert seen >= ms(alert.changed_at or "") // MINUTE_MS


def test_a_page_on_which_visitors_pause_is_withdrawn_and_does_not_alert_again() -> None:
    run = play(Run(), [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + MANY, pausing=4)])
    assert life(run) == ["opened", "withdrawn"]
    withdrawn = run.alerts[-1]
    assert (withdrawn.withdrawn_because, withdrawn.part_of) == (WENT_ON, None)
    assert withdrawn.confirmed_at is None
    assert withdrawn.summary is not None
    assert withdrawn.summary.endswith(f"; withdrawn: {WENT_ON}.")
    assert withdrawn.final_exits == withdrawn.final_views // 2 if withdrawn.final_views else False
    assert ms(withdrawn.updated_at) < BROKEN_FROM * MINUTE_MS + 3 * HOUR_MS
    assert run.processor.context.gauges["open_alerts", ""] == 0
    assert {row[:1] for row in run.kinds_left()} <= REST | OF_SESSIONS | {"e", "u", "z"}


def test_where_visitors_paused_a_fault_is_found_and_confirmed_later() -> None:
    breaks = BROKEN_FROM + MANY
    run = play(
        Run(),
        [
            *QUIET,
            *visits(BROKEN_FROM, breaks, pausing=4),
            *visits(breaks, breaks + 240, exits=10),
        ],
    )
    assert life(run) == ["opened", "withdrawn", "opened", "confirmed"]
    assert len({alert.alert_id for alert in run.alerts}) == 2
    assert ms(run.alerts[-1].opened_at) >= breaks * MINUTE_MS


def test_sessions_of_bots_decide_nothing() -> None:
    run = play(Run(), [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + 180, exits=9, is_bot=True)])
    assert life(run) == ["opened"]
    # What was seen just before, by others than bots.
    assert not run.alerts[-1].final_views


def test_where_the_rules_call_no_exit_a_dead_end_nothing_is_withdrawn() -> None:
    run = play(
        Run(),
        [
            *visits(0, BROKEN_FROM, reason="served"),
            *visits(BROKEN_FROM, BROKEN_FROM + MANY, exits=9, reason="served"),
        ],
    )
    assert life(run) == ["opened"]
    assert run.alerts[-1].final_views
    assert run.alerts[-1].final_exits == 0
    # Who was served neither ended in a dead end nor went on.
    assert run.alerts[-1].paths_ended is None
    went_on = run.alerts[-1].paths_continued or []
    assert [len(path.steps) for path in went_on] == [2] * MAX_CONTINUED


def test_what_opens_again_is_provisional_again() -> None:
    again = BROKEN_FROM + 180 + 6 * 60
    run = play(
        Run(),
        [
            *QUIET,
            *visits(BROKEN_FROM, BROKEN_FROM + 180, exits=9),
            *visits(BROKEN_FROM + 180, again),
            *visits(again, again + 180, exits=9),
        ],
    )
    assert life(run) == ["opened", "confirmed", "resolved", "reopened", "confirmed"]
    assert first(run, "reopened").confirmed_at is None
    assert len({alert.alert_id for alert in run.alerts}) == 1
    assert first(run, "confirmed").confirmed_at != run.alerts[-1].confirmed_at


@pytest.mark.parametrize(
    ("exits", "said"), [(9, ["opened", "confirmed"]), (5, [])], ids=["bad", "read for long"]
)
def test_a_page_with_nine_of_ten_stalls_from_birth_waits_for_its_sessions(
    exits: int, said: list[str]
) -> None:
    born = 26 * 60
    peers = [
        record
        for name in ("belts", "boots")
        for record in visits(0, born + 180, page=name, template="shoes", every=5)
    ]
    stalling = visits(born, born + 180, exits=exits, pausing=9 - exits, template="shoes")
    run = play(Run(), [*peers, *stalling])
    assert life(run) == said
    for alert in run.alerts[:1]:
        assert ms(alert.opened_at) > born * MINUTE_MS + GAP_MS + SETTLE_MS
    # That pages of a kind differ is no noise of the site: when it is over, nothing has become less sensitive.
    play(run, visits(born + 180, born + 600, exits=3, template="shoes"))
    assert life(run)[-1:] in ([], ["resolved"])
    of_site: SiteRecord = run.processor.context.state.get(f"s{SITE}")
    assert of_site.calibration.reached == [0.0] * len(LEVELS)


def test_what_is_kept_of_sessions_is_forgotten_with_the_suspicion() -> None:
    run = play(Run(), [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + 3, exits=9)])
    assert "f" in run.kinds_left()
    play(run, visits(BROKEN_FROM + 60, BROKEN_FROM + 180))
    assert "f" not in run.kinds_left()
    assert run.alerts == []


def test_a_suspicion_of_which_no_session_tells_any_more_has_no_paths() -> None:
    last = BROKEN_FROM + 3
    run = play(Run(), [*QUIET, *visits(BROKEN_FROM, last, exits=9)])
    closed_ms = (last - 1) * MINUTE_MS + MINUTE_MS + GAP_MS
    run.mark(closed_ms + FORGET_MS)
    assert "f" in run.kinds_left()
    run.mark(closed_ms + FORGET_MS + REST_EVERY_MS + 1)
    assert "f" not in run.kinds_left()


def test_the_alert_of_a_page_that_nobody_sees_any_more_leaves_nothing() -> None:
    run = play(Run(), [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + 60, exits=9)])
    run.mark((BROKEN_FROM + 60) * MINUTE_MS + 4 * DAY_MS)
    assert life(run) == ["opened", "confirmed", "resolved"]
    assert "f" not in run.end().kinds_left()


def test_the_longest_alert_is_some_tens_of_kilobytes() -> None:
    long = "x" * 200
    records: list[Record] = [*QUIET]
    for record in visits(BROKEN_FROM, BROKEN_FROM + 120, exits=9):
        if isinstance(record, SessionExample):
            before = tuple(ExampleView(record.views[0].occurred_at, page_of(long), long) for _ in range(20))
            actions = tuple(ExampleAction(record.views[0].occurred_at, "y" * 64) for _ in range(50))
            record = msgspec.structs.replace(record, views=(*before, *record.views), actions=actions)
        records.append(record)
    run = play(Run(), records)
    alert = run.alerts[-1]
    assert alert.paths_ended is not None
    assert len(alert.paths_ended) == MAX_ENDED
    assert {len(path.steps) for path in alert.paths_ended} == {MAX_STEPS}
    assert {len(path.actions) for path in alert.paths_ended} == {MAX_ACTIONS}
    assert max(len(row) for _, _, row in run.log) < 100_000


def test_a_restart_at_any_time_changes_no_byte() -> None:
    records = [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + 120, exits=9)]
    whole = play(Run(), records)
    records.sort(key=lambda record: record.due_ms)
    halted = Run()
    for part in parts(records, 10):
        play(halted, part)
        halted.resume()
    assert halted.log == whole.log
    assert life(whole) == ["opened", "confirmed"]


@pytest.mark.parametrize(("newborn", "usual"), [(False, 1.5), (True, 0.0)])
def test_a_page_that_is_too_young_has_no_usual(newborn: bool, usual: float) -> None:
    state = KeyedState(STATE_TYPES)
    record = PageRecord("sizes", state=PageState(newborn=newborn), usual=UsualExits(1.5, 50.0))
    record.suspicion.since_ms = BEGINNING
    seen = session(2 * HOUR_MS, "sizes")
    note_session(state, seen, page_of("sizes"), record, [Seen(1, 0.0)], {page_of("sizes"): page_of("sizes")})
    final = final_exits_of(state, SITE, page_of("sizes"), record)
    assert final is not None
    assert final.usual == usual
    record.suspicion.since_ms += MINUTE_MS
    assert final_exits_of(state, SITE, page_of("sizes"), record) is None, "another suspicion"


def test_a_long_fault_is_not_learned_as_what_is_usual() -> None:
    run = play(Run(), [*QUIET, *visits(BROKEN_FROM, BROKEN_FROM + MANY, exits=9)])
    last = run.alerts[-1]
    assert last.final_views is not None
    assert last.expected_final_exits is not None
    assert last.final_views > 2_500
    assert last.expected_final_exits / last.final_views < 0.55
    assert life(run) == ["opened", "confirmed"]
