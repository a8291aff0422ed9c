"""Settings of notify: receivers and routes, in a TOML file of their own."""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from agents.durations import parse_duration
from agents.notice_receivers import Mailbox, Receiver, Webhook
from agents.settings import SettingsError
from schemas.dead_end_alerts import AlertScope, AlertStatus
from streams.notice_routes import TOLD, Route, quiet_hours

SECRET_BYTES = 24
"""A shorter key can be guessed; the specification of the signature wants 24 to 64 bytes."""
_PREFIX = "whsec_"

_Kind = Literal["webhook", "slack", "alertmanager", "email"]


class _Receiver(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    kind: _Kind
    url: str | None = None
    url_file: Path | None = None
    secret_file: Path | None = None
    to: list[str] = []
    sender: str | None = msgspec.field(default=None, name="from")
    host: str | None = None
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: Path | None = None


class _Route(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    receiver: str
    name: str | None = None
    sites: list[str] = []
    templates: list[str] = []
    pages: list[str] = []
    scopes: list[AlertScope] = []
    statuses: tuple[AlertStatus, ...] = TOLD
    least_money: str = "0"
    quiet: str | None = None
    zone: str = "UTC"


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    board: str | None = None
    give_up: str = "24h"
    receiver: list[_Receiver] = []
    route: list[_Route] = []


class NotifySettings(msgspec.Struct, frozen=True):
    """Who is told of what.

    Attributes
    ----------
    receivers
        By their names.
    give_up_s
        A notice that could not be delivered for so long (s) is given up.
    """

    receivers: Mapping[str, Receiver]
    routes: list[Route]
    give_up_s: float


def load_notify_settings(file: Path) -> NotifySettings:
    """Read the file.

    Raises
    ------
    SettingsError
        It is missing, is not TOML, or something in it can't be used; the line says what to write.
    """
    try:
        raw: Any = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"{file}: can't be read ({reason}): name a TOML file of receivers and routes"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: is not TOML: {error}") from None
    try:
        document = msgspec.convert(raw, _Document, dec_hook=lambda type_, value: type_(value))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from None
    if not document.route:
        raise SettingsError(f"{file}: names no [[route]]: nobody would be told anything")
    receivers: dict[str, Receiver] = {}
    for row in document.receiver:
        where = f"{file}: receiver {row.name!r}"
        if row.name in receivers:
            raise SettingsError(f"{where}: stands there twice: give it another name")
        receivers[row.name] = _receiver(where, row, document.board)
    routes: dict[str, Route] = {}
    for entry in document.route:
        route = _route(file, entry, receivers)
        if route.name in routes:
            raise SettingsError(
                f"{file}: route {route.name!r}: stands there twice: give each a name of its own"
            )
        routes[route.name] = route
    try:
        give_up_s = parse_duration(document.give_up) / 1_000
    except ValueError as error:
        raise SettingsError(f"{file}: give_up: {error}") from None
    return NotifySettings(receivers, list(routes.values()), give_up_s)


def _receiver(where: str, row: _Receiver, board: str | None) -> Receiver:
    if row.kind == "email":
        if not row.to or row.sender is None or row.host is None:
            raise SettingsError(f"{where}: an e-mail needs to, from and host")
        for address in (*row.to, row.sender):
            if "@" not in address or any(not c.isprintable() or c in " ,;<>" for c in address):
                raise SettingsError(
                    f"{where}: {address!r} is no address: write one such as team@shop.example"
                )
        password = None if row.password_file is None else _text(where, row.password_file)
        if (row.username is None) != (password is None):
            raise SettingsError(f"{where}: username and password_file go together")
        if password is not None and row.security == "none":
            raise SettingsError(
                f"{where}: a password would travel in the clear: set security to starttls or tls"
            )
        return Mailbox(
            name=row.name, to=row.to, sender=row.sender, host=row.host, port=row.port, security=row.security,
            username=row.username, password=password, board=board,
        )  # fmt: skip
    if (row.url is None) == (row.url_file is None):
        raise SettingsError(f"{where}: name one of url and url_file")
    url = row.url if row.url is not None else _text(where, row.url_file or Path())
    if not url.startswith(("https://", "http://")):
        raise SettingsError(f"{where}: the url has to begin with https:// or http://")
    if row.secret_file is not None and row.kind != "webhook":
        raise SettingsError(f"{where}: only a webhook is signed: leave secret_file out")
    secret = None if row.secret_file is None else _key(where, _text(where, row.secret_file))
    return Webhook(name=row.name, url=url, form=row.kind, secret=secret, board=board)


def _route(file: Path, row: _Route, receivers: Mapping[str, Receiver]) -> Route:
    name = row.name or row.receiver
    where = f"{file}: route {name!r}"
    if not name or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
        raise SettingsError(f"{where}: it names a consumer group: use letters, digits, '.', '_' and '-'")
    if row.receiver not in receivers:
        known = ", ".join(sorted(receivers)) or "none"
        raise SettingsError(f"{where}: there is no receiver {row.receiver!r}; there are: {known}")
    try:
        money = Decimal(row.least_money)
        if not money.is_finite() or money < 0:
            raise InvalidOperation
    except InvalidOperation:
        raise SettingsError(f'{where}: least_money: write an amount in quotes, such as "100"') from None
    try:
        quiet = None if row.quiet is None else quiet_hours(row.quiet, ZoneInfo(row.zone))
    except ZoneInfoNotFoundError:
        raise SettingsError(
            f"{where}: there is no zone {row.zone!r}: write one such as Europe/Berlin"
        ) from None
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None
    return Route(
        name=name, receiver=row.receiver, sites=row.sites, templates=row.templates, pages=row.pages,
        scopes=row.scopes, statuses=row.statuses, least_money=money, quiet=quiet,
    )  # fmt: skip


def _key(where: str, text: str) -> bytes:
    """Read a signing key: what stands behind ``whsec_`` is base64, all else is taken as it is."""
    try:
        key = (
            base64.b64decode(text.removeprefix(_PREFIX), validate=True)
            if text.startswith(_PREFIX)
            else text.encode()
        )
    except binascii.Error:
        raise SettingsError(f"{where}: behind {_PREFIX} the secret has to be base64") from None
    if len(key) < SECRET_BYTES:
        raise SettingsError(f"{where}: the secret is too short: write at least {SECRET_BYTES} characters")
    return key


def _text(where: str, file: Path) -> str:
    try:
        text = file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{where}: {file}: can't be read ({reason})") from None
    if not text:
        raise SettingsError(f"{where}: {file}: is empty")
    return text
