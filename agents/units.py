"""Units: a stage on what a worker owns of its input, folding ahead while its last batch is being written.

The order of writes is the guarantee. A batch of a unit goes out as
(1) its outputs, acknowledged; (2) its changed state, then its fence, to the changelog, acknowledged; (3) state,
fence and changelog offset to the local store in one step; (4) only then may its source offset be committed.
A crash between any two of them is mended by reading the log again from the fence: the same records give the
same outputs under the same names and origins, which readers drop, and the same state.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agents import metrics
from agents.sending import Record, Sender, encode
from agents.stores import FENCE_KEY, ForeignWriterError, Store, top_header, write_fence
from streams.processors import LogProcessor
from streams.stages import Context, Output

FOLD_AHEAD = 10_000
"""Records that may be folded while a batch is being written; bounds memory when the broker is slow,"""
AHEAD_BYTES = 16 << 20
"""and bytes of their outputs, for a record may have 256 KiB; a slice may go beyond that."""
SLICE = 200
"""Records folded between two looks at the event loop at most: heartbeats and other units get their turn."""
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


class Fetched(Protocol):
    """A record as the client library hands it over."""

    offset: int
    timestamp: int
    value: bytes | None


class DroppedError(Exception):
    """The partition is no longer ours: nothing of it may be written any more."""


@dataclass(frozen=True)
class Outlet:
    """What all units of a worker write through, and whom they ask and tell.

    Attributes
    ----------
    sender, partitions
        Where outputs go; topic to number of partitions.
    crash
        Called with an exit code and a reason when a unit can't go on; must not return.
    checkpoint
        Awaited with stage and step between the writes; see `Deployment`.
    check
        Called before each write; must not return when this worker may have been given up by the group.
    """

    sender: Sender
    partitions: Mapping[str, int]
    crash: Callable[[int, str], None]
    checkpoint: Callable[[str, str], Awaitable[None]] | None = None
    check: Callable[[], None] = lambda: None


class Unit:
    """What units have in common: outputs that wait, and one task that writes them, a batch at a time.

    Parameters
    ----------
    stage
        Name of the stage.
    outlet
        What it writes through.

    Attributes
    ----------
    dead
        Nothing of it may be written any more.
    pending
        Records that were folded and are not being written yet.
    pending_bytes
        Of the outputs that wait with them.
    idle, room
        Set while all that was folded is written; while more may be folded.
    """

    def __init__(self, stage: str, outlet: Outlet) -> None:
        self.stage = stage
        self.dead = False
        self.pending = 0
        self.pending_bytes = 0
        self._outlet = outlet
        self._check = outlet.check
        self._source = f"/culdesac/{stage}".encode()
        self._spent = metrics.stage_cpu_seconds.labels(stage)
        self._batched = metrics.batch_records.labels(stage)
        self._outbox: dict[tuple[str, int], list[Record]] = {}
        self._received_ms: list[int] = []
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        self.room = asyncio.Event()
        self.idle.set()
        self.room.set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write what is folded."""
        self._task = asyncio.ensure_future(self._flush_forever())

    def kill(self) -> None:
        """Stop writing at once; what was not written is read again by whoever owns the partition next."""
        self.dead = True
        self._outbox = {}
        self._received_ms = []
        if self._task is not None:
            self._task.cancel()
        for event in (self._wake, self.room, self.idle):
            event.set()

    async def stop(self) -> None:
        """Kill, and wait until nothing of it runs."""
        self.kill()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    # ---- folding

    def _take(self, outputs: Iterable[Output]) -> None:
        """Put outputs where they wait to be sent."""
        outbox, partitions = self._outbox, self._outlet.partitions
        for output in outputs:
            targets, record = encode(output, partitions, self._source)
            self.pending_bytes += len(record.value or b"")
            for target in targets:
                if target in outbox:
                    outbox[target].append(record)
                else:
                    outbox[target] = [record]
            if output.received_ms is not None:
                self._received_ms.append(output.received_ms)

    def _folded(self, count: int, began: float) -> None:
        """Note that so many records were folded, since an instant of this thread's CPU time (s)."""
        self.pending += count
        if self.pending > FOLD_AHEAD or self.pending_bytes > AHEAD_BYTES:
            self.room.clear()
        self._notify()
        self._spent.inc(time.thread_time() - began)

    def _notify(self) -> None:
        self.idle.clear()
        self._wake.set()

    # ---- writing

    async def _flush_forever(self) -> None:
        try:
            while not self.dead:
                if self.pending:
                    await self._flush()
                else:
                    await self._rest()
        except (DroppedError, asyncio.CancelledError):
            pass
        except ForeignWriterError as error:
            self._outlet.crash(76, str(error))
        except BaseException as error:  # noqa: BLE001  # whatever it is, this worker must not go on
            if not self.dead:
                self._outlet.crash(70, f"writing a batch of {self} failed: {error!r}")
        finally:
            self.idle.set()
            self.room.set()

    async def _rest(self) -> None:
        """Wait for something to write."""
        self.idle.set()
        await self._wake.wait()
        self._wake.clear()

    async def _flush(self) -> None:
        """Write all that was folded up to now, in the order that the guarantee rests on."""
        raise NotImplementedError

    async def _step(self, name: str) -> None:
        if self._outlet.checkpoint is not None:
            await self._outlet.checkpoint(self.stage, name)
        if self.dead:
            raise DroppedError
        self._check()

    async def _send_outputs(self) -> None:
        """Send the outputs of all that was folded, and wait until they are acknowledged."""
        outbox, self._outbox = self._outbox, {}
        received, self._received_ms = self._received_ms, []
        count, self.pending, self.pending_bytes = self.pending, 0, 0
        self.room.set()
        await self._step("folded")
        if outbox:
            await self._outlet.sender.send(outbox)
            now_ms, observe = time.time() * 1000, metrics.enriched_seconds.labels().observe
            for received_ms in received:
                observe(max(0.0, (now_ms - received_ms) / 1000))
        await self._step("outputs")
        if count:
            self._batched.observe(count)

    def _count(self, context: Context) -> None:
        metrics.apply_counts(self.stage, context.counts)
        metrics.apply_gauges(context.gauges)

    def __str__(self) -> str:
        """Name it in a message."""
        return self.stage


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
