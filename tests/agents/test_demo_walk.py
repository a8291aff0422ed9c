"""The demo as somebody sees it who opens its board: real traffic, a real worker, a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from agents.broker import EmbeddedKafka
from tests.agents.board_bench import assert_clean, chromium, needs_chromium, open_page, serious
from tests.agents.product import ROOT
from tests.agents.test_demo import descendants

WAIT_MS = 240_000
"""Until something has happened in the shop; the machine may have much else to do."""
REPAIRED = "shop.example/product/p3"
"""The page that is repaired four hours before the end."""

pytestmark = [needs_chromium, pytest.mark.timeout(900)]


@pytest.fixture
def board(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[str]:
    """Address of the board of a demo; it needs what the embedded Kafka needs, so it is skipped with it."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "agents", "demo", "--for", "100s"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=out,
        )
    address = None
    while address is None:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        address = re.search(r"Board: (http://\S+)/", log.read_text())
    yield address[1]
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    for pid in descendants(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_an_alert_appears_is_acknowledged_and_the_page_is_repaired(board: str) -> None:
    with chromium() as browser:
        tab, watching = open_page(browser), open_page(browser)
        for page in (tab, watching):
            page.goto(board, wait_until="commit", timeout=WAIT_MS)
        row = tab.locator("#alerts .alert", has_text=REPAIRED)
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
        there = watching.locator("#alerts .alert", has_text=REPAIRED)
        expect(there).to_contain_text(re.compile("acknowledged by Ann", re.IGNORECASE), timeout=WAIT_MS)
        # The worker has taken it in: the alert itself says so.
        expect(tab.locator("#state")).to_contain_text("acknowledged by Ann", timeout=WAIT_MS)
        expect(tab.locator("#state")).not_to_contain_text("Sent;")
        # The shop repairs the page; nobody here does anything.
        expect(tab.locator("#state")).to_contain_text("over at", timeout=WAIT_MS)
        expect(tab.locator("#state .state").first).to_have_text("resolved")
        expect(watching.locator("#over")).to_contain_text(REPAIRED, timeout=WAIT_MS)
        expect(there).to_have_count(0)
        for page in (tab, watching):
            assert_clean(page)
