"""Lanes: logs whose records nobody waits for are folded beside the others, one fetched batch at a time.

The copy of a page view is due at once; what pages and models make of a minute is not, and at the end of each minute
it takes a while for all of them together. Folded in turn, that while would be added to whatever comes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from faust.types import TP


class Lanes:
    """Work on partitions that goes on while others are looked after.

    One piece at a time: what is folded in one go is written in one batch, and many small ones cost more.

    Parameters
    ----------
    failed
        Called with the error when a piece of work has failed; must not return.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._tasks: dict[TP, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    def busy(self) -> set[TP]:
        """Partitions with work that is not done, of which no more should be fetched."""
        return {tp for tp, task in self._tasks.items() if not task.done()}

    async def begin(self, tp: TP, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin to work on a partition, when what was begun on it before has ended."""
        if (before := self._tasks.get(tp)) is not None:
            await asyncio.wait([before])
        self._tasks[tp] = asyncio.ensure_future(self._run(work))

    async def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            async with self._turn:
                await work()
        except Exception as error:  # noqa: BLE001  # whatever it is, this worker must not go on
            self._failed(error)
