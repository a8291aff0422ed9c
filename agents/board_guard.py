"""The board's guard: who may come in, from where, with how much; and what every answer tells the browser."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents import board_metrics

BODY_BYTES = 16_384
"""The largest form has a note of 1,024 characters."""
BODY_S = 3.0
"""A form that takes longer to come is refused."""
QUERY_BYTES = 8_192
DAY_S = 24 * 3600
COOKIE = "culdesac_board"
WRONG_PER_MINUTE = 10
"""So many wrong tokens a minute are looked at."""
OPEN_PATHS = ("/login", "/healthz", "/static/")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class FormError(Exception):
    """A form that can't be taken.

    Attributes
    ----------
    status
        HTTP status, 4xx.
    reason
        One line for whoever sent it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Seal:
    """Signs cookies and forms, and compares tokens in constant time.

    Parameters
    ----------
    token
        What people show to come in; None: who reaches the address may.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token
        # Under a token cookies outlive a restart; without one there is nothing to log in to.
        key = secrets.token_bytes(32) if token is None else hashlib.sha256(b"board" + token.encode()).digest()
        # Of different salts: what a form carries is no cookie, or it would let people in.
        self._cookies = URLSafeTimedSerializer(key.hex(), salt="culdesac-board-cookie")
        self._forms = URLSafeTimedSerializer(key.hex(), salt="culdesac-board-form")
        self._wrong: deque[float] = deque(maxlen=WRONG_PER_MINUTE)

    @property
    def asks(self) -> bool:
        """Whether a token is asked for."""
        return self._token is not None

    def fits(self, token: str) -> bool:
        """Tell whether a token is the right one; takes as long whatever it is."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), (self._token or "").encode())

    def is_tired(self) -> bool:
        """Tell whether too many wrong tokens came within the last minute."""
        full = len(self._wrong) == WRONG_PER_MINUTE
        return full and time.monotonic() - self._wrong[0] < 60.0

    def note_wrong(self) -> None:
        """Count a wrong token."""
        self._wrong.append(time.monotonic())

    def cookie(self, is_in: bool) -> str:
        """Make a cookie for a browser."""
        return str(self._cookies.dumps([secrets.token_urlsafe(12), is_in]))

    def read(self, cookie: str | None) -> tuple[str, bool] | None:
        """Read a cookie of ours: the browser's own name, and whether it is in; None where it is none."""
        try:
            name, is_in = self._cookies.loads(cookie or "", max_age=DAY_S)
        except (BadSignature, ValueError, TypeError):
            return None
        return str(name), bool(is_in)

    def form_key(self, name: str) -> str:
        """Make what a form of this browser carries."""
        return str(self._forms.dumps(name))

    def is_form_key(self, key: str, name: str) -> bool:
        """Tell whether a form was given to this browser within a day."""
        try:
            loaded = self._forms.loads(key, max_age=DAY_S)
        except (BadSignature, ValueError):
            return False
        return bool(loaded == name)


class Guard:
    """Refuses what has no business here, and says in each answer what the browser may do; ASGI middleware.

    Parameters
    ----------
    app
        What is guarded.
    seal
        Of this board.
    hosts
        Names by which it may be called; None: any. Another name is a site elsewhere that lets its own name lead
        here (DNS rebinding), to read what only this machine may.
    """

    def __init__(self, app: ASGIApp, seal: Seal, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._seal = seal
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        came = self._seal.read(Request(scope).cookies.get(COOKIE))
        cookie = None
        if came is None and not self._seal.asks:
            cookie = self._seal.cookie(False)
            came = self._seal.read(cookie)
        scope["browser"] = came[0] if came is not None else ""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                board_metrics.requests.labels(f"{message['status'] // 100}xx").inc()
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                if cookie is not None:
                    answer.append("Set-Cookie", f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax")
            await send(message)

        refusal = self._refusal(scope, headers, came is not None and came[1])
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers, is_in: bool) -> ASGIApp | None:
        host = headers.get("host", "")
        if self._hosts is not None and _hostname(host) not in self._hosts:
            return _plain(421, "This board is not called so: use the address that culdesac board printed.")
        if (
            len(scope.get("query_string", b"")) > QUERY_BYTES
            or len(scope.get("raw_path") or b"") > QUERY_BYTES
        ):
            return _plain(414, "This address is too long.")
        if scope["method"] not in SAFE_METHODS and _is_cross_site(headers, host):
            return _plain(403, "Only pages of this board may send it something.")
        if not self._seal.asks or is_in or scope["path"].startswith(OPEN_PATHS):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and not self._seal.is_tired():
            if self._seal.fits(token.strip()):
                return None
            self._seal.note_wrong()
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope.get("query_string", b"").decode("latin-1")
            place = scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse(f"/login?next={quote(place)}", 303)
        return _plain(
            401, "Show the token of this board: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"}
        )


async def read_form(request: Request) -> dict[str, str]:
    """Read a form of few fields; the last of a name counts.

    Raises
    ------
    FormError
        It is too large (413) or too slow (408), of another type (415), or no UTF-8 (400).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise FormError(415, "Send a form: application/x-www-form-urlencoded.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise FormError(415, "Send it as it is, not compressed.")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > BODY_BYTES:
        raise FormError(413, f"Send at most {BODY_BYTES:,} bytes.")
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES:
                    raise FormError(413, f"Send at most {BODY_BYTES:,} bytes.")
    except TimeoutError:
        raise FormError(408, f"Send it within {BODY_S:.0f} seconds.") from None
    except ClientDisconnect:
        raise FormError(400, "The form did not come whole.") from None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise FormError(400, "Send UTF-8, and no more than 20 fields.") from None
    return dict(pairs)


def safe_place(place: str) -> str:
    r"""Give a path of ours to go on to; the first page instead of anything else.

    Examples
    --------
    >>> safe_place("/alerts/3f2a?x=1"), safe_place("//evil.example"), safe_place("/\\evil.example")
    ('/alerts/3f2a?x=1', '/', '/')
    """
    is_ours = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place if is_ours else "/"


def _is_cross_site(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = headers.get("origin")
    return origin is not None and (origin == "null" or urlsplit(origin).netloc != host)


def _hostname(host: str) -> str:
    """Name in a Host header, without its port.

    >>> _hostname("localhost:80"), _hostname("[::1]:80"), _hostname("[::1")
    ('localhost', '::1', '')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _plain(status: int, text: str, headers: dict[str, Any] | None = None) -> ASGIApp:
    return PlainTextResponse(f"{text}\n", status, headers)
