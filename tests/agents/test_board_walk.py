"""The board beside a real worker: a page breaks, its alert is answered, the page is repaired, the alert is over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from agents.broker import EmbeddedKafka
from streams.event_files import FileEvent
from streams.shop import Fault, ShopConfig, demo_plan, traffic
from tests.agents.board_bench import assert_clean, chromium, needs_chromium, open_page, serious, served
from tests.agents.product import END_MS, SECRET, Deployment

HOUR_MS = 3_600_000
WAIT_MS = 200_000
"""A limit against hanging, no measure."""

pytestmark = needs_chromium


def shop(page_breaks: float, page_is_repaired: float, hours: float) -> tuple[str, list[FileEvent]]:
    """Give a busy page, and the traffic of hours in which it breaks and is repaired."""
    config = ShopConfig(seed=5, sessions_per_hour=250, start_ms=END_MS - int(hours * HOUR_MS), hours=hours)
    page = demo_plan(config)[0].page
    begin, end = (config.start_ms + int(hour * HOUR_MS) for hour in (page_breaks, page_is_repaired))
    events = [
        FileEvent(topic, json.dumps(event).encode(), event["occurred_at"])
        for topic, event in traffic(replace(config, plan=(Fault(page, begin, end, 0.6),)))
    ]
    return page, sorted(events, key=lambda event: event.occurred_at or 0)


@pytest.fixture
def deployment(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(kafka.bootstrap, tmp_path, {"CULDESAC_WARM_UP": "1h"})
    yield deployment
    deployment.close()


def test_an_alert_appears_is_acknowledged_and_over_when_the_page_is_repaired(deployment: Deployment) -> None:
    broken, events = shop(page_breaks=2.5, page_is_repaired=5, hours=8)
    at = next(n for n, event in enumerate(events) if (event.occurred_at or 0) >= END_MS - 3 * HOUR_MS)
    environment = {
        "CULDESAC_KAFKA": deployment.kafka, "CULDESAC_TOPIC_PREFIX": deployment.prefix, "CULDESAC_SECRET": SECRET,
    }  # fmt: skip
    deployment.fork()
    # Playwright has a loop in this thread.
    with served(**environment) as address, chromium() as browser, ThreadPoolExecutor(1) as thread:
        tab, watching = open_page(browser), open_page(browser)
        for page in (tab, watching):
            page.goto(address)
        thread.submit(deployment.publish, events[:at]).result(120)
        row = tab.locator("#alerts .alert", has_text=broken)
        expect(row).to_be_visible(timeout=WAIT_MS)  # by itself: nobody has loaded anything again
        row.get_by_role("link").click()
        for part in ("Decide", "Observed against expected", "What seems to be behind it", "Who leaves"):
            expect(tab.get_by_role("heading", name=part)).to_be_visible()
        expect(tab.locator("[data-chart] canvas")).to_be_visible()
        expect(tab.locator("#state")).to_contain_text("went no further")
        assert serious(tab) == []

        tab.get_by_label("Who", exact=True).fill("Ann")
        tab.get_by_label("Why", exact=True).fill("looking into it")
        tab.get_by_role("button", name="Acknowledge").click()
        there = watching.locator("#alerts .alert", has_text=broken)
        said = re.compile("acknowledged by Ann: looking into it", re.IGNORECASE)
        expect(there).to_contain_text(said, timeout=WAIT_MS)

        # Somebody repairs the page. The worker takes in what was decided, and sees that visitors go on.
        thread.submit(deployment.publish, events[at:]).result(120)
        expect(tab.locator("#state")).to_contain_text("over at", timeout=WAIT_MS)
        expect(tab.locator("#state .state").first).to_have_text("resolved")
        expect(tab.locator("#state .said")).to_have_text("acknowledged by Ann: looking into it")
        expect(watching.locator("#over")).to_contain_text(broken, timeout=WAIT_MS)
        expect(there).to_have_count(0)

        # The page's own page goes on by itself, too; what is open stays open.
        tab.get_by_role("link", name=f"All about the page {broken}").click()
        expect(tab.locator("#page-alerts")).to_contain_text("resolved")
        tab.get_by_text("The same as a table").last.click()
        before = tab.locator("#page-sankey .hint").inner_text()
        late = [replace_time(event, 30 * 60_000) for event in events[-400:]]
        thread.submit(deployment.publish, late).result(120)
        expect(tab.locator("#page-sankey .hint")).not_to_have_text(before, timeout=WAIT_MS)
        expect(tab.locator("#page-neighbours")).to_be_visible()
        for page in (tab, watching):
            assert_clean(page)


def replace_time(event: FileEvent, later_ms: int) -> FileEvent:
    """Another event, later, of another visitor."""
    value = json.loads(event.value or b"")
    value["occurred_at"] += later_ms
    for name in ("event_id", "visitor_id", "order_id"):
        if name in value:
            value[name] = f"{value[name]}-again"
    return FileEvent(event.topic, json.dumps(value).encode(), value["occurred_at"])
