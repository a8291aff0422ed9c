"""Builders of site events, and a runner that carries the pages stage over them and keeps what it wrote."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from schemas.marks import Mark, Progress
from schemas.page_scores import PageScore
from schemas.purchase_associations import PurchaseAssociation
from schemas.rejected_events import RejectedEvent
from schemas.site_events import Cell, ExampleView, Exit, PageMinute, SessionCorrection, SessionExample
from schemas.timestamps import parse_time
from schemas.visitor_events import AlertDecided, Deployed, ServedTable, SiteNote
from streams.detection import DetectorSettings
from streams.pages import Pages
from streams.processors import Fence, LogProcessor
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.stages import EVERY_PARTITION

BEGINNING = 1_700_000_000_000 // HOUR_MS * HOUR_MS
"""Start of an hour."""
HORIZON_MS = 6 * MINUTE_MS
"""From the start of a minute to when its labels are complete."""
AT_THE_END = 400 * HOUR_MS
SITE = "shop.example"
AT_ONCE = DetectorSettings(warm_ms=0)
Record = PageMinute | SessionExample | SessionCorrection | SiteNote
REST = {"p", "t", "s", "r", "g", "h"}
"""What stays in the state of the stage: pages, templates, sites, regressions and scopes; nothing that waits."""
OF_SESSIONS = {"a", "l", "m", "k"}
"""What stays of sessions beside: placebo, names of pages, and transitions."""


def page_of(name: str) -> str:
    """Page of a short name."""
    return f"{SITE}/{name}"


def minute(number: int, page: str = "sizes", views: int = 10, stalls: int = 5, **fields: Any) -> PageMinute:
    """Build a page's minute with one cell; the page's name is its template."""
    given = {"site": SITE, "template": page, **fields}
    cells = given.pop("cells", (Cell("organic", "mobile", True, views, stalls),))
    minute_ms = BEGINNING + number * MINUTE_MS
    return PageMinute(
        origin=("", 0, 0),
        page=page_of(page),
        minute_ms=minute_ms,
        due_ms=minute_ms + HORIZON_MS,
        cells=cells,
        **given,
    )


def minutes(begin: int, end: int, page: str = "sizes", views: int = 10, stalls: int = 5) -> list[PageMinute]:
    """Build minutes that are alike."""
    return [minute(number, page, views, stalls) for number in range(begin, end)]


QUIET_HOURS = minutes(0, 180)
"""Three hours in which every other view is a stall."""
BROKEN_FROM = 180


def broken(count: int, begin: int = BROKEN_FROM) -> list[PageMinute]:
    """Build minutes in which nobody goes on."""
    return minutes(begin, begin + count, stalls=10)


def ms(text: str) -> int:
    """Give a time in ms after the beginning."""
    return parse_time(text) - BEGINNING


def left(page: str = "sizes", reason: str = "dead_end", **fields: Any) -> Exit:
    """Build how a session ended."""
    outcome = "purchased" if reason == "purchased" else "none"
    return Exit(page_of(page) if page else "", page, reason, outcome, **fields)


def bought(page: str, revenue: str, currency: str = "EUR", orders: int = 1) -> Exit:
    """Build the exit of a session that bought."""
    return left(page, "purchased", revenue=revenue, currency=currency, orders=orders)


def session(after: int, *pages: str, exit_: Exit | None = None, **fields: Any) -> SessionExample:
    """Build a session that closed `after` ms after the beginning, its views minutes apart from an hour before."""
    began = BEGINNING + after - HOUR_MS
    views = tuple(
        ExampleView(began + index * MINUTE_MS, page_of(page), page) for index, page in enumerate(pages)
    )
    given: dict[str, Any] = {"is_bot": False, "returning": False, "session_id": f"s{after}", **fields}
    return SessionExample(
        origin=("", 0, 0),
        site=given.pop("site", SITE),
        due_ms=BEGINNING + after,
        source="organic",
        device="mobile",
        views=views,
        actions=(),
        exit=exit_ or left(pages[-1]),
        **given,
    )


def correction(
    after: int, removed: Exit | None, added: Exit | None, name: str = "s0", is_bot: bool = False
) -> SessionCorrection:
    """Build a change of a session that was written before."""
    return SessionCorrection(("", 0, 0), SITE, name, BEGINNING + after, is_bot, removed, added)


def decision(after: int, alert_id: str, action: Any, *, id: str | None = None, **fields: Any) -> AlertDecided:
    """Build what somebody decides about an alert `after` ms after the beginning."""
    return AlertDecided(
        origin=("", 0, 0),
        came_from=("alert-decisions/1", 17, 0),
        event_id=id or f"{action}-{after}",
        occurred_at=BEGINNING + after,
        site=fields.pop("site", SITE),
        alert_id=alert_id,
        action=action,
        **fields,
    )


def deploy(after: int, version: str = "7", *, id: str | None = None, **fields: Any) -> Deployed:
    """Build a deploy `after` ms after the beginning."""
    return Deployed(
        origin=("", 0, 0),
        came_from=("deploys/0", 3, 0),
        event_id=id or f"{version}-{after}",
        occurred_at=BEGINNING + after,
        site=SITE,
        version=version,
        **fields,
    )


class Run:
    """Carries the stage over records and marks of some partitions of the visitors' log, one by one."""

    def __init__(
        self, partitions: int = 1, settings: Settings | None = None, detector: DetectorSettings = AT_ONCE
    ) -> None:
        self.partitions = partitions
        self.stage = Pages(settings or Settings(), detector)
        self.processor = LogProcessor(self.stage, 0)
        self.rows: dict[bytes, bytes] = {}
        self.offset = 0
        self.sent = [0] * partitions
        self.log: list[tuple[str, str, bytes]] = []
        self.alerts: list[DeadEndAlert] = []
        self.scores: list[PageScore] = []
        self.associations: list[PurchaseAssociation] = []
        self.rejected: list[RejectedEvent] = []
        self.tables: list[ServedTable] = []

    def send(self, *records: Record, partition: int = 0) -> Run:
        """Append records of one partition, each as if from a record of its own there."""
        for record in records:
            origin = (f"visitor-events/{partition}", self.sent[partition], 0)
            self.sent[partition] += 1
            self._apply(msgspec.json.encode(msgspec.structs.replace(record, origin=origin)))
        return self

    def mark(self, after: int, partition: int | None = None) -> Run:
        """Let one partition, or all, come to `after` ms after the beginning."""
        for number in range(self.partitions) if partition is None else (partition,):
            name = f"visitor-events/{number}"
            progress = Progress(name, self.sent[number], BEGINNING + after)
            self._apply(msgspec.json.encode(Mark(self.partitions, (progress,))))
        return self

    def follow(self, records: Iterable[Record]) -> Run:
        """Append records in order of their time, with a mark before each."""
        due_ms = BEGINNING
        for record in sorted(records, key=lambda record: record.due_ms):
            due_ms = record.due_ms
            self.mark(due_ms - BEGINNING).send(record)
        return self.mark(due_ms - BEGINNING + 1)

    def end(self) -> Run:
        """Let all deadlines pass."""
        return self.mark(AT_THE_END)

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

    def kinds_left(self) -> set[str]:
        """First characters of the keys in state."""
        self.resume()
        return {key[:1].decode() for key in self.rows}

    def last_scores(self) -> dict[str, PageScore]:
        """Page to the score that holds."""
        return {score.page: score for score in self.scores}

    def said(self) -> list[tuple[str, str, int]]:
        """Give page, status and revision of what alerts said."""
        return [(alert.page.rpartition("/")[2], alert.status, alert.revision) for alert in self.alerts]

    def _apply(self, value: bytes) -> None:
        for output in self.processor.apply(self.offset, BEGINNING, value):
            assert output.topic in self.stage.outputs
            if output.topic == "visitor-events":
                assert output.partition == EVERY_PARTITION
                self.tables.append(output.value)
                continue
            encoded = msgspec.json.encode(output.value)
            assert output.id == output.value.id
            if output.topic == "rejected-events":
                self.rejected.append(output.value)
                continue
            assert output.revision == output.value.revision
            self.log.append((output.topic, output.key, encoded))
            if output.topic == "page-scores":
                # Decoded as readers do it: what breaks the schema is seen.
                self.scores.append(msgspec.json.decode(encoded, type=PageScore))
            elif output.topic == "purchase-associations":
                self.associations.append(msgspec.json.decode(encoded, type=PurchaseAssociation))
            else:
                self.alerts.append(msgspec.json.decode(encoded, type=DeadEndAlert))
        self.offset += 1


def shop_traffic(seed: int, hours: int = 4) -> list[Record]:
    """Make up hours of a small shop, in no order: four pages, of which one breaks for an hour and a half."""
    source = Random(seed)
    records: list[Record] = []
    breaks = source.randrange(70, 60 * hours - 100)
    for number in range(60 * hours):
        for page, traffic in (("home", 9), ("sizes", 9), ("cart", 4), ("blog", 1)):
            broken = page == "sizes" and breaks <= number < breaks + 90
            cells = []
            for source_name in ("organic", "paid"):
                for first in (False, True):
                    views = source.randrange(traffic)
                    p_stall = 0.97 if broken else 0.4 if first else 0.2
                    stalls = sum(source.random() < p_stall for _ in range(views))
                    if views:
                        cells.append(Cell(source_name, "mobile", first, views, stalls))
            if cells:
                records.append(minute(number, page, cells=tuple(cells)))
        if number % 3 == 0:
            records.append(made_up_session(source, number))
    return records


def made_up_session(source: Random, number: int) -> SessionExample:
    """Make up a session that closed in a minute."""
    pages = [source.choice(["home", "sizes", "cart", "blog"]) for _ in range(source.randrange(1, 6))]
    after = number * MINUTE_MS + source.randrange(MINUTE_MS)
    buys = source.random() < 0.3
    currency = source.choice(["EUR", "EUR", "USD"])
    exit_ = bought(pages[-1], str(source.randrange(1, 200)), currency) if buys else left(pages[-1])
    return session(
        after,
        *pages,
        exit_=exit_,
        session_id=f"s{number}-{source.randrange(10**6)}",
        is_bot=source.random() < 0.1,
        purchased_at=BEGINNING + after - HOUR_MS + source.randrange(5) * MINUTE_MS if buys else None,
    )
