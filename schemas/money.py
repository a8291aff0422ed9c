"""Exact amounts: decimal strings, or JSON numbers short enough to mean what they say."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, TypeAlias

from msgspec import Meta, Raw

from schemas.fields import FieldError

MAX_INTEGER_DIGITS = 15
MAX_FRACTION_DIGITS = 9
SMALLEST = 6  # below 10**-6 the standard library writes a decimal with an exponent, which we do not read
MAX_NUMBER_DIGITS = 15
"""A double holds every decimal of 15 significant digits, and not every one of 16."""

_TEXT = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?")
_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?(?:[eE][+-]?[0-9]{1,2})?")
_LONGEST = 40

_WIRE = {
    "type": ["string", "number"],
    "pattern": r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?$",
    "exclusiveMinimum": -1e15,
    "exclusiveMaximum": 1e15,
}

if TYPE_CHECKING:
    Amount: TypeAlias = Decimal
    OptionalAmount: TypeAlias = Decimal | None
else:
    # The number's own text: 0.10000000000000000001 has too many digits, and a float would hide it.
    Amount = Annotated[Raw, Meta(extra_json_schema=_WIRE)]
    OptionalAmount = Annotated[Raw, Meta(extra_json_schema={**_WIRE, "type": ["string", "number", "null"]})]

AmountText: TypeAlias = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$", max_length=40)]
"""An amount in what we write: exact, without exponent and without trailing zeros."""


def _bounded(value: Decimal) -> Decimal | None:
    """Strip exponent and trailing zeros; None where the amount is out of bounds."""
    if not value:
        return Decimal(0)
    if value.adjusted() >= MAX_INTEGER_DIGITS or value.adjusted() < -SMALLEST:
        return None
    text = format_amount(value)
    return Decimal(text) if _TEXT.fullmatch(text) else None


@lru_cache(maxsize=16_384)
def _amount(text: str, number: bool) -> Decimal | None:
    """Exact value of a number's or a string's text, or None; prices repeat, so it is remembered."""
    if len(text) > _LONGEST:
        return None
    if not number:
        return _bounded(Decimal(text)) if _TEXT.fullmatch(text) else None
    match = _NUMBER.fullmatch(text)
    if match is None or len((match[1] + (match[2] or "").rstrip("0")).lstrip("0")) > MAX_NUMBER_DIGITS:
        return None
    return _bounded(Decimal(text))


def parse_amount(value: object, field: str = "amount") -> Decimal:
    """Exact amount of a decimal string or a number.

    Parameters
    ----------
    value
        JSON text as `msgspec.Raw`, or the value itself. A string is digits, at most 15, and at most 9 after a
        point; no sign but minus, no exponent, no spaces. A number has at most 15 significant digits, counted
        as it is written, without zeros that end a fraction (a float: in its shortest form, as `repr` gives
        it); an exponent is allowed, as some producers write 1.0E7, and the same bounds hold for the result.
    field
        Named in the error.

    Returns
    -------
    Decimal
        Without exponent and trailing zeros; 0, or 10**-6 ≤ |amount| < 10**15. So tens of thousands of them
        add up exactly in the default context of 28 digits.

    Raises
    ------
    FieldError
        Anything else: NaN, infinity, a bool, null, too many digits.

    Examples
    --------
    >>> parse_amount("19.90"), parse_amount(19.9), parse_amount(Raw(b"1.99e1"))
    (Decimal('19.9'), Decimal('19.9'), Decimal('19.9'))
    >>> parse_amount(0.1 + 0.2)
    Traceback (most recent call last):
    schemas.fields.FieldError: `amount` is no exact amount
    """
    amount: Decimal | None = None
    if isinstance(value, Raw):
        text = bytes(value)
        if text.isascii() and b"\\" not in text:
            quoted = text[:1] == b'"'
            amount = _amount((text[1:-1] if quoted else text).decode(), not quoted)
    elif isinstance(value, str):
        amount = _amount(value, False)
    elif isinstance(value, Decimal):
        amount = _bounded(value) if value.is_finite() else None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        amount = _amount(repr(value), True) if abs(value) < 1e15 else None
    if amount is None:
        raise FieldError(f"`{field}` is no exact amount")
    return amount


def format_amount(amount: Decimal) -> str:
    """Write an amount: one text for equal amounts, without exponent, trailing zeros or negative zero.

    Parameters
    ----------
    amount
        Any finite decimal.

    Raises
    ------
    ValueError
        NaN or infinite.

    Examples
    --------
    >>> format_amount(Decimal("1.50") + Decimal("2.50")), format_amount(Decimal("-0.00"))
    ('4', '0')
    """
    if not amount.is_finite():
        raise ValueError("an amount is finite")
    text = f"{amount:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
