"""A worker that samples itself: which part of it the CPU was in, by thread. Started by `tests.benchmarks.parts`.

The operating system's profiling timer interrupts the process every few milliseconds of its CPU time. What each
thread has used since then, by its own clock, is booked on where it stands; the rest is native threads (RocksDB).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

from agents.commands import main

EVERY_S = 0.003
WRITE_S = 1.0
OUT = "BENCHMARK_PARTS"

#: Part, and what a file's name holds that shows it; the first that any frame shows, from the innermost one on.
INNER = (
    ("changelog and outputs: batches, sending", ("/aiokafka/producer/", "/agents/sending.py")),
    ("local store", ("/agents/stores.py", "/agents/local_copies.py")),
    ("state rows (JSON), eviction", ("/streams/states.py",)),
)
STAGES = (
    ("pages", ("/streams/pages.py", "/streams/page_scoring.py")),
    ("models", ("/streams/models.py",)),
    ("sessions", ("/streams/sessions.py",)),
    ("customers", ("/streams/customers.py",)),
    ("intake", ("/streams/intake.py",)),
)
OUTER = (
    ("decoding log records (JSON), marks", ("/streams/processors.py",)),
    ("units, pump, merging, marks", ("/agents/",)),
    ("Faust, mode", ("/faust/", "/mode/")),
    ("aiokafka: fetching, connections", ("/aiokafka/",)),
)


def part_of(frame: FrameType | None) -> str:
    """Part of the worker that a frame stands in."""
    names: list[str] = []
    parts: tuple[tuple[str, tuple[str, ...]], ...]
    while frame is not None:
        names.append(frame.f_code.co_filename)
        frame = frame.f_back
    # Reading state belongs to the stage that asks; writing it is asked by no stage.
    for parts in (STAGES, INNER, OUTER):
        for name in names:
            for part, marks in parts:
                if any(mark in name for mark in marks):
                    return part
    return "event loop"


class Sampler:
    """Books CPU seconds on parts."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._threads: dict[int, float] = {}
        self._process = time.process_time()
        self._out = Path(os.environ[OUT])
        self._write_at = 0.0

    def sample(self, *_: object) -> None:
        """Book what was used since the last time."""
        booked = 0.0
        frames = sys._current_frames()
        for thread in threading.enumerate():
            ident = thread.ident
            if ident is None or ident not in frames:
                continue
            clock = time.pthread_getcpuclockid(ident)
            now = time.clock_gettime(clock)
            before = self._threads.get(ident, now)
            self._threads[ident] = now
            frame: FrameType | None = frames[ident]
            if thread is threading.main_thread() and frame is not None:
                frame = frame.f_back  # this handler's own
            part = part_of(frame)
            if thread is not threading.main_thread() and part in ("event loop", "Faust, mode"):
                part = "aiokafka: fetching, connections"
            self.spent[part] += now - before
            booked += now - before
        now = time.process_time()
        self.spent["RocksDB's own threads"] += max(0.0, now - self._process - booked)
        self._process = now
        if time.monotonic() >= self._write_at:
            self._write_at = time.monotonic() + WRITE_S
            part_file = self._out.with_suffix(".new")
            part_file.write_text(json.dumps(self.spent))
            part_file.replace(self._out)


def run() -> None:
    """Work, and write down every second where the CPU was."""
    sampler = Sampler()
    signal.signal(signal.SIGPROF, sampler.sample)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    main()


if __name__ == "__main__":
    run()
