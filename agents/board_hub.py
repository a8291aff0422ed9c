"""The board's hub: what is known now, how the reading goes, and word to open pages that something has changed."""

from __future__ import annotations

import asyncio

from agents import board_metrics
from streams.board import Board


class Hub:
    """A board, whether it is whole, and who waits for news of it. Of one event loop.

    Attributes
    ----------
    board
        What is shown.
    source
        Where it comes from, in words.
    writable
        Whether decisions can be sent.
    loading
        What there was at the start is still being read.
    broken
        Why nothing new comes; None while all is well.
    broken_since
        When that began, as a person reads it (UTC).
    version
        Grows with each change.
    """

    def __init__(self, source: str, writable: bool) -> None:
        self.board = Board()
        self.source = source
        self.writable = writable
        self.loading = True
        self.broken: str | None = None
        self.broken_since = ""
        self.version = 0
        self._news = asyncio.Event()

    def tell(self) -> None:
        """Wake all who wait: something has changed."""
        self.version += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait(self, version: int, seconds: float) -> None:
        """Wait until there is something newer than a version, or for so long."""
        if self.version != version:
            return
        news = self._news
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            return

    def loaded(self) -> None:
        """Say that all was read that was there at the start."""
        if self.loading:
            self.loading = False
            self.tell()

    def breaks(self, reason: str, now: str) -> None:
        """Say that nothing new comes, and why."""
        board_metrics.connected.labels().set(0)
        if self.broken is None:
            self.broken_since = now
        if self.broken != reason:
            self.broken = reason
            self.tell()

    def heals(self) -> None:
        """Say that all is well."""
        board_metrics.connected.labels().set(1)
        if self.broken is not None:
            self.broken = None
            self.tell()
