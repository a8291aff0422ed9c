"""Watchdog: a worker that does not get on ends itself, so that a supervisor can start it anew."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from typing import TypeAlias

from faust.types import TP
from prometheus_client import Gauge

from agents import metrics
from agents.runner import Runner

ANSWER_S = 20.0
"""How long the broker may take to say where partitions end (s)."""
SLOW_S = 10.0
"""An event loop that stood still for so long (s) is not healthy."""

_Series: TypeAlias = tuple[metrics.Family[Gauge], object, object]


class Watchdog:
    """Watches commits, assignment and the event loop, and knows whether work goes on.

    Parameters
    ----------
    runner
        Whose worker this is.
    stall_s
        Records wait, and the commit of their partition stands still for so long (s): exit 71.
    unassigned_s
        A rebalance or a recovery does not end, or the broker does not answer, for so long (s): exit 72. A worker
        for which the group has no partition left is a spare, and healthy.
    blocked_s
        The event loop does not come round for so long (s), or a stop takes longer: exit 75.
    every_s
        Pace of looking (s).
    """

    def __init__(
        self,
        runner: Runner,
        stall_s: float = 60.0,
        unassigned_s: float = 180.0,
        blocked_s: float = 60.0,
        every_s: float = 2.0,
    ) -> None:
        self._runner = runner
        self._stall_s = stall_s
        self._unassigned_s = unassigned_s
        self._blocked_s = blocked_s
        self._every_s = every_s
        self._installed = False
        self._beat = self._ready_at = time.monotonic()
        self._looked_at = self._beat
        self._seen: dict[TP, tuple[int, float]] = {}
        self._shown: dict[_Series, float] = {}
        self._text = "starting"
        self._ok = False

    def health(self) -> tuple[bool, str]:
        """Whether work goes on, and a line that says why; may be asked from any thread."""
        blocked = time.monotonic() - self._beat
        if blocked > SLOW_S and self._installed:
            return False, f"the event loop has not come round for {blocked:.0f} s"
        return self._ok, self._text

    def install(self) -> None:
        """Begin to watch when the app starts."""
        self._runner.app.watch = self._watch

    async def _watch(self) -> None:
        self._beat = self._ready_at = time.monotonic()
        self._installed = True
        threading.Thread(target=self._watch_loop, daemon=True, name="watchdog").start()
        beating = asyncio.ensure_future(self._keep_beating())
        try:
            while not self._runner.app.should_stop:
                await asyncio.sleep(self._every_s)
                await self.look()
        finally:
            beating.cancel()
            self._ok, self._text = False, "stopping"

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(self._every_s / 4)

    def _watch_loop(self) -> None:
        while True:
            time.sleep(self._every_s / 4)
            if time.monotonic() - self._beat > self._blocked_s:
                # After the end of `watch` nothing beats any more: so a stop has a limit, too.
                stopping = self._runner.app.should_stop
                self._runner.crash(
                    75, "did not come to an end" if stopping else "the event loop stands still"
                )

    async def look(self) -> None:
        """Look once; ends the process if work does not go on."""
        runner, now = self._runner, time.monotonic()
        tps = runner.owned.partitions() if runner.is_open else []
        reason = "taking over partitions"
        ends: dict[TP, int] = {}
        if runner.is_open:
            try:
                ends = dict(await asyncio.wait_for(runner.consumer.highwaters(*tps), ANSWER_S)) if tps else {}
            except Exception as error:  # noqa: BLE001  # any failure means that the broker does not answer
                reason = f"the broker does not answer ({type(error).__name__})"
            if not tps:
                reason = "no partitions: this worker is a spare"
        for tp in self._seen.keys() - set(tps):
            del self._seen[tp]
        if runner.is_open and not tps and runner.consumer.is_member(runner.generation):
            # In the group, and nothing left for it: it takes over when another one goes.
            self._ready_at, self._ok, self._text = now, True, reason
            self._measure({})
        elif ends:
            self._ready_at = now
            self._judge(ends, now)
        else:
            # While the broker is away nothing can get on; after that, the time that was left goes on.
            away_s = now - self._looked_at
            self._seen = {tp: (committed, since + away_s) for tp, (committed, since) in self._seen.items()}
            self._ok, self._text = False, reason
            silent_s = now - max(self._ready_at, runner.progress_at)
            if silent_s > self._unassigned_s:
                runner.crash(72, f"{reason} for {silent_s:.0f} s")
        self._looked_at = now

    def _judge(self, ends: dict[TP, int], now: float) -> None:
        worst = 0.0
        for tp, end in ends.items():
            committed = self._runner.consumer.committed(tp)
            before, since = self._seen.get(tp, (-1, now))
            if committed != before or committed >= (end or 0):
                self._seen[tp] = (committed, now)
            else:
                worst = max(worst, now - since)
                if now - since > self._stall_s:
                    self._runner.crash(71, f"{tp.topic}/{tp.partition} stands at {committed} of {end}")
        self._ok = worst < self._stall_s / 2
        self._text = "ok" if self._ok else f"a partition has not got on for {worst:.0f} s"
        self._measure(ends)

    def _measure(self, ends: dict[TP, int]) -> None:
        prefix, now_ms = self._runner.deployment.prefix, time.time() * 1000
        shown: dict[_Series, float] = {}
        owned = self._runner.owned
        for tp in owned.partitions():
            behind = (ends.get(tp) or 0) - (owned.done_offset(tp) or 0)
            shown[metrics.lag_records, tp.topic.removeprefix(prefix), tp.partition] = behind
        for unit in itertools.chain.from_iterable(owned.log_units.values()):
            context = unit.processor.context
            if context.watermark > 0:
                delay_s = max(0.0, (now_ms - context.watermark) / 1000)
                shown[metrics.watermark_delay_seconds, unit.stage, unit.partition] = delay_s
            if unit.stage == "sessions":
                shown[metrics.open_sessions, unit.partition, None] = len(context.state)
        # What belongs to another worker now would stay as it was, and be counted twice.
        for (family, *labels), value in (dict.fromkeys(self._shown, 0.0) | shown).items():
            family.labels(*(label for label in labels if label is not None)).set(value)
        self._shown = shown
