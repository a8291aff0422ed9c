"""Doctor for what runs beside workers on this machine: board and collector."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from agents.board import BoardError, token_of
from agents.doctor_findings import Finding
from agents.grants import Role, commands, lacking, missing_grants
from agents.settings import WorkerSettings


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
