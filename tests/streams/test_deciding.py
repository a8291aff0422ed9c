"""Decisions about alerts: what each makes of one, in the order of time, once, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from schemas.dead_end_alerts import DeadEndAlert
from schemas.site_events import PageMinute
from schemas.timestamps import format_ms
from streams.alerts import UPDATE_EVERY_MS
from streams.calibrations import LEVELS
from streams.page_records import SiteRecord
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings
from tests.streams.site_logs import (
    BEGINNING,
    BROKEN_FROM,
    HORIZON_MS,
    QUIET_HOURS,
    REST,
    SITE,
    Record,
    Run,
    broken,
    decision,
    minute,
    minutes,
    ms,
)
from tests.streams.test_scopes import FAULTS, shop

SEEN = 30
"""Minutes of the fault after which somebody decides."""
NOW = BROKEN_FROM + SEEN
NOW_MS = NOW * MINUTE_MS + HORIZON_MS
"""When the first minute after them is due."""
A_MOMENT_LATER = NOW_MS + 5


def with_alert() -> Run:
    """Carry three quiet hours and half an hour of a fault, by which an alert is open."""
    run = Run().follow([*QUIET_HOURS, *broken(SEEN)])
    assert [alert.status for alert in run.alerts] == ["opened", "updated"]
    return run


def alert_id(run: Run) -> str:
    return run.alerts[0].alert_id


def news(run: Run, records: Iterable[Record]) -> list[DeadEndAlert]:
    """Carry records, and give what alerts have said meanwhile."""
    before = len(run.alerts)
    run.follow(records)
    return run.alerts[before:]


def decided(run: Run, action: str, after: int = A_MOMENT_LATER, **fields: Any) -> list[DeadEndAlert]:
    """Decide about the first alert, and give what it says."""
    return news(run, [decision(after, alert_id(run), action, **fields)])


def statuses(alerts: Iterable[DeadEndAlert]) -> list[str]:
    return [alert.status for alert in alerts]


def refusals(run: Run) -> list[str]:
    return [record.reason for record in run.rejected]


def at(after: int) -> str:
    return format_ms(BEGINNING + after)


# ---- acknowledged


def test_who_acknowledged_an_alert_stands_in_all_that_it_says_from_then_on() -> None:
    run = with_alert()
    (said,) = decided(run, "acknowledge", by="Ann", why="a deploy, back soon")
    assert (said.status, said.revision, said.updated_at) == ("acknowledged", 3, at(A_MOMENT_LATER))
    assert (said.decision, said.decided_by, said.why) == ("acknowledge", "Ann", "a deploy, back soon")
    assert (said.decided_at, said.acknowledged_by) == (at(A_MOMENT_LATER), "Ann")
    assert said.exits == 10 * SEEN
    later = news(run, [*broken(40, NOW), *minutes(NOW + 40, NOW + 240)])
    assert statuses(later) == ["updated"] * (len(later) - 1) + ["resolved"]
    assert {(alert.acknowledged_by, alert.acknowledged_at) for alert in later} == {
        ("Ann", at(A_MOMENT_LATER))
    }
    assert run.processor.context.counts["alert_decisions", "acknowledge"] == 1


def test_what_is_acknowledged_already_is_not_acknowledged_again() -> None:
    run = with_alert()
    assert len(decided(run, "acknowledge", by="Ann")) == 1
    assert decided(run, "acknowledge", A_MOMENT_LATER + 1, by="Bob") == []
    assert (refusals(run), run.processor.context.counts["duplicates", "decision"]) == ([], 1)
    (muted,) = decided(run, "mute", A_MOMENT_LATER + 2, by="Bob")
    assert (muted.decided_by, muted.acknowledged_by) == ("Bob", "Ann")


def test_what_breaks_again_has_been_acknowledged_by_nobody() -> None:
    run = with_alert()
    decided(run, "acknowledge", by="Ann")
    *_, again = [
        alert
        for alert in news(run, [*minutes(NOW, NOW + 300), *broken(60, NOW + 300)])
        if alert.status != "updated"
    ]
    assert (again.status, again.alert_id) == ("reopened", alert_id(run))
    assert (again.acknowledged_by, again.decision, again.why) == (None, None, None)


# ---- muted


def test_a_muted_alert_says_nothing_of_updates_until_then() -> None:
    run = with_alert()
    until = A_MOMENT_LATER + HOUR_MS
    (said,) = decided(run, "mute", by="Ann", until_ms=BEGINNING + until)
    assert (said.status, said.decision, said.muted_until) == ("muted", "mute", at(until))
    later = news(run, broken(120, NOW))
    assert ms(later[0].updated_at) == until // MINUTE_MS * MINUTE_MS + MINUTE_MS
    assert statuses(later) == ["updated"] * len(later)
    assert [alert.muted_until for alert in later] == [None] * len(later)


def test_a_muted_alert_still_says_that_it_is_over_and_open_again() -> None:
    run = with_alert()
    decided(run, "mute", until_ms=BEGINNING + A_MOMENT_LATER + DAY_MS)
    later = news(run, [*minutes(NOW, NOW + 300), *broken(120, NOW + 300)])
    assert statuses(later) == ["resolved", "reopened"]
    assert {alert.muted_until for alert in later} == {at(A_MOMENT_LATER + DAY_MS)}


def test_a_mute_without_an_end_lasts_until_the_alert_is_over() -> None:
    run = with_alert()
    (said,) = decided(run, "mute")
    later = news(run, [*broken(120, NOW), *minutes(NOW + 120, NOW + 400), *broken(180, NOW + 400)])
    assert statuses(later)[:3] == ["resolved", "reopened", "updated"]
    forever = "9999-12-31T23:59:59.999Z"
    assert [said.muted_until, *(alert.muted_until for alert in later[:3])] == [forever, forever, None, None]


def test_a_mute_may_be_changed_and_ended() -> None:
    run = with_alert()
    ends = BEGINNING + A_MOMENT_LATER + 5 * HOUR_MS
    assert statuses(decided(run, "mute", until_ms=ends)) == ["muted"]
    assert decided(run, "mute", A_MOMENT_LATER + 1, until_ms=ends) == []
    (longer,) = decided(run, "mute", A_MOMENT_LATER + 2, until_ms=ends + 1)
    assert longer.muted_until == format_ms(ends + 1)
    (said,) = decided(run, "unmute", A_MOMENT_LATER + 3, by="Bob")
    assert (said.status, said.decision, said.decided_by, said.muted_until) == (
        "updated", "unmute", "Bob", None
    )  # fmt: skip
    assert decided(run, "unmute", A_MOMENT_LATER + 4) == []
    later = news(run, broken(40, NOW))
    assert ms(later[0].updated_at) - A_MOMENT_LATER < UPDATE_EVERY_MS + MINUTE_MS


# ---- dismissed


def shop_with(begin: int, end: int, stalls: int) -> list[PageMinute]:
    """Minutes of four pages, one of which loses so many of ten visitors, the others four."""
    return [
        minute(number, page, stalls=stalls if page == "sizes" else 4, template="help")
        for number in range(begin, end)
        for page in ("sizes", "returns", "contact", "size-chart")
    ]


HALF_A_DAY = 12 * 60
LATER = HALF_A_DAY + 120
LATER_MS = LATER * MINUTE_MS + HORIZON_MS + 5
A_DAY = 24 * 60


def risen() -> Run:
    """Carry half a day of four pages, and an hour and a half in which one of them loses more."""
    run = Run().follow([*shop_with(0, HALF_A_DAY, 4), *shop_with(HALF_A_DAY, LATER, 7)])
    assert {(alert.scope, alert.page.rpartition("/")[2]) for alert in run.alerts} == {("page", "sizes")}
    return run


def test_what_is_no_dead_end_is_usual_from_then_on_and_what_is_more_is_not() -> None:
    run = risen()
    (said,) = decided(run, "dismiss", LATER_MS, by="Ann", why="people read it and leave")
    assert (said.status, said.decision, said.why) == ("dismissed", "dismiss", "people read it and leave")
    assert said.resolved_at is None
    assert said.exits > said.expected_exits + 50, "it says what it was about"
    run.mark(LATER_MS + 2)
    assert run.processor.context.gauges["open_alerts", ""] == 0
    end = LATER + A_DAY
    assert news(run, shop_with(LATER, end, 7)) == [], "the same level says nothing in a day"
    (opened, *_) = news(run, shop_with(end, end + 180, 9))
    assert (opened.status, opened.decision) == ("opened", None)
    assert opened.alert_id != alert_id(run)


def test_a_further_rise_is_seen_right_after_a_dismissal_too() -> None:
    run = risen()
    decided(run, "dismiss", LATER_MS)
    (opened, *_) = news(run, [*shop_with(LATER, LATER + 60, 7), *shop_with(LATER + 60, LATER + 300, 9)])
    assert opened.status == "opened"
    assert (LATER + 60) * MINUTE_MS < ms(opened.opened_at) < (LATER + 240) * MINUTE_MS


@pytest.mark.parametrize(("action", "counts"), [("acknowledge", 0.0), ("mute", 1.0), ("dismiss", 1.0)])
def test_what_somebody_has_acknowledged_raises_no_threshold(action: str, counts: float) -> None:
    run = risen()
    decided(run, action, LATER_MS)
    news(run, shop_with(LATER, LATER + 90, 4) if action != "dismiss" else [])
    of_site: SiteRecord = run.processor.context.state.get(f"s{SITE}")
    assert run.alerts[-1].status in ("resolved", "dismissed")
    assert of_site.calibration.reached == [counts] * len(LEVELS)


def test_a_page_of_which_everybody_leaves_may_be_so() -> None:
    run = Run().follow([*shop_with(0, HALF_A_DAY, 4), *shop_with(HALF_A_DAY, LATER, 10)])
    decided(run, "dismiss", LATER_MS)
    assert news(run, shop_with(LATER, LATER + 24 * 60, 10)) == []


def on_mobiles(begin: int, end: int, stalls: int) -> list[PageMinute]:
    """Minutes of a shop in which mobiles lose so many of ten, others as many as usual."""
    return [
        msgspec.structs.replace(
            record,
            cells=tuple(
                msgspec.structs.replace(cell, stalls=stalls) if cell.device == "mobile" else cell
                for cell in record.cells
            ),
        )
        for record in shop(begin, end)
    ]


@pytest.mark.parametrize("name", ["a template", "a device", "first views", "all"])
def test_what_is_usual_of_a_wider_scope_is_usual_of_its_pages_and_of_all_others(name: str) -> None:
    is_broken, scope, value = FAULTS[name]
    run = Run().follow([*shop(0, HALF_A_DAY), *shop(HALF_A_DAY, LATER, is_broken)])
    assert {(alert.scope, alert.value) for alert in run.alerts} == {(scope, value)}
    assert statuses(decided(run, "dismiss", LATER_MS)) == ["dismissed"]
    assert news(run, shop(LATER, LATER + 5 * 60, is_broken)) == []


def test_a_further_rise_of_a_wider_scope_is_seen_too() -> None:
    run = Run().follow([*shop(0, HALF_A_DAY), *on_mobiles(HALF_A_DAY, LATER, 7)])
    assert {(alert.scope, alert.value) for alert in run.alerts} == {("device", "mobile")}
    decided(run, "dismiss", LATER_MS)
    end = LATER + 4 * 60
    assert news(run, on_mobiles(LATER, end, 7)) == []
    (opened, *_) = news(run, on_mobiles(end, end + 60, 9))
    assert (opened.status, opened.scope, opened.value) == ("opened", "device", "mobile")


def test_a_wider_alert_is_opened_again_with_what_was_usual_before() -> None:
    run = Run().follow([*shop(0, HALF_A_DAY), *on_mobiles(HALF_A_DAY, LATER, 8)])
    regressions = run.processor.context.state.get(f"r{SITE}").stalls.regression
    index = regressions.features["device:mobile"]
    before = regressions.weights[index]
    decided(run, "dismiss", LATER_MS)
    assert regressions.weights[index] > before + 1.0
    assert statuses(decided(run, "reopen", LATER_MS + 1)) == ["reopened"]
    assert regressions.weights[index] == pytest.approx(before)
    later = news(run, [*on_mobiles(LATER, LATER + 40, 8), *shop(LATER + 40, LATER + 160)])
    assert (statuses(later)[0], statuses(later)[-1]) == ("updated", "resolved")
    assert {(alert.scope, alert.value) for alert in later} == {("device", "mobile")}


def test_a_page_that_is_bad_from_birth_may_be_so() -> None:
    birth, end = 25 * 60, 31 * 60
    healthy = [minute(n, f"p{k}", template="product") for n in range(end) for k in range(4)]
    born = [minute(n, "sizes", stalls=10, template="product") for n in range(birth, end)]
    records = sorted([*healthy, *born], key=lambda record: record.due_ms)
    then = BEGINNING + (birth + 60) * MINUTE_MS
    run = Run().follow([record for record in records if record.minute_ms < then])
    assert next((alert.page[-5:], alert.status) for alert in run.alerts) == ("sizes", "opened")
    assert statuses(decided(run, "dismiss", (birth + 60) * MINUTE_MS + HORIZON_MS + 5)) == ["dismissed"]
    assert news(run, [record for record in records if record.minute_ms >= then]) == []


# ---- opened again


def test_a_dismissed_alert_is_opened_again_with_what_was_usual_before() -> None:
    run = with_alert()
    state = run.processor.context.state
    page = f"p{SITE}\x1f{SITE}/sizes"
    before = state.get(page).state
    known = before.effect, before.information
    (dismissed,) = decided(run, "dismiss", by="Ann")
    taught = state.get(page).state
    assert (taught.effect > known[0] + 1.0, taught.information < known[1]) == (True, True)
    assert news(run, broken(60, NOW)) == []
    (said,) = decided(run, "reopen", (NOW + 60) * MINUTE_MS + HORIZON_MS + 5, by="Bob", why="Ann was wrong")
    assert (said.status, said.alert_id, said.revision) == ("reopened", alert_id(run), 4)
    assert (said.decided_by, said.reopened_at) == ("Bob", said.updated_at)
    assert (said.views, said.exits, said.changed_at, said.cause) == (
        dismissed.views, dismissed.exits, dismissed.changed_at, dismissed.cause,
    )  # fmt: skip
    again = state.get(page).state
    assert (again.effect, again.information) == known
    later = news(run, [*broken(40, NOW + 61), *minutes(NOW + 101, NOW + 300)])
    assert statuses(later)[0] == "updated"
    assert statuses(later)[-1] == "resolved"
    assert later[0].views == dismissed.views + 160, "it goes on counting where it stopped"


def test_a_resolved_alert_is_opened_again_until_the_repair_is_seen() -> None:
    run = with_alert()
    (*_, over) = news(run, minutes(NOW, NOW + 300))
    assert over.status == "resolved"
    here = NOW + 300
    assert statuses(decided(run, "reopen", here * MINUTE_MS + HORIZON_MS + 5)) == ["reopened"]
    later = news(run, minutes(here + 1, here + 240))
    assert statuses(later)[-1] == "resolved"
    assert run.end().kinds_left() == REST


def test_a_withdrawn_alert_is_opened_again() -> None:
    first, end = HALF_A_DAY + 30, HALF_A_DAY + 70
    run = Run().follow(
        [
            *shop(0, HALF_A_DAY),
            *shop(HALF_A_DAY, first, lambda page, *_: page == "boots"),
            *shop(first, end, lambda page, template, *_: template == "product"),
        ]
    )
    withdrawn = [alert for alert in run.alerts if alert.status == "withdrawn"]
    assert len(withdrawn) == 1
    here = end * MINUTE_MS + HORIZON_MS + 5
    (said,) = news(run, [decision(here, withdrawn[0].alert_id, "reopen")])
    assert (said.status, said.alert_id, said.part_of) == ("reopened", withdrawn[0].alert_id, None)


@pytest.mark.parametrize(("after", "reason"), [(0, []), (1, ["unknown_alert"])])
def test_an_alert_can_be_opened_again_for_a_day(after: int, reason: list[str]) -> None:
    run = with_alert()
    decided(run, "dismiss")
    decided(run, "reopen", A_MOMENT_LATER + DAY_MS + after)
    assert refusals(run) == reason


def test_what_has_a_successor_is_not_opened_again() -> None:
    run = risen()
    decided(run, "dismiss", LATER_MS)
    news(run, shop_with(LATER, LATER + 240, 9))
    assert run.alerts[-1].alert_id != alert_id(run)
    assert decided(run, "reopen", (LATER + 240) * MINUTE_MS + HORIZON_MS + 5) == []
    assert refusals(run) == ["not_possible"]


# ---- what is refused


@pytest.mark.parametrize("action", ["acknowledge", "mute", "unmute", "dismiss", "reopen"])
def test_a_decision_about_no_alert_of_the_site_is_refused_where_it_stood(action: Any) -> None:
    run = with_alert()
    run.follow([decision(A_MOMENT_LATER, "0123456789abcdef", action, by="Ann")])
    run.follow([decision(A_MOMENT_LATER + 1, alert_id(run), action, site="other.example")])
    assert refusals(run) == ["unknown_alert", "unknown_alert"]
    refused = run.rejected[0]
    assert (refused.id, refused.topic, refused.partition, refused.offset) == (
        "alert-decisions/1/17", "alert-decisions", 1, 17
    )  # fmt: skip
    assert b"0123456789abcdef" in base64.b64decode(refused.payload or "")
    assert "Ann" not in refused.detail
    assert run.processor.context.counts["rejected", "unknown_alert"] == 2
    assert statuses(run.alerts) == ["opened", "updated"]


@pytest.mark.parametrize("action", ["acknowledge", "mute", "unmute", "dismiss"])
def test_what_is_over_can_only_be_opened_again(action: str) -> None:
    run = with_alert()
    news(run, minutes(NOW, NOW + 300))
    assert decided(run, action, (NOW + 300) * MINUTE_MS + HORIZON_MS + 5) == []
    assert refusals(run) == ["not_possible"]


@pytest.mark.parametrize("twice", ["mute", "dismiss", "acknowledge"])
def test_what_is_so_already_says_nothing(twice: str) -> None:
    run = with_alert()
    assert len(decided(run, twice)) == 1
    assert decided(run, twice, A_MOMENT_LATER + 1) == []
    assert refusals(run) == []


def test_an_open_alert_is_not_opened_again() -> None:
    run = with_alert()
    assert (decided(run, "reopen"), refusals(run)) == ([], [])


def test_a_mute_that_has_ended_when_it_comes_is_refused() -> None:
    run = with_alert()
    early = A_MOMENT_LATER - HOUR_MS
    assert decided(run, "mute", early, until_ms=BEGINNING + early + MINUTE_MS) == []
    run.mark(A_MOMENT_LATER)
    assert statuses(run.alerts) == ["opened", "updated"]
    assert refusals(run) == ["not_possible"]


# ---- order, lateness, copies


def test_decisions_count_in_the_order_of_their_times() -> None:
    run = with_alert()
    name = alert_id(run)
    run.send(decision(A_MOMENT_LATER + 2, name, "reopen"), decision(A_MOMENT_LATER + 1, name, "dismiss"))
    run.mark(A_MOMENT_LATER + 1)
    assert statuses(run.alerts[2:]) == []
    run.mark(A_MOMENT_LATER + 3)
    assert statuses(run.alerts[2:]) == ["dismissed", "reopened"]


def test_a_late_decision_counts_once_behind_what_has_been_said() -> None:
    run = with_alert()
    news(run, broken(20, NOW))
    assert decided(run, "acknowledge", 10, by="Ann") == [], "no mark has come since"
    run.mark((NOW + 20) * MINUTE_MS + HORIZON_MS)
    said = run.alerts[-1]
    assert (said.status, said.decided_at) == ("acknowledged", at(10))
    assert ms(said.updated_at) == (NOW + 19) * MINUTE_MS + HORIZON_MS + 1, "the watermark when it came"
    assert statuses(run.alerts).count("acknowledged") == 1
    assert [alert.revision for alert in run.alerts] == list(range(1, len(run.alerts) + 1))


def test_a_copy_changes_nothing_whenever_it_comes() -> None:
    run = with_alert()
    said = decision(A_MOMENT_LATER, alert_id(run), "acknowledge", by="Ann")
    run.send(said, said).mark(A_MOMENT_LATER + 1).send(said).mark(A_MOMENT_LATER + 2)
    assert statuses(run.alerts[2:]) == ["acknowledged"]
    assert run.processor.context.counts["duplicates", "decision"] == 2
    undone = decision(A_MOMENT_LATER + 5, alert_id(run), "dismiss", id=said.event_id)
    run.send(undone).mark(A_MOMENT_LATER + 9)
    assert statuses(run.alerts[2:]) == ["acknowledged"], "it contradicts, and comes too late for that"


@pytest.mark.parametrize("backwards", [False, True])
def test_of_copies_that_contradict_each_other_the_earliest_counts_then_the_least(backwards: bool) -> None:
    run = with_alert()
    copies = [decision(A_MOMENT_LATER, alert_id(run), "acknowledge", id="x", by=by) for by in ("Ann", "Bob")]
    copies.append(decision(A_MOMENT_LATER + 1, alert_id(run), "dismiss", id="x"))
    for copy in reversed(copies) if backwards else copies:
        run.send(copy)
    run.mark(A_MOMENT_LATER + 5)
    assert [(alert.status, alert.decided_by) for alert in run.alerts[2:]] == [("acknowledged", "Ann")]


def test_a_decision_never_comes_between_the_pages_and_the_scopes_of_a_minute() -> None:
    """At the very moment at which the alert would open again for the detector."""
    run = with_alert()
    (*_, over) = news(run, minutes(NOW, NOW + 300))
    begin = NOW + 300
    probe = news(run, broken(60, begin))
    again = ms(next(alert for alert in probe if alert.status == "reopened").updated_at)
    for after in (again, again + 1, again - 1):
        run = with_alert()
        (*_, over) = news(run, minutes(NOW, NOW + 300))
        assert over.status == "resolved"
        said = news(run, [*broken(60, begin), decision(after, alert_id(run), "reopen")])
        assert [alert.status for alert in said if alert.status != "updated"] == ["reopened"]
        assert run.end().processor.context.gauges["open_alerts", ""] == 0


# ---- what is kept


def test_a_restart_after_every_record_changes_nothing() -> None:
    def play(resumes: bool) -> Run:
        run = with_alert()
        said: list[Record] = [
            decision(A_MOMENT_LATER + 7 * MINUTE_MS * n, alert_id(run), action, by="Ann", why="so")
            for n, action in enumerate(["acknowledge", "mute", "unmute", "dismiss", "reopen", "mute"])
        ]
        for record in sorted([*said, *broken(60, NOW)], key=lambda record: record.due_ms):
            run.follow([record])
            if resumes:
                run.resume()
        return run.end()

    whole, parts = play(False), play(True)
    assert {"acknowledged", "muted", "dismissed", "reopened"} <= set(statuses(whole.alerts))
    assert parts.alerts == whole.alerts


def test_all_that_was_kept_of_decisions_is_forgotten() -> None:
    run = with_alert()
    decided(run, "dismiss", by="Ann")
    news(run, [decision(A_MOMENT_LATER + 1, "0123456789abcdef", "mute")])
    assert run.kinds_left() == REST | {"d", "u"}
    run.mark(A_MOMENT_LATER + DAY_MS + 2)
    assert run.kinds_left() == REST


def test_copies_are_known_for_as_long_as_they_may_come() -> None:
    run = Run(settings=Settings(retention_ms=2 * HOUR_MS)).follow([*QUIET_HOURS, *broken(SEEN)])
    decided(run, "acknowledge")
    run.mark(A_MOMENT_LATER + 2 * HOUR_MS)
    assert "d" in run.kinds_left()
    run.mark(A_MOMENT_LATER + 2 * HOUR_MS + 1)
    assert "d" not in run.kinds_left()
