"""Appends: a click that follows all before it, as nearly all do, changes only the end of what is known."""

from __future__ import annotations

from bisect import bisect_left

from streams.enrichment import Standing, extend_tip
from streams.features import TELLING_NAMES
from streams.page_minutes import add_view
from streams.settings import Settings
from streams.stages import Context, Output
from streams.stalls import Counts, minute_of, orphan_of
from streams.visitors import Action, Tail, Tip, View, Visit, Visitor
from streams.visits import CLICKS_PER_VIEW, place, session_id


class Appends:
    """Adds clicks at the end of a visitor's sessions, with the same result as cutting all of them anew.

    Parameters
    ----------
    settings
        What decides results.
    """

    def __init__(self, settings: Settings) -> None:
        self._gap_ms = settings.gap_ms
        self._max_length_ms = settings.max_length_ms
        self._retention_ms = settings.retention_ms
        self._stall_after_ms = settings.stall_after_ms
        self._pause_ms = max(settings.gap_ms, settings.stall_after_ms)
        self._max_views = settings.max_views
        self._max_clicks = CLICKS_PER_VIEW * settings.max_views
        self._ending = frozenset((*settings.continuing_names, *settings.handed_off_names))
        self._telling = self._ending | TELLING_NAMES

    def extends(self, visitor: Visitor, click: View | Action) -> bool | None:
        """Whether a click extends the last session, or begins another; None: the end alone does not tell.

        None, too, where more would change than the end: the click is not the last one, an order or identity
        comes after the last click, a session that was written opens again, or gets too long to be kept whole.
        """
        if not visitor.visits:
            return None if visitor.facts else False
        visit = visitor.visits[-1]
        last = visitor.clicks[-1]
        at, ended_at = click.occurred_at, visit.ended_at
        if at < ended_at or (at == ended_at and click.id <= last.id):
            return None
        if visitor.facts:
            fact_at = visitor.facts[-1].occurred_at
            if fact_at > ended_at or fact_at >= at:
                return None
        tip = visitor.tip
        if at - ended_at > self._gap_ms or at - visit.started_at > self._max_length_ms:
            # Behind a written session, a click that is close could end a stall, or show that it was only cut.
            return None if tip is None and at - ended_at <= self._pause_ms else False
        if tip is None:
            return None
        if last.__class__ is Tail:
            return True
        if visit.clicks >= self._max_clicks:
            return None
        if click.__class__ is View and (tip.views == 0 or tip.views >= self._max_views):
            return None
        return True

    def fits(self, visitor: Visitor, click: View | Action) -> bool:
        """Whether a click out of order changes nothing but the list of the open session's clicks.

        So it is with most interactions, such as ``engagement``, when a backlog is read topic by topic: they end no
        stall, are no feature, neither begin nor end the session, and something follows soon after the same view.
        """
        if click.__class__ is not Action or click.name in self._telling or click.customer_id is not None:
            return False
        if visitor.tip is None or not visitor.visits or visitor.clicks[-1].__class__ is Tail:
            return False
        visit = visitor.visits[-1]
        if not visit.started_at < click.occurred_at <= visit.ended_at or visit.clicks >= self._max_clicks:
            return False
        clicks = visitor.clicks
        after = bisect_left(clicks, place(click), key=place)
        view = after - 1
        while view >= 0 and clicks[view].__class__ is not View:
            view -= 1
        if view < 0:
            return True
        soon_ms = clicks[view].occurred_at + self._stall_after_ms
        # Else this is what shows that a stall was not idle.
        return click.occurred_at > soon_ms or clicks[view + 1].occurred_at <= soon_ms

    def append(
        self,
        context: Context,
        site: str,
        visitor_id: str,
        visitor: Visitor,
        click: View | Action,
        extends: bool,
    ) -> tuple[list[Output], Standing | None]:
        """Add a click; tell what that writes to the site, and where a page view stands."""
        at = click.occurred_at
        outputs: list[Output] = []
        tip = visitor.tip
        if tip is not None and tip.is_stalling:
            goes_on = isinstance(click, View) or click.name in self._ending
            if goes_on or tip.is_idle:
                ended = Counts(0, -int(goes_on), -int(tip.is_idle))
                tip.is_stalling, tip.is_idle = not goes_on, False
                if at - tip.viewed_at <= self._stall_after_ms:
                    outputs = self._count(context, site, tip, _last_view(visitor), ended)
        if extends and tip is not None:
            visit = visitor.visits[-1]
            visit.ended_at = at
            is_returning = False
        else:
            before = visitor.visits[-1] if visitor.visits else None
            is_returning = before is not None and before.ended_at >= at - self._retention_ms
            visit = Visit(session_id(site, visitor_id, click), at, at, 0)
            visitor.visits.append(visit)
            tip = visitor.tip = Tip()
        is_kept = _keep(visitor, visit, click)
        if isinstance(click, Action):
            if click.customer_id is not None:
                tip.customer_id = click.customer_id
            if tip.journey is not None:
                tip.journey.action(at, click.name)
            return outputs, None
        standing = extend_tip(tip, visit.session_id, visit.started_at, is_returning, click)
        if is_kept and not click.is_bot:
            stalls = tip.is_stalling = tip.is_idle = not tip.is_settled
            outputs += self._count(context, site, tip, click, _STALL if stalls else _VIEW)
        orphan = orphan_of(click) if tip.views == 1 else None
        if orphan is not None:
            outputs += add_view(context, site, *orphan, _ORPHAN, self._stall_after_ms)
        return outputs, standing

    def _count(self, context: Context, site: str, tip: Tip, view: View, counts: Counts) -> list[Output]:
        """Count the tip's latest view, or a change of it."""
        return add_view(
            context,
            site,
            minute_of(view.occurred_at),
            view.page,
            view.template,
            tip.source,
            tip.device,
            tip.views == 1,
            counts,
            self._stall_after_ms,
        )


_VIEW, _STALL, _ORPHAN = Counts(1, 0), Counts(1, 1, 1), Counts(0, 0, 0, 1)


def _last_view(visitor: Visitor) -> View:
    return next(click for click in reversed(visitor.clicks) if isinstance(click, View))


def _keep(visitor: Visitor, visit: Visit, click: View | Action) -> bool:
    """Keep a click of the last visit, or, if it is capped, its time only."""
    last = visitor.clicks[-1] if visit.clicks else None
    if isinstance(last, Tail):
        last.ended_at = click.occurred_at
        last.views += click.__class__ is View
        last.interactions += click.__class__ is Action
        return False
    visitor.clicks.append(click)
    visit.clicks += 1
    return True
