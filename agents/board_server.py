"""The board's server: addresses, and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from hashlib import sha256
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from agents import board_metrics
from agents.board_decisions import DecisionError, Decisions
from agents.board_guard import COOKIE, DAY_S, FormError, Guard, Seal, read_form, safe_place
from agents.board_hub import Hub
from agents.board_live import Given, Renderings, changes
from agents.board_pages import FILES, Pages
from agents.board_words import ACTIONS

STREAMS = 100
"""So many pages may be open at a time; more are told to come back."""
PING_S = 15
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class BoardApp:
    """Answers of the board.

    Parameters
    ----------
    hub
        What is known.
    decisions
        Sends what people decide; None where nothing can be.
    seal
        Signs cookies and forms.
    """

    def __init__(self, hub: Hub, decisions: Decisions | None, seal: Seal) -> None:
        self._hub = hub
        self._decisions = decisions
        self._seal = seal
        self._pages = Pages(hub, seal.asks)
        self._renderings = Renderings(hub)
        self._given = Given()
        self._streams = 0
        # All that there is, by name: no path of a request ever reaches a disk.
        self._files = {
            file.relative_to(FILES / "static").as_posix(): file.read_bytes()
            for file in (FILES / "static").rglob("*")
            if file.suffix in TYPES
        }
        self._tags = {name: f'"{sha256(content).hexdigest()[:16]}"' for name, content in self._files.items()}

    def routes(self) -> list[Route]:
        """Give the addresses."""
        return [
            Route("/", self.index),
            Route("/alerts/{alert_id}", self.alert),
            Route("/alerts/{alert_id}/decisions", self.decide, methods=["POST"]),
            Route("/pages", self.pages),
            Route("/page", self.page),
            Route("/live", self.live),
            Route("/login", self.login),
            Route("/login", self.let_in, methods=["POST"]),
            Route("/healthz", self.health),
            Route("/static/{name:path}", self.static),
        ]

    async def index(self, request: Request) -> Response:
        """Give the first page."""
        site = _site(request)
        parts = self._renderings.of(f"index|{site}|", lambda: self._pages.index_parts(site))
        return HTMLResponse(self._pages.index(site, parts, self._given.keep(parts)))

    async def alert(self, request: Request) -> Response:
        """Give an alert's page."""
        key = self._seal.form_key(request.scope["browser"])
        alert_id = request.path_params["alert_id"]
        parts = self._renderings.of(f"alert|None|{alert_id}", lambda: self._pages.alert_parts(alert_id))
        html = self._pages.alert(alert_id, key, parts, self._given.keep(parts))
        if html is None:
            return self._missing("There is no such alert", "It may be too old to be kept, or not read yet.")
        return HTMLResponse(html)

    async def pages(self, request: Request) -> Response:
        """List pages, or those that contain a text."""
        query = request.query_params
        start = query.get("start", "0")
        if not start.isdecimal() or len(start) > 6:
            return self._error(400, "start is no number")
        render = self._pages.page_rows if "hx-request" in request.headers else self._pages.pages
        return HTMLResponse(render(_site(request), query.get("q", "")[:200], int(start)))

    async def page(self, request: Request) -> Response:
        """Give a page's page."""
        site, page = request.query_params.get("site", ""), request.query_params.get("page", "")
        parts = self._renderings.of(f"page|{site}|{page}", lambda: self._pages.page_parts(site, page))
        html = self._pages.page(site, page, parts, self._given.keep(parts))
        if html is None:
            return self._missing("Nothing is known of this page", "It has not been seen, or not for long.")
        return HTMLResponse(html)

    async def live(self, request: Request) -> Response:
        """Stream what changes on a page."""
        if self._streams >= STREAMS:
            return self._error(503, "too many pages are open", {"Retry-After": "10"})
        view, site = request.query_params.get("view", ""), _site(request)
        what = request.query_params.get("id", "")
        pages = self._pages
        views = {
            "index": lambda: pages.index_parts(site),
            "alert": lambda: pages.alert_parts(what),
            "page": lambda: pages.page_parts(site or "", what),
            "banner": lambda: {"banner": pages.banner()},
        }
        if view not in views:
            return self._error(404, "there is no such view")
        name = f"{view}|{site}|{what}"
        sent = self._given.take(request.query_params.get("seen", ""))

        async def stream() -> AsyncIterator[dict[str, str]]:
            self._streams += 1
            board_metrics.open_pages.labels().set(self._streams)
            try:
                async for change in changes(self._hub, lambda: self._renderings.of(name, views[view]), sent):
                    yield change
            finally:
                self._streams -= 1
                board_metrics.open_pages.labels().set(self._streams)

        return EventSourceResponse(stream(), ping=PING_S)

    async def decide(self, request: Request) -> Response:
        """Take a decision about an alert, and send it."""
        alert_id = request.path_params["alert_id"]
        try:
            form = await read_form(request)
            if not self._seal.is_form_key(form.get("key", ""), request.scope["browser"]):
                raise FormError(403, "This page is too old: load it again, then decide.")
            shown = self._hub.board.alert(alert_id)
            if shown is None:
                raise FormError(404, "There is no such alert.")
            if self._decisions is None:
                raise FormError(409, "This is a replay's folder: there is nobody to tell. Decide on Kafka.")
            action = form.get("action", "")
            if action not in ACTIONS:
                raise FormError(422, f"Say what is to become of it: {', '.join(ACTIONS)}.")
            at_ms = self._hub.board.decision_time(shown.alert, int(time.time() * 1000))
            await self._decisions.send(shown.alert, at_ms, action, form)
        except (FormError, DecisionError) as error:
            board_metrics.decisions.labels("refused").inc()
            return self._answer(request, alert_id, str(error), error.status)
        board_metrics.decisions.labels("sent").inc()
        return self._answer(request, alert_id, f"Sent: {action}, by {form['by'].strip()}.", 200)

    async def login(self, request: Request) -> Response:
        """Ask for the token."""
        if not self._seal.asks:
            return RedirectResponse("/", 303)
        return HTMLResponse(self._pages.login(safe_place(request.query_params.get("next", "/")), ""))

    async def let_in(self, request: Request) -> Response:
        """Compare the token, and remember that it was right."""
        try:
            form = await read_form(request)
        except FormError as error:
            return self._error(error.status, error.reason)
        place = safe_place(form.get("next", "/"))
        if self._seal.is_tired():
            return HTMLResponse(self._pages.login(place, "Too many wrong tokens: wait a minute."), 429)
        if not self._seal.asks or not self._seal.fits(form.get("token", "").strip()):
            self._seal.note_wrong()
            return HTMLResponse(self._pages.login(place, "This is not the token."), 403)
        answer = RedirectResponse(place, 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, self._seal.cookie(True), DAY_S, httponly=True, samesite="lax", secure=secure
        )
        return answer

    async def health(self, request: Request) -> Response:
        """Tell whether reading goes on."""
        if self._hub.broken is not None:
            return PlainTextResponse(f"{self._hub.broken} since {self._hub.broken_since}\n", 503)
        return PlainTextResponse("loading\n" if self._hub.loading else "ok\n")

    async def static(self, request: Request) -> Response:
        """Give one of our files."""
        name = request.path_params["name"]
        content = self._files.get(name)
        if content is None:
            return self._error(404, "there is no such file")
        return Response(
            content, media_type=TYPES["." + name.rpartition(".")[2]], headers={"ETag": self._tags[name]}
        )

    async def failed(self, request: Request, error: Exception) -> Response:
        """Answer what no address does."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 404:
            return self._missing("There is no such page", "Look at the address again.")
        headers = error.headers if isinstance(error, HTTPException) else None
        return self._error(status, "this can't be done here" if status < 500 else "the board failed", headers)

    def _answer(self, request: Request, alert_id: str, text: str, status: int) -> Response:
        if "hx-request" in request.headers:
            return HTMLResponse(self._pages.answer(text, status == 200), status)
        if status == 200:
            return RedirectResponse(f"/alerts/{alert_id}", 303)
        return self._error(status, text)

    def _missing(self, title: str, text: str) -> Response:
        return HTMLResponse(self._pages.message(title, text), 404)

    def _error(self, status: int, text: str, headers: Any = None) -> Response:
        return PlainTextResponse(f"{text}\n", status, headers)


def make_app(
    hub: Hub,
    decisions: Decisions | None,
    seal: Seal,
    hosts: frozenset[str] | None,
    reading: Callable[[], Coroutine[Any, Any, None]],
) -> Starlette:
    """Put the board together; the reading goes on as long as the server does."""
    board = BoardApp(hub, decisions, seal)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        feeding = asyncio.create_task(reading())
        try:
            yield
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    return Starlette(
        routes=board.routes(),
        middleware=[Middleware(Guard, seal=seal, hosts=hosts)],
        exception_handlers={HTTPException: board.failed},
        lifespan=lifespan,
    )


def _site(request: Request) -> str | None:
    """Site that is asked for; None: all."""
    return request.query_params.get("site") or None
