"""Connections of the collector: what the parser leaves open is bounded here, in number, bytes and seconds.

The parser gathers headers for as long as they come. Whoever sends them drop by drop, or without end, is sent away
before a request has begun; he slows down nobody.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agents import collect_metrics

MAX_HEADER_BYTES: Final = 32 * 1024
_SLOW = (408, b"Request Timeout", "slow_headers")
_LARGE = (431, b"Request Header Fields Too Large", "headers")


class CollectConnection(HttpToolsProtocol):
    """One connection.

    Parameters
    ----------
    most
        Connections at a time; the next is closed at once.
    max_request_bytes
        All of a request as it is sent, headers and framing included.
    header_s
        From the connection, or the first byte of a further request, to the end of its headers.
    """

    def __init__(self, *args: Any, most: int, max_request_bytes: int, header_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._most = most
        self._header_s = header_s
        self._max_request_bytes = max_request_bytes
        self._bytes = 0
        self._in_headers = True
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._most:
            collect_metrics.refused.labels("too_many_connections").inc()
            transport.abort()
            return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes, and hand it to the parser."""
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes > (MAX_HEADER_BYTES if self._in_headers else self._max_request_bytes):
            self._refuse(*_LARGE)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        collect_metrics.refused.labels("bad_request").inc()
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin to count a request."""
        super().on_message_begin()
        self._in_headers = True
        if self._limit is None:
            self._watch()

    def on_headers_complete(self) -> None:
        """Stop the clock: from here on the body has its own."""
        self._in_headers = False
        self._unwatch()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin anew for the next request."""
        self._bytes = 0
        super().on_message_complete()

    def _watch(self) -> None:
        self._limit = self.loop.call_later(self._header_s, partial(self._refuse, *_SLOW))

    def _unwatch(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _refuse(self, status: int, phrase: bytes, reason: str) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if not self._bytes:
            # A browser that has opened a connection in advance, and not needed it.
            self.transport.close()
            return
        collect_metrics.refused.labels(reason).inc()
        if self._in_headers:
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, phrase)
            )
        self.transport.close()
