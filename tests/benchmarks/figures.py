"""Figures: one JSON line each, with its workload; and what the operating system says of a process."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def say(figure: str, value: float, **workload: Any) -> None:
    """Print a figure with its workload."""
    sys.stdout.write(json.dumps({"figure": figure, "value": round(value, 3), **workload}) + "\n")
    sys.stdout.flush()


class Stolen:
    """How much of the machine's time its host takes away, since this was made."""

    def __init__(self) -> None:
        self._last = self._ticks()

    def share(self) -> float:
        """Part of all CPUs' time since the last time that this was asked."""
        last, self._last = self._last, self._ticks()
        return (self._last[0] - last[0]) / max(1, self._last[1] - last[1])

    @staticmethod
    def _ticks() -> tuple[int, int]:
        # user, nice, system, idle, iowait, irq, softirq, steal: the kernel's Documentation/filesystems/proc.rst
        ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return ticks[7], sum(ticks)


@cache
def _stolen() -> Stolen:
    return Stolen()  # not when this is imported: only Linux tells


def say_machine() -> None:
    """Print how fast this machine is just now, and how much of its time was taken away since the last time."""
    stolen = _stolen()
    say("machine_loop_cpu_s", loop_seconds(), loops=10_000_000)
    say("machine_stolen_share", stolen.share())


def loop_seconds() -> float:
    """CPU seconds of a fixed piece of work."""
    began = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number * number
    return time.process_time() - began


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def quantile(ordered: Sequence[float], share: float) -> float:
    """Value below which lies about this share of an ordered sequence; the greatest for share 1.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0, 3.0, 4.0], 1.0)
    (3.0, 4.0)
    """
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
