"""Marks: how far event time has come in what feeds a log, written into that same log."""

from __future__ import annotations

import msgspec

UNKNOWN_MS = -(2**62)
"""Event time of an upstream partition in which nothing has been seen yet."""


class Progress(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How far one upstream partition has come.

    Attributes
    ----------
    upstream
        Topic and partition, as ``page-views/3``.
    next_offset
        Offset of the first record of it that is not yet in this log. A claim with a smaller one is stale.
    time_ms
        No event older than this is to be expected from it (event time, ms); `UNKNOWN_MS` if nothing was seen.
    silence_ms
        -1 while it is active; else caught up, and silent for so long (ms).
    """

    upstream: str
    next_offset: int
    time_ms: int
    silence_ms: int = -1


class Mark(msgspec.Struct, tag_field="type", tag="mark", frozen=True):
    """Progress of some upstream partitions; a stage's watermark is made of nothing else.

    Attributes
    ----------
    upstreams
        How many partitions feed the log in all. Time stands still until each has been heard of.
    progress
        The partitions that this mark speaks of.

    Examples
    --------
    >>> Mark(upstreams=2, progress=(Progress("page-views/0", 12, 1000),)).progress[0].silence_ms
    -1
    """

    upstreams: int
    progress: tuple[Progress, ...]
