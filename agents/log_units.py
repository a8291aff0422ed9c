"""Log units: a stage with state on one partition of its log; state is written more seldom than outputs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence

from agents.changelogs import FENCE_KEY, top_header, write_fence
from agents.sending import Record
from agents.stores import Store
from agents.units import Fetched, Outlet, Unit
from streams.processors import LogProcessor

FOLD_S = 0.01
"""No slice takes longer than this, a single record apart: a visitor with thousands of clicks costs milliseconds a
record, and a slice of them would hold up the event loop beyond the lease, again after each restart."""
STORE_EVERY_S = 2.0
"""Pace at which state is written. Outputs go out at once; state that changes with every record, as the weights of
a regression do, is written once for all the records of such a while. A crash makes that while be read again. A
quarter of this made a backlog a third dearer to work off: a minute of traffic is over before it is written."""
STORE_AT_REST_S = 1.0
"""The same where all that came is folded and sent: who has time need not leave it unwritten."""
ROWS_AGAIN = 2_000
"""Rows that are written again at once; bounds memory while a state is brought to a new format."""


class LogUnit(Unit):
    """A stage with state on one partition of its log.

    Parameters
    ----------
    processor
        What to do with the records.
    next_offset
        First offset to fold.
    store, changelog
        Where the state is kept, near and far.
    outlet
        What it writes through.

    Attributes
    ----------
    done_offset
        First offset whose outputs and state are not yet written.
    """

    def __init__(
        self,
        processor: LogProcessor,
        next_offset: int,
        store: Store,
        changelog: str,
        outlet: Outlet,
    ) -> None:
        super().__init__(processor.stage.name, outlet)
        self.processor = processor
        self.partition = processor.partition
        self.next_offset = next_offset
        self.done_offset = next_offset
        self.store = store
        self._changelog = changelog
        self._unstored = False
        self._stored_at = -math.inf
        self._alarm: asyncio.TimerHandle | None = None
        self._touched = False

    def start(self) -> None:
        """Begin to write what is folded, and first what recovery has changed."""
        super().start()
        if self._touched or self.processor.context.state.is_dirty:
            self.touch()

    def kill(self) -> None:
        """Stop writing at once; see `Unit`."""
        super().kill()
        if self._alarm is not None:
            self._alarm.cancel()

    def touch(self) -> None:
        """Write the fence again, and what of the state is marked as changed, although nothing was folded."""
        self._touched = True
        self._notify()

    async def write_again(self, keys: Sequence[str]) -> None:
        """Write the fence, then the rows of these keys, although nothing was folded; before `start` only.

        A fence in a new format goes first: a version that does not know the format then refuses all.
        """
        self.store.holds = True
        self._check = lambda: None  # nobody keeps the lease before the partitions are open
        for begin in range(0, len(keys), ROWS_AGAIN):
            if not begin:
                await self._flush()
            self._stored_at = -math.inf
            self.processor.context.state.touch(keys[begin : begin + ROWS_AGAIN])
            await self._flush()
        self.store.holds, self._check = False, self._outlet.check
        self._stored_at = -math.inf
        self.touch()

    def fold(self, records: Sequence[Fetched]) -> int:
        """Apply records, the first of which must be at `next_offset`, or as many as `FOLD_S` allows.

        Takes no turn of the event loop.

        Returns
        -------
        int
            How many were taken in: all, unless that takes longer than `FOLD_S`, or the last of them is unfinished.
        """
        began, clock = time.thread_time(), time.monotonic
        limit = clock() + FOLD_S
        processor, take, count, parts = self.processor, self._take, 0, 0
        if processor.is_unfinished:
            outputs = processor.go_on()
            take(outputs)
            parts = len(outputs)
        begin = processor.begin
        for fetched in () if processor.is_unfinished else records:
            outputs = begin(fetched.offset, fetched.timestamp, fetched.value)
            count += 1
            if outputs:
                take(outputs)
                if processor.is_unfinished:
                    break
            if clock() > limit:
                break
        self.next_offset = processor.fence.offset + (0 if processor.is_unfinished else 1)
        self._folded(count + parts, began)
        return count

    @property
    def is_unfinished(self) -> bool:
        """Whether a record is applied in part only: what it says so far may be sent, but no state may be kept."""
        return self.processor.is_unfinished

    async def _rest(self) -> None:
        if self.is_unfinished:
            await super()._rest()
        elif self._touched:
            await self._flush()
        elif self._unstored:
            if self._alarm is None:
                rest_s = self._stored_at + STORE_AT_REST_S - time.monotonic()
                self._alarm = asyncio.get_running_loop().call_later(max(0.0, rest_s), self._store_now)
            await self._wake.wait()
            self._wake.clear()
        else:
            await super()._rest()

    def _store_now(self) -> None:
        """Have what was folded stored, though nothing more may come."""
        self._alarm = None
        if self._unstored and not self.is_unfinished:
            self._touched = True
            self._wake.set()

    async def _flush(self) -> None:
        processor = self.processor
        state, next_offset = processor.context.state, self.next_offset
        due_at = self._stored_at + (STORE_AT_REST_S if self._touched else STORE_EVERY_S)
        self._touched = False
        stores = not self.is_unfinished and time.monotonic() >= due_at
        self._unstored = not stores
        rows = state.drain() if stores else []
        fence = write_fence(processor.fence) if stores else b""
        await self._send_outputs()
        if not stores:
            return
        target = (self._changelog, self.partition)
        headers = top_header(next_offset - 1, processor.fence.format)
        records = [Record(key, row, headers) for key, row in rows]
        records.append(Record(FENCE_KEY, fence, headers))
        spans = await self._outlet.sender.send({target: records})
        await self._step("changelog")
        self.store.write(rows, fence, next_offset - 1, *spans[target])
        state.settle()
        self._stored_at = time.monotonic()
        await self._step("stored")
        self.done_offset = next_offset
        self._count(processor.context)

    def __str__(self) -> str:
        """Name it in a message."""
        return f"{self.stage}/{self.partition}"
