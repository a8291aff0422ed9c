"""Marking: tell every partition of the visitors' log how far the input partitions have come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka.errors import KafkaTimeoutError

from agents.sending import Record, Sender, encode
from agents.source_units import InputPartition
from schemas.marks import Mark, Progress
from streams.stages import EVERY_PARTITION, Output

LOG = "visitor-events"
EVERY_S = 0.1
"""Pace of marks while records come."""
ENTRIES_PER_S = 50_000
"""Each mark names the inputs that have got on, and goes into every partition of the log: with hundreds of both,
marks come less often, once a second at least, so that not many more entries than these are written a second."""
RENEW_S = 1.0
"""Pace at which claims of silence are renewed; they expire in the log after five seconds."""
ANSWER_S = 1.0
"""If the broker took so long to say where partitions end, the answer is too old for a claim of silence, and nothing
else waits for it."""
SILENT_S = 5.0
"""An input partition that is caught up and has been silent for so long no longer holds time back."""
DEAF_S = 2.5
"""If it took so long from one look to the next, because the broker hung or this worker stood still, producers may
have been unable to write as well: what was not heard meanwhile is no silence, which begins anew."""

Offsets = Mapping[str, int]


class Marker:
    """Writes marks of this worker's input partitions.

    One small record into each partition of the log, for all input partitions together. It may only claim what
    has been acknowledged: the events that a mark speaks of stand in the log before it.

    Parameters
    ----------
    sender
        The same producer that sends the events, or order would not hold.
    partitions
        Topic to number of partitions.
    upstreams
        How many input partitions there are in all, on all workers.
    inputs
        Gives the input partitions of this worker.
    ends
        Gives the end offset of the input partitions by name (``page-views/0``).

    Attributes
    ----------
    round_at
        When it last looked for news (s, monotonic): if it stopped, time would stand still without an error.
    """

    def __init__(
        self,
        sender: Sender,
        partitions: Mapping[str, int],
        upstreams: int,
        inputs: Callable[[], Sequence[InputPartition]],
        ends: Callable[[Sequence[InputPartition]], Awaitable[Offsets]],
    ) -> None:
        self._sender = sender
        self._partitions = partitions
        self._upstreams = upstreams
        self._inputs = inputs
        self._ends = ends
        self._sent: dict[str, Progress] = {}
        self._renewed_at = 0.0
        self._looked_at = time.monotonic()
        self._listening_since = 0.0
        self._question: asyncio.Future[Offsets] | None = None
        self.round_at = time.monotonic()

    async def run(self) -> None:
        """Write marks until cancelled. An error that is not a passing one ends in the caller."""
        pause_s = EVERY_S
        try:
            while True:
                self.round_at = time.monotonic()
                await asyncio.sleep(pause_s)
                entries = await self.mark()
                pause_s = min(max(EVERY_S, entries / ENTRIES_PER_S), RENEW_S)
        finally:
            if self._question is not None:
                self._question.cancel()

    async def mark(self) -> int:
        """Write one mark, if there is anything new to say; tell how many entries that makes in all partitions."""
        inputs = [opened for opened in self._inputs() if not opened.unit.dead]
        now = time.monotonic()
        if self._question is None or self._question.done():
            if now - self._looked_at >= DEAF_S:
                self._listening_since = now
            self._looked_at = now
        news = [
            opened.acknowledged
            for opened in inputs
            if opened.acknowledged is not None and self._is_news(opened.acknowledged)
        ]
        if now - self._renewed_at >= RENEW_S:
            self._renewed_at = now
            spoken = {progress.upstream for progress in news}
            news += [p for p in await self._silences(inputs, now) if p.upstream not in spoken]
        if not news:
            return 0
        progress = tuple(sorted(news, key=lambda p: p.upstream))
        mark = Mark(self._upstreams, progress)
        output = Output(LOG, "", mark, "mark", int(time.time() * 1000), partition=EVERY_PARTITION)
        targets, record = encode(output, self._partitions, "/culdesac/marks")
        batch: dict[tuple[str, int], list[Record]] = {target: [record] for target in targets}
        await self._sender.send(batch)
        for p in progress:
            self._sent[p.upstream] = p
        for opened in inputs:
            if (told := self._sent.get(opened.name)) is not None:
                opened.marked_offset = told.next_offset
        return len(progress) * len(targets)

    def _is_news(self, progress: Progress) -> bool:
        sent = self._sent.get(progress.upstream)
        return sent is None or (sent.next_offset, sent.time_ms) != (progress.next_offset, progress.time_ms)

    async def _silences(self, inputs: Sequence[InputPartition], now: float) -> list[Progress]:
        quiet = [
            opened
            for opened in inputs
            if opened.is_idle and (now - self._silent_since(opened) >= SILENT_S or opened.next_offset == 0)
        ]
        if not quiet:
            return []
        ends = await self._answer(quiet, now)
        silences = []
        for opened in quiet:
            # Looked at again after the question: a record may have come meanwhile.
            end = ends.get(opened.name)
            if end is None or opened.unit.dead or not opened.is_idle or opened.next_offset < end:
                continue
            base = opened.acknowledged or opened.processor.progress()
            silence_ms = int((now - self._silent_since(opened)) * 1000)
            silences.append(Progress(base.upstream, opened.next_offset, base.time_ms, silence_ms))
        return silences

    async def _answer(self, quiet: Sequence[InputPartition], now: float) -> Offsets:
        """Ask where partitions end; empty if the broker did not say in time. There is one open question at most."""
        asked_before = self._question is not None
        if self._question is None:
            self._question = asyncio.ensure_future(self._ends(quiet))
            # A broker that hangs may take a minute: what is not known is not claimed, and all else goes on.
            await asyncio.wait({self._question}, timeout=ANSWER_S)
        if not self._question.done():
            return {}
        question, self._question = self._question, None
        try:
            ends = question.result()
        except KafkaTimeoutError:
            return {}
        return {} if asked_before or time.monotonic() - now >= ANSWER_S else ends

    def _silent_since(self, opened: InputPartition) -> float:
        return max(opened.heard_at, self._listening_since)
