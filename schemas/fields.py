"""Kinds of text and JSON that fields of several topics share, with their limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw

MAX_ID_CHARS = 256
MAX_TEXT_CHARS = 8192

Id: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=MAX_ID_CHARS, extra_json_schema={"pattern": r"\S"})
]
"""Names something: not blank, at most 256 characters, none of them a control character."""

Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema={"pattern": r"\S"})]
"""A short word from a list that may grow."""

Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
"""At most 8192 characters, none of them a control character: a browser would have escaped it."""

Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
"""Free text, at most 8192 characters. It may hold anything: whoever shows it has to escape it."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": r"\S"})]
"""What people call themselves, or what is theirs: not blank, at most 128 characters, none a control character."""

Note: TypeAlias = Annotated[str, Meta(max_length=1024)]
"""Free text that alerts repeat, at most 1024 characters. It may hold anything, as `Text`."""

Link: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1024)]
"""A URL that alerts repeat."""

Address: TypeAlias = Annotated[str, Meta(max_length=64)]
"""An IP address."""

Currency: TypeAlias = Annotated[str, Meta(max_length=3, pattern="^[A-Z]{3}$")]
"""Shaped like ISO 4217; whether such a currency exists is not checked."""

Probability: TypeAlias = Annotated[float, Meta(ge=0, le=1)]

Count: TypeAlias = Annotated[int, Meta(ge=0)]

NotNegative: TypeAlias = Annotated[float, Meta(ge=0)]

Short: TypeAlias = Annotated[str, Meta(max_length=MAX_ID_CHARS)]
"""A name or sentence of ours."""

if TYPE_CHECKING:
    JsonObject: TypeAlias = Raw | None
    JsonArray: TypeAlias = Raw | None
else:
    # JSON text that is passed on as it is. Of a union of Raw and None msgspec takes null only. So absent is
    # None, null is Raw(b"null"), and the door makes None of that. An empty Raw must not be a
    # default: it is written as nothing at all, which is no JSON.
    JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
    JsonArray = Annotated[Raw, Meta(extra_json_schema={"type": ["array", "null"]})]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class FieldError(ValueError):
    """A field that its type allows and its meaning does not; the message names the field, never its value."""


def require_ids(fields: Iterable[tuple[str, str | None]]) -> None:
    """Refuse blank ids, and control characters in them.

    Parameters
    ----------
    fields
        Name and value of each; None is absent.

    Raises
    ------
    FieldError
        Naming the first that is blank or holds a control character (C0, DEL, C1, U+2028, U+2029).

    Examples
    --------
    >>> require_ids([("event_id", "e1"), ("site", None)])
    >>> require_ids([("event_id", " ")])
    Traceback (most recent call last):
    schemas.fields.FieldError: `event_id` is blank
    """
    for name, value in fields:
        if value is not None:
            if not value or value.isspace():
                raise FieldError(f"`{name}` is blank")
            if _CONTROL.search(value):
                raise FieldError(f"`{name}` has a control character")


_decode_json = msgspec.json.Decoder().decode


def json_object(raw: Raw, field: str) -> Raw | None:
    """Look into JSON text that is passed on as it is.

    Parameters
    ----------
    raw
        Well-formed JSON, as far as skipping over it can tell.
    field
        Named in the error.

    Returns
    -------
    Raw or None
        The same text if it is an object; None for null.

    Raises
    ------
    FieldError
        No object, or a number that neither 64 bits nor a float can hold, or that has too many digits.

    Examples
    --------
    >>> bytes(json_object(Raw(b'{"a": 1}'), "properties"))
    b'{"a": 1}'
    >>> json_object(Raw(b"[1]"), "properties")
    Traceback (most recent call last):
    schemas.fields.FieldError: `properties` is no object
    """
    try:
        value = _decode_json(raw)
    except msgspec.ValidationError:
        raise FieldError(f"`{field}` has a number out of range") from None
    if value is None:
        return None
    if not isinstance(value, dict):
        raise FieldError(f"`{field}` is no object")
    return raw
