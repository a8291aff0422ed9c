"""Event time: RFC 3339 with an offset or epoch milliseconds on the wire, whole epoch milliseconds inside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta

from schemas.fields import FieldError

MIN_MS = -62_135_596_800_000
"""0001-01-01T00:00:00.000Z, the first instant that a time can name."""

MAX_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

if TYPE_CHECKING:
    Instant: TypeAlias = int
else:
    # What a decoder accepts (msgspec reads RFC 3339 in C); `instant_ms` makes an int of it at once.
    Instant = (
        Annotated[int, Meta(ge=MIN_MS, le=MAX_MS)]
        | Annotated[float, Meta(ge=MIN_MS, le=MAX_MS)]
        | Annotated[datetime, Meta(tz=True)]
    )

UtcTime: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        max_length=24,
        extra_json_schema={"format": "date-time"},
    ),
]
"""A time in what we write: RFC 3339, UTC, always with milliseconds, so that text order is time order."""


def instant_ms(value: object, field: str = "time") -> int:
    """Epoch milliseconds of a decoded time.

    Parameters
    ----------
    value
        A datetime with an offset, or a number of epoch milliseconds (a float only where it is whole: some
        producers know no other number). Digits beyond the millisecond are cut, except that the JSON
        decoder has rounded a seventh digit of the second's fraction before.
    field
        Named in the error.

    Raises
    ------
    FieldError
        Outside the years 1 to 9999 in UTC (both included), a fraction of a millisecond, or no time at all.
    """
    if type(value) is datetime and value.tzinfo is not None:
        since = value - _EPOCH
        ms = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    elif isinstance(value, float) and value.is_integer():
        ms = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        ms = value
    else:
        raise FieldError(f"`{field}` is no whole number of milliseconds")
    if not MIN_MS <= ms <= MAX_MS:
        raise FieldError(f"`{field}` is outside the years 1 to 9999")
    return ms


def parse_time(value: object) -> int:
    """Read a time as the decoders of the input topics do.

    Parameters
    ----------
    value
        RFC 3339 text with an offset, or epoch milliseconds (int, or a whole float).

    Returns
    -------
    int
        Epoch milliseconds; finer digits are cut.

    Raises
    ------
    ValueError
        No such time: without an offset, a day that does not exist, second 60, a bool, NaN, a fraction of a
        millisecond, or outside the years 1 to 9999 in UTC.

    Examples
    --------
    >>> parse_time("2026-03-01T12:00:00.25+01:00"), parse_time(1772362800250)
    (1772362800250, 1772362800250)
    >>> parse_time("2026-03-01T12:00:00")
    Traceback (most recent call last):
    msgspec.ValidationError: Expected `datetime` with a timezone component
    """
    return instant_ms(msgspec.convert(value, Instant))


@lru_cache(maxsize=16_384)
def _minute(minute: int) -> str:
    """RFC 3339 up to a whole minute; records of one moment share it, and isoformat is the costly part."""
    return (_EPOCH + timedelta(minutes=minute)).isoformat(timespec="minutes")[:16]


_SECONDS = tuple(f":{second:02d}" for second in range(60))
_MILLISECONDS = tuple(f".{ms:03d}Z" for ms in range(1000))


def format_ms(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds.

    Parameters
    ----------
    ms
        Epoch milliseconds, in the years 1 to 9999.

    Raises
    ------
    ValueError
        Outside those years.

    Examples
    --------
    >>> format_ms(0), format_ms(-1)
    ('1970-01-01T00:00:00.000Z', '1969-12-31T23:59:59.999Z')
    """
    if not MIN_MS <= ms <= MAX_MS:
        raise ValueError("a time is in the years 1 to 9999")
    minute, rest = divmod(ms, 60_000)
    return _minute(minute) + _SECONDS[rest // 1000] + _MILLISECONDS[rest % 1000]
