"""The board's patience: who opens a connection and does not ask within seconds, or ever slower, is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_S = 5.0
"""A request's head that takes longer to come is not waited for: connections are few, and others want one, too."""


class ImpatientProtocol(H11Protocol):
    """Uvicorn's protocol, with a limit on how long the head of a request may take; uvicorn knows none."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a next request's head has a deadline of its own."""
        super().data_received(data)
        if self._deadline is None and self._is_in_head():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEADER_S, self._give_up)

    def _give_up(self) -> None:
        self._deadline = None
        if self._is_in_head():
            self.transport.close()

    def _is_in_head(self) -> bool:
        return self.conn.their_state is h11.IDLE and not (self.cycle and not self.cycle.response_complete)
