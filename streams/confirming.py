"""Confirming: an alert opens on stalls, and is confirmed or withdrawn by how the sessions ended.

Alerts of wider scopes stay provisional: they would need sums over the closed sessions of the whole site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.dead_end_alerts import AlertStatus
from schemas.site_events import SessionExample
from streams.arrivals import came_by, note_backs
from streams.baselines import teach
from streams.blame import Blame
from streams.final_exits import (
    DECIDED,
    LEAST_RATE,
    FinalExits,
    last_of,
    shift_of,
    stall_logit,
)
from streams.following import say
from streams.page_records import PageRecord, TemplateRecord, final_exits_of, site_of
from streams.regressions import probability
from streams.sample_paths import MAX_CONTINUED, MAX_ENDED, keep_latest, path_of
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings
from streams.stages import Context, Output
from streams.states import KeyedState
from streams.symptoms import Suspicion, change_of
from streams.visitors import SEPARATOR

SETTLE_MS = 30 * MINUTE_MS
"""Views begin to count so long after the sessions of those have closed who left at once: of the sessions that go on
from a page of a made-up shop, 99 in 100 end within this time."""
LOOK_EVERY_MS = 5 * MINUTE_MS
"""Pace at which it is looked at how sessions end while there is an alert (event time);"""
REST_EVERY_MS = HOUR_MS
"""and while there is a suspicion only."""
FORGET_MS = DAY_MS
"""A suspicion of which no session has told for longer (>) has no paths any more."""


class Seen(NamedTuple):
    """A view of a page under suspicion: its place in its session, from 1, and its context's logit of dead ends."""

    position: int
    logit: float


class Confirming:
    """Confirms and withdraws alerts of pages.

    Parameters
    ----------
    settings
        See `Settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self._lag_ms = settings.hold_ms + SETTLE_MS

    def due(self, context: Context, key: str, at_ms: int) -> Iterable[Output]:
        """Weigh how sessions ended that came to a page, and forget them when the suspicion is over."""
        state = context.state
        site, _, page = key[1:].partition(SEPARATOR)
        blame = Blame(state, site)
        record = blame.page(page)
        final = final_exits_of(state, site, page, record)
        if final is None or (record.alert is None and at_ms - final.touched_ms > FORGET_MS):
            state.delete(key)
            return ()
        final.until_ms = at_ms - self._lag_ms
        state.put(key, final, _next(record, at_ms + 1))
        status = verdict(record, final)
        if status is None:
            return ()
        assert record.alert is not None
        state.touch([blame.page_key(page)])
        finding = blame.page_finding(page, record)
        if status == "confirmed":
            record.alert.confirmed_ms = at_ms
            return (say(context, finding, record, status, at_ms),)
        blame.release(page)
        blame.put()
        suspicion = record.suspicion
        said = say(context, finding, record, status, at_ms)
        # Or it would open again at once.
        _take_for_usual(state, site, record, suspicion)
        state.delete(key)
        return (said,)

    def admits(self, state: KeyedState, site: str, page: str, record: PageRecord, at_ms: int) -> bool:
        """Tell whether an alert of a page may open, as far as final exits have a say.

        A page of some age is compared with its own past. A young one is compared with other pages, and what is
        only read for longer than those looks broken from its first day on. So its alert waits until more of the
        sessions that came to it have ended there than elsewhere; if as few have, what visitors do there is usual.

        Parameters
        ----------
        state, site
            Of the pages stage.
        page, record
            The page, by the name that it goes by; its record is changed, its caller keeps it.
        at_ms
            Event time.
        """
        if not record.state.newborn or not site_of(state, site).went_on:
            return True
        final = final_exits_of(state, site, page, record)
        if final is None:
            return False
        final.until_ms = at_ms - self._lag_ms
        state.put(f"f{site}{SEPARATOR}{page}", final, _next(record, at_ms + 1))
        change = change_of(record.suspicion)
        since_ms = final.since_ms if change is None else change.at_ms
        if final.counts(since_ms).whole.views and not _has_dead_ends(final, since_ms):
            return True
        evidence = _evidence(record, final, since_ms)
        if evidence < -DECIDED:
            _take_for_usual(state, site, record, record.suspicion)
            record.suspicion = Suspicion()
        return evidence > DECIDED


def note_session(
    state: KeyedState,
    example: SessionExample,
    page: str,
    record: PageRecord,
    seen: Sequence[Seen],
    names: Mapping[str, str],
) -> None:
    """Note how a session ended that saw a page under suspicion.

    Parameters
    ----------
    state
        Of the pages stage.
    example
        The session, no bot's.
    page, record
        The page, by the name that it goes by.
    seen
        Its views of it that are not from before the suspicion; at least one.
    names
        Pages of the session to the names that they go by.
    """
    since_ms = record.suspicion.since_ms
    assert since_ms is not None
    key = f"f{example.site}{SEPARATOR}{page}"
    final = final_exits_of(state, example.site, page, record)
    if final is None:
        final = FinalExits(since_ms, 0.0 if record.state.newborn else record.usual.logit)
    views = example.views
    last = last_of(example)
    shown, arrivals = [names[view.page] for view in views], final.arrivals
    for position, logit in seen:
        at_ms, left = views[position - 1].occurred_at, 1 if position == last else 0
        final.add(at_ms, logit, left, example.returning)
        arrivals.add(came_by(shown, position), left, probability(logit + final.usual))
    if len(views) > 2:
        note_backs(arrivals, shown, views, page, since_ms, left=last > 0)
    position = seen[-1].position
    if position == last:
        keep_latest(final.ended, path_of(example, views[-1].occurred_at), MAX_ENDED)
    elif position < len(views) or example.purchased_at is not None:
        keep_latest(final.continued, path_of(example, views[position - 1].occurred_at), MAX_CONTINUED)
    final.touched_ms = example.due_ms
    state.put(key, final, _next(record, example.due_ms))


def verdict(record: PageRecord, final: FinalExits) -> AlertStatus | None:
    """Tell whether final exits confirm an alert that is open, or withdraw it.

    Only what was seen since the change counts. An alert that is confirmed stays so. None is withdrawn of a page
    that hardly has dead ends: the rules call what becomes of its visitors something else.

    Examples
    --------
    Of forty views in an hour all stalled, where half was to be expected, and all were dead ends.

    >>> from streams.open_alerts import OpenAlert
    >>> from streams.symptoms import MinuteCounts, Suspicion
    >>> record = PageRecord("help", alert=OpenAlert("a", 1, 0, 0, 0, 9.0), suspicion=Suspicion())
    >>> record.suspicion.gather(MinuteCounts(views=40, stalls=40), 20.0, 0)
    >>> final = FinalExits(0, 0.0, until_ms=HOUR_MS)
    >>> for _ in range(40):
    ...     final.add(0, 0.0, left=1, returning=False)
    >>> verdict(record, final)
    'confirmed'
    """
    alert, change = record.alert, change_of(record.suspicion)
    if alert is None or alert.confirmed_ms is not None or change is None:
        return None
    evidence = _evidence(record, final, change.at_ms)
    if evidence > DECIDED:
        return "confirmed"
    if evidence < -DECIDED and _has_dead_ends(final, change.at_ms):
        return "withdrawn"
    return None


def _evidence(record: PageRecord, final: FinalExits, since_ms: int) -> float:
    logit = stall_logit(record.suspicion, since_ms)
    if record.state.newborn:
        # What it has learned is bad already: its template's pages are the measure.
        logit += record.state.effect
    return final.evidence(since_ms, shift_of(logit), record.state.noise_variance)


def _has_dead_ends(final: FinalExits, since_ms: int) -> bool:
    """Whether there are dead ends on pages of this kind; else their absence says nothing."""
    whole = final.counts(since_ms).whole
    return whole.expected >= LEAST_RATE * whole.views


def _take_for_usual(state: KeyedState, site: str, record: PageRecord, suspicion: Suspicion) -> None:
    """Let what visitors do on a page now be usual there: it is no dead end."""
    template_key = f"t{site}{SEPARATOR}{record.template}"
    of_template: TemplateRecord = state.get(template_key)
    teach(record.state, of_template.state, suspicion)
    state.put(template_key, of_template)


def _next(record: PageRecord, at_ms: int) -> int:
    """Give the time of the next look, not before `at_ms`."""
    every_ms = REST_EVERY_MS if record.alert is None else LOOK_EVERY_MS
    return -(-at_ms // every_ms) * every_ms
