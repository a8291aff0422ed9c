"""Lines and raw records that a format's adapter can't read: each becomes a `rejected-events` record."""

from base64 import b64encode
from typing import Any

from schemas.rejected_events import Reason

MAX_PAYLOAD_BYTES = 16 * 1024


def malformed_line(source: str, number: int, line: str, detail: str) -> tuple[str, dict[str, Any]]:
    """Give topic and record that tell which line was refused, and why. A file has no append time to tell.

    Parameters
    ----------
    source
        The format.
    number
        The line's, from 0.
    line
        Its text, of which 16 KiB are kept.
    detail
        What was wrong, without personal data.

    Examples
    --------
    >>> topic, record = malformed_line("access-log", 4, "nonsense", "no line of the combined log format")
    >>> topic, record["id"], record["detail"]
    ('rejected-events', 'access-log/0/4', 'line 5: no line of the combined log format')
    """
    payload = line.encode("utf-8", "backslashreplace")
    return refused_record(source, 0, number, payload, "malformed_line", f"line {number + 1}: {detail}")


def refused_record(
    topic: str, partition: int, offset: int, payload: bytes, reason: Reason, detail: str
) -> tuple[str, dict[str, Any]]:
    """Give topic and record that tell where a record stood, and why it was refused.

    Parameters
    ----------
    topic, partition, offset
        Where it stood; in files the format, the file's number and the line's, each from 0.
    payload
        Its bytes, of which 16 KiB are kept.
    reason, detail
        What was wrong, without personal data.

    Examples
    --------
    >>> _, record = refused_record("raw-events", 3, 17, b"{", "not_json", "no JSON object")
    >>> record["id"], record["reason"], record["payload"]
    ('raw-events/3/17', 'not_json', 'ew==')
    """
    return "rejected-events", {
        "schema": "rejected-events/1",
        "id": f"{topic}/{partition}/{offset}",
        "reason": reason,
        "detail": detail,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "payload": b64encode(payload[:MAX_PAYLOAD_BYTES]).decode("ascii"),
    }
