"""The collector as an ASGI application: paths of the trackers, of our own JSON, and of those who look after it.

Nothing is answered with 2xx that Kafka has not acknowledged.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents import collect_metrics
from agents.collect_metrics import Refusal
from agents.collect_openapi import document
from agents.collect_requests import Gate, RefusedError
from agents.collect_sender import AwayError, CollectSender, FullError
from agents.settings import WorkerSettings
from schemas.decoding import RejectedError
from streams.collected import Collected
from streams.plausible_events import collect_plausible, read_plausible
from streams.posted_records import read_posted
from streams.segment_events import collect_segment, read_batch, read_message

SEGMENT_KINDS: Final = {
    "p": "page", "t": "track", "i": "identify", "page": "page", "track": "track", "identify": "identify",
    "g": "group", "a": "alias", "s": "screen", "group": "group", "alias": "alias", "screen": "screen",
}  # fmt: skip
SEGMENT_BATCHES: Final = ("b", "batch", "import")
AWAY_S: Final = 5.0
"""When to come again where no Kafka answers."""
BUSY_S: Final = 2.0
ALLOWED_HEADERS: Final = ("authorization", "content-type", "x-retry-count")

log = logging.getLogger(__name__)


class CollectApp:
    """Answers requests.

    Parameters
    ----------
    settings
        Of the collector.
    gate
        Lets requests in.
    sender
        Takes their records to Kafka.
    """

    def __init__(self, settings: WorkerSettings, gate: Gate, sender: CollectSender) -> None:
        self._gate = gate
        self._sender = sender
        self._hold_s = settings.collect.hold_ms / 1000
        self._origins = sorted(settings.collect.allowed_origins())

    def asgi(self) -> ASGIApp:
        """Make the application."""
        # They are tried one after the other: what browsers send most comes first.
        routes = [Route("/api/event", self._posted("plausible", self._plausible), methods=["POST"])]
        routes += [
            Route(f"/v1/{path}", self._posted("segment", self._segment, kind), methods=["POST"])
            for path, kind in SEGMENT_KINDS.items()
        ]
        routes += [
            Route(f"/v1/{path}", self._posted("segment", self._batch), methods=["POST"])
            for path in SEGMENT_BATCHES
        ]
        routes += [
            Route("/v1/events", self._posted("events", self._events), methods=["POST"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
        ]
        cross_site = Middleware(
            CORSMiddleware,
            allow_origins=self._origins,
            allow_methods=["POST"],
            allow_headers=ALLOWED_HEADERS,
            expose_headers=["retry-after"],
            max_age=86_400,
        )
        app = Starlette(
            routes=routes,
            middleware=[Middleware(_Counted), cross_site],
            exception_handlers={HTTPException: _no_such_thing, Exception: _broken},
        )
        app.router.redirect_slashes = False
        return app

    def _posted(
        self, endpoint: str, read: Callable[..., tuple[Collected, Response]], *more: str
    ) -> Callable[[Request], Awaitable[Response]]:
        """Make the handler of a path: what all have in common."""

        async def handle(request: Request) -> Response:
            began = time.monotonic()
            request.scope["culdesac_endpoint"] = endpoint
            try:
                # While it waits for Kafka it holds what it sends, and not the body.
                collected, answer = read(request, await self._gate.body(request), *more)
                response = await self._deliver(collected) or answer
            except RefusedError as error:
                return _refusal(error.status, error.reason, error.detail, error.headers())
            except RejectedError as error:
                reason: Refusal = "not_json" if error.reason == "not_json" else "unreadable"
                return _refusal(400, reason, error.detail)
            if response.status_code < 300:
                collect_metrics.request_seconds.labels().observe(time.monotonic() - began)
            return response

        return handle

    def _segment(self, request: Request, body: bytes, kind: str) -> tuple[Collected, Response]:
        message = read_message(body)
        collected = self._begin(request, self._gate.site_of(self._gate.key_of(request) or message.write_key))
        collect_segment(message, collected, body, kind)
        return collected, _json({"success": True})

    def _batch(self, request: Request, body: bytes) -> tuple[Collected, Response]:
        batch = read_batch(body)
        site = self._gate.site_of(self._gate.key_of(request) or batch.write_key)
        collected = self._begin(request, site, len(batch.batch))
        for raw in batch.batch:
            payload = bytes(raw)
            try:
                message = read_message(payload)
            except RejectedError as error:
                collected.reject(error.reason, error.detail, payload)
            else:
                collect_segment(message, collected, payload, "", batch.sent_at)
        return collected, _json({"success": True})

    def _plausible(self, request: Request, body: bytes) -> tuple[Collected, Response]:
        event = read_plausible(body)
        collected = self._begin(request, self._gate.site_of_domain(event.d or event.domain))
        collect_plausible(event, collected, body)
        return collected, PlainTextResponse("ok", 202)

    def _events(self, request: Request, body: bytes) -> tuple[Collected, Response]:
        site = self._gate.site_of(self._gate.key_of(request))
        collected = self._begin(request, site)
        read_posted(body, collected)
        self._gate.charge(site, len(collected.records) + len(collected.rejected))
        numbers = {
            "accepted": len(collected.records),
            "rejected": len(collected.rejected),
            "skipped": collected.skipped.total(),
        }
        return collected, _json(numbers | {"details": collected.details})

    def _begin(self, request: Request, site: str, events: int = 1) -> Collected:
        self._gate.charge(site, events)
        return Collected(self._gate.received(request, site))

    async def _deliver(self, collected: Collected) -> Response | None:
        """Wait until Kafka has all; give a refusal where nothing of it could be used."""
        try:
            done = self._sender.deliver((*collected.records, *collected.rejected))
        except FullError:
            raise RefusedError(503, "busy", "too much waits for Kafka: come again", BUSY_S) from None
        except AwayError:
            raise RefusedError(503, "kafka_away", "no Kafka answers: come again", AWAY_S) from None
        finished, _ = await asyncio.wait([done], timeout=self._hold_s)
        # What waits on may still arrive, under the same ids: sent again, it counts once.
        if not finished or not done.result():
            raise RefusedError(503, "kafka_away", "Kafka did not take it in time: come again", AWAY_S)
        for reason, number in collected.reasons.items():
            collect_metrics.rejected.labels(reason).inc(number)
        for skip, number in collected.skipped.items():
            collect_metrics.skipped.labels(skip).inc(number)
        if collected.rejected and not collected.records and not collected.skipped:
            return _refusal(400, "unreadable", "; ".join(collected.details))
        return None

    async def _health(self, request: Request) -> Response:
        request.scope["culdesac_endpoint"] = "health"
        if self._sender.connected:
            return _json({"status": "ok"})
        return _json({"status": "no Kafka answers"}, 503, {"Retry-After": str(int(AWAY_S))})

    async def _openapi(self, request: Request) -> Response:
        request.scope["culdesac_endpoint"] = "openapi"
        return _json(document())


class _Counted:
    """Counts answers by where and how; a preflight that is refused is a refusal."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                preflight = scope["method"] == "OPTIONS" and message["status"] in (200, 400)
                endpoint = "preflight" if preflight else scope.get("culdesac_endpoint", "other")
                collect_metrics.requests.labels(endpoint, message["status"]).inc()
                if preflight and message["status"] == 400:
                    collect_metrics.refused.labels("cross_site").inc()
            await send(message)

        await self._app(scope, receive, counted)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


def _refusal(status: int, reason: Refusal, detail: str, headers: dict[str, str] | None = None) -> Response:
    collect_metrics.refused.labels(reason).inc()
    return _json({"error": reason, "detail": detail}, status, headers)


async def _no_such_thing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason: Refusal = "wrong_method" if error.status_code == 405 else "no_such_path"
    return _refusal(error.status_code, reason, "see /openapi.json", dict(error.headers or {}))


async def _broken(request: Request, error: Exception) -> Response:
    # What it was about may be personal: the kind of error and its place have to do.
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error("an error of ours: %s in %s, line %s", type(error).__name__, place.name, place.lineno)
    return _refusal(500, "broken", "an error of ours")
