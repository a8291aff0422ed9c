"""Outcomes: what came of a session, why it ended on its last page, and who the customer was."""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter
from typing import NamedTuple

from schemas.money import format_amount
from schemas.sessions import ExitReason, Outcome, Session
from schemas.site_events import Exit
from schemas.timestamps import format_ms
from streams.served_tables import ServedTables, learned_rule
from streams.settings import Settings
from streams.visitors import Action, Shown, Tail, View
from streams.visits import Assembled, place

_IS_BOT = attrgetter("is_bot")
_EARNING = frozenset(("placed", "paid"))


class Revenue(NamedTuple):
    """What the orders of a session come to; `amount` is an exact decimal string."""

    amount: str
    currency: str | None


def outcome_of(session: Assembled) -> Outcome:
    """``purchased`` before ``registered`` before ``none``; a placed order counts, cancelled or not."""
    if session.purchases:
        return "purchased"
    return "registered" if _registered(session) else "none"


def revenue_of(session: Assembled) -> Revenue:
    """Sum of the orders that still hold (placed, paid), each by its greatest revision.

    Orders in another currency than the first one's are left out of the sum: there is no rate to add them by.
    """
    if not session.purchases:
        return Revenue("0", None)
    currency = session.purchases[0].latest.currency
    total = sum(
        (
            Decimal(purchase.latest.total)
            for purchase in session.purchases
            if purchase.latest.status in _EARNING and purchase.latest.currency == currency
        ),
        Decimal(0),
    )
    return Revenue(format_amount(total), currency)


def customer_of(session: Assembled, until: tuple[int, str] | None = None) -> str | None:
    """Latest customer that an event, order or identity of the session names; None where nobody is known.

    Logging out does not make a customer unknown again, unlinking does.

    Parameters
    ----------
    until
        Only what stands up to here (≤) in canonical order counts, if given.
    """
    if not session.purchases and not session.identities and until is None:
        clicks = reversed(session.clicks)
        return next(
            (click.customer_id for click in clicks if not isinstance(click, Tail) and click.customer_id), None
        )
    said: list[tuple[tuple[int, str], str | None]] = [
        (place(click), click.customer_id)
        for click in session.clicks
        if not isinstance(click, Tail) and click.customer_id is not None
    ]
    said.extend(
        (place(purchase.placed), purchase.placed.customer_id)
        for purchase in session.purchases
        if purchase.placed.customer_id is not None
    )
    for identity in session.identities:
        if identity.kind == "unlinked":
            said.append((place(identity), None))
        elif identity.customer_id is not None:
            said.append((place(identity), identity.customer_id))
    if until is not None:
        said = [entry for entry in said if entry[0] <= until]
    return max(said, key=lambda entry: entry[0])[1] if said else None


def is_bot(session: Assembled) -> bool:
    """Whether any of its views is a bot's."""
    return any(map(_IS_BOT, session.views))


def exit_reason(
    session: Assembled, settings: Settings, tables: ServedTables | None = None
) -> tuple[ExitReason, str]:
    """Why the session ended, and the rule that says so, with its detail.

    The first that holds: purchased; registered; handed off at or after the last page view; served by the
    template of the last page, or by a long read of it; a bot; not observed to the end; served, by what was
    learned of reading on the last page; else a dead end. That somebody ``bought_later`` stands before the last
    one, but is known only days after the session was written: it comes as a revision from whoever knows the
    customer's other channels.

    Parameters
    ----------
    tables
        What was learned of reading on the site, if anything.
    """
    if session.purchases:
        return "purchased", f"order:{session.purchases[0].latest.status}"
    if _registered(session):
        return "registered", "identity:registered"
    views = session.views
    last = views[-1] if views else None
    for click in reversed(session.clicks):
        if isinstance(click, Action):
            if click.name in settings.handed_off_names:
                return "handed_off", f"interaction:{click.name}"
        elif isinstance(click, View):
            break
    if last is not None:
        if last.template in settings.served_templates:
            return "served", f"template:{last.template}"
        if last.template in settings.reading_templates and _read_ms(session, last) >= settings.reading_ms:
            return "served", f"reading:{last.template}"
    if is_bot(session):
        return "bot", "page_view:is_bot"
    if session.tail is not None:
        return "measurement_gap", "session:capped"
    if session.is_cut:
        return "measurement_gap", "session:max_length"
    if tables is not None and last is not None:
        rule = learned_rule(session, tables, session.ended_at + settings.hold_ms)
        if rule is not None:
            return "served", rule
    return "dead_end", "otherwise"


def shown_as(
    session: Assembled,
    site: str,
    visitor_id: str,
    settings: Settings,
    revision: int,
    tables: ServedTables | None = None,
) -> Shown:
    """Session record and counted exit, as they follow from what is known; no exit without a page view."""
    views = session.views
    page_views = len(views)
    interactions = len(session.clicks) - page_views
    tail = session.tail
    if tail is not None:
        page_views += tail.views
        interactions += tail.interactions - 1
    first, last = (views[0], views[-1]) if views else (None, None)
    outcome = outcome_of(session)
    reason, rule = exit_reason(session, settings, tables)
    amount, currency = revenue_of(session)
    record = Session(
        id=session.session_id,
        revision=revision,
        status="final" if revision == 1 else "revised",
        session_id=session.session_id,
        visitor_id=visitor_id,
        started_at=format_ms(session.started_at),
        ended_at=format_ms(session.ended_at),
        page_views=page_views,
        interactions=interactions,
        customer_id=customer_of(session),
        site=site,
        entry_page=first.page if first else None,
        exit_page=last.page if last else None,
        pages=[view.page for view in views],
        source=first.source if first else None,
        campaign=first.campaign if first else None,
        device=first.device if first else None,
        is_bot=is_bot(session),
        outcome=outcome,
        exit_reason=reason,
        exit_rule=rule,
        order_ids=[purchase.placed.order_id for purchase in session.purchases],
        revenue=amount,
        currency=currency,
        capped=tail is not None,
    )
    if last is None:
        return Shown(record, None)
    return Shown(
        record,
        Exit(last.page, last.template, reason, outcome, amount, currency, len(session.purchases)),
    )


def _registered(session: Assembled) -> bool:
    return any(identity.kind == "registered" for identity in session.identities)


def _read_ms(session: Assembled, last: View) -> float:
    """Time on the last page: up to the session's last event, or what an ``engagement`` says, if more.

    The engagement of the page before may come after the view: trackers send it when a page is left.
    """
    read_ms: float = session.ended_at - last.occurred_at
    for click in reversed(session.clicks):
        if click is last:
            break
        if isinstance(click, Action) and click.name == "engagement" and click.page in ("", last.page):
            read_ms = max(read_ms, click.seconds * 1000)
    return read_ms
