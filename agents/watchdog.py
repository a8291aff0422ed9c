"""Watchdog: a worker that does not get on ends itself, so that a supervisor can start it anew."""

from __future__ import annotations

import asyncio
import faulthandler
import itertools
import threading
import time
from typing import TypeAlias

from faust.types import TP
from prometheus_client import Gauge

from agents import metrics
from agents.runner import Runner

ANSWER_S = 20.0
"""How long the broker may take to say where partitions end (s); no more than half of its limit."""
SLOW_S = 10.0
"""An event loop that stood still for so long (s) is not healthy."""

_Series: TypeAlias = tuple[metrics.Family[Gauge], tuple[object, ...]]


CAUSE_S = 2.0
"""Of things that have stood still for as long, give or take this (s), the first is named: it causes the others."""


class Watchdog:
    """Watches commits, fetches, marks, assignment and the event loop, and knows whether work goes on.

    It is three that watch each other: a task that looks at the work, a thread that looks at the task and at the
    event loop, and a timer of the interpreter's own that ends a process in which no thread gets on any more.

    Parameters
    ----------
    runner
        Whose worker this is.
    stall_s
        Records wait, and the commit of their partition stands still for so long (s); or nothing is fetched, or
        no marks are written: exit 71.
    unassigned_s
        A rebalance or a recovery does not end, or the broker does not answer, for so long (s): exit 72. A worker
        for which the group has no partition left is a spare, and healthy.
    blocked_s
        The event loop does not come round for so long (s), or a start or a stop takes longer: exit 75. Where not
        even a thread gets on for twice as long, the interpreter shows what all threads do, and exits with 1.
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
        self._answer_s = min(ANSWER_S, unassigned_s / 2)
        self._installed = False
        self._thread = threading.Thread(target=self._watch_loop, daemon=True, name="watchdog")
        self._beat = self._ready_at = time.monotonic()
        self._looked_at = self._beat
        self._seen: dict[TP, tuple[int, float]] = {}
        self._shown: dict[_Series, float] = {}
        self._text = "starting"
        self._ok = False

    def health(self) -> tuple[bool, str]:
        """Whether work goes on, and a line that says why; may be asked from any thread."""
        blocked = time.monotonic() - self._beat
        if blocked > min(SLOW_S, self._blocked_s / 2) and self._installed:
            return False, f"the event loop has not come round for {blocked:.0f} s"
        return self._ok, self._text

    def install(self) -> None:
        """Begin to watch: the start at once, and the work when the app starts."""
        metrics.healthy.labels().set_function(lambda: float(self.health()[0]))
        self._beat = time.monotonic()
        self._thread.start()
        self._runner.app.watch = self._watch

    async def _watch(self) -> None:
        self._beat = self._ready_at = self._looked_at = time.monotonic()
        self._installed = True
        beating = asyncio.ensure_future(self._keep_beating())
        try:
            while not self._runner.app.should_stop:
                await asyncio.sleep(self._every_s)
                if not self._thread.is_alive():
                    self._runner.crash(75, "the thread that watches the event loop has ended")
                await self.look()
        except Exception as error:  # noqa: BLE001  # nobody would watch any more
            self._runner.crash(70, f"the watchdog failed: {error!r}")
        finally:
            beating.cancel()
            self._ok, self._text = False, "stopping"

    async def _keep_beating(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(self._every_s / 4)

    def _watch_loop(self) -> None:
        while True:
            # Set anew each time: it runs off where this thread does not get on, as under a held interpreter lock.
            faulthandler.dump_traceback_later(2 * self._blocked_s, exit=True)
            time.sleep(self._every_s / 4)
            now, app = time.monotonic(), self._runner.app
            if now - self._beat > self._blocked_s:
                # After the end of `watch` nothing beats any more: so a stop has a limit, too.
                reason = "did not come to an end" if app.should_stop else "the event loop stands still"
                self._runner.crash(75, reason if self._installed else "did not come to a start")
            if (
                now - self._looked_at > self._blocked_s + self._answer_s
                and self._installed
                and not app.should_stop
            ):
                self._runner.crash(75, "the watchdog does not come round")

    async def look(self) -> None:
        """Look once; ends the process if work does not go on."""
        runner, now = self._runner, time.monotonic()
        if (broken := runner.broken()) is not None:
            runner.crash(70, broken)
        tps = runner.owned.partitions() if runner.is_open else []
        reason = "taking over partitions"
        ends: dict[TP, int] = {}
        if runner.is_open:
            try:
                ends = (
                    dict(await asyncio.wait_for(runner.consumer.highwaters(*tps), self._answer_s))
                    if tps
                    else {}
                )
            except Exception as error:  # noqa: BLE001  # any failure means that the broker does not answer
                reason = f"the broker does not answer ({type(error).__name__})"
            if not tps:
                reason = "no partitions: this worker is a spare"
        for tp in self._seen.keys() - set(tps):
            del self._seen[tp]
        if runner.is_open and not tps and runner.consumer.is_member(runner.generation):
            # In the group, and nothing left for it: it takes over when another one goes.
            self._ready_at, self._ok, self._text = now, True, reason
            metrics.standstill_seconds.labels().set(0)
            self._measure({})
        elif ends:
            self._ready_at = now
            self._judge(ends, now)
        else:
            # While the broker is away nothing can get on; after that, the time that was left goes on.
            self._pass_over(time.monotonic() - self._looked_at)
            self._ok, self._text = False, reason
            silent_s = now - max(self._ready_at, runner.progress_at)
            metrics.standstill_seconds.labels().set(silent_s)
            if silent_s > self._unassigned_s:
                runner.crash(72, f"{reason} for {silent_s:.0f} s")
        self._looked_at = time.monotonic()

    def _pass_over(self, away_s: float) -> None:
        """Do not count this time as standing still."""
        self._seen = {tp: (committed, since + away_s) for tp, (committed, since) in self._seen.items()}
        now, runner = time.monotonic(), self._runner
        for loop in (runner.consumer if runner.is_open else None, runner.marker):
            if loop is not None:
                loop.round_at = min(now, loop.round_at + away_s)

    def _judge(self, ends: dict[TP, int], now: float) -> None:
        standing = self._standing(ends, now)
        worst = max(standing.values())
        # Partitions stand, too, when fetches or marks do: of what stands as long, give or take a look, the cause.
        reason = next(name for name, seconds in standing.items() if seconds >= worst - CAUSE_S)
        if worst > self._stall_s:
            self._runner.crash(71, f"{reason} for {worst:.0f} s")
        self._ok = worst < self._stall_s / 2
        self._text = "ok" if self._ok else f"{reason} for {worst:.0f} s"
        metrics.standstill_seconds.labels().set(worst)
        self._measure(ends)

    def _standing(self, ends: dict[TP, int], now: float) -> dict[str, float]:
        """Tell what stands still, and for how long (s)."""
        runner = self._runner
        standing = {"nothing has been fetched": runner.consumer.stands_s(now)}
        if runner.marker is not None:
            standing["no marks have been written"] = now - runner.marker.round_at
        for tp, end in ends.items():
            committed = runner.consumer.committed(tp)
            before, since = self._seen.get(tp, (-1, now))
            if committed != before or committed >= (end or 0):
                self._seen[tp] = (committed, now)
            else:
                standing[f"{tp.topic}/{tp.partition} stands at {committed} of {end}"] = now - since
        return standing

    def _measure(self, ends: dict[TP, int]) -> None:
        prefix, now_ms = self._runner.deployment.prefix, time.time() * 1000
        shown: dict[_Series, float] = {}
        owned = self._runner.owned
        for tp in owned.partitions():
            behind = (ends.get(tp) or 0) - (owned.done_offset(tp) or 0)
            shown[metrics.lag_records, (tp.topic.removeprefix(prefix), tp.partition)] = behind
        for unit in itertools.chain.from_iterable(owned.log_units.values()):
            context = unit.processor.context
            if context.watermark > 0:
                delay_s = max(0.0, (now_ms - context.watermark) / 1000)
                shown[metrics.watermark_delay_seconds, (unit.stage, unit.partition)] = delay_s
            if unit.stage == "sessions":
                shown[metrics.open_sessions, (unit.partition,)] = len(context.state)
            for (gauge, label), value in context.gauges.items():
                if gauge in metrics.OF_PARTITIONS:
                    family = metrics.OF_PARTITIONS[gauge]
                    series = family, family.words(*label.split(), unit.partition)
                    # Labels that no one knows are one series, so they are added up.
                    shown[series] = shown.get(series, 0.0) + value
        # What belongs to another worker now would stay as it was, and be counted twice.
        for (family, labels), value in (dict.fromkeys(self._shown, 0.0) | shown).items():
            family.labels(*labels).set(value)
        self._shown = shown
