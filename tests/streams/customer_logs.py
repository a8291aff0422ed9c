"""Builders of customer events, and a runner that carries the customers stage over them and keeps what it wrote."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from schemas.customer_events import CustomerIdentity, CustomerOrder, SessionSummary
from schemas.marks import Mark, Progress
from schemas.rejected_events import RejectedEvent
from schemas.session_revisions import SessionRevision
from schemas.site_events import Exit, SessionCorrection
from streams.customers import Customers
from streams.processors import Fence, LogProcessor
from streams.settings import DAY_MS, MINUTE_MS, Settings
from tests.streams.visitor_logs import BEGINNING, SITE

AT_THE_END = 100 * DAY_MS
CLOSES = 30 * MINUTE_MS
"""How long after its end a session is told of."""
PAGE = f"{SITE}/product"
VISITORS = 3
"""Partitions that feed the log."""


def left(page: str = PAGE, reason: str = "dead_end") -> Exit:
    """Build how a session ended."""
    return Exit(page, "product", reason, "none")


def session(
    ended: int,
    id: str = "s1",
    *,
    reason: str = "dead_end",
    customer: str = "c",
    visitor: str = "ann",
    since: int | None = None,
    **fields: Any,
) -> SessionSummary:
    """Build the summary of a session that ended `ended` ms after the beginning."""
    given: dict[str, Any] = {"exit": left(reason=reason), "revision": 1, **fields}
    return SessionSummary(
        origin=("visitor-events/0", 0, 0),
        customer_id=customer,
        session_id=id,
        visitor_id=visitor,
        site=SITE,
        since_ms=BEGINNING + (ended + CLOSES if since is None else since),
        started_at=BEGINNING + ended,
        ended_at=BEGINNING + ended,
        outcome="none",
        exit_reason=reason,
        exit_rule="otherwise",
        **given,
    )


def order(
    after: int,
    order_id: str = "o1",
    status: str = "placed",
    *,
    id: str | None = None,
    customer: str = "c",
    channel: str = "store",
    **fields: Any,
) -> CustomerOrder:
    """Build a revision of an order, without a visitor if none is given."""
    return CustomerOrder(
        origin=("orders/0", 0, 0),
        event_id=id or f"{order_id}-{status}-{fields.get('revision', 1)}",
        customer_id=customer,
        occurred_at=BEGINNING + after,
        order_id=order_id,
        status=status,
        channel=channel,
        currency="EUR",
        total="10",
        site="elsewhere",
        **fields,
    )


def identity(
    after: int,
    kind: str,
    *,
    id: str | None = None,
    customer: str = "c",
    visitor: str | None = "ann",
    site: str = SITE,
) -> CustomerIdentity:
    """Build an identity event."""
    return CustomerIdentity(
        origin=("identities/0", 0, 0),
        event_id=id or f"i{after}",
        customer_id=customer,
        occurred_at=BEGINNING + after,
        kind=kind,
        site=site,
        visitor_id=visitor,
    )


class Run:
    """Carries the stage over records and marks, one by one, and honours revisions."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.stage = Customers(settings or Settings(), partitions=2, visitors=VISITORS)
        self.processor = LogProcessor(self.stage, 0)
        self.rows: dict[bytes, bytes] = {}
        self.offset = 0
        self.revisions: list[SessionRevision] = []
        self.written_ms: list[int] = []
        self.corrections: list[SessionCorrection] = []
        self.rejected: list[RejectedEvent] = []
        self.marks: list[Mark] = []

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        return self.processor.context.counts

    def send(self, *records: CustomerOrder | CustomerIdentity | SessionSummary) -> Run:
        """Append records, each as if from a record of its own upstream."""
        for record in records:
            origin = (record.origin[0], self.offset, 0)
            self._apply(msgspec.structs.replace(record, origin=origin))
        return self

    def mark(self, after: int, partition: int | None = None) -> Run:
        """Let one partition of the visitors' log, or all, come to `after` ms after the beginning."""
        for number in range(VISITORS) if partition is None else (partition,):
            progress = Progress(f"visitor-events/{number}", self.offset, BEGINNING + after)
            self._apply(Mark(VISITORS, (progress,)))
        return self

    def end(self) -> Run:
        """Let all deadlines pass."""
        return self.mark(AT_THE_END)

    def holds(self) -> dict[tuple[str, str], tuple[str, float]]:
        """(session, customer) to the rule and the minutes of what holds of it."""
        last: dict[str, SessionRevision] = {}
        for record in self.revisions:
            before = last.get(record.id)
            assert record.revision == (before.revision if before else 0) + 1
            last[record.id] = record
        return {
            (record.session_id, record.customer_id): (record.exit_rule or "", record.minutes_to_order or 0.0)
            for record in last.values()
            if record.status == "revised"
        }

    def moved(self) -> Counter[tuple[str, str]]:
        """(page, reason) to by how much its exits were corrected."""
        sums: Counter[tuple[str, str]] = Counter()
        for correction in self.corrections:
            for exit_, sign in ((correction.removed, -1), (correction.added, 1)):
                if exit_ is not None:
                    sums[exit_.page, exit_.reason] += sign
        return Counter({name: number for name, number in sums.items() if number})

    def resume(self) -> None:
        """Flush, and go on in a processor that knows only what was flushed."""
        for key, row in self.processor.context.state.drain():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        fence = msgspec.json.decode(msgspec.json.encode(self.processor.fence), type=Fence)
        self.processor = LogProcessor(self.stage, 0, backing=self.rows, fence=fence)
        self.processor.context.state.restore(self.rows.items())

    def _apply(self, record: Any) -> None:
        outputs = self.processor.apply(self.offset, BEGINNING, msgspec.json.encode(record))
        self.offset += 1
        for output in outputs:
            value = output.value
            if isinstance(value, SessionRevision):
                assert (output.key, output.revision) == (value.visitor_id, value.revision)
                self.revisions.append(value)
                self.written_ms.append(output.time_ms - BEGINNING)
            elif isinstance(value, SessionCorrection):
                assert output.time_ms == value.due_ms
                self.corrections.append(value)
            elif isinstance(value, Mark):
                self.marks.append(value)
            else:
                assert isinstance(value, RejectedEvent)
                self.rejected.append(value)


def ran(*records: Any, settings: Settings | None = None) -> Run:
    """Carry the stage over records in this order, with no mark between them, to the end."""
    return Run(settings).send(*records).end()
