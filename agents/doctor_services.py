"""Doctor for what runs beside workers: board, collector, notices, and the Prometheus that watches them."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from agents.board import BoardError, token_of
from agents.doctor_findings import Finding
from agents.grants import Role, commands, lacking, missing_grants
from agents.notice_receivers import Mailbox, Receiver, Webhook
from agents.notify_settings import load_notify_settings
from agents.settings import SettingsError, WorkerSettings

ANSWER_S = 5.0
"""Who does not answer within it counts as not there."""
_UP = 'up{job=~"culdesac.*"}'
JOBS = {
    "culdesac": "workers",
    "culdesac-board": "board",
    "culdesac-collect": "collectors",
    "culdesac-notify": "notify",
}
"""Jobs of our Prometheus configuration, and what they scrape."""


def find_ports(settings: WorkerSettings) -> Iterator[Finding]:
    """Look at what board and collector need of this machine."""
    try:
        token = token_of(settings.board)
    except BoardError as error:
        yield Finding("board", "broken", str(error), "see the table [board] of the settings")
    else:
        who = "this machine only" if token is None else "whoever has the token"
        yield port_finding(
            "board port", settings.board.host, settings.board.port, f"for {who}", "a board", "[board]"
        )
    if settings.collect.sites:
        text = f"for {len(settings.collect.sites)} site keys"
        own = settings.collect
        yield port_finding("collect port", own.host, own.port, text, "a collector", "[collect]")


def port_finding(name: str, host: str, port: int, what: str, who: str, table: str) -> Finding:
    """Look whether a port can be listened on; one that is taken is well if `who` has it."""
    address = f"{host}:{port}"
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            return Finding(name, "ok", f"{address} is free, {what}")
    except OSError as error:
        mend = f"well if {who} runs there; else choose another port of {table}"
        return Finding(name, "note", f"{address}: {error.strerror}", mend)


def find_rights(settings: WorkerSettings) -> Iterator[Finding]:
    """Look whether this user may do what board and collector do; they may well be other users."""
    roles: list[tuple[Role, str]] = [("board", "board")]
    if settings.collect.sites:
        roles.append(("collector", "collect"))
    for role, name in roles:
        missing = missing_grants(settings, role)
        if not missing:
            yield Finding(f"{name} rights", "ok", f"this user may do what a {role} does")
            continue
        mend = "; ".join(commands(missing, f"User:{settings.sasl_username or '…'}", settings.kafka))
        yield Finding(f"{name} rights", "note", f"this user lacks {lacking(missing)}", mend)


def find_receivers(file: Path) -> Iterator[Finding]:
    """Look whether those who are told of alerts can be reached; nothing is sent to them."""
    try:
        wanted = load_notify_settings(file)
    except SettingsError as error:
        yield Finding("notify", "broken", str(error), "mend it there")
        return
    yield Finding("notify", "ok", f"{file}: {len(wanted.receivers)} receivers, {len(wanted.routes)} routes")
    for name, receiver in wanted.receivers.items():
        trouble = _unreachable(receiver)
        if trouble is None:
            yield Finding(f"receiver {name}", "ok", "answers; culdesac notify --trial sends it something")
        else:
            yield Finding(
                f"receiver {name}", "broken", trouble, f"see whether it runs, and its lines in {file}"
            )


def _unreachable(receiver: Receiver) -> str | None:
    """Say why somebody can't be reached; without address, for it may be a secret."""
    try:
        if isinstance(receiver, Mailbox):
            _greet(receiver)
        else:
            _connect(receiver)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not to be trusted ({error.verify_message})"
    except smtplib.SMTPAuthenticationError as error:
        return f"does not take user name and password (SMTP {error.smtp_code})"
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return f"can't be reached ({getattr(error, 'strerror', None) or type(error).__name__})"
    return None


def _greet(box: Mailbox) -> None:
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(box.host, box.port, timeout=ANSWER_S, context=context)
        if box.security == "tls"
        else smtplib.SMTP(box.host, box.port, timeout=ANSWER_S)
    ) as smtp:
        smtp.ehlo_or_helo_if_needed()
        if box.security == "starttls":
            smtp.starttls(context=context)
        if box.username is not None:
            smtp.login(box.username, box.password or "")


def _connect(hook: Webhook) -> None:
    parts = urlsplit(hook.url)
    secure = parts.scheme == "https"
    address = (parts.hostname or "", parts.port or (443 if secure else 80))
    with socket.create_connection(address, ANSWER_S) as connection:
        if secure:
            with ssl.create_default_context().wrap_socket(connection, server_hostname=address[0]):
                pass


def find_watching(prometheus: str) -> Iterator[Finding]:
    """Look whether a Prometheus scrapes us and has our rules."""
    try:
        ups = _ask(prometheus, f"query?query={quote(_UP)}")["result"]
        groups = _ask(prometheus, "rules")["groups"]
    except (URLError, OSError, ValueError, KeyError) as error:
        text = f"{prometheus}: does not answer as a Prometheus ({getattr(error, 'reason', None) or error})"
        yield Finding("Prometheus", "broken", text, "name its address, such as http://localhost:9090")
        return
    down = [one["metric"]["instance"] for one in ups if one["value"][1] != "1"]
    seen = {JOBS.get(one["metric"]["job"], one["metric"]["job"]) for one in ups}
    if "workers" not in seen:
        yield Finding(
            "Prometheus", "broken", "it scrapes no worker", "take the jobs of deploy/prometheus.yml"
        )
    elif down:
        text = f"{len(down)} of {len(ups)} do not answer it, such as {down[0]}"
        yield Finding(
            "Prometheus", "broken", text, "see whether that runs, and shows its metrics beyond its machine"
        )
    else:
        yield Finding("Prometheus", "ok", f"scrapes {len(ups)}: {', '.join(sorted(seen))}")
    rules = [rule for group in groups if group["name"].startswith("culdesac") for rule in group["rules"]]
    sick = [rule["name"] for rule in rules if rule.get("health") == "err"]
    if not rules or sick:
        text = f"{sick[0]} fails" if sick else "it has none of our rules"
        yield Finding("rules", "broken", text, "take deploy/prometheus/culdesac.rules.yml into rule_files")
    else:
        yield Finding("rules", "ok", f"{len(rules)} loaded")


def _ask(prometheus: str, path: str) -> Any:
    with urlopen(f"{prometheus.rstrip('/')}/api/v1/{path}", timeout=ANSWER_S) as answer:
        return json.load(answer)["data"]
