"""The door: bytes of an input topic to an event, or a typed reason why not."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from schemas.alert_decisions import AlertDecision
from schemas.consents import Consent
from schemas.deploys import Deploy
from schemas.events import Event
from schemas.feedback import Feedback
from schemas.fields import FieldError
from schemas.identities import Identity
from schemas.interactions import Interaction
from schemas.orders import Order
from schemas.page_views import PageView
from schemas.rejected_events import Reason

MAX_RECORD_BYTES: Final = 256 * 1024
"""Longer records are ``too_large``. What is made of one has to fit into Kafka's default of 1 MiB."""

MAX_DEPTH: Final = 512
"""JSON nested deeper is ``not_json``: nobody behind the door is to meet Python's recursion limit of 1000."""

# A level takes an opening and a closing bracket: a record no longer than this need not be counted.
_SHALLOW_BYTES: Final = 2 * MAX_DEPTH

INPUT_TYPES: Final[dict[str, type[Event]]] = {
    "page-views": PageView,
    "interactions": Interaction,
    "orders": Order,
    "identities": Identity,
    "consents": Consent,
    "feedback": Feedback,
    "alert-decisions": AlertDecision,
    "deploys": Deploy,
}

_DECODE = {topic: msgspec.json.Decoder(type_).decode for topic, type_ in INPUT_TYPES.items()}
_MISSING_VISITOR = re.compile(
    r"Object missing required field `visitor_id`"
    r"|Expected `str`, got `null` - at `\$\.visitor_id`"
    r"|Expected `str` of length >= 1 - at `\$\.visitor_id`"
    r"|`visitor_id` is (missing|blank)"
)
# These messages of msgspec tell types, bounds and paths. Others may quote the value and are not passed on.
_SAFE = (
    "Expected `",
    "Object missing required field `",
    "Invalid RFC3339",
    "Number out of range",
    "Integer value",
)
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]')


class RejectedError(Exception):
    """A record can't be used.

    Attributes
    ----------
    reason
        One of the typed reasons.
    detail
        What was wrong, and where; never the value, which may be personal.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


def decode_input(topic: str, value: bytes | None) -> Event:
    """Decode and check a record of an input topic.

    A page view costs about 2 µs. Whatever comes in, there is no other exception than the one below.

    Parameters
    ----------
    topic
        Name of the topic.
    value
        The record's value; None where Kafka has none.

    Returns
    -------
    Event
        Of the topic's type; times are epoch milliseconds, amounts are exact, and fields left as JSON text
        (`properties`, `traits`) are valid JSON objects.

    Raises
    ------
    RejectedError
        ``unknown_topic``; ``too_large`` (more than 256 KiB); ``not_json`` (no value, empty, another encoding
        than UTF-8, a byte order mark, NaN, half a surrogate pair, nested more than 512 deep, all malformed);
        ``missing_visitor`` (page views, interactions, and identities other than ``described``);
        ``schema_violation`` (all else, also JSON that is no object).

    Examples
    --------
    >>> decode_input("page-views", b'{"event_id":"e","visitor_id":"v","occurred_at":5,"url":"/"}').occurred_at
    5
    >>> decode_input("page-views", b'{"event_id":"e","visitor_id":null,"occurred_at":5,"url":"/"}')
    Traceback (most recent call last):
    schemas.decoding.RejectedError: missing_visitor: `visitor_id` is missing or blank
    """
    decode = _DECODE.get(topic)
    if decode is None:
        raise RejectedError("unknown_topic", "no input topic has this name")
    if value is None:
        raise RejectedError("not_json", "no value")
    if len(value) > MAX_RECORD_BYTES:
        raise RejectedError("too_large", f"{len(value)} bytes, at most {MAX_RECORD_BYTES} are read")
    try:
        event = decode(value)
        if not value.isascii():
            value.decode()  # the decoder skips unknown fields without a look at their encoding
        if len(value) > _SHALLOW_BYTES:
            _require_depth(value)
        event.check()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, FieldError) as error:
        raise _rejected(topic, value, error) from None
    return event


def canonical_json(value: Any) -> bytes:
    """One text for equal values: keys sorted, no spaces, UTF-8.

    Parameters
    ----------
    value
        A decoded event or any other record of ours.

    Examples
    --------
    >>> canonical_json({"b": 1, "a": msgspec.Raw(b'{"d": 2, "c": 3}')})
    b'{"a":{"c":3,"d":2},"b":1}'
    """
    # The standard library, as msgspec writes no integers of more than 64 bits, which `properties` may hold.
    plain = json.loads(msgspec.json.encode(value))
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _require_depth(value: bytes) -> None:
    """Refuse what is nested too deep; the JSON is well-formed."""
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKETS.finditer(value):
        bracket = match[0]
        if bracket in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise RecursionError
        elif bracket in b"]}":
            depth -= 1


def _rejected(topic: str, value: bytes, error: Exception) -> RejectedError:
    """Tell why a record was refused: what is no JSON is called that, whatever was noticed first."""
    try:
        value.decode()
        msgspec.json.decode(value, type=msgspec.Raw)
        _require_depth(value)
    except RecursionError:
        return RejectedError("not_json", f"nested more than {MAX_DEPTH} deep")
    except UnicodeDecodeError as wrong:
        return RejectedError("not_json", f"not UTF-8 (byte {wrong.start})")
    except msgspec.DecodeError as wrong:
        return RejectedError("not_json", str(wrong) if value else "empty")
    detail = str(error)
    if INPUT_TYPES[topic].NEEDS_VISITOR and _MISSING_VISITOR.match(detail):
        return RejectedError("missing_visitor", "`visitor_id` is missing or blank")
    if isinstance(error, FieldError) or isinstance(error.__cause__, FieldError) or detail.startswith(_SAFE):
        return RejectedError("schema_violation", detail)
    path = detail.rpartition(" - at ")[2] if " - at " in detail else "`$`"
    return RejectedError("schema_violation", f"Not one of the values allowed - at {path}")
