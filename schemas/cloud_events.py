"""CloudEvents: the headers of every record that we write for others, in the Kafka binding's binary mode.

Source: CloudEvents 1.0.2 and its Kafka protocol binding 1.0.2, section 3.2.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from schemas.timestamps import format_ms

SPEC_VERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/json"
_BEGIN: Final = ("ce_specversion", SPEC_VERSION.encode())
_END: Final = ("content-type", CONTENT_TYPE.encode())


def type_of(topic: str) -> str:
    """Type of a topic's events, in which the topic's name has no prefix.

    Examples
    --------
    >>> type_of("sessions")
    'culdesac.sessions'
    """
    return f"culdesac.{topic}"


@lru_cache(maxsize=256)
def _shared(topic: str, source: str) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    return ("ce_type", type_of(topic).encode()), ("ce_source", source.encode())


def envelope(topic: str, source: str, name: str, revision: int, time_ms: int) -> list[tuple[str, bytes]]:
    """Headers of a record.

    Parameters
    ----------
    topic
        Without prefix.
    source
        Which part of us wrote it, as ``/culdesac/sessions``.
    name, revision
        The record's `id` and `revision` (1 where it has none): a copy with the same two is the same record.
    time_ms
        Event time (epoch ms).

    Examples
    --------
    >>> dict(envelope("sessions", "/culdesac/sessions", "s1", 2, 0))["ce_id"]
    b's1:2'
    """
    return [
        _BEGIN,
        ("ce_id", f"{name}:{revision}".encode()),
        *_shared(topic, source),
        ("ce_time", format_ms(time_ms).encode()),
        _END,
    ]


def header_schema(topic: str) -> dict[str, Any]:
    """JSON Schema (draft 7) of the headers, each as text."""
    texts = {
        "ce_specversion": {"const": SPEC_VERSION, "description": "Version of CloudEvents."},
        "ce_id": {
            "pattern": r"^[\s\S]+:[1-9][0-9]*$",
            "description": "The record's id and revision: a copy with the same one is the same record.",
        },
        "ce_type": {"const": type_of(topic), "description": "Kind of the record."},
        "ce_source": {"pattern": "^/culdesac/", "description": "Which part of Culdesac wrote it."},
        "ce_time": {"format": "date-time", "description": "Event time."},
        "content-type": {"const": CONTENT_TYPE, "description": "How the value is written."},
    }
    return {
        "type": "object",
        "properties": {name: {"type": "string", **text} for name, text in texts.items()},
        "required": list(texts),
    }
