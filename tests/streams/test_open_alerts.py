"""What is open is summed up by cause: each alert once, by what was said of it last, and not when it is over."""

from __future__ import annotations

from pathlib import Path

import msgspec

from schemas.dead_end_alerts import AlertCause, DeadEndAlert
from streams.open_alerts import OpenAlerts

EXAMPLE = Path(__file__).parents[2] / "schemas" / "examples" / "dead-end-alerts" / "valid-acknowledged.json"


def said(alert_id: str, cause: AlertCause, money: str | None, currency: str | None = "EUR") -> DeadEndAlert:
    example = msgspec.json.decode(EXAMPLE.read_bytes(), type=DeadEndAlert)
    return msgspec.structs.replace(
        example, alert_id=alert_id, cause=cause, money_at_stake=money, currency=currency
    )


def test_an_alert_counts_by_what_was_said_of_it_last() -> None:
    alerts = OpenAlerts()
    alerts.note(said("a", "unknown", "10"), 1)
    alerts.note(said("b", "page_broke", "5"), 1)
    alerts.note(said("a", "page_broke", "12.5"), 0)
    assert alerts.gauges() == {
        ("open_alerts", ""): 2,
        ("open_alerts_by_cause", "page_broke"): 2,
        ("money_at_stake", "page_broke EUR"): 17.5,
    }


def test_what_is_over_is_at_stake_no_more() -> None:
    alerts = OpenAlerts()
    alerts.note(said("a", "page_broke", "10"), 1)
    alerts.note(said("b", "tag_broke", "5"), 1)
    alerts.note(said("a", "page_broke", "11"), -1)
    assert alerts.gauges() == {
        ("open_alerts", ""): 1,
        ("open_alerts_by_cause", "tag_broke"): 1,
        ("money_at_stake", "tag_broke EUR"): 5,
    }


def test_currencies_are_not_added_up_and_an_alert_may_have_none() -> None:
    alerts = OpenAlerts()
    alerts.note(said("a", "page_broke", "10"), 1)
    alerts.note(said("b", "page_broke", "10", "SEK"), 1)
    alerts.note(said("c", "page_broke", None, None), 1)
    gauges = alerts.gauges()
    assert gauges["open_alerts_by_cause", "page_broke"] == 3
    assert {key: value for key, value in gauges.items() if key[0] == "money_at_stake"} == {
        ("money_at_stake", "page_broke EUR"): 10,
        ("money_at_stake", "page_broke SEK"): 10,
    }


def test_rows_of_before_are_read() -> None:
    before = msgspec.msgpack.encode([2])
    assert msgspec.msgpack.decode(before, type=OpenAlerts).gauges() == {("open_alerts", ""): 2}
