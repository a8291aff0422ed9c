"""What another setting would change, for people. No visitor is named: sessions are told by their hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agents.summary_view import minute, screen, subject

SESSION_WORDS = {
    "changed": "changed",
    "split": "split",
    "joined": "joined",
    "recut": "cut anew",
    "only_before": "only before",
    "only_after": "only after",
}
ALERT_WORDS = {
    "only_before": "only before",
    "only_after": "only after",
    "changed": "changed",
    "figures": "other figures",
}
NOBODY = "nobody left then"
_SHOWN_VALUE = 40


def show_differences(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what differs: settings, sessions, why they ended, alerts, ranking of the pages."""
    console = console or screen()
    if not summary["replayed"]:
        console.print("No setting differs that decides anything in a replay: all would be the same.")
        return
    for setting in summary["settings"]:
        change = f"{_value(setting['before'])} → {_value(setting['after'])}"
        console.print(f"[bold]{setting['setting']}[/]: {escape(change)}")
    sessions, alerts, pages = summary["sessions"], summary["alerts"], summary["pages"]
    console.print(f"[bold]{summary['events']:,}[/] events. Sessions: {_change(sessions)}, {_kinds(sessions)}")
    for title, counts in (
        ("Page views in sessions", {"": sessions["page_views"]}),
        ("Outcomes", sessions["outcomes"]),
        ("Revenue", sessions["revenue"]),
        ("Rejected", summary["rejected"]),
    ):
        line = ", ".join(f"{name} {_change(sides)}".strip() for name, sides in counts.items())
        if line:
            console.print(f"{title}: {line}")
    if sessions["fields"]:
        fields = ", ".join(f"{name} {number:,}" for name, number in sessions["fields"].items())
        console.print(f"Changed in: {fields}")
    if summary["exit_reasons"]:
        console.print(exit_table(summary["exit_reasons"]))
    examples = [example for kind in SESSION_WORDS for example in sessions["examples"][kind]]
    if examples:
        console.print(_session_table(examples))
    words = {kind: f"{alerts[kind]:,} {word}" for kind, word in ALERT_WORDS.items() if alerts[kind]}
    console.print(f"Alerts: {_change(alerts)}" + "".join(f", {text}" for text in words.values()))
    differing = [example for kind in ALERT_WORDS for example in alerts["examples"][kind]]
    if differing:
        console.print(_alert_table(differing))
    console.print(f"Pages with a score: {_change(pages)}, {pages['changed']:,} with another one")
    if pages["top"]:
        console.print(_page_table(pages["top"]))
    where = "" if summary["out"] is None else f" All differences: {summary['out']}"
    console.print(f"{summary['seconds']:.1f} s, {summary['cpu_seconds']:.1f} CPU s.{escape(where)}")


def exit_table(exits: Sequence[Mapping[str, Any]]) -> Table:
    """Exit reasons: a row for each one before, a column for each one after, in each cell how many sessions."""
    counts = {(pair["before"], pair["after"]): pair["sessions"] for pair in exits}
    rows, columns = (_reasons(names) for names in zip(*counts, strict=True))
    table = Table(title="Exits: before down, after across")
    table.add_column("")
    for reason in columns:
        table.add_column(reason or NOBODY, justify="right")
    for before in rows:
        cells = (counts.get((before, after)) for after in columns)
        table.add_row(before or NOBODY, *("" if number is None else f"{number:,}" for number in cells))
    return table


def later(minutes: float | None) -> str:
    """By how much an alert opened later.

    Examples
    --------
    >>> later(12.0), later(-3.5), later(0.0), later(None)
    ('12 min later', '3.5 min earlier', 'at the same time', '')
    """
    if minutes is None:
        return ""
    if not minutes:
        return "at the same time"
    return f"{abs(minutes):g} min {'later' if minutes > 0 else 'earlier'}"


def _reasons(names: Sequence[str | None]) -> list[str | None]:
    return sorted(set(names), key=lambda name: (name is None, name))


def _change(sides: Mapping[str, Any]) -> str:
    before, after = (
        f"{side:,}" if isinstance(side, int) else str(side) for side in (sides["before"], sides["after"])
    )
    return before if before == after else f"{before} → {after}"


def _kinds(sessions: Mapping[str, Any]) -> str:
    found = [f"{sessions[kind]:,} {word}" for kind, word in SESSION_WORDS.items() if sessions[kind]]
    return ", ".join([f"{sessions['same']:,} the same", *found])


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(part) for part in value) or "none"
    if isinstance(value, dict):
        return " ".join(map(str, value.values()))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _session_table(examples: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Sessions, those that move most money and views")
    table.add_column("What", no_wrap=True)
    table.add_column("Session", no_wrap=True)
    table.add_column("Began", no_wrap=True)
    table.add_column("Before", overflow="fold")
    table.add_column("After", overflow="fold")
    for example in examples:
        before, after = example["before"], example["after"]
        if example["kind"] == "changed":
            sides = [_fields(side, example["fields"]) for side in (before[0], after[0])]
        else:
            sides = ["\n".join(map(_session, side)) for side in (before, after)]
        what = SESSION_WORDS[example["kind"]]
        if example["kind"] == "split":
            what = f"split into {len(after)}"
        elif example["kind"] == "joined":
            what = f"joined from {len(before)}"
        began = min(session["started_at"] for session in (*before, *after))
        table.add_row(what, example["id"], minute(began), *map(escape, sides))
    return table


def _fields(session: Mapping[str, Any], fields: Sequence[str]) -> str:
    """Where it ended, and what has changed."""
    where = [] if "exit_page" in fields or not session.get("exit_page") else [session["exit_page"]]
    return "\n".join([*where, *(f"{field} {_short(field, session.get(field))}" for field in fields)])


def _session(session: Mapping[str, Any]) -> str:
    views, page = session["page_views"], session.get("exit_page")
    seen = f"{views:,} view{'' if views == 1 else 's'} until {minute(session['ended_at'])[11:]}"
    return f"{seen}, {session.get('exit_reason')}" + (f" on {page}" if page else "")


def _short(field: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"of {len(value)}"
    if field == "customer_id":
        return "known" if value else "unknown"
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}…"


def _alert_table(examples: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Alerts that differ")
    table.add_column("What", no_wrap=True)
    table.add_column("Dead end", overflow="fold")
    for title in ("Opened before", "After", "Opened", "Status", "Cause"):
        table.add_column(title, no_wrap=True)
    for example in examples:
        before, after = example["before"], example["after"]
        there = [side for side in (before, after) if side is not None]
        table.add_row(
            ALERT_WORDS[example["kind"]],
            escape(subject(example["scope"], there[-1].get("value"), there[-1]["page"])),
            minute(before and before["opened_at"]),
            minute(after and after["opened_at"]),
            later(example["opened_later_minutes"]),
            " → ".join(dict.fromkeys(side["status"] for side in there)),
            " → ".join(dict.fromkeys(side["cause"] for side in there)),
        )
    return table


def _page_table(pages: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Pages whose rank score changes most")
    table.add_column("Page", overflow="fold")
    for title in ("Score before", "After", "Place before", "After"):
        table.add_column(title, no_wrap=True, justify="right")
    for page in pages:
        scores = (page["rank_score_before"], page["rank_score_after"])
        places = (page["place_before"], page["place_after"])
        table.add_row(
            escape(page["page"]),
            *("" if score is None else f"{score:z,.1f}" for score in scores),
            *("" if place is None else f"{place:,}" for place in places),
        )
    return table
