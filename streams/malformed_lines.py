"""Lines of a file that its format's adapter can't read: each becomes a `rejected-events` record."""

from base64 import b64encode
from typing import Any

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
    return "rejected-events", {
        "schema": "rejected-events/1",
        "id": f"{source}/0/{number}",
        "reason": "malformed_line",
        "detail": f"line {number + 1}: {detail}",
        "topic": source,
        "partition": 0,
        "offset": number,
        "payload": b64encode(line.encode("utf-8", "backslashreplace")[:MAX_PAYLOAD_BYTES]).decode("ascii"),
    }
