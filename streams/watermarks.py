"""Watermark of a log: how far event time has come, from the marks in it and nothing else."""

from __future__ import annotations

import msgspec

from schemas.marks import UNKNOWN_MS, Mark
from schemas.timestamps import MAX_MS

CLAIM_MS = 5_000
"""A claim of silence holds for so long (append time of the log, ms) unless it is renewed: when the worker that made
it is gone, nobody knows whether its partition is still silent, and time must wait."""
REACH_MS = 60_000
"""So far (event time, ms) a claim of silence lets time go beyond the newest time that any upstream had told when it
was made. Where a log of the past is read in, an hour goes by in a moment, and what was silent before it may hold
what happened in it: time waits until its owner has looked again."""


class Upstream(msgspec.Struct, array_like=True):
    """What is known of one partition that feeds the log.

    `claimed_ms` is when it was last spoken of, and `reach_ms` how far time may go while it is said to be silent.
    """

    time_ms: int = UNKNOWN_MS
    silence_ms: int = -1
    next_offset: int = 0
    claimed_ms: int = 0
    reach_ms: int = UNKNOWN_MS


class Watermark(msgspec.Struct):
    """The least mark over what feeds a log; upstream partitions that are caught up and silent hold it back less.

    When all are silent, time runs on by the length of the silence, once any time is known. It never goes back.

    Attributes
    ----------
    time_ms
        Every event before this has been seen, or is late; `UNKNOWN_MS` until each upstream has been heard of.
    upstreams
        By name (``page-views/3``).

    Examples
    --------
    >>> from schemas.marks import Progress
    >>> watermark = Watermark()
    >>> watermark.update(Mark(2, (Progress("page-views/0", 9, 5_000),)), append_ms=7_000)
    False
    >>> watermark.update(Mark(2, (Progress("orders/0", 0, UNKNOWN_MS, silence_ms=6_000),)), append_ms=7_100)
    True
    >>> watermark.time_ms
    5000
    """

    time_ms: int = UNKNOWN_MS
    upstreams: dict[str, Upstream] = {}

    def update(self, mark: Mark, append_ms: int) -> bool:
        """Take in a mark that was appended at `append_ms`; tell whether the watermark grew.

        What a stale claim says of silence (it has not seen what is in this log already) is ignored.
        """
        known = self.upstreams
        claimed = []
        for progress in mark.progress:
            upstream = known.get(progress.upstream)
            if upstream is None:
                upstream = known[progress.upstream] = Upstream()
            upstream.time_ms = max(upstream.time_ms, progress.time_ms)
            if progress.next_offset >= upstream.next_offset:
                upstream.next_offset = progress.next_offset
                upstream.silence_ms = progress.silence_ms
                upstream.claimed_ms = append_ms
                if progress.silence_ms >= 0:
                    claimed.append(upstream)
        if claimed:
            # Whoever claims silence has looked after all that it tells in the same mark.
            newest_ms = max(upstream.time_ms for upstream in known.values())
            for upstream in claimed:
                upstream.reach_ms = newest_ms if newest_ms == UNKNOWN_MS else newest_ms + REACH_MS
        if len(known) < mark.upstreams:
            return False
        expired_ms = append_ms - CLAIM_MS
        silent = [
            upstream.silence_ms >= 0 and upstream.claimed_ms >= expired_ms for upstream in known.values()
        ]
        if not all(silent):
            time_ms = min(
                upstream.reach_ms if is_silent else upstream.time_ms
                for upstream, is_silent in zip(known.values(), silent, strict=True)
            )
        else:
            time_ms = max(
                (
                    upstream.time_ms + upstream.silence_ms
                    for upstream in known.values()
                    if upstream.time_ms != UNKNOWN_MS
                ),
                default=UNKNOWN_MS,
            )
        # Beyond the year 9999 no time can be written.
        time_ms = min(time_ms, MAX_MS)
        if time_ms <= self.time_ms:
            return False
        self.time_ms = time_ms
        return True

    def saw(self, upstream_name: str, offset: int) -> None:
        """Remember a record of an upstream partition: a claim of silence from before it is stale.

        An upstream that was silent counts as active again with the next mark, not before: its time is not known.
        """
        upstream = self.upstreams.get(upstream_name)
        if upstream is not None and offset >= upstream.next_offset:
            upstream.next_offset = offset + 1
