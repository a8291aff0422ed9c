"""Pages: the life of an alert, from the first suspicion until it is mended or nobody comes any more."""

from __future__ import annotations

from itertools import pairwise

import pytest

from streams.alerts import QUIET_MS, UPDATE_EVERY_MS
from streams.detection import DetectorSettings
from streams.pages import Pages
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings
from tests.streams.site_logs import (
    BROKEN_FROM,
    HORIZON_MS,
    QUIET_HOURS,
    REST,
    SITE,
    Run,
    broken,
    minute,
    minutes,
    ms,
    page_of,
)


def test_a_page_that_breaks_has_one_alert_until_it_is_mended() -> None:
    mended = minutes(BROKEN_FROM + 60, BROKEN_FROM + 300)
    run = Run().follow([*QUIET_HOURS, *broken(60), *mended]).end()
    statuses = [alert.status for alert in run.alerts]
    assert statuses == ["opened", *["updated"] * (len(statuses) - 2), "resolved"]
    assert len(statuses) > 4
    assert [alert.revision for alert in run.alerts] == list(range(1, len(statuses) + 1))
    assert len({alert.alert_id for alert in run.alerts}) == 1
    assert len({alert.opened_at for alert in run.alerts}) == 1
    times = [ms(alert.updated_at) for alert in run.alerts]
    assert BROKEN_FROM * MINUTE_MS + HORIZON_MS <= times[0] <= (BROKEN_FROM + 20) * MINUTE_MS + HORIZON_MS
    assert {b - a for a, b in pairwise(times[:-1])} == {UPDATE_EVERY_MS}
    assert times[0] == ms(run.alerts[0].opened_at)
    last = run.alerts[-1]
    assert last.resolved_at == last.updated_at
    assert [alert.resolved_at for alert in run.alerts[:-1]] == [None] * (len(statuses) - 1)
    assert run.kinds_left() == REST


def test_an_alert_says_what_was_lost_since_suspicion_began() -> None:
    run = Run().follow([*QUIET_HOURS, *broken(30)])
    alert = run.alerts[-1]
    assert (alert.page, alert.template, alert.site, alert.scope) == (page_of("sizes"), "sizes", SITE, "page")
    assert (alert.status, alert.cause) == ("updated", "page_broke")
    assert alert.views >= alert.exits > alert.expected_exits
    assert alert.excess_low is not None
    assert alert.excess_high is not None
    assert alert.excess_low < alert.exits - alert.expected_exits < alert.excess_high
    assert run.log[-1][1] == f"page:{page_of('sizes')}"


def test_a_second_fault_opens_another_alert_that_counts_anew() -> None:
    begin = BROKEN_FROM + 60 + 25 * 60
    run = Run().follow([*QUIET_HOURS, *broken(60), *minutes(BROKEN_FROM + 60, begin), *broken(60, begin)])
    opened = [alert for alert in run.alerts if alert.status == "opened"]
    assert [alert.revision for alert in opened] == [1, 1]
    assert opened[0].alert_id != opened[1].alert_id
    assert opened[1].views < 200, "of the second fault only"
    statuses = [alert.status for alert in run.alerts if alert.status != "updated"]
    assert statuses == ["opened", "resolved", "opened"]


def test_what_breaks_again_within_a_day_is_the_same_alert() -> None:
    begin = BROKEN_FROM + 60 + 12 * 60
    mended = minutes(begin + 60, begin + 180)
    run = Run().follow(
        [*QUIET_HOURS, *broken(60), *minutes(BROKEN_FROM + 60, begin), *broken(60, begin), *mended]
    )
    said = [alert for alert in run.alerts if alert.status != "updated"]
    assert [alert.status for alert in said] == ["opened", "resolved", "reopened", "resolved"]
    assert len({alert.alert_id for alert in run.alerts}) == 1
    assert [alert.revision for alert in run.alerts] == list(range(1, len(run.alerts) + 1))
    assert len({alert.opened_at for alert in run.alerts}) == 1
    assert said[2].views < 200, "of the second fault only"
    assert (said[1].resolved_at, said[2].resolved_at) == (said[1].updated_at, None)
    assert (said[1].reopened_at, said[2].reopened_at) == (None, said[2].updated_at)
    assert run.processor.context.gauges["open_alerts", ""] == 0


def test_two_pages_have_an_alert_each() -> None:
    healthy = [minute(n, f"p{k}", template="product") for n in range(240) for k in range(6)]
    faults = [
        minute(n, name, stalls=10 if n >= BROKEN_FROM else 5, template="product")
        for n in range(240)
        for name in ("sizes", "returns")
    ]
    run = Run().follow([*healthy, *faults])
    opened = [name for name, status, _ in run.said() if status == "opened"]
    assert sorted(opened) == ["returns", "sizes"]
    assert run.processor.context.gauges["open_alerts", ""] == 2
    assert run.processor.context.counts["alerts", "opened"] == 2


def test_nothing_opens_while_the_detector_warms_up() -> None:
    records = [*QUIET_HOURS, *broken(30)]
    assert Run(detector=DetectorSettings(warm_ms=DAY_MS)).follow(records).end().alerts == []
    run = Run()
    run.stage = Pages(Settings(warm_up_ms=DAY_MS))
    run.resume()
    assert run.follow(records).end().alerts == []


LAST_SEEN = (BROKEN_FROM + 29) * MINUTE_MS + HORIZON_MS


def test_an_alert_on_a_page_that_nobody_sees_is_resolved_when_it_has_been_quiet_for_long() -> None:
    run = Run().follow([*QUIET_HOURS, *broken(30)])
    before = len(run.alerts)
    run.mark(LAST_SEEN + QUIET_MS)
    assert len(run.alerts) == before
    run.mark(LAST_SEEN + QUIET_MS + 1)
    assert [alert.status for alert in run.alerts[before:]] == ["resolved"]
    assert run.alerts[-1].revision == before + 1
    assert ms(run.alerts[-1].resolved_at or "") == LAST_SEEN + QUIET_MS
    assert run.processor.context.gauges["open_alerts", ""] == 0
    assert run.end().kinds_left() == REST


def test_a_page_that_was_quiet_is_not_suspected_for_what_was_days_ago() -> None:
    run = Run().follow([*QUIET_HOURS, *broken(90)])
    run.mark(LAST_SEEN + HOUR_MS + QUIET_MS + 1)
    assert run.alerts[-1].status == "resolved"
    before = len(run.alerts)
    again = BROKEN_FROM + 90 + QUIET_MS // MINUTE_MS + 60
    run.follow([minute(again, views=1, stalls=1)]).end()
    assert run.alerts[before:] == []


def test_one_view_keeps_the_alert_of_a_quiet_page_open() -> None:
    seen = 2 * DAY_MS // MINUTE_MS
    run = Run().follow([*QUIET_HOURS, *broken(30), minute(seen, views=1, stalls=1)])
    count = len(run.alerts)
    assert ms(run.alerts[-1].updated_at) == seen * MINUTE_MS + HORIZON_MS
    run.mark(seen * MINUTE_MS + HORIZON_MS + QUIET_MS)
    assert len(run.alerts) == count
    run.mark(seen * MINUTE_MS + HORIZON_MS + QUIET_MS + 1)
    assert [alert.status for alert in run.alerts[count:]] == ["resolved"]


@pytest.mark.parametrize("site", ["shop|de", "a|b|c", "|", "läden"])
def test_any_name_of_a_site_will_do(site: str) -> None:
    records = [minute(n, stalls=10 if n >= BROKEN_FROM else 5, site=site) for n in range(210)]
    run = Run().follow(records).end()
    statuses = [alert.status for alert in run.alerts]
    assert (statuses[0], statuses[-1]) == ("opened", "resolved")
    assert {alert.site for alert in run.alerts} == {score.site for score in run.scores} == {site}


def test_sites_do_not_mix() -> None:
    other = [minute(n, site="other.example") for n in range(210)]
    alone = Run().follow(other).end()
    both = Run().follow([*other, *QUIET_HOURS, *broken(30)]).end()
    assert [entry for entry in both.log if b'"site":"other.example"' in entry[2]] == alone.log


def test_open_alerts_are_those_of_all_sites_also_after_a_restart() -> None:
    faults = [
        minute(n, site=site, stalls=10 if n >= BROKEN_FROM else 5)
        for n in range(210)
        for site in ("de.example", "at.example")
    ]
    run = Run().follow(faults)
    run.resume()
    run.mark(220 * MINUTE_MS)
    gauges = run.processor.context.gauges
    assert gauges["open_alerts", ""] == 2
    causes = {label for name, label in gauges if name == "open_alerts_by_cause"}
    assert sum(gauges["open_alerts_by_cause", cause] for cause in causes) == 2
    assert "o" not in run.end().kinds_left()
    assert all(gauges["open_alerts_by_cause", cause] == 0 for cause in causes), (
        "a cause that is over stays as 0"
    )
