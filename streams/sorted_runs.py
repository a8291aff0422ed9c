"""Sorting events that do not fit into memory: sorted runs in temporary files, merged as they are read."""

from __future__ import annotations

import heapq
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO

MAX_RUN_BYTES = 64 * 1024 * 1024
"""Content sorted in memory at a time; the process takes about three times as much."""
MAX_RUNS = 64
"""So many runs are merged at once, so that open files stay few."""
RECORD_BYTES = 100
"""What a record costs in memory beside its content, roughly."""
NO_TIME = 2**63 - 1
"""Sorts behind every time."""

Keyed = tuple[int | None, int, bytes]
"""Time (ms) or None, rank of the topic, content."""
_Sortable = tuple[int, int, bytes]
_HEAD = struct.Struct("<qBI")


def sort_events(events: Iterable[Keyed], run_bytes: int = MAX_RUN_BYTES) -> Iterator[Keyed]:
    """Sort by time, rank and content; without a time last.

    Parameters
    ----------
    events
        Ranks in 0 to 255.
    run_bytes
        Bounds the memory; less makes more temporary files.

    Examples
    --------
    >>> list(sort_events([(None, 0, b"x"), (2, 0, b"a"), (1, 1, b"b"), (1, 0, b"c")]))
    [(1, 0, b'c'), (1, 1, b'b'), (2, 0, b'a'), (None, 0, b'x')]
    """
    with ExitStack() as open_files:
        files: list[IO[bytes]] = []
        run: list[_Sortable] = []
        size = 0
        for time_ms, rank, value in events:
            run.append((NO_TIME if time_ms is None else time_ms, rank, value))
            size += len(value) + RECORD_BYTES
            if size >= run_bytes:
                run.sort()
                files.append(open_files.enter_context(tempfile.TemporaryFile(prefix="culdesac-sort-")))
                _write(run, files[-1])
                run, size = [], 0
                if len(files) == MAX_RUNS:
                    merged = open_files.enter_context(tempfile.TemporaryFile(prefix="culdesac-sort-"))
                    _write(heapq.merge(*map(_read, files)), merged)
                    for file in files:
                        file.close()
                    files = [merged]
        run.sort()
        for time_ms, rank, value in heapq.merge(*map(_read, files), run) if files else run:
            yield (None if time_ms == NO_TIME else time_ms), rank, value


def _write(run: Iterable[_Sortable], file: IO[bytes]) -> None:
    write, pack = file.write, _HEAD.pack
    for time_ms, rank, value in run:
        write(pack(time_ms, rank, len(value)))
        write(value)
    file.seek(0)


def _read(file: IO[bytes]) -> Iterator[_Sortable]:
    read, unpack, size = file.read, _HEAD.unpack, _HEAD.size
    while head := read(size):
        time_ms, rank, length = unpack(head)
        yield time_ms, rank, read(length)
