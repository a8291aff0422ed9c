"""Enrichment: each page view with its session, its place there, and scores, written once as it is read."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec

from schemas.enriched_page_views import EnrichedPageView
from schemas.timestamps import format_ms
from schemas.visitor_events import ModelWeights, VisitorPageView
from streams.features import PURCHASED, Journey
from streams.outcomes import customer_of
from streams.scoring import SiteWeights
from streams.settings import Settings
from streams.stages import Context, Output
from streams.stalls import continuations, settled_at
from streams.states import KeyedState
from streams.visitors import SEPARATOR, Action, Tip, View, Visitor
from streams.visits import Assembled, Assembly, place

P_PURCHASE: Final = "p_purchase"
P_EXIT: Final = "p_exit"


class Standing(msgspec.Struct, frozen=True):
    """Where a page view stands in its session. `previous_at` is the time of the view before (ms), if any."""

    session_id: str
    position: int
    previous_at: int | None
    customer_id: str | None
    journey: Journey | None


def keep_weights(context: Context, record: ModelWeights) -> None:
    """Score with these from here on. They come in order of version: the newest in the log counts."""
    key = f"w{record.site}"
    known = context.state.get(key) or SiteWeights()
    is_purchase, is_exit = record.model == P_PURCHASE, record.model == P_EXIT
    kept = SiteWeights(record if is_purchase else known.purchase, record if is_exit else known.exit)
    context.state.put(key, kept)


def enriched(context: Context, record: VisitorPageView, standing: Standing) -> Output:
    """Enriched page view of a record: as it came, and where it stands now; late events don't revise it."""
    site, visitor_id = record.site, record.visitor_id
    name = f"{site}{SEPARATOR}{visitor_id}{SEPARATOR}{record.event_id}"
    at = record.occurred_at
    # What may be absent is set afterwards: 26 fields by name cost 4 µs, 12 and the rest one by one 0.9.
    value = EnrichedPageView(
        id=blake2b(name.encode(), digest_size=12).hexdigest(),
        event_id=record.event_id,
        visitor_id=visitor_id,
        occurred_at=format_ms(at),
        url=record.url,
        page=record.page,
        template=record.template,
        source=record.source,
        device=record.device,
        is_bot=record.is_bot,
        session_id=standing.session_id,
        position=standing.position,
    )
    value.browser = record.browser or None
    value.os = record.os or None
    if standing.previous_at is not None:
        value.seconds_since_previous = (at - standing.previous_at) / 1000
    value.customer_id = record.customer_id or standing.customer_id
    value.p_purchase, value.p_exit, value.model_version = _scores(context.state, site, standing.journey)
    value.referrer = record.referrer
    value.title = record.title
    value.campaign = record.campaign
    value.user_agent = record.user_agent
    value.ip = record.ip
    if record.sent_at is not None:
        value.sent_at = format_ms(record.sent_at)
    value.site = site
    if record.properties:
        value.properties = record.properties
    return Output("enriched-page-views", visitor_id, value, value.id, at, received_ms=record.received_at)


def standing_of(assembly: Assembly, view: View) -> Standing:
    """Where a view stands that came out of order, or joined sessions: by going through its session again."""
    session = next(
        session for session in reversed(assembly.sessions) if session.started_at <= view.occurred_at
    )
    views = session.views
    position = next((index for index, known in enumerate(views, 1) if known is view), 0)
    if position == 0:
        tail = session.tail
        count = len(views) + (tail.views if tail else 0)
        return Standing(session.session_id, max(count, 1), None, view.customer_id, None)
    return Standing(
        session.session_id,
        position,
        views[position - 2].occurred_at if position > 1 else None,
        customer_of(session, until=place(view)),
        replay(session, until=view),
    )


def replay(session: Assembled, until: View | None = None) -> Journey | None:
    """Journey of a session, up to and with a view, or to its end; None before the first view.

    The same events in the same order as learning from the closed session goes through: the first order is
    known at the views after it (>), other things at the views that follow in canonical order.
    """
    first = next((click for click in session.clicks if isinstance(click, View)), None)
    if first is None:
        return None
    known = first.customer_id is not None
    journey = Journey.start(first.source, first.device, session.is_returning, known, session.started_at)
    ordered_at = session.purchases[0].placed.occurred_at if session.purchases else None
    for click in session.clicks:
        if ordered_at is not None and ordered_at < click.occurred_at:
            journey.action(ordered_at, PURCHASED)
            ordered_at = None
        if isinstance(click, View):
            journey.view(click.occurred_at, click.page, click.template)
            if click is until:
                return journey
        elif isinstance(click, Action):
            journey.action(click.occurred_at, click.name)
    if ordered_at is not None:
        journey.action(ordered_at, PURCHASED)
    return journey


def tip_of(visitor: Visitor, assembly: Assembly, settings: Settings) -> Tip:
    """Tip of the last session, by going through it again."""
    session = assembly.sessions[-1]
    views = session.views
    tail = session.tail
    tip = Tip(customer_id=customer_of(session), is_settled=settled_at(session) is not None)
    if views:
        last = views[-1]
        tip.views = len(views) + (tail.views if tail else 0)
        tip.viewed_at = tail.ended_at if tail else last.occurred_at
        tip.source, tip.device = views[0].source, views[0].device
        tip.journey = replay(session)
        if not last.is_bot and not tip.is_settled:
            ends = continuations(assembly, visitor.facts, settings)
            tip.is_stalling = not ends or ends[-1] <= place(last)
            tip.is_idle = tip.is_stalling and session.clicks[-1] is last
    elif tail:
        tip.views = tail.views
        tip.viewed_at = tail.ended_at
    return tip


def extend_tip(tip: Tip, session_id: str, started_at: int, returning: bool, view: View) -> Standing:
    """Take the next view of the session in; tell where it stands."""
    at = view.occurred_at
    journey = tip.journey
    if journey is None:
        known = view.customer_id is not None
        journey = tip.journey = Journey.start(view.source, view.device, returning, known, started_at)
        tip.source, tip.device = view.source, view.device
    journey.view(at, view.page, view.template)
    if view.customer_id is not None:
        tip.customer_id = view.customer_id
    previous_at = tip.viewed_at if tip.views else None
    tip.views += 1
    tip.viewed_at = at
    return Standing(session_id, tip.views, previous_at, tip.customer_id, journey)


def _scores(
    state: KeyedState, site: str, journey: Journey | None
) -> tuple[float | None, float | None, int | None]:
    """Both probabilities and the greater version, from the weights that are known."""
    if journey is None:
        return None, None, None
    weights: SiteWeights | None = state.get(f"w{site}")
    if weights is None:
        return None, None, None
    return *weights.scorer.score(journey), weights.version
