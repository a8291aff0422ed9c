"""Three small stages that use all that the runner offers: origins, marks, deadlines, two logs, broadcast."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from schemas.marks import Mark, Progress
from schemas.site_events import Cell, PageMinute
from schemas.visitor_events import VisitorInteraction
from streams.formats import StateFormat
from streams.rejections import rejection
from streams.stages import EVERY_PARTITION, Context, Output, SourceResult

GAP_MS = 10_000


class Letters:
    """Reads ``{"k": visitor, "t": ms}`` and ``{"progress": ms}``."""

    name = "letters"
    inputs = ("page-views", "orders")
    outputs = ("visitor-events", "rejected-events")

    def read(self, context: Context, topic: str, partition: int, value: bytes | None) -> SourceResult:
        try:
            record = msgspec.json.decode(value or b"", type=dict[str, Any])
            if "progress" in record:
                return SourceResult([], runs_on_to_ms=record["progress"])
            visitor, time_ms = str(record["k"]), int(record["t"])
        except (msgspec.MsgspecError, KeyError, ValueError, UnicodeDecodeError):
            return SourceResult([rejection(context, "not_json", "no", topic, partition, value)])
        event_id = f"{topic}-{partition}-{context.offset}"
        event = VisitorInteraction(context.origin(), event_id, visitor, time_ms, "letter", "s")
        return SourceResult([Output("visitor-events", visitor, event, event_id, time_ms)], time_ms)

    def time_of(self, value: bytes | None) -> int | None:
        try:
            return int(msgspec.json.decode(value or b"", type=dict[str, Any])["t"])
        except (msgspec.MsgspecError, KeyError, ValueError, UnicodeDecodeError):
            return None


class Times(msgspec.Struct, array_like=True):
    times: list[int]


class Windows:
    """Counts a visitor's events while gaps are at most `GAP_MS`."""

    name = "sessions"
    log = "visitor-events"
    outputs = ("sessions", "site-events")
    state_types: ClassVar[dict[str, type]] = {"c": Times}
    state_format = StateFormat(1)
    record_type = VisitorInteraction

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def step(self, context: Context, record: VisitorInteraction) -> Iterable[Output]:
        key = f"c{record.visitor_id}"
        if record.occurred_at < context.watermark:
            context.count("late")
        times = context.state.get(key) or Times([])
        bisect.insort(times.times, record.occurred_at)
        context.state.put(key, times, self._end(times.times)[1] + GAP_MS)
        return ()

    @staticmethod
    def _end(times: list[int]) -> tuple[int, int]:
        """How many times are in the first window, and the last of them."""
        for n, (one, two) in enumerate(itertools.pairwise(times), 1):
            if two - one > GAP_MS:
                return n, one
        return len(times), times[-1]

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        times = context.state.get(key).times
        (n, last), first, visitor = self._end(times), times[0], key[1:]
        assert last + GAP_MS == deadline_ms
        rest = times[n:]
        if rest:
            context.state.put(key, Times(rest), self._end(rest)[1] + GAP_MS)
        else:
            context.state.delete(key)
        closed = {"visitor": visitor, "first": first, "last": last, "n": n}
        yield Output("sessions", visitor, closed, f"{visitor}:{first}", last)
        cells = (Cell("direct", "mobile", True, n, 1),)
        minute = PageMinute(context.origin(), "s", "p", "t", first // 60_000 * 60_000, deadline_ms, cells)
        yield Output("site-events", "s", minute, f"{visitor}:{first}", deadline_ms)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        if context.watermark // 60_000 > before_ms // 60_000:
            progress = Progress(context.upstream, context.offset + 1, context.watermark)
            mark = Mark(self.partitions, (progress,))
            yield Output("site-events", "", mark, "mark", context.watermark, partition=EVERY_PARTITION)


class CountedTimes(Times, array_like=True):
    """Times, with how many there ever were."""

    ever: int


class CountedWindows(Windows):
    """The same windows with state in a second format."""

    state_types: ClassVar = {"c": CountedTimes}
    state_format = StateFormat(
        2, {1: lambda _, deadline_ms, record: (deadline_ms, [*record, len(record[0])])}
    )

    def step(self, context: Context, record: VisitorInteraction) -> Iterable[Output]:
        key = f"c{record.visitor_id}"
        times = context.state.get(key) or CountedTimes([], 0)
        times.ever += 1
        context.state.put(key, times)
        yield from super().step(context, record)

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        ever = context.state.get(key).ever
        yield from super().due(context, key, deadline_ms)
        left = context.state.get(key)
        assert ever >= (len(left.times) if left else 0)
        if left:
            (_, last) = self._end(left.times)
            context.state.put(key, CountedTimes(left.times, ever), last + GAP_MS)


class Total(msgspec.Struct, array_like=True):
    views: int
    windows: int


class Totals:
    """Sums per minute, written when the minute is over."""

    name = "pages"
    log = "site-events"
    outputs = ("page-scores",)
    state_types: ClassVar = {"t": Total}
    state_format = StateFormat(1)
    record_type = PageMinute

    def step(self, context: Context, record: PageMinute) -> Iterable[Output]:
        key = f"t{record.minute_ms:020d}"
        total = context.state.get(key) or Total(0, 0)
        total.views += record.cells[0].views
        total.windows += 1
        context.state.put(key, total, record.minute_ms + 10 * 60_000)
        return ()

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        total = context.state.get(key)
        context.state.delete(key)
        minute = int(key[1:])
        value = {"minute": minute, "views": total.views, "windows": total.windows}
        yield Output("page-scores", str(minute), value, str(minute), minute)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        return ()
