"""Revisions: a session is written when it closes, again when it changes, and taken back when it is no more.

Whatever is written of a session is counted by its site as well: its example when it is first written, later
the difference that it makes to the exits. So examples and corrections always sum to what stands in the topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.sessions import Session
from schemas.site_events import ExampleAction, ExampleView, Exit, SessionCorrection, SessionExample
from streams.engagement import engaged_buckets
from streams.outcomes import shown_as
from streams.served_tables import ServedTables
from streams.settings import Settings
from streams.stages import Context, Output
from streams.visitors import Action, Shown, Visit, Visitor
from streams.visits import Assembled, Assembly, retract


class Writing(NamedTuple):
    """Whose sessions are written, by which settings, at which event time, and the step in hand."""

    context: Context
    settings: Settings
    site: str
    visitor_id: str
    now_ms: int

    @property
    def hold_ms(self) -> int:
        """How long after its last click a session may still grow or get an order."""
        return self.settings.hold_ms

    @property
    def tables(self) -> ServedTables | None:
        """What was learned of reading on the site, None where that is nothing or is not to count."""
        return self.context.state.get(f"r{self.site}") if self.settings.learn_served else None


def write_revisions(
    writing: Writing, visitor: Visitor, gone: list[Visit], before: Mapping[str, Assembled], after: Assembly
) -> list[Output]:
    """Write what an event or time has changed: take back `gone`, write what is closed, open what is not.

    Parameters
    ----------
    gone
        Visits that no click begins any more.
    before
        Sessions as they were assembled before the event, by id.
    after
        All of the visitor's sessions now, as `visitor.visits` has them.
    """
    outputs: list[Output] = []
    for visit in gone:
        if visit.revision:
            outputs.extend(_retract(writing, visitor, visit, before[visit.session_id]))
    ended_before = writing.now_ms - writing.hold_ms
    for visit, session in zip(visitor.visits, after.sessions, strict=True):
        old = before.get(visit.session_id)
        if visit.is_closed and session == old:
            continue
        if visit.is_closed and old is not None:
            visit.shown = _shown(writing, old, visit.revision)
            visit.is_closed = False
        if not visit.is_closed and visit.ended_at <= ended_before:
            outputs.extend(close(writing, visit, session))
    return outputs


def close(writing: Writing, visit: Visit, session: Assembled) -> list[Output]:
    """Write a session that has closed, unless it stands like that in the topic already."""
    old, visit.shown, visit.is_closed = visit.shown, None, True
    new = _shown(writing, session, visit.revision or 1)
    if old == new:
        return []
    visit.revision += 1
    record = new.session
    record.revision = visit.revision
    record.status = "final" if visit.revision == 1 else "revised"
    due_ms = visit.ended_at + writing.hold_ms
    if visit.revision == 1:
        writing.context.count("sessions_closed", record.outcome or "none")
        writing.context.count("exits", record.exit_reason or "")
        writing.context.count("exit_rules", (record.exit_rule or "").partition(":")[0])
        if record.capped:
            writing.context.count("capped")
    else:
        writing.context.count("sessions_revised")
    outputs = [_to_topic(record, due_ms)]
    if visit.is_exampled:
        outputs.extend(_correct(writing, visit.session_id, old, new, session))
    elif new.exit is not None:
        visit.is_exampled = True
        outputs.append(_to_site(_example(writing, session, new, new.exit, due_ms)))
    return outputs


def _retract(writing: Writing, visitor: Visitor, visit: Visit, session: Assembled) -> list[Output]:
    """Take back a session whose first click begins none any more."""
    old = visit.shown or _shown(writing, session, visit.revision)
    visit.revision += 1
    retract(visitor, visit, session.clicks[0])
    writing.context.count("sessions_retracted")
    record = Session(
        id=visit.session_id,
        revision=visit.revision,
        status="retracted",
        session_id=visit.session_id,
        visitor_id=writing.visitor_id,
        started_at=old.session.started_at,
        ended_at=old.session.ended_at,
        page_views=old.session.page_views,
        interactions=old.session.interactions,
        site=writing.site,
    )
    due_ms = session.ended_at + writing.hold_ms
    outputs = [_to_topic(record, due_ms)]
    if visit.is_exampled:
        outputs.extend(_correct(writing, visit.session_id, old, None, session))
    return outputs


def _shown(writing: Writing, session: Assembled, revision: int) -> Shown:
    return shown_as(session, writing.site, writing.visitor_id, writing.settings, revision, writing.tables)


def _example(writing: Writing, session: Assembled, new: Shown, exit_: Exit, due_ms: int) -> SessionExample:
    views = session.views
    first = views[0]
    return SessionExample(
        origin=writing.context.origin(),
        site=writing.site,
        session_id=session.session_id,
        due_ms=due_ms,
        source=first.source,
        device=first.device,
        is_bot=bool(new.session.is_bot),
        returning=session.is_returning,
        views=_views(session),
        actions=tuple(
            ExampleAction(click.occurred_at, click.name)
            for click in session.clicks
            if isinstance(click, Action)
        ),
        exit=exit_,
        purchased_at=_purchased_at(session),
        known_customer=first.customer_id is not None,
        capped=session.tail is not None,
        learned=(new.session.exit_rule or "").startswith("learned:"),
    )


def _views(session: Assembled) -> tuple[ExampleView, ...]:
    return tuple(
        ExampleView(view.occurred_at, view.page, view.template, engaged)
        for view, engaged in zip(session.views, engaged_buckets(session.clicks), strict=True)
    )


def _purchased_at(session: Assembled) -> int | None:
    return session.purchases[0].placed.occurred_at if session.purchases else None


def _correct(
    writing: Writing, session_id: str, old: Shown | None, new: Shown | None, session: Assembled
) -> list[Output]:
    """Difference that a change makes to the exits: one record, or two where a bot turns out human or back."""
    removed, was_bot = (old.exit, bool(old.session.is_bot)) if old else (None, False)
    added, is_bot = (new.exit, bool(new.session.is_bot)) if new else (None, False)
    if removed == added and was_bot == is_bot:
        return []
    pairs = [(removed, added, is_bot)]
    if removed is None or added is None:
        pairs = [(removed, added, is_bot if removed is None else was_bot)]
    elif was_bot != is_bot:
        pairs = [(removed, None, was_bot), (None, added, is_bot)]
    return [
        _to_site(
            SessionCorrection(
                writing.context.origin(),
                writing.site,
                session_id,
                writing.now_ms,
                bot,
                removed=out,
                added=into,
                views=_views(session) if into is not None and into.orders else (),
                purchased_at=_purchased_at(session) if into is not None and into.orders else None,
            )
        )
        for out, into, bot in pairs
    ]


def _to_topic(record: Session, due_ms: int) -> Output:
    return Output("sessions", record.visitor_id, record, record.id, due_ms, record.revision)


def _to_site(record: SessionExample | SessionCorrection) -> Output:
    upstream, offset, number = record.origin
    return Output("site-events", record.site, record, f"{upstream}/{offset}/{number}", record.due_ms)
