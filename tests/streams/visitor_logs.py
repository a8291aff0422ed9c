"""Builders of visitor events, and a runner that carries the sessions stage over them and keeps what it wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.customer_events import SessionSummary
from schemas.enriched_page_views import EnrichedPageView
from schemas.marks import Mark, Progress
from schemas.rejected_events import RejectedEvent
from schemas.sessions import Session
from schemas.site_events import Exit, PageMinute, SessionCorrection, SessionExample
from schemas.visitor_events import (
    AlertDecided,
    Deployed,
    VisitorIdentity,
    VisitorInteraction,
    VisitorOrder,
    VisitorPageView,
)
from streams.processors import Fence, LogProcessor
from streams.sessions import Sessions
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.stages import Output

BEGINNING = 1_700_000_040_000 // HOUR_MS * HOUR_MS
"""Start of an hour."""
ONE_MINUTE = MINUTE_MS
FIVE_MINUTES = 5 * MINUTE_MS
THE_GAP = 30 * MINUTE_MS
AT_THE_END = 400 * HOUR_MS
SITE = "shop.example"
UPSTREAM = "page-views/0"


def view(
    after: int, page: str = "home", *, id: str | None = None, visitor: str = "ann", **fields: Any
) -> Any:
    """Build a page view `after` ms after the beginning; the page's name is its template."""
    given = {
        "template": page,
        "source": "organic",
        "device": "mobile",
        "url": f"https://{SITE}/{page}",
        **fields,
    }
    return VisitorPageView(
        origin=("", 0, 0),
        event_id=id or f"v{after}",
        visitor_id=visitor,
        occurred_at=BEGINNING + after,
        page=f"{SITE}/{page}",
        site=SITE,
        **given,
    )


def action(
    after: int, name: str = "error", *, id: str | None = None, visitor: str = "ann", **fields: Any
) -> Any:
    """Build an interaction."""
    return VisitorInteraction(
        origin=("", 0, 0),
        event_id=id or f"a{after}",
        visitor_id=visitor,
        occurred_at=BEGINNING + after,
        name=name,
        site=SITE,
        **fields,
    )


def order(
    after: int,
    order_id: str = "o1",
    status: str = "placed",
    *,
    id: str | None = None,
    visitor: str = "ann",
    **fields: Any,
) -> Any:
    """Build a revision of an order."""
    given = {"total": "10", "currency": "EUR", "channel": "web", **fields}
    return VisitorOrder(
        origin=("", 0, 0),
        event_id=id or f"{order_id}-{status}-{fields.get('revision', 1)}",
        visitor_id=visitor,
        occurred_at=BEGINNING + after,
        order_id=order_id,
        status=status,
        site=SITE,
        **given,
    )


def identity(after: int, kind: str, *, id: str | None = None, visitor: str = "ann", **fields: Any) -> Any:
    """Build an identity event."""
    return VisitorIdentity(
        origin=("", 0, 0),
        event_id=id or f"i{after}",
        visitor_id=visitor,
        occurred_at=BEGINNING + after,
        kind=kind,
        site=SITE,
        **fields,
    )


@dataclass
class Kept:
    """What a reader keeps who honours revisions and adds up corrections, and all that was written."""

    sessions: dict[str, Session] = field(default_factory=dict)
    revisions: list[tuple[str, int, str]] = field(default_factory=list)
    enriched: list[EnrichedPageView] = field(default_factory=list)
    minutes: list[PageMinute] = field(default_factory=list)
    examples: list[SessionExample] = field(default_factory=list)
    corrections: list[SessionCorrection] = field(default_factory=list)
    rejected: list[RejectedEvent] = field(default_factory=list)
    notes: list[AlertDecided | Deployed] = field(default_factory=list)
    summaries: list[SessionSummary] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    customer_marks: list[Mark] = field(default_factory=list)
    log: list[tuple[str, str, int]] = field(default_factory=list)

    def take(self, outputs: Iterable[Output]) -> None:
        """Take outputs in; each id's revisions come one by one."""
        for output in outputs:
            value = output.value
            self.log.append((output.topic, output.id, output.revision))
            msgspec.json.encode(value)
            if isinstance(value, Session):
                before = self.sessions.get(value.id)
                assert value.revision == output.revision == (before.revision if before else 0) + 1
                assert (value.status == "final") == (value.revision == 1)
                self.sessions[value.id] = value
                self.revisions.append((value.id, value.revision, value.status))
            elif isinstance(value, EnrichedPageView):
                self.enriched.append(value)
            elif isinstance(value, PageMinute):
                self.minutes.append(value)
            elif isinstance(value, SessionExample):
                self.examples.append(value)
            elif isinstance(value, SessionCorrection):
                self.corrections.append(value)
            elif isinstance(value, AlertDecided | Deployed):
                assert (output.topic, output.key) == ("site-events", value.site)
                self.notes.append(value)
            elif isinstance(value, Mark):
                (self.marks if output.topic == "site-events" else self.customer_marks).append(value)
            elif isinstance(value, SessionSummary):
                assert (output.topic, output.key) == ("customer-events", value.customer_id)
                self.summaries.append(value)
            else:
                assert isinstance(value, RejectedEvent)
                self.rejected.append(value)

    def final(self) -> list[Session]:
        """Sessions that stand, in order of time."""
        standing = [session for session in self.sessions.values() if session.status != "retracted"]
        return sorted(standing, key=lambda session: (session.visitor_id, session.started_at))

    def cells(self) -> dict[tuple[int, str, str, str, bool], tuple[int, int]]:
        """Sum of views and stalls by minute, page, source, device and first view; corrections added."""
        views: Counter[Any] = Counter()
        stalls: Counter[Any] = Counter()
        for minute in self.minutes:
            for cell in minute.cells:
                name = (minute.minute_ms, minute.page, cell.source, cell.device, cell.first_view)
                views[name] += cell.views
                stalls[name] += cell.stalls
        return {name: (n, stalls[name]) for name, n in views.items() if n or stalls[name]}

    def counts(self) -> Counter[Any]:
        """All that is counted of cells, by name and kind; corrections added."""
        sums: Counter[Any] = Counter()
        for minute in self.minutes:
            for cell in minute.cells:
                name = (minute.minute_ms, minute.page, cell.source, cell.device, cell.first_view)
                for kind in ("views", "stalls", "idle", "orphans", "orders"):
                    sums[name, kind] += getattr(cell, kind)
        return sums

    def exits(self) -> Counter[tuple[bool, Exit]]:
        """Sum of exits, corrections added and removed."""
        sums: Counter[tuple[bool, Exit]] = Counter()
        for example in self.examples:
            sums[example.is_bot, example.exit] += 1
        for correction in self.corrections:
            if correction.removed is not None:
                sums[correction.is_bot, correction.removed] -= 1
            if correction.added is not None:
                sums[correction.is_bot, correction.added] += 1
        return Counter({exit_: n for exit_, n in sums.items() if n})


class Run:
    """Carries the stage over records and marks, one by one."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.stage = Sessions(self.settings, partitions=1, customers=2)
        self.processor = LogProcessor(self.stage, 0)
        self.rows: dict[bytes, bytes] = {}
        self.kept = Kept()
        self.offset = 0

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        return self.processor.context.counts

    def send(self, *records: Any) -> Run:
        """Append events to the log."""
        for record in records:
            named = msgspec.structs.replace(record, origin=(UPSTREAM, self.offset, 0))
            self._apply(msgspec.json.encode(named))
        return self

    def mark(self, after: int) -> Run:
        """Let the watermark come to `after` ms after the beginning."""
        mark = Mark(1, (Progress(UPSTREAM, self.offset, BEGINNING + after),))
        self._apply(msgspec.json.encode(mark))
        return self

    def end(self) -> Kept:
        """Let all deadlines pass."""
        return self.mark(AT_THE_END).kept

    def resume(self) -> None:
        """Flush, and go on in a processor that knows only what was flushed."""
        state = self.processor.context.state
        for key, row in state.drain():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        fence = msgspec.json.decode(msgspec.json.encode(self.processor.fence), type=Fence)
        counts = self.counts
        self.processor = LogProcessor(self.stage, 0, backing=self.rows, fence=fence)
        self.processor.context.state.restore(self.rows.items())
        self.processor.context.counts.update(counts)

    def keys_left(self) -> list[str]:
        """Keys in state."""
        self.resume()
        return [key.decode() for key in self.rows]

    def _apply(self, value: bytes) -> None:
        self.kept.take(self.processor.apply(self.offset, BEGINNING, value))
        self.offset += 1


def ran(*records: Any, settings: Settings | None = None) -> Kept:
    """Kept outputs of records in this order, with no mark between them, to the end."""
    return Run(settings).send(*records).end()
