"""Alert records: their names, their figures, and times that can be written."""

from __future__ import annotations

from math import sqrt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dead_end_alerts import DeadEndAlert
from schemas.site_events import Cell
from schemas.timestamps import MAX_MS, format_ms
from streams.alerts import Finding, Price, Subject, alert_id, alert_record, open_alert
from streams.causes import Cause
from streams.evidence import PageState
from streams.open_alerts import OpenAlert
from streams.settings import MINUTE_MS
from streams.stages import Output
from streams.symptoms import MinuteCounts, Suspicion

NOON = 1_700_000_000_000
BEGAN = NOON // MINUTE_MS * MINUTE_MS
PAGE = "shop.example/sizes"
SUBJECT = Subject("shop", "page", PAGE, PAGE, "help")


def said(
    suspicion: Suspicion,
    *,
    noise: float = 0.0,
    status: Any = "updated",
    p_purchase: float = 0.25,
    average_minor: float = 2_000.0,
    currency: str | None = "EUR",
    at_ms: int = NOON,
) -> Output:
    alert = open_alert(SUBJECT, NOON - 60_000, 9.87654)
    alert.revision = 3
    finding = Finding(
        SUBJECT, Price(p_purchase, average_minor, currency), Cause("page_broke", {"mix": 1.5}), []
    )
    page = PageState(born_ms=NOON - 120_000, noise_variance=noise)
    return alert_record(finding, suspicion, page, alert, status, at_ms)


def value(output: Output) -> DeadEndAlert:
    """Read a record as subscribers do."""
    return msgspec.json.decode(msgspec.json.encode(output.value), type=DeadEndAlert)


def test_an_alert_is_named_by_what_it_is_about_and_when_it_opened() -> None:
    names = {
        alert_id("a", "page", "p", 0),
        alert_id("b", "page", "p", 0),
        alert_id("a", "site", "p", 0),
        alert_id("a", "page", "q", 0),
        alert_id("a", "page", "p", 1),
    }
    assert len(names) == 5
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)
    assert alert_id("shop.example", "page", PAGE, NOON) == "e93310ee1a141ff1", (
        "readers keep them: never change"
    )


def test_an_alert_begins_with_its_first_revision() -> None:
    alert = open_alert(SUBJECT, NOON, 9.5)
    assert alert == OpenAlert(alert_id("shop", "page", PAGE, NOON), 1, NOON, NOON, NOON, 9.5)


def test_the_figures_are_those_since_suspicion_began() -> None:
    output = said(Suspicion(views=100, stalls=80, expected=50.0, variance=25.0))
    alert = value(output)
    reach = 1.645 * sqrt(25.0)
    assert (alert.views, alert.exits, alert.expected_exits) == (100, 80, 50.0)
    assert (alert.excess_low, alert.excess_high) == (round(30 - reach, 2), round(30 + reach, 2))
    assert (alert.money_at_stake, alert.currency) == ("150", "EUR"), "30 visitors, a quarter buys, for 20.00"
    assert (alert.log_evidence, alert.revision, alert.cause) == (9.877, 3, "page_broke")
    assert (alert.opened_at, alert.updated_at) == (format_ms(NOON - 60_000), format_ms(NOON))
    assert (output.key, output.id, output.revision) == (f"page:{PAGE}", alert.alert_id, 3)
    assert output.time_ms == NOON


def test_noise_between_hours_widens_the_interval() -> None:
    quiet, noisy = (value(said(Suspicion(100, 80, 50.0, 25.0), noise=noise)) for noise in (0.0, 0.2))
    assert noisy.excess_high is not None
    assert quiet.excess_high is not None
    assert noisy.excess_high - 30 == pytest.approx(sqrt(1 + 0.2 * 25) * (quiet.excess_high - 30), rel=1e-3)


@pytest.mark.parametrize(
    ("status", "resolved_at"), [("opened", None), ("updated", None), ("resolved", format_ms(NOON))]
)
def test_only_what_is_resolved_has_a_time_of_that(status: str, resolved_at: str | None) -> None:
    assert value(said(Suspicion(), status=status)).resolved_at == resolved_at


@pytest.mark.parametrize(
    ("average_minor", "money"),
    [(2_000.0, "150"), (1_900.0, "142.5"), (1.0, "0.08"), (0.0, "0"), (1999.99, "150"), (-400.0, "-30")],
)
def test_money_is_written_as_exact_amounts_are(average_minor: float, money: str) -> None:
    assert value(said(Suspicion(100, 80, 50.0, 25.0), average_minor=average_minor)).money_at_stake == money


def test_where_less_is_lost_than_expected_no_money_is_at_stake() -> None:
    assert value(said(Suspicion(100, 20, 50.0, 25.0))).money_at_stake == "0"


def test_without_a_currency_there_is_no_money() -> None:
    alert = value(said(Suspicion(100, 80, 50.0, 25.0), currency=None))
    assert (alert.money_at_stake, alert.currency) == (None, None)


def test_a_time_after_the_year_9999_is_written_as_its_end() -> None:
    assert value(said(Suspicion(), at_ms=MAX_MS + 10**9)).updated_at == format_ms(MAX_MS)


counts = st.integers(0, 10**9)


@given(
    counts,
    counts,
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(-1e12, 1e12, allow_nan=False),
)
def test_whatever_was_counted_readers_can_read_it(
    views: int, stalls: int, expected: float, variance: float, noise: float, p: float, average_minor: float
) -> None:
    output = said(
        Suspicion(views, stalls, expected, variance), noise=noise, p_purchase=p, average_minor=average_minor
    )
    alert = value(output)
    assert alert == output.value
    assert alert.excess_low is not None
    assert alert.excess_high is not None
    assert alert.excess_low <= alert.excess_high


def test_the_pack_shows_the_course_who_leaves_and_when_it_began() -> None:
    suspicion = Suspicion()
    for number, stalls in enumerate((5, 5, 9, 9)):
        suspicion.gather(MinuteCounts(views=10, stalls=stalls), 5.0, BEGAN + number * MINUTE_MS)
        paid = Cell("paid", "mobile", True, 6, stalls - 2), 3.0
        suspicion.gather_by((paid, (Cell("direct", "desktop", False, 4, 2), 2.0)))
    alert = value(said(suspicion))
    assert alert.course is not None
    assert [(point.views, point.exits, point.expected_exits) for point in alert.course] == [
        (10, 5, 5.0), (10, 5, 5.0), (10, 9, 5.0), (10, 9, 5.0)]  # fmt: skip
    assert (alert.changed_at, alert.first_seen_at) == (
        format_ms(BEGAN + 2 * MINUTE_MS),
        format_ms(NOON - 120_000),
    )
    assert alert.contrasts is not None
    assert [(c.by, c.value, c.views, c.exits, c.expected_exits) for c in alert.contrasts] == [
        ("device", "mobile", 24, 20, 12.0),
        ("device", "desktop", 16, 8, 8.0),
        ("source", "paid", 24, 20, 12.0),
        ("source", "direct", 16, 8, 8.0),
        ("view", "first", 24, 20, 12.0),
        ("view", "later", 16, 8, 8.0),
    ]
    assert (alert.cause_numbers, alert.money_low) == ({"mix": 1.5}, "13.99")
    assert alert.money_at_stake is not None
    assert alert.money_high is not None
    assert float(alert.money_at_stake) < float(alert.money_high)
