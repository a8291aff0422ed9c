"""Site notes: decisions about alerts, and deploys; each waits in the pages stage for its time, and counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from schemas.alert_decisions import AlertDecision
from schemas.deploys import Deploy
from schemas.visitor_events import AlertDecided, Deployed, Origin, SiteNote
from streams.deploys import keep_deploy
from streams.note_records import WaitingNote
from streams.settings import MINUTE_MS, Settings
from streams.stages import Context, Output
from streams.visitors import SEPARATOR

Decide = Callable[[Context, AlertDecided, int], Iterable[Output]]
"""Acts on a decision at an event time (ms)."""


def note_of(event: AlertDecision | Deploy, origin: Origin) -> tuple[str, SiteNote]:
    """Give what is passed on of a decision or a deploy, and its key: all about one alert stays in one partition."""
    if isinstance(event, AlertDecision):
        return event.alert_id, AlertDecided(
            origin,
            origin,
            event.event_id,
            event.occurred_at,
            event.site,
            event.alert_id,
            event.action,
            event.by,
            event.why,
            event.until,
        )
    return event.site, Deployed(
        origin,
        origin,
        event.event_id,
        event.occurred_at,
        event.site,
        event.version,
        event.by,
        event.note,
        event.url,
    )


def passed_on(context: Context, note: SiteNote) -> Output:
    """Send a note to its site as it is, under an origin of this log."""
    origin = context.origin()
    upstream, offset, number = origin
    record = msgspec.structs.replace(note, origin=origin)
    return Output("site-events", note.site, record, f"{upstream}/{offset}/{number}", note.occurred_at)


class SiteNotes:
    """Lets notes wait for their time, so that they are handled in canonical order, and acts on each once.

    What is late is handled at the first moment that the stage has not handled yet. Of copies that contradict each
    other the earliest counts, of equal times the least, unless another has been handled before. A note is
    remembered for as long as a copy of it would not be too late.

    Parameters
    ----------
    settings
        For how long copies may come, and when a minute's labels are complete.
    decide
        Acts on decisions.
    """

    def __init__(self, settings: Settings, decide: Decide) -> None:
        self._retention_ms = settings.retention_ms
        self._labelled_ms = MINUTE_MS + settings.stall_after_ms
        self._decide = decide

    def wait(self, context: Context, note: SiteNote) -> None:
        """Keep a note until its time has come; a copy changes nothing, or takes the place of what waits."""
        kind = "decision" if isinstance(note, AlertDecided) else "deploy"
        key = SEPARATOR.join((f"d{note.site}", kind, note.event_id))
        known: WaitingNote | None = context.state.get(key)
        if known is not None:
            context.count("duplicates", kind)
            if known.note is None or _rank(known.note) <= _rank(note):
                return
        context.state.put(key, WaitingNote(note), max(note.occurred_at, context.watermark))

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Act on a note, or forget one that no copy can follow any more."""
        state = context.state
        note = state.get(key).note
        if note is None:
            state.delete(key)
            return ()
        if state.get(f"w{note.site}{SEPARATOR}{deadline_ms - self._labelled_ms:015d}") is not None:
            # Pages of a minute that is due now have been handled, its scopes not yet: nothing may come between.
            state.put(key, WaitingNote(note), deadline_ms + 1)
            return ()
        state.put(key, WaitingNote(None), max(deadline_ms, note.occurred_at + self._retention_ms))
        if isinstance(note, Deployed):
            context.count("deploys")
            keep_deploy(state, note)
            return ()
        return self._decide(context, note, deadline_ms)


def _rank(note: SiteNote) -> tuple[int, bytes, Origin]:
    """Order of copies, by nothing that depends on how partitions interleave."""
    told = msgspec.structs.replace(note, origin=("", 0, 0), came_from=("", 0, 0))
    return note.occurred_at, msgspec.json.encode(told), note.came_from
