"""The demo on the terminal: a live view, or plain lines where nobody looks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agents.demo_findings import Finding
from agents.durations import format_duration
from agents.summary_view import minute, screen, subject
from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import format_ms

LINE_EVERY_S = 5.0
"""Pace of plain lines."""


class Figures(msgspec.Struct):
    """What the view shows; times in ms of event time, None where not known yet."""

    phase: str
    left_s: float = 0.0
    now_ms: int | None = None
    page_views: int = 0
    events: int = 0
    page_views_per_s: float = 0.0
    open_sessions: int = 0
    closed: dict[str, int] = {}
    rejected: dict[str, int] = {}
    lag: int = 0
    p99_s: float | None = None
    planted: list[Finding] = []
    others: list[DeadEndAlert] = []


class View:
    """Shows figures as they come; a context manager.

    Parameters
    ----------
    console
        Where; live if it is a terminal.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or screen()
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._said_at = -math.inf
        self._said = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the live view as it is, and go on with plain lines."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, figures: Figures) -> None:
        """Show how it all ended."""
        if self._live is None:
            self.say(line(figures))
            self._console.print(findings_table(figures.planted, figures.others))
        else:
            self.show(figures)
            self.stop()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, markup=False, soft_wrap=True)

    def show(self, figures: Figures) -> None:
        """Show the figures of this moment."""
        if self._live is not None:
            self._live.update(render(figures), refresh=True)
            return
        now = time.monotonic()
        if figures.phase != self._said or now - self._said_at >= LINE_EVERY_S:
            self._said, self._said_at = figures.phase, now
            self.say(line(figures))


def line(figures: Figures) -> str:
    """Figures as one line.

    Examples
    --------
    >>> line(Figures("starting"))
    'starting'
    """
    if not figures.events:
        return figures.phase
    found = sum(finding.alert is not None for finding in figures.planted)
    return (
        f"{figures.phase}: shop time {_time(figures.now_ms)}, {figures.page_views:,} page views, "
        f"{sum(figures.closed.values()):,} sessions, {found} of {len(figures.planted)} planted dead ends found, "
        f"{len(figures.others)} other alerts, {sum(figures.rejected.values()):,} rejected, lag {figures.lag:,}, "
        f"p99 {_latency(figures.p99_s)}"
    )


def render(figures: Figures) -> Group:
    """Figures as a screen."""
    left = f", {figures.left_s:.0f} s left" if figures.left_s > 0 else ""
    head = Text.assemble(("Culdesac demo", "bold"), f"  {figures.phase}{left}")
    grid = Table.grid(padding=(0, 2))
    grid.add_row("Shop time", _time(figures.now_ms))
    rate = f"{figures.page_views_per_s:,.0f} a second"
    grid.add_row("Traffic", f"{figures.page_views:,} page views, {figures.events:,} events ({rate})")
    outcomes = ", ".join(f"{name} {number:,}" for name, number in figures.closed.items())
    grid.add_row("Sessions", f"{figures.open_sessions:,} open; closed: {outcomes or 'none yet'}")
    rejected = ", ".join(f"{name} {number:,}" for name, number in figures.rejected.items())
    grid.add_row("Rejected", rejected or "none")
    grid.add_row("Behind", f"{figures.lag:,} records; click to enriched view: p99 {_latency(figures.p99_s)}")
    return Group(head, grid, findings_table(figures.planted, figures.others))


def findings_table(planted: Sequence[Finding], others: Sequence[DeadEndAlert]) -> Table:
    """Planted faults with what was found of them, then alerts about anything else."""
    table = Table()
    table.add_column("Dead end", no_wrap=True)
    for title in ("Planted", "Found", "After", "Status", "Repaired", "Over after", "Exits (expected)"):
        table.add_column(title, no_wrap=True)
    for finding in planted:
        alert = finding.alert
        repaired = finding.fault.end_ms < max(other.fault.end_ms for other in planted)
        table.add_row(
            finding.fault.page,
            minute(format_ms(finding.fault.start_ms))[5:],
            Text("no", "yellow") if alert is None else Text("yes", "green"),
            _minutes(finding.after_ms),
            "" if alert is None else alert.status,
            minute(format_ms(finding.fault.end_ms))[5:] if repaired else "",
            _minutes(finding.over_after_ms),
            "" if alert is None else f"{alert.exits:,} ({alert.expected_exits:,.0f})",
        )
    for alert in others:
        where = subject(alert.scope, alert.value, alert.page)
        exits = f"{alert.exits:,} ({alert.expected_exits:,.0f})"
        table.add_row(where, "no", minute(alert.opened_at)[5:], "", alert.status, "", "", exits)
    return table


def _minutes(duration_ms: int | None) -> str:
    return "" if duration_ms is None else format_duration(duration_ms // 60_000 * 60_000)


def _time(time_ms: int | None) -> str:
    return "not known yet" if time_ms is None else minute(format_ms(time_ms))


def _latency(seconds: float | None) -> str:
    if seconds is None:
        return "not known yet"
    if math.isinf(seconds):
        return "> 60 s"
    return f"≤ {seconds * 1000:.0f} ms" if seconds < 1 else f"≤ {seconds:.1f} s"
