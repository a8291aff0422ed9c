"""Units: a stage on what a worker owns of its input, folding ahead while its last batch is being written.

The order of writes is the guarantee. A batch of a unit goes out as
(1) its outputs, acknowledged; (2) its changed state, then its fence, to the changelog, acknowledged; (3) state,
fence and changelog offset to the local store in one step; (4) only then may its source offset be committed.
A crash between any two of them is mended by reading the log again from the fence: the same records give the
same outputs under the same names and origins, which readers drop, and the same state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agents import metrics
from agents.sending import Record, Sender, encode
from agents.stores import ForeignWriterError
from streams.stages import Context, Output

FOLD_AHEAD = 10_000
"""Records that may be folded while a batch is being written; bounds memory when the broker is slow,"""
AHEAD_BYTES = 16 << 20
"""and bytes of their outputs, for a record may have 256 KiB; a slice may go beyond that."""
SLICE = 200
"""Records folded between two looks at the event loop at most: heartbeats and other units get their turn."""


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
        self._source = f"/culdesac/{stage}"
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
