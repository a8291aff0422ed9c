"""Our own JSON: records as they are to stand in the input topics, several in one body."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from schemas.decoding import RejectedError
from streams.collected import Collected, safe_detail


class Posted(msgspec.Struct):
    """One record; in files the same line is a topic log's."""

    topic: Annotated[str, Meta(description="page-views, interactions, orders or identities.")]
    value: Annotated[dict[str, Any], Meta(description="The record, as its topic's schema says.")]


class PostedBody(msgspec.Struct):
    """What is posted at once."""

    events: Annotated[list[msgspec.Raw], Meta(description="Records, each with its topic.")]


_decode_body = msgspec.json.Decoder(PostedBody).decode
_decode = msgspec.json.Decoder(Posted).decode


def read_posted(body: bytes, collected: Collected) -> None:
    """Read a body of records, each by itself: what is wrong with one is no harm to another.

    Raises
    ------
    RejectedError
        ``not_json``, or ``schema_violation`` where it is another object: nothing was taken.

    Examples
    --------
    >>> from streams.collected import Received
    >>> collected = Collected(Received(id="r", at_ms=7, site="shop", salt=b"s"))
    >>> read_posted(b'{"events": [{"topic": "deploys", "value": {}}, 5]}', collected)
    >>> dict(collected.reasons)
    {'unknown_topic': 1, 'schema_violation': 1}
    """
    try:
        events = _decode_body(body).events
    except msgspec.ValidationError as error:
        raise RejectedError("schema_violation", safe_detail(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RejectedError("not_json", "no JSON in UTF-8") from None
    for raw in events:
        try:
            posted = _decode(raw)
        except (msgspec.ValidationError, RecursionError) as error:
            collected.reject("schema_violation", safe_detail(error), bytes(raw))
        except (msgspec.DecodeError, UnicodeDecodeError):
            collected.reject("not_json", "no JSON in UTF-8", bytes(raw))
        else:
            collected.add(posted.topic, posted.value, bytes(raw))
