"""Deploys: shown beside what broke about the same time, kept for a while, and never said to be the cause."""

from __future__ import annotations

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from streams.deploys import MAX_DEPLOYS, keep_deploy
from streams.memory_states import MemoryState
from streams.note_records import KeptDeploy, SiteDeploys
from streams.page_records import STATE_TYPES
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS
from tests.streams.site_logs import (
    BEGINNING,
    BROKEN_FROM,
    QUIET_HOURS,
    REST,
    SITE,
    Record,
    Run,
    broken,
    deploy,
)

BROKE_MS = BROKEN_FROM * MINUTE_MS
"""When the page broke, after the beginning."""


def alert_beside(*deploys: Record, minutes: int = 30) -> DeadEndAlert:
    """Give what an alert says after so many minutes of a fault, with deploys about it."""
    run = Run().follow([*QUIET_HOURS, *broken(minutes), *deploys])
    assert run.alerts[-1].changed_at is not None
    return run.alerts[-1]


def shown(alert: DeadEndAlert) -> list[tuple[str, float]]:
    return [(one.version, one.minutes_before_change) for one in alert.deploys or ()]


def test_a_deploy_shortly_before_the_change_stands_in_the_alert_and_in_its_sentence() -> None:
    alert = alert_beside(
        deploy(BROKE_MS - 4 * MINUTE_MS, "2024.11.3", by="train", note="sizes", url="https://ci.example/7")
    )
    assert alert.deploys is not None
    (one,) = alert.deploys
    assert (one.version, one.minutes_before_change) == ("2024.11.3", 4.0)
    assert (one.by, one.note, one.url) == ("train", "sizes", "https://ci.example/7")
    assert alert.summary is not None
    assert ", 4 minutes after deploy 2024.11.3;" in alert.summary
    assert "because" not in alert.summary


def test_two_hours_before_are_shown_and_half_an_hour_is_said() -> None:
    for before_ms, is_shown, is_said in (
        (2 * HOUR_MS, True, False),
        (2 * HOUR_MS + 1, False, False),
        (30 * MINUTE_MS, True, True),
        (31 * MINUTE_MS, True, False),
    ):
        alert = alert_beside(deploy(BROKE_MS - before_ms))
        assert bool(shown(alert)) == is_shown, before_ms
        assert ("deploy" in (alert.summary or "")) == is_said, before_ms


def test_a_deploy_within_the_minute_in_which_it_began_came_before_it() -> None:
    alert = alert_beside(deploy(BROKE_MS + MINUTE_MS - 1, "at"), deploy(BROKE_MS + MINUTE_MS, "behind"))
    assert shown(alert) == [("at", 0.0), ("behind", -1.0)]
    assert ", within a minute of deploy at;" in (alert.summary or "")


def test_the_nearest_five_are_shown_and_the_last_before_the_change_is_said() -> None:
    before = [deploy(BROKE_MS - minutes * MINUTE_MS, f"b{minutes}") for minutes in (90, 40, 20, 10, 3)]
    behind = [deploy(BROKE_MS + minutes * MINUTE_MS, f"a{minutes}") for minutes in (2, 15)]
    alert = alert_beside(*before, *behind)
    assert shown(alert) == [("b20", 20.0), ("b10", 10.0), ("b3", 3.0), ("a2", -2.0), ("a15", -15.0)]
    assert ", 3 minutes after deploy b3;" in (alert.summary or "")


def test_what_comes_later_than_the_revision_is_not_in_it() -> None:
    run = Run().follow([*QUIET_HOURS, *broken(60), deploy(BROKE_MS + 30 * MINUTE_MS, "mend")])
    counts = [len(alert.deploys or ()) for alert in run.alerts]
    assert (counts[0], counts[-1]) == (0, 1)
    for alert, count in zip(run.alerts, counts, strict=True):
        assert (alert.updated_at >= "2023-11-15T01:30") == (count == 1)


def test_a_deploy_of_another_site_is_not_shown() -> None:
    assert shown(alert_beside(msgspec.structs.replace(deploy(BROKE_MS), site="other.example"))) == []


def test_a_copy_is_shown_once() -> None:
    one = deploy(BROKE_MS - MINUTE_MS, "7")
    assert shown(alert_beside(one, one)) == [("7", 1.0)]


def test_a_late_deploy_is_shown_from_then_on() -> None:
    run = Run().follow([*QUIET_HOURS, *broken(30)])
    run.send(deploy(BROKE_MS - MINUTE_MS)).follow(broken(30, BROKEN_FROM + 30))
    assert [len(alert.deploys or ()) for alert in run.alerts] == [0, 0, *[1] * (len(run.alerts) - 2)]


def test_the_last_fifty_are_kept_for_a_week() -> None:
    run = Run().follow([deploy(number * HOUR_MS, f"v{number}") for number in range(60)])
    kept: SiteDeploys = run.processor.context.state.get(f"i{SITE}")
    assert [one.version for one in kept.deploys] == [f"v{number}" for number in range(10, 60)]
    assert len(kept.deploys) == MAX_DEPLOYS
    run.mark(12 * HOUR_MS + 7 * DAY_MS)
    kept = run.processor.context.state.get(f"i{SITE}")
    assert kept.deploys[0].version == "v12"
    run.mark(12 * HOUR_MS + 7 * DAY_MS + 1)
    kept = run.processor.context.state.get(f"i{SITE}")
    assert kept.deploys[0].version == "v13"
    assert run.kinds_left() - REST == {"i"}
    assert run.end().kinds_left() - REST == set()


def test_deploys_of_any_time_and_order_are_kept_in_order() -> None:
    state = MemoryState(STATE_TYPES)
    for after, version in ((5, "b"), (1, "a"), (5, "c"), (-(10**16), "old")):
        keep_deploy(state, deploy(after, version))
    kept: SiteDeploys = state.get(f"i{SITE}")
    assert [one.version for one in kept.deploys] == ["old", "a", "b", "c"]
    assert kept.deploys[1] == KeptDeploy(BEGINNING + 1, "a-1", "a")
