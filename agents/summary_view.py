"""A replay's summary for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 150
"""Of what goes to a file or a pipe, where nobody's terminal says how wide it may be."""


def screen() -> Console:
    """Give the console to print on: as wide as the terminal, or wide enough for addresses of pages."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def show_summary(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what came out, the worst pages, the alerts and what the models are worth."""
    console = console or screen()
    sessions = summary["sessions"]
    console.print(
        f"[bold]{summary['events']:,}[/] events, [bold]{summary['page_views']:,}[/] page views, "
        f"[bold]{sessions['closed']:,}[/] sessions ({sessions['bots']:,} of bots)"
    )
    console.print(f"Outcomes: {_counts(sessions['by_outcome'])}")
    console.print(f"Exits: {_counts(sessions['by_exit_reason'])}")
    rejected = _counts(summary["rejected"]) or "none"
    console.print(f"Rejected: {rejected}. Late: {summary['late']:,}. Duplicates: {summary['duplicates']:,}.")
    for model in summary["models"]:
        console.print(_model(model))
    if summary["dead_ends"]:
        console.print(_dead_ends(summary["dead_ends"]))
    console.print(alert_table(summary["alerts"]) if summary["alerts"] else "No dead-end alerts.")
    if summary["alert_rate"]["site_weeks"]:
        console.print(_rate(summary["alert_rate"]))
    per_100k = summary["cpu_seconds_per_100k_page_views"]
    cost = f", {per_100k:.1f} CPU s per 100k page views" if per_100k is not None else ""
    console.print(
        f"{summary['seconds']:.1f} s, {summary['cpu_seconds']:.1f} CPU s{cost}. Results: {summary['out']}"
    )


def alert_table(alerts: list[dict[str, Any]]) -> Table:
    """Alerts, one a row; under each its id, and what people have said of it."""
    table = Table(title="Alerts")
    table.add_column("Dead end", overflow="fold")
    for title in ("Status", "Since", "Resolved", "Views", "Exits", "Expected", "At stake", "Cause"):
        table.add_column(title, no_wrap=True)
    for alert in alerts:
        # As text: what people write is no markup.
        name = Text(subject(alert["scope"], alert.get("value"), alert["page"]))
        name.append(f"\n{alert['alert_id']}", style="dim")
        if said := said_of(alert):
            name.append(f"\n{said}", style="italic")
        table.add_row(
            name,
            standing(alert["status"], alert.get("confirmed_at")),
            minute(alert["opened_at"]),
            minute(alert.get("resolved_at")),
            f"{alert['views']:,}",
            f"{alert['exits']:,}",
            f"{alert['expected_exits']:,.0f}",
            money(alert),
            cause(alert["cause"]),
        )
    return table


def standing(status: str, confirmed_at: str | None) -> str:
    """Name what has come of an alert, and whether final exits have confirmed it.

    Examples
    --------
    >>> standing("updated", "2026-01-07T14:08:00.000Z"), standing("updated", None)
    ('updated, confirmed', 'updated')
    >>> standing("confirmed", "2026-01-07T14:08:00.000Z")
    'confirmed'
    """
    return status if confirmed_at is None or status == "confirmed" else f"{status}, confirmed"


_ANSWERS = {
    "acknowledge": "acknowledged",
    "mute": "muted",
    "unmute": "no more muted",
    "dismiss": "no dead end",
    "reopen": "opened again",
}


def said_of(alert: Mapping[str, Any]) -> str:
    """Say in a few words what people have decided about an alert, who and why; empty where nobody has.

    Control characters become blanks: what people write must not move the cursor.

    Examples
    --------
    >>> muted = {"decision": "mute", "decided_by": "Ann", "muted_until": "2026-01-07T14:08:00.000Z"}
    >>> said_of({**muted, "why": "a sale"})
    'muted by Ann until 2026-01-07 14:08: a sale'
    >>> said_of({"decision": "dismiss", "decided_by": "Ann", "acknowledged_by": "Bob", "acknowledged_at": "…"})
    'no dead end, says Ann (acknowledged by Bob)'
    """
    decision = alert.get("decision")
    if not decision:
        return ""
    by, why, until = (alert.get(name) for name in ("decided_by", "why", "muted_until"))
    said = _ANSWERS[decision]
    if by:
        said += f", says {by}" if decision == "dismiss" else f" by {by}"
    if until and decision == "mute":
        said += " until it is over" if until.startswith("9999-") else f" until {minute(until)}"
    if decision != "acknowledge" and alert.get("acknowledged_at"):
        said += f" (acknowledged by {alert.get('acknowledged_by') or 'somebody'})"
    if why:
        said += f": {why}"
    return "".join(character if character.isprintable() else " " for character in said)


def cause(name: str) -> str:
    """Name of a cause as a person reads it.

    Examples
    --------
    >>> cause("bot_wave"), cause("unknown")
    ('bot wave', '')
    """
    return "" if name == "unknown" else name.replace("_", " ")


def money(record: Mapping[str, Any]) -> str:
    """Money at stake of an alert or a page, with its currency.

    Examples
    --------
    >>> money({"money_at_stake": "150", "currency": "EUR"}), money({})
    ('150 EUR', '')
    """
    if not record.get("money_at_stake"):
        return ""
    return f"{record['money_at_stake']} {record.get('currency') or ''}"


def subject(scope: str, value: str | None, page: str) -> str:
    """Name what an alert is about.

    Examples
    --------
    >>> subject("page", None, "shop.example/sizes"), subject("device", "mobile", "")
    ('shop.example/sizes', 'device mobile')
    >>> subject("site", "", "shop.example/sizes"), subject("first_view", "first", "")
    ('all pages, worst: shop.example/sizes', 'first views')
    """
    if scope == "page":
        return page
    whole = {"site": "all pages", "first_view": "first views"}.get(scope, f"{scope} {value}")
    return f"{whole}, worst: {page}" if page else whole


def minute(time: str | None) -> str:
    """Time without its seconds, for a narrow column.

    Examples
    --------
    >>> minute("2026-01-07T14:08:00.000Z"), minute(None)
    ('2026-01-07 14:08', '')
    """
    return time[:16].replace("T", " ") if time else ""


def _dead_ends(pages: list[dict[str, Any]]) -> Table:
    table = Table(title="Where visitors give up")
    table.add_column("Page", overflow="fold")
    for title in ("Views", "Exits", "Expected", "Excess", "At stake"):
        table.add_column(title, no_wrap=True)
    for page in pages:
        table.add_row(
            page["page"],
            f"{page['views']:,}",
            f"{page['exits']:,}",
            f"{page['expected_exits']:,.0f}",
            f"{page['excess_exits']:,.0f}",
            money(page),
        )
    return table


def _rate(rate: Mapping[str, Any]) -> str:
    """How many alerts a week there were; the line to read after a log in which nothing was broken."""
    return (
        f"{rate['alerts']:,} alerts stood in {rate['site_weeks']:.1f} site-weeks, {rate['a_week']:.1f} a week "
        f"(90 %: {rate['low']:.1f} to {rate['high']:.1f}). If nothing was broken, all were false; "
        f"alerts_per_week is {rate['budget']:g}."
    )


def _model(model: Mapping[str, Any]) -> str:
    if model.get("auprc") is None:
        return f"{model['model']}: {model['examples']:,} examples, too few to judge"
    baseline = model.get("baseline_auprc")
    beside = f" (baseline {baseline:.3f})" if baseline is not None else ""
    return f"{model['model']}: AUPRC {model['auprc']:.3f}{beside} over {model['examples']:,} examples"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())
