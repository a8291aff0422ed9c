"""What doctor looks at beside Kafka: who is told of alerts, and who watches the workers."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from agents.doctor_findings import Finding
from agents.notice_receivers import Mailbox, Receiver, Webhook
from agents.notify_settings import load_notify_settings
from agents.settings import SettingsError

KNOCK_S = 5.0
"""So long a receiver or a Prometheus has for an answer."""
HOUR_S, STEP_S = 3600.0, 15.0


def find_receivers(file: Path) -> Iterator[Finding]:
    """Look whether each receiver of a file can be reached; nobody is told anything."""
    try:
        wanted = load_notify_settings(file)
    except SettingsError as error:
        yield Finding(
            "notify", "broken", str(error), "mend it there, or write a file anew: culdesac init --notify"
        )
        return
    yield Finding("notify", "ok", f"{file}: {len(wanted.receivers)} receivers, {len(wanted.routes)} routes")
    for name, receiver in wanted.receivers.items():
        yield _reached(f"receiver {name}", receiver)


def _reached(name: str, receiver: Receiver) -> Finding:
    # The address may itself be a secret: of it only host and port are named.
    host, port = _place(receiver)
    try:
        said = _greet(receiver) if isinstance(receiver, Mailbox) else _knock(receiver, host, port)
    except ssl.SSLCertVerificationError as error:
        mend = "give it a certificate that names this host, from who is trusted here; or mend the host"
        return Finding(name, "broken", f"{host}:{port}: its certificate: {error.verify_message}", mend)
    except smtplib.SMTPAuthenticationError as error:
        mend = "mend username and password_file"
        return Finding(name, "broken", f"{host}:{port}: SMTP {error.smtp_code}: not let in", mend)
    except (OSError, smtplib.SMTPException) as error:
        mend = "start it, or mend its host, port, url or security"
        reason = getattr(error, "strerror", None) or type(error).__name__
        return Finding(name, "broken", f"{host}:{port}: {reason}", mend)
    return Finding(name, "ok", f"{host}:{port}: {said}")


def _place(receiver: Receiver) -> tuple[str, int]:
    if isinstance(receiver, Mailbox):
        return receiver.host, receiver.port
    url = urlsplit(receiver.url)
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _greet(receiver: Mailbox) -> str:
    with receiver.connect(KNOCK_S) as smtp:
        smtp.ehlo_or_helo_if_needed()
    return "a mail server greets"


def _knock(receiver: Webhook, host: str, port: int) -> str:
    if receiver.form == "alertmanager":
        with urlopen(receiver.url.rstrip("/") + "/-/ready", timeout=KNOCK_S):
            return "Alertmanager is ready"
    with socket.create_connection((host, port), timeout=KNOCK_S) as plain:
        if not receiver.url.startswith("https://"):
            return "somebody listens"
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host):
            return "somebody listens, and its certificate is good"


def find_watching(url: str) -> Iterator[Finding]:
    """Look whether a Prometheus scrapes workers, has our rules, and feeds every panel of the dashboards."""
    try:
        answer = _asked(url, "rules")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        yield Finding(
            "Prometheus", "broken", f"{url}: {reason}", "give its address, such as http://localhost:9090"
        )
        return
    up = _asked(url, "query?query=count(culdesac_healthy)")["result"]
    if up:
        yield Finding("Prometheus", "ok", f"{url} scrapes {int(float(up[0]['value'][1]))} workers")
    else:
        mend = "name metrics_host and metrics_port of each worker in scrape_configs, as deploy/prometheus.yml does"
        yield Finding("Prometheus", "broken", f"{url} scrapes no worker", mend)
    rules = sum(
        rule["name"].startswith(("culdesac:", "Culdesac"))
        for group in answer["groups"]
        for rule in group["rules"]
    )
    if rules:
        yield Finding("rules", "ok", f"{rules} of ours are loaded")
    else:
        mend = "name deploy/prometheus/culdesac.rules.yml in rule_files, and reload Prometheus"
        yield Finding("rules", "broken", "none of ours is loaded", mend)
    yield _panels(url)


def _asked(url: str, path: str) -> Any:
    with urlopen(f"{url.rstrip('/')}/api/v1/{path}", timeout=KNOCK_S) as answer:
        return json.load(answer)["data"]


def _panels(url: str) -> Finding:
    try:
        from agents.dashboards.business import BUSINESS
        from agents.dashboards.checking import check, declared
        from agents.dashboards.operation import OPERATION
        from agents.dashboards.prometheus import Prometheus
    except ImportError as error:
        return Finding(
            "panels", "note", f"{error.name} is not installed", "run doctor where deploy/setup was run"
        )

    prometheus, now = Prometheus(url), time.time()
    known = prometheus.metrics() | declared()
    faults = [
        fault
        for board in (BUSINESS, OPERATION)
        for fault in check(board, lambda expr: prometheus.over(expr, now - HOUR_S, now, STEP_S), known)
    ]
    if not faults:
        return Finding("panels", "ok", "every panel of the dashboards shows something")
    mend = "well where nothing happened within the hour; python -m agents.dashboards check tells all"
    return Finding("panels", "note", f"{len(faults)} show nothing, such as {faults[0].panel}", mend)
