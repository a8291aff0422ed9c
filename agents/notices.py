"""Notices: what somebody is told of an alert, in the form that each kind of receiver takes."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import msgspec

from agents.summary_view import cause, money, said_of, subject
from schemas.dead_end_alerts import AlertStatus, DeadEndAlert
from schemas.timestamps import MAX_MS, format_ms
from streams.notice_routes import ENDS

MAX_TITLE = 200
"""Characters of a title, which holds the name of a page: mail and chats show no more of it."""
_SAYS: dict[AlertStatus, str] = {
    "opened": "Dead end",
    "updated": "Dead end, update",
    "confirmed": "Dead end confirmed",
    "withdrawn": "No dead end after all",
    "acknowledged": "Dead end, somebody is looking into it",
    "muted": "Dead end muted",
    "dismissed": "No dead end, somebody says",
    "resolved": "Dead end is over",
    "reopened": "Dead end is back",
}


def notice_id(alert: DeadEndAlert) -> str:
    """Id of a notice: the same however often it is sent.

    It is that of the alert and its revision, so whoever reads the topic as well can tell what he has been told.
    """
    return f"{alert.alert_id}.{alert.revision}"


def title(alert: DeadEndAlert) -> str:
    """Say in a line what it is about. Control characters become blanks: a page's name may hold anything."""
    name = subject(alert.scope, alert.value, alert.page)
    if alert.value == "orders" and alert.scope == "site":
        name = "orders that don't come in"
    line = f"{_SAYS[alert.status]}: {name} ({alert.site})"
    line = "".join(character if character.isprintable() else " " for character in line)
    return line if len(line) <= MAX_TITLE else line[: MAX_TITLE - 1] + "…"


def facts(alert: DeadEndAlert) -> dict[str, str]:
    """Name what else is to be known at a glance; only what there is."""
    record = msgspec.to_builtins(alert)
    found = {
        "Went no further": f"{alert.exits:,} of {alert.views:,} views, {alert.expected_exits:,.0f} expected",
        "At stake": money(record),
        "Cause": cause(alert.cause),
        "Decided": said_of(record),
        "Withdrawn because": alert.withdrawn_because or "",
        "Since": alert.changed_at or alert.opened_at,
    }
    return {name: text for name, text in found.items() if text}


def link(alert: DeadEndAlert, board: str | None) -> str | None:
    """Where the board shows it."""
    return f"{board.rstrip('/')}/alerts/{alert.alert_id}" if board else None


def webhook_body(alert: DeadEndAlert, board: str | None) -> bytes:
    """Give a JSON object: the notice's id, type, title and link, and the whole record of the topic."""
    notice = {
        "id": notice_id(alert),
        "type": f"dead_end_alert.{alert.status}",
        "timestamp": alert.updated_at,
        "title": title(alert),
        "link": link(alert, board),
        "data": msgspec.to_builtins(alert),
    }
    return msgspec.json.encode({name: value for name, value in notice.items() if value is not None})


def slack_body(alert: DeadEndAlert, board: str | None) -> bytes:
    """Give a message with blocks, as Slack's incoming webhooks and those who imitate them take it."""
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_escaped(text)}"} for name, text in facts(alert).items()
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(title(alert))}*"}},
    ]
    if alert.summary:
        blocks.append({"type": "section", "text": {"type": "plain_text", "text": alert.summary[:3_000]}})
    blocks.append({"type": "section", "fields": fields[:10]})
    if (url := link(alert, board)) is not None:
        blocks.append(
            {
                "type": "actions",
                "elements": [
                    {"type": "button", "text": {"type": "plain_text", "text": "Look at it"}, "url": url}
                ],
            }
        )
    return msgspec.json.encode({"text": _escaped(title(alert)), "blocks": blocks})


def alertmanager_body(alert: DeadEndAlert, board: str | None) -> bytes:
    """Give what Alertmanager's `/api/v2/alerts` takes: one alert, which fires until it is over.

    All that tells alerts apart is in the labels, and nothing that changes while one is open. What does not end
    fires until the year 9999: Alertmanager else takes silence for an end.
    """
    labels = {
        "alertname": "DeadEnd",
        "alert_id": alert.alert_id,
        "site": alert.site,
        "scope": alert.scope,
        "severity": "warning",
    }
    annotations = {"summary": title(alert), "description": alert.summary or "", **facts(alert)}
    over = alert.status in ENDS
    fired = {
        "labels": labels,
        "annotations": {name.lower().replace(" ", "_"): text for name, text in annotations.items() if text},
        "startsAt": alert.reopened_at or alert.opened_at,
        "endsAt": alert.updated_at if over else format_ms(MAX_MS),
    }
    if (url := link(alert, board)) is not None:
        fired["generatorURL"] = url
    return msgspec.json.encode([fired])


def mail(alert: DeadEndAlert, board: str | None, sender: str, to: list[str]) -> EmailMessage:
    """Give a message in plain text; all that are about one alert are one thread."""
    message = EmailMessage()
    domain = sender.rpartition("@")[2] or "localhost"
    message["From"], message["To"] = sender, ", ".join(to)
    message["Subject"] = title(alert)
    message["Message-ID"] = f"<{notice_id(alert)}@{domain}>"
    message["References"] = f"<{alert.alert_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [alert.summary or title(alert), ""]
    lines += [f"{name}: {text}" for name, text in facts(alert).items()]
    if (url := link(alert, board)) is not None:
        lines += ["", url]
    message.set_content("\n".join(lines) + "\n")
    return message


def _escaped(text: str) -> str:
    """Escape what Slack takes for markup: a page must not make a link, nor call everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
