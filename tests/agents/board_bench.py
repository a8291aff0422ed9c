"""What tests of the board share: a browser, a board that runs, and records that the product has made."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: install Debian's")
RECORDS = ROOT / "tests" / "data" / "board_records.ndjson.gz"
AXE = ROOT / "tests" / "data" / "axe.min.js.gz"
LIMIT_MS = 30_000
"""How long anything may take: a limit against hanging, no measure."""
# Chromium reports what its policy stopped to the page; nobody else would tell.
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
"""

Records = list[tuple[str, dict[str, Any]]]


def records() -> Records:
    """Give records of a replay, in the order of the topics: three pages broke, one was acknowledged and mended."""
    with gzip.open(RECORDS, "rt") as lines:
        return [(entry["topic"], entry["value"]) for entry in map(json.loads, lines)]


def alerts_of(found: Iterable[tuple[str, dict[str, Any]]], page: str) -> list[dict[str, Any]]:
    """Give the revisions of the alert about a page."""
    return [value for topic, value in found if topic == "dead-end-alerts" and value["page"] == page]


def write_folder(folder: Path, found: Iterable[tuple[str, dict[str, Any]]]) -> Path:
    """Write records as replay does."""
    folder.mkdir(exist_ok=True)
    for topic, value in found:
        with (folder / f"{topic}.ndjson").open("a") as file:
            file.write(json.dumps(value, ensure_ascii=False) + "\n")
    return folder


@contextmanager
def served(*words: str | Path, **environment: str) -> Iterator[str]:
    """Run a board on any free port and give its address; it has to end well."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agents", "board", "--port", "0", *map(str, words)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("CULDESAC_")}
        | {"CULDESAC_BOARD_METRICS_PORT": "0"}
        | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        yield found[0].rstrip("/")
        process.terminate()
        assert process.wait(20) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-lcd-text"]
        )
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, **options: Any) -> Page:
    """Open a tab in a context of its own, that notes what the policy stops and which errors there are."""
    context = browser.new_context(**options)
    context.set_default_timeout(LIMIT_MS)
    context.add_init_script(NOTE_VIOLATIONS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def dismiss(dialog: Dialog) -> None:
        errors.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def look(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "about:", "blob:")):
            errors.append(f"request to {request.url}")

    page.on("dialog", dismiss)
    page.on("request", look)
    # The tab carries its own errors to `assert_clean`; Playwright's type knows no such field.
    page.errors = errors  # type: ignore[attr-defined]
    return page


def assert_clean(page: Page) -> None:
    """Fail if a script failed, the policy stopped something, or another host was asked."""
    assert page.evaluate("window.violations") == []
    assert page.errors == []  # type: ignore[attr-defined]  # see `open_page`


def serious(page: Page) -> list[str]:
    """Give what axe finds that is serious or worse, by WCAG 2.2 A and AA."""
    if not page.evaluate("typeof window.axe === 'object'"):
        with gzip.open(AXE, "rt") as script:
            page.evaluate(script.read())
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        ".then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(' '))]))"
    )
    return [f"{rule}: {nodes}" for impact, rule, nodes in found if impact in ("serious", "critical")]
