"""Findings of the demo: what counts as found, what as missed, and what the screen says of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from agents.demo_findings import DUE_VIEWS, Findings
from agents.demo_view import Figures, View, line, render
from agents.scrapes import Scrape, as_counts
from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import format_ms
from streams.shop import Fault
from tests.agents.test_alerts import alert

NOON = 1_772_362_800_000
HOUR = 3_600_000
CART = Fault("shop.example/cart", NOON, NOON + 10 * HOUR, 0.4)
HELP = Fault("shop.example/help", NOON, NOON + 10 * HOUR, 0.4)
DUE = NOON + 5 * HOUR


@pytest.fixture
def findings() -> Findings:
    return Findings({CART: DUE_VIEWS / 5, HELP: DUE_VIEWS / 20})


def opened(page: str, at_ms: int, **changes: Any) -> DeadEndAlert:
    return alert(f"{page}-{at_ms}", page=page, opened_at=format_ms(at_ms), **changes)


def test_a_fault_is_found_by_a_later_alert_for_its_page(findings: Findings) -> None:
    assert findings.take(opened(CART.page, NOON + HOUR))
    found = {finding.fault: finding.after_ms for finding in findings.planted()}
    assert found == {CART: HOUR, HELP: None}
    assert findings.unplanted() == []


def test_alerts_before_it_began_or_for_others_are_not_its(findings: Findings) -> None:
    findings.take(opened(CART.page, NOON - 1))
    findings.take(opened("shop.example/faq", NOON + HOUR))
    findings.take(opened(CART.page, NOON + HOUR, scope="template"))
    assert [finding.after_ms for finding in findings.planted()] == [None, None]
    assert len(findings.unplanted()) == 3


def test_all_is_well_only_if_whatever_was_due_was_found(findings: Findings) -> None:
    assert findings.verdict(DUE - 1) == (
        False,
        "Found 0 of 2 planted dead ends; alerts about others: 0. No page was seen often enough since it broke: "
        "raise --sessions-per-hour, or --for.",
    )
    is_well, text = findings.verdict(DUE)
    assert not is_well
    assert text.endswith("Missed, though its time was up: shop.example/cart.")
    findings.take(opened(CART.page, NOON + HOUR))
    assert findings.verdict(DUE) == (True, "Found 1 of 2 planted dead ends; alerts about others: 0.")


def test_the_time_of_a_page_that_is_seen_less_comes_later(findings: Findings) -> None:
    findings.take(opened(CART.page, NOON + HOUR))
    assert findings.verdict(NOON + 20 * HOUR)[0] is False
    findings.take(opened(HELP.page, NOON + 19 * HOUR))
    assert findings.verdict(NOON + 20 * HOUR)[0] is True


def figures(findings: Findings) -> Figures:
    return Figures(
        "pages break",
        left_s=30,
        now_ms=NOON,
        page_views=1234,
        events=2000,
        page_views_per_s=55.5,
        open_sessions=7,
        closed={"none": 300, "purchased": 20},
        rejected={"not_json": 3},
        lag=42,
        p99_s=0.25,
        planted=findings.planted(),
        others=findings.unplanted(),
    )


def test_screen_and_line_say_the_same_figures(findings: Findings) -> None:
    findings.take(opened(CART.page, NOON + HOUR))
    findings.take(opened("shop.example/faq", NOON + HOUR))
    text = line(figures(findings))
    for said in (
        "1,234 page views",
        "320 sessions",
        "1 of 2 planted",
        "1 other",
        "3 rejected",
        "lag 42",
        "≤ 250 ms",
    ):
        assert said in text
    screen = io.StringIO()
    Console(file=screen, width=120).print(render(figures(findings)))
    for said in (
        "30 s left",
        "1,234 page views",
        "purchased 20",
        "not_json 3",
        "42 records",
        "1h",
        "700 (300)",
    ):
        assert said in screen.getvalue()


def test_without_a_terminal_there_are_plain_lines_now_and_then(findings: Findings) -> None:
    screen = io.StringIO()
    with View(Console(file=screen, width=200)) as view:
        for phase in ("starting", "starting", "pages break"):
            view.show(Figures(phase))
        view.finish(figures(findings))
    lines = screen.getvalue().splitlines()
    assert lines[:2] == ["starting", "pages break"]
    assert CART.page in screen.getvalue()


def test_a_terminal_is_given_back(findings: Findings) -> None:
    screen = io.StringIO()
    with View(Console(file=screen, width=100, height=40, force_terminal=True)) as view:
        view.show(figures(findings))
        view.finish(figures(findings))
        view.say("That was it.")
    assert screen.getvalue().rstrip().endswith("That was it.")
    assert "\x1b[?25h" in screen.getvalue(), "the cursor is shown again"


def test_quantiles_are_those_of_the_time_between_two_scrapes() -> None:
    before = Scrape('h_bucket{le="0.1"} 5\nh_bucket{le="1.0"} 5\nh_bucket{le="+Inf"} 5\n')
    after = Scrape('h_bucket{le="0.1"} 5\nh_bucket{le="1.0"} 14\nh_bucket{le="+Inf"} 15\n')
    assert after.quantile("h", 0.9, before) == 1.0
    assert after.quantile("h", 0.99, before) == float("inf")
    assert after.quantile("h", 0.3, Scrape()) == 0.1
    assert before.quantile("h", 0.99, before) is None
    assert Scrape().quantile("h", 0.99, Scrape()) is None


def test_figures_are_picked_by_name_and_labels() -> None:
    scrape = Scrape(
        'd{stage="pages",partition="0"} 3\nd{stage="pages",partition="1"} 7\nd{stage="models"} 99\n'
    )
    assert scrape.greatest("d", stage="pages") == 7
    assert scrape.greatest("d", stage="intake") is None
    assert scrape.total("d", stage="pages") == 10
    assert as_counts({"a": 2.0, "b": 0.0}) == {"a": 2}


def test_an_alert_that_opened_again_later_is_one_too(findings: Findings) -> None:
    again = opened(CART.page, NOON - HOUR)
    again.reopened_at = format_ms(NOON + HOUR)
    findings.take(again)
    assert {finding.fault: finding.after_ms for finding in findings.planted()} == {CART: HOUR, HELP: None}
    assert findings.unplanted() == []
