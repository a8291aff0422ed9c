"""One request to the collector: who may send, how much, and the body; or a refusal with a typed reason."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import time
import uuid
from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect, Request

from agents.collect_metrics import Refusal
from agents.settings import WorkerSettings
from streams.collected import Received, day_salt
from streams.pseudonyms import truncate_ip
from streams.token_buckets import TokenBuckets

MEDIA_TYPES: Final = ("", "application/json", "text/plain")
"""A browser sends text/plain without asking first; what is in it is JSON."""
CHARSETS: Final = ("", "utf-8", "utf8", "us-ascii")
BYTES_A_TOKEN: Final = 64 * 1024
"""A body takes one token of its client's bucket for each of them that is begun."""
USER_AGENT_CHARS: Final = 1_024


class RefusedError(Exception):
    """A request is not accepted.

    Attributes
    ----------
    status
        Of the answer.
    reason
        For the metrics.
    detail
        What is wrong and how to mend it; no value of the request.
    after_s
        When to come again; None: never so.
    """

    def __init__(self, status: int, reason: Refusal, detail: str, after_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.status = status
        self.reason: Refusal = reason
        self.detail = detail
        self.after_s = after_s

    def headers(self) -> dict[str, str]:
        """Headers of the answer; where the body was not read, the connection ends with it."""
        headers = {} if self.after_s is None else {"Retry-After": str(max(1, math.ceil(self.after_s)))}
        if self.reason in ("too_large", "slow_body", "busy", "rate_of_client"):
            headers["Connection"] = "close"
        return headers


class Gate:
    """Lets requests in.

    Parameters
    ----------
    settings
        Of the collector.
    secret
        Key of the days' visitor ids.
    clock, now
        Seconds that only go on, and wall clock (s).
    """

    def __init__(
        self,
        settings: WorkerSettings,
        secret: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        own = settings.collect
        self._origins = own.allowed_origins()
        self._site_of_key = own.site_of_key()
        self._sites = frozenset(self._site_of_key.values())
        self._most_bytes = own.max_body_kb * 1024
        self._body_s = own.body_timeout_ms / 1000
        self._keep_query = settings.streams.keep_query
        self._clients = TokenBuckets(own.client_rate, own.client_burst)
        self._of_sites = TokenBuckets(own.site_rate, own.site_burst)
        # Half as much as may wait for Kafka: who sends slowly takes nothing away from those who have sent.
        self._most_reading = own.in_flight_mb * 1024 * 1024 // 2
        self._reading = 0
        self._secret = secret
        self._clock = clock
        self._now = now

    async def body(self, request: Request) -> bytes:
        """Check all that the headers tell, then read the body.

        Raises
        ------
        RefusedError
            The origin may not send, the body is encoded, too large or too slow, or the client sends too often.
        """
        headers = request.headers
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self._origins:
            raise RefusedError(403, "cross_site", "this origin may not send: see collect origins")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedError(415, "encoding", "send the body without Content-Encoding")
        media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
        if media_type.strip() not in MEDIA_TYPES or charset not in CHARSETS:
            raise RefusedError(415, "media_type", "send application/json or text/plain in UTF-8")
        said = headers.get("content-length", "")
        declared = int(said) if said.isascii() and said.isdecimal() else self._most_bytes
        if declared > self._most_bytes:
            raise RefusedError(413, "too_large", f"send at most {self._most_bytes} bytes")
        tokens = 1 + declared // BYTES_A_TOKEN if said else 1
        if wait_s := self._clients.take(self.network(request) or "", self._clock(), tokens):
            raise RefusedError(429, "rate_of_client", "slow down", wait_s)
        return await self._read(request)

    async def _read(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > self._most_bytes:
                        raise RefusedError(413, "too_large", f"send at most {self._most_bytes} bytes")
                    if self._reading + len(chunk) > self._most_reading:
                        raise RefusedError(503, "busy", "come again", 1.0)
                    self._reading += len(chunk)
                    body += chunk
        except TimeoutError:
            raise RefusedError(408, "slow_body", f"send the body within {self._body_s:g} s") from None
        except ClientDisconnect:
            raise RefusedError(400, "gone", "the body did not end") from None
        finally:
            self._reading -= len(body)
        return bytes(body)

    def site_of(self, key: str | None) -> str:
        """Give the site of a key.

        Raises
        ------
        RefusedError
            There is no such key.
        """
        site = self._site_of_key.get(key or "")
        if site is None:
            raise RefusedError(401, "unknown_key", "name a key of collect sites")
        return site

    def site_of_domain(self, domain: str | None) -> str:
        """Give the site of a domain, which is a key by itself for trackers that have no other.

        Raises
        ------
        RefusedError
            There is no such site.
        """
        # A page may report to several sites at once, as Plausible lets it; the first counts.
        site = (domain or "").partition(",")[0].strip()
        if site not in self._sites:
            raise RefusedError(401, "unknown_key", "name a site of collect sites as the domain")
        return site

    def charge(self, site: str, events: int) -> None:
        """Take a site's events out of its bucket.

        Raises
        ------
        RefusedError
            It sends too often.
        """
        if wait_s := self._of_sites.take(site, self._clock(), max(events, 1)):
            raise RefusedError(429, "rate_of_site", "slow down", wait_s)

    def received(self, request: Request, site: str) -> Received:
        """Say what is kept of a request beside its body."""
        now_ms = int(self._now() * 1000)
        return Received(
            id=uuid.uuid4().hex,
            at_ms=now_ms,
            site=site,
            salt=day_salt(self._secret, now_ms),
            network=self.network(request),
            user_agent=request.headers.get("user-agent", "")[:USER_AGENT_CHARS] or None,
            private=request.headers.get("sec-gpc") == "1",
            keep_query=self._keep_query,
        )

    @staticmethod
    def network(request: Request) -> str | None:
        """Give the client's truncated address; None where it has none."""
        return truncate_ip(request.client.host) if request.client is not None else None

    @staticmethod
    def key_of(request: Request) -> str | None:
        """Find the key where a tracker can put one beside the body: the user of Basic, a Bearer, ``?key=``."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return value.strip()
        if kind.lower() == "basic":
            try:
                return base64.b64decode(value, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError, ValueError):
                return None
        return request.query_params.get("key")
