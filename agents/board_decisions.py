"""The board's decisions: what a person said in a form, sent as `culdesac decide` sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from agents.durations import parse_duration
from agents.notes import NoteError, decision_of, send_note
from agents.publisher import PublishError
from agents.settings import WorkerSettings
from agents.topics import TopicError
from schemas.dead_end_alerts import DeadEndAlert

AT_ONCE = 4
"""So many are sent at a time; the rest wait."""


class DecisionError(Exception):
    """A decision that was not sent.

    Attributes
    ----------
    status
        HTTP status.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Decisions:
    """Sends decisions to Kafka.

    Parameters
    ----------
    settings
        Where Kafka is.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def send(self, alert: DeadEndAlert, at_ms: int, action: str, form: Mapping[str, str]) -> None:
        """Send what was decided about an alert, and wait until Kafka has it.

        Parameters
        ----------
        alert
            What it is about.
        at_ms
            Event time at which it counts.
        action
            One of those that there are.
        form
            ``by`` (needed), ``why``, and of a mute ``for``: a duration, or empty: until it is over.

        Raises
        ------
        DecisionError
            422: it would be refused at the door; 503: Kafka does not take it.
        """
        by, why = form.get("by", "").strip(), form.get("why", "").strip()
        if not by:
            raise DecisionError(422, "Say who you are: a name or a role.")
        mute_ms = None
        if action == "mute" and form.get("for"):
            try:
                mute_ms = parse_duration(form["for"]) or None
            except ValueError as error:
                raise DecisionError(422, f"How long? {error}") from None
        note = decision_of(alert.alert_id, action, by, why or None, mute_ms, alert.site, at_ms=at_ms)
        try:
            async with self._gate:
                await asyncio.to_thread(send_note, self._settings, "alert-decisions", alert.alert_id, note)
        except NoteError as error:
            raise DecisionError(422, str(error)) from None
        except (TopicError, PublishError) as error:
            raise DecisionError(503, f"Not sent: {error}") from None
