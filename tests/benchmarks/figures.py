"""Figures: one JSON line each, with its workload; and what the operating system says of a process."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def say(figure: str, value: float, **workload: Any) -> None:
    """Print a figure with its workload."""
    sys.stdout.write(json.dumps({"figure": figure, "value": round(value, 3), **workload}) + "\n")
    sys.stdout.flush()


def say_machine() -> None:
    """Print how fast this machine is just now, and how much of its time its host took away since the last time."""
    say("machine_loop_cpu_s", loop_seconds(), loops=10_000_000)
    spent = _cpu_ticks()
    if _last:
        stolen, whole = spent[0] - _last[0], spent[1] - _last[1]
        say("machine_stolen_share", stolen / max(1, whole))
    _last[:] = spent


_last: list[int] = []


def _cpu_ticks() -> tuple[int, int]:
    """Ticks of all CPUs that the host took away, and all of them, since this machine began."""
    # user, nice, system, idle, iowait, irq, softirq, steal: the kernel's Documentation/filesystems/proc.rst
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


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
