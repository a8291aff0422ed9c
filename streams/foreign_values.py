"""Values of other people's records: read leniently, where ours are strict, but never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any, cast

import msgspec

from schemas.money import MAX_INTEGER_DIGITS, format_amount
from streams.adapters import RawError

_WORDS = re.compile(r"[^a-z0-9]+")
_SIX_DIGITS = Decimal("0.000001")


def json_object(raw: bytes) -> dict[str, Any]:
    """Decode one JSON object.

    Raises
    ------
    RawError
        ``not_json``, or ``schema_violation`` where it is JSON but no object.

    Examples
    --------
    >>> json_object(b'{"a": 1}')
    {'a': 1}
    >>> json_object(b"[]")
    Traceback (most recent call last):
    streams.adapters.RawError: no JSON object
    """
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RawError("not_json", "no JSON object") from None
    if not isinstance(value, dict):
        raise RawError("schema_violation", "no JSON object")
    return cast(dict[str, Any], value)


def part(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Object inside objects, by names; empty where there is none.

    Examples
    --------
    >>> part({"context": {"page": {"url": "/"}}}, "context", "page"), part({"context": None}, "context")
    ({'url': '/'}, {})
    """
    value: Any = record
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[dict[str, Any]]:
    """Objects in a list; nothing where it is no list.

    >>> objects([{"a": 1}, 2]), objects("a")
    ([{'a': 1}], [])
    """
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object) -> str | None:
    """Text of a string or a whole number; None where there is none or only spaces.

    Examples
    --------
    >>> text(" a "), text(7), text(7.0), text(""), text(None), text(True)
    ('a', '7', '7', None, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def amount(value: object) -> str | None:
    """Amount as our decimal text, at most six digits behind the point; None where there is none.

    Examples
    --------
    >>> amount(27.5), amount("1899.00"), amount(0.1 + 0.2), amount("a lot"), amount(None)
    ('27.5', '1899', '0.3', None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    shown = repr(value) if isinstance(value, float) else str(value).strip()
    try:
        exact = Decimal(shown) if len(shown) <= 40 and "_" not in shown else Decimal("NaN")
        if not exact.is_finite() or exact.adjusted() >= MAX_INTEGER_DIGITS:
            return None
        exponent = exact.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -6:
            exact = exact.quantize(_SIX_DIGITS)
    except InvalidOperation:
        return None
    return format_amount(exact)


def seconds(value: object, per_second: int = 1) -> float | None:
    """Seconds of a number or its text, which counts parts of a second; None where there is none.

    >>> seconds("2500", 1000), seconds(None), seconds("x")
    (2.5, None, None)
    """
    shown = amount(value)
    return None if shown is None else float(shown) / per_second


def word(name: str) -> str:
    """Name of an event as one of our interactions' names: lower case, words joined by ``_``, at most 64.

    >>> word("Product List Viewed"), word("!")
    ('product_list_viewed', '')
    """
    return _WORDS.sub("_", name.lower()).strip("_")[:64].rstrip("_")


def digest(*values: object) -> str:
    """Id made of values: equal values, equal id.

    >>> digest("a", None, 1) == digest("a", None, 1) != digest("a", 1, None)
    True
    """
    content = msgspec.json.encode(values, order="deterministic")
    return blake2b(content, digest_size=16).hexdigest()


def filled(**fields: Any) -> dict[str, Any]:
    """Record of the fields that have a value.

    >>> filled(url="/", title=None, lines=[], total="0")
    {'url': '/', 'total': '0'}
    """
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}
