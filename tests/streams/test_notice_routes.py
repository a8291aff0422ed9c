"""Of which alerts somebody is told, and when not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas.dead_end_alerts import DeadEndAlert
from streams.notice_routes import Route, Unheard, quiet_hours

MINIMAL = Path(schemas.__file__).parent / "examples/dead-end-alerts/valid-opened.json"
BERLIN = ZoneInfo("Europe/Berlin")


def alert(**fields: Any) -> DeadEndAlert:
    usual = msgspec.json.decode(MINIMAL.read_bytes(), type=DeadEndAlert)
    opened = {
        "status": "opened",
        "scope": "page",
        "page": "shop.example/sizes",
        "template": "help",
        "site": "made-up",
    }
    return msgspec.structs.replace(usual, **(opened | {"updated_at": "2026-01-07T14:08:00.000Z"} | fields))


def route(**fields: Any) -> Route:
    return Route(name="r", receiver="team", **fields)


@pytest.mark.parametrize(
    ("fields", "of", "wanted"),
    [
        ({}, {}, True),
        ({}, {"status": "updated"}, False),
        ({"statuses": ["updated"]}, {"status": "updated"}, True),
        ({"sites": ["shop-*"]}, {"site": "shop-de"}, True),
        ({"sites": ["shop-*"]}, {"site": "shop"}, False),
        ({"templates": ["help"]}, {"scope": "template", "value": "help", "template": "x"}, True),
        ({"templates": ["help"]}, {"scope": "device", "value": "mobile"}, False),
        ({"pages": ["*/sizes"]}, {}, True),
        ({"pages": ["*/sizes"]}, {"scope": "site", "value": ""}, False),
        ({"scopes": ["site"]}, {}, False),
        ({"least_money": Decimal(100)}, {"money_at_stake": "100.00"}, True),
        ({"least_money": Decimal(100)}, {"money_at_stake": "99.99"}, False),
        ({"least_money": Decimal(100)}, {}, False),
        ({"least_money": Decimal(100)}, {"status": "resolved"}, True),
        ({}, {"muted_until": "9999-12-31T23:59:59.999Z", "status": "confirmed"}, False),
        ({}, {"muted_until": "9999-12-31T23:59:59.999Z", "status": "resolved"}, True),
        ({}, {"muted_until": "2026-01-07T14:08:00.000Z", "status": "confirmed"}, True),
    ],
)
def test_what_a_route_wants(fields: dict[str, Any], of: dict[str, Any], wanted: bool) -> None:
    assert route(**fields).wants(alert(**of), Unheard()) is wanted


def test_what_begins_with_little_at_stake_is_told_when_there_is_more_and_its_end_only_then() -> None:
    dear, unheard = route(least_money=Decimal(100)), Unheard()

    def told(name: str, *changes: tuple[str, str]) -> list[str]:
        found = [(status, alert(alert_id=name, status=status, money_at_stake=at)) for status, at in changes]
        return [status for status, change in found if dear.wants(change, unheard)]

    grows = (("opened", "20"), ("updated", "99"), ("updated", "100"), ("updated", "300"), ("resolved", "40"))
    assert told("grows", *grows) == ["updated", "resolved"]
    assert told("stays", ("opened", "20"), ("confirmed", "30"), ("resolved", "30")) == []
    assert told("falls", ("opened", "200"), ("updated", "30"), ("resolved", "30")) == ["opened", "resolved"]
    assert told("again", ("opened", "200"), ("resolved", "30"), ("reopened", "30"), ("resolved", "30")) == [
        "opened",
        "resolved",
    ]
    assert unheard.text == ""


def test_what_is_not_told_yet_keeps_to_what_kafka_keeps_beside_an_offset() -> None:
    unheard = Unheard()
    for number in range(1_000):
        unheard.add(f"{number:016}")
    assert len(unheard.text) <= 4_000
    assert not unheard.discard(f"{0:016}"), "the oldest is forgotten"
    assert Unheard(unheard.text).discard(f"{999:016}")


def test_quiet_hours_are_those_of_the_clock_on_the_wall() -> None:
    quiet = quiet_hours("22:00-07:00", BERLIN)
    assert quiet.wait_s(datetime(2026, 7, 1, 20, 0, tzinfo=UTC)) == 9 * 3600
    assert quiet.wait_s(datetime(2026, 1, 1, 20, 0, tzinfo=UTC)) == 0
    before_clocks_change = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    assert quiet.wait_s(before_clocks_change) == 7 * 3600, "that night is an hour shorter"


@given(st.integers(0, 2 * 365 * 24 * 60), st.sampled_from(["22:00-07:00", "02:30-02:45"]))
def test_after_the_wait_it_is_not_quiet(minutes: int, text: str) -> None:
    quiet, at = quiet_hours(text, BERLIN), datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    assert quiet.wait_s(at + timedelta(seconds=quiet.wait_s(at))) == 0


@pytest.mark.parametrize("text", ["", "22:00", "22:00-24:00", "07:00-07:00", "7-22", "22:00-07:00 CET"])
def test_what_are_no_quiet_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="are no quiet hours"):
        quiet_hours(text)
