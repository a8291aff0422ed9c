"""The sessions stage: what visitors did, cut into sessions; each page view enriched, labelled and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from schemas.fields import FieldError
from schemas.marks import Mark, Progress
from schemas.money import parse_amount
from schemas.timestamps import MAX_MS, MIN_MS
from schemas.visitor_events import (
    AlertDecided,
    Deployed,
    ModelWeights,
    ServedTable,
    VisitorEvent,
    VisitorIdentity,
    VisitorInteraction,
    VisitorOrder,
    VisitorPageView,
)
from streams.appends import Appends
from streams.enrichment import enriched, keep_weights, standing_of, tip_of
from streams.formats import StateFormat, unchanged
from streams.page_minutes import OpenMinute, add_differences, send_minute
from streams.rejections import refused
from streams.revisions import Writing, write_revisions
from streams.scoring import SiteWeights
from streams.served_tables import ServedTables, keep_table
from streams.session_summaries import summaries_of, tell_customers
from streams.settings import MINUTE_MS, Settings
from streams.site_notes import passed_on
from streams.stages import EVERY_PARTITION, Context, Output
from streams.stalls import count_cells, differences
from streams.visitors import (
    Action,
    Click,
    Fact,
    View,
    Visitor,
    canonical,
    find_copy,
    kept_action,
    kept_identity,
    kept_order,
    kept_view,
    named_by,
    visitor_key,
)
from streams.visits import (
    CLICKS_PER_VIEW,
    MAX_CLICKS,
    MAX_FACTS,
    Assembly,
    assemble,
    forget_retracted,
    free,
    insert,
    remove,
    resegment,
)

STATE_TYPES: dict[str, type] = {"v": Visitor, "m": OpenMinute, "w": SiteWeights, "r": ServedTables}
"""First character of a state key to the type of its record."""

_KINDS: dict[type, tuple[str, Callable[[Any], Any] | None]] = {
    VisitorPageView: ("page-views", kept_view),
    VisitorInteraction: ("interactions", kept_action),
    VisitorOrder: ("orders", kept_order),
    VisitorIdentity: ("identities", kept_identity),
    AlertDecided: ("alert-decisions", None),
    Deployed: ("deploys", None),
}
"""Topic that a record came by, and what is kept of it; None where it only passes."""
_Event = VisitorPageView | VisitorInteraction | VisitorOrder | VisitorIdentity


def _without_weights(key: str, deadline_ms: int | None, record: Any) -> tuple[int | None, Any] | None:
    """Upgrade a row: weights stood in two rows, and come again with the next version of each model."""
    return None if key[0] == "w" else (deadline_ms, record)


class Sessions:
    """Cuts what visitors did into sessions, a function of the set of events whatever their order.

    A click that follows all before it, as nearly all do, changes only the end of what is known. Anything else
    (late or out of order, orders, identities, copies that contradict) cuts the visitor's events anew, and
    sends the differences.

    Parameters
    ----------
    settings
        What decides results.
    partitions
        Of the log: how many feed each partition of ``customer-events``.
    customers
        Partitions of that one, which feed each partition of ``site-events`` as well.

    Attributes
    ----------
    state_types
        ``v``, site and visitor: a `Visitor`, deleted a retention after its last session closed. ``m``, site,
        minute and page: an `OpenMinute`. ``w`` and site: the latest `SiteWeights`. ``r`` and site: its
        `ServedTables`, deleted a retention after the last of them was empty.
    """

    name = "sessions"
    log = "visitor-events"
    outputs = ("sessions", "enriched-page-views", "customer-events", "site-events", "rejected-events")
    state_types = STATE_TYPES
    # From the fifth on, marks tell of the inputs that decisions and deploys come by: who does not read them would
    # wait for them for ever, and has to refuse. The sixth has tables of what was learned of reading.
    state_format = StateFormat(
        6, {1: _without_weights, 2: unchanged, 3: unchanged, 4: unchanged, 5: unchanged}
    )
    record_type = VisitorEvent

    def __init__(self, settings: Settings, partitions: int, customers: int) -> None:
        self._settings = settings
        self._partitions = partitions
        self._customers = customers
        self._appends = Appends(settings)
        self._hold_ms = settings.hold_ms
        self._free_ms = self._hold_ms + settings.retention_ms
        self._max_facts = min(MAX_FACTS, CLICKS_PER_VIEW * settings.max_views)

    def step(self, context: Context, record: Any) -> Iterable[Output]:
        """Fold one event into its visitor."""
        if record.__class__ is ModelWeights:
            keep_weights(context, record)
            return ()
        if record.__class__ is ServedTable:
            keep_table(context, record, self._settings)
            return ()
        topic, keep = _KINDS[record.__class__]
        at = record.occurred_at
        if at < context.watermark:
            if at < context.watermark - self._settings.retention_ms:
                return [refused(context, record, "too_late", "it is older than the retention allows")]
            context.count("late", topic)
        if not MIN_MS <= at <= MAX_MS:
            return [
                refused(context, record, "schema_violation", "`occurred_at` is outside the years 1 to 9999")
            ]
        if keep is None:
            return [passed_on(context, record)]
        key = visitor_key(record.site, record.visitor_id)
        visitor = context.state.get(key) or Visitor()
        if topic == "page-views" or topic == "interactions":
            return self._click(context, key, visitor, record, keep(record))
        if topic == "orders":
            try:
                parse_amount(record.total, "total")
            except FieldError as error:
                return [refused(context, record, "schema_violation", str(error))]
        return self._fact(context, key, visitor, record, keep(record))

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Send a minute, or close a visitor's sessions; free what no event can touch any more."""
        if key[0] == "m":
            return send_minute(context, key, deadline_ms)
        if key[0] == "r":
            context.state.delete(key)
            return ()
        visitor: Visitor = context.state.get(key)
        visits = visitor.visits
        if len(visits) == 1 and not visits[0].is_closed and not visitor.facts:
            # Clicks do not move the deadline, so most are early: the session is still open.
            later_ms = visits[0].ended_at + self._hold_ms
            if later_ms > deadline_ms:
                visitor.deadline_ms = later_ms
                context.state.put(key, visitor, later_ms)
                return ()
        outputs: list[Output] = []
        ended_before = deadline_ms - self._hold_ms
        closes = any(not visit.is_closed and visit.ended_at <= ended_before for visit in visits)
        # Revisions of orders hold from their own time on.
        revises = bool(visitor.facts) and any(fact.occurred_at == deadline_ms for fact in visitor.facts)
        if closes or revises:
            writing = Writing(context, self._settings, *named_by(key), deadline_ms)
            after = assemble(visitor, self._settings, deadline_ms)
            before = assemble(visitor, self._settings, deadline_ms - 1) if revises else after
            told = summaries_of(visitor, before, deadline_ms - 1)
            old = {session.session_id: session for session in before.sessions}
            outputs.extend(write_revisions(writing, visitor, [], old, after))
            outputs.extend(tell_customers(writing, visitor, told, after))
            if visitor.visits and visitor.visits[-1].is_closed:
                visitor.tip = None
        free(visitor, deadline_ms - self._free_ms, self._settings)
        forget_retracted(visitor)
        if visitor.visits or visitor.facts:
            visitor.deadline_ms = self._deadline(visitor, deadline_ms)
            context.state.put(key, visitor, visitor.deadline_ms)
        else:
            context.state.delete(key)
        return outputs

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Tell customers and sites once a minute how far this partition has come, after all that became due.

        What it has been told itself, intake had been told too: every order and identity before the watermark stands
        in ``customer-events`` already, so that log needs no marks of the inputs.
        """
        if before_ms // MINUTE_MS == context.watermark // MINUTE_MS:
            return ()
        progress = Progress(context.upstream, context.offset + 1, context.watermark)
        name = f"{context.upstream}/{context.offset}"
        return [
            Output(
                topic, "", Mark(upstreams, (progress,)), name, context.watermark, partition=EVERY_PARTITION
            )
            for topic, upstreams in (
                ("customer-events", self._partitions),
                ("site-events", self._partitions + self._customers),
            )
        ]

    def _click(
        self,
        context: Context,
        key: str,
        visitor: Visitor,
        record: VisitorPageView | VisitorInteraction,
        click: View | Action,
    ) -> list[Output]:
        copy = find_copy(visitor.clicks, click.id)
        if copy is not None:
            return self._copy(context, key, visitor, record, click, copy)
        if len(visitor.clicks) >= MAX_CLICKS:
            # What is kept of one visitor has to fit into one record.
            return [refused(context, record, "too_large", f"the visitor has {MAX_CLICKS} clicks already")]
        extends = self._appends.extends(visitor, click)
        if extends is None:
            if self._appends.fits(visitor, click):
                insert(visitor, click)
                visitor.visits[-1].clicks += 1
                context.state.put(key, visitor, visitor.deadline_ms)
                return []
            return self._revise(context, key, visitor, record, click)
        outputs, standing = self._appends.append(
            context, record.site, record.visitor_id, visitor, click, extends
        )
        deadline_ms = visitor.deadline_ms
        if deadline_ms is None or deadline_ms > click.occurred_at + self._hold_ms:
            visitor.deadline_ms = deadline_ms = click.occurred_at + self._hold_ms
        context.state.put(key, visitor, deadline_ms)
        if standing is not None and isinstance(record, VisitorPageView):
            outputs.append(enriched(context, record, standing))
        return outputs

    def _fact(
        self, context: Context, key: str, visitor: Visitor, record: VisitorOrder | VisitorIdentity, fact: Fact
    ) -> list[Output]:
        copy = find_copy(visitor.facts, fact.id)
        if copy is not None:
            return self._copy(context, key, visitor, record, fact, copy)
        if len(visitor.facts) >= self._max_facts:
            context.count("dropped", _KINDS[record.__class__][0])
            return []
        return self._revise(context, key, visitor, record, fact)

    def _copy(
        self,
        context: Context,
        key: str,
        visitor: Visitor,
        record: _Event,
        event: Click | Fact,
        copy: Click | Fact,
    ) -> list[Output]:
        """Drop a copy, or let it take the place of the one that is kept if it is less."""
        context.count("duplicates", _KINDS[record.__class__][0])
        if event == copy or canonical(event) >= canonical(copy):
            return []
        return self._revise(context, key, visitor, record, event, copy)

    def _revise(
        self,
        context: Context,
        key: str,
        visitor: Visitor,
        record: _Event,
        event: Click | Fact,
        copy: Click | Fact | None = None,
    ) -> list[Output]:
        """Cut the visitor's events anew, with this one, and send what that changes."""
        settings = self._settings
        # Before the first mark there is no time: nothing holds yet, nothing is closed.
        now_ms = context.watermark - 1
        before = assemble(visitor, settings, now_ms)
        cells = count_cells(before, visitor.facts, settings)
        told = summaries_of(visitor, before, now_ms)
        if copy is not None:
            remove(visitor, copy)
        insert(visitor, event)
        gone = resegment(visitor, record.site, record.visitor_id, settings)
        after = assemble(visitor, settings, now_ms)
        changed = differences(cells, count_cells(after, visitor.facts, settings))
        outputs = add_differences(context, record.site, changed, settings.stall_after_ms)
        writing = Writing(context, settings, record.site, record.visitor_id, now_ms)
        old = {session.session_id: session for session in before.sessions}
        outputs += write_revisions(writing, visitor, gone, old, after)
        outputs += tell_customers(writing, visitor, told, after)
        if isinstance(record, VisitorPageView) and isinstance(event, View) and copy is None:
            outputs.append(enriched(context, record, standing_of(after, event)))
        is_open = bool(visitor.visits) and not visitor.visits[-1].is_closed
        visitor.tip = tip_of(visitor, after, settings) if is_open else None
        forget_retracted(visitor)
        deadline_ms = self._deadline(visitor, now_ms, after)
        if visitor.deadline_ms is None or deadline_ms < visitor.deadline_ms:
            visitor.deadline_ms = deadline_ms
        context.state.put(key, visitor, visitor.deadline_ms)
        return outputs

    def _deadline(self, visitor: Visitor, now_ms: int, assembly: Assembly | None = None) -> int:
        """When the next session closes, a revision of an order holds, or the next thing can be forgotten."""
        visits = visitor.visits
        deadlines = [visit.ended_at + self._hold_ms for visit in visits if not visit.is_closed]
        if visits:
            deadlines.append(visits[0].ended_at + self._free_ms)
        if visitor.facts:
            deadlines.extend(fact.occurred_at for fact in visitor.facts if fact.occurred_at > now_ms)
            loose = (assembly or assemble(visitor, self._settings, now_ms)).loose
            deadlines.extend(fact.occurred_at + self._free_ms for fact in loose)
        return min(deadlines)
