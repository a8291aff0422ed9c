"""Notes: what a person says of an alert, and that something was deployed, sent from the terminal to Kafka."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from agents.publisher import PublishError
from agents.security import security_of
from agents.settings import WorkerSettings
from agents.topics import partition_counts
from schemas.decoding import RejectedError, decode_input
from schemas.timestamps import format_ms
from schemas.topics import partition

TIMEOUT_S = 30.0


class NoteError(Exception):
    """What is to be sent is not as it should be; one line that says what is wrong."""


def decision_of(
    alert_id: str,
    action: str,
    by: str,
    why: str | None,
    mute_ms: int | None,
    site: str,
    clock: Callable[[], float] = time.time,
    at_ms: int | None = None,
) -> dict[str, Any]:
    """Make a decision about an alert.

    Parameters
    ----------
    mute_ms
        For how long from now a mute holds (ms); None: until the alert is over.
    clock
        Wall clock (s).
    at_ms
        Event time (ms) at which it counts; None: now.

    Examples
    --------
    >>> note = decision_of("3f2a9c0d1b4e5f60", "mute", "Ann", None, 60_000, "shop", clock=lambda: 0.0)
    >>> note["occurred_at"], note["until"], "why" in note
    ('1970-01-01T00:00:00.000Z', 60000, False)
    """
    now_ms = int(clock() * 1000)
    note = {
        "event_id": uuid.uuid4().hex,
        "occurred_at": format_ms(now_ms if at_ms is None else at_ms),
        "site": site,
        "alert_id": alert_id,
        "action": action,
        "by": by,
        "why": why,
        "until": None if mute_ms is None else now_ms + mute_ms,
    }
    return {name: value for name, value in note.items() if value is not None}


def deploy_of(
    version: str,
    at_ms: int | None,
    by: str | None,
    note: str | None,
    url: str | None,
    site: str,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Make a deploy, as of a time (ms) or of now.

    Examples
    --------
    >>> sorted(deploy_of("7", 0, None, "sizes", None, "shop"))
    ['event_id', 'note', 'occurred_at', 'site', 'version']
    """
    fields = {
        "event_id": uuid.uuid4().hex,
        "occurred_at": format_ms(int(clock() * 1000) if at_ms is None else at_ms),
        "site": site,
        "version": version,
        "by": by,
        "note": note,
        "url": url,
    }
    return {name: value for name, value in fields.items() if value is not None}


def send_note(settings: WorkerSettings, topic: str, key: str, note: dict[str, Any]) -> None:
    """Send one record, and wait until it is acknowledged.

    Nothing is said of how far time has come, as `publish` does: other producers may still be sending what is older.

    Raises
    ------
    NoteError
        The record would be refused at the door.
    TopicError
        Kafka can't be asked, or has no such topic.
    PublishError
        Kafka does not take it.
    """
    value = json.dumps(note, ensure_ascii=False).encode("utf-8", "replace")
    try:
        decode_input(topic, value)
    except RejectedError as error:
        raise NoteError(error.detail) from None
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    name = settings.topic_prefix + topic
    security = security_of(settings)
    count = partition_counts(settings.kafka, [name], security)[name]
    raw = key.encode("utf-8", "replace")
    try:
        producer = KafkaProducer(
            bootstrap_servers=settings.kafka.split(","),
            acks="all",
            client_id="culdesac-notes",
            **security.arguments(),
        )
        try:
            producer.send(name, value=value, key=raw, partition=partition(raw, count)).get(TIMEOUT_S)
        finally:
            producer.close(TIMEOUT_S)
    except KafkaError as error:
        raise PublishError(f"{settings.kafka}: Kafka does not take it ({type(error).__name__})") from None
