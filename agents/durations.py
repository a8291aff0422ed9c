"""Durations as people write them: ``30m``, ``24h``, ``10s``, ``250ms``."""

from __future__ import annotations

import re

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
EXAMPLES = "such as 10s, 30m, 24h, 7d or 250ms"


def parse_duration(text: str) -> int:
    """Read a duration; parts add up.

    Parameters
    ----------
    text
        Numbers with their units ``ms``, ``s``, ``m``, ``h`` or ``d``; blanks do not matter. A number without
        a unit is refused, because nobody knows what it means.

    Returns
    -------
    int
        Milliseconds, ≥ 0; fractions of a millisecond are cut off.

    Raises
    ------
    ValueError
        What stands there is not a duration.

    Examples
    --------
    >>> parse_duration("1h30m"), parse_duration("1.5 s")
    (5400000, 1500)
    """
    compact = "".join(text.split())
    if not _WHOLE.fullmatch(compact):
        raise ValueError(f"{text!r} is no duration: write one {EXAMPLES}")
    return int(sum(float(number) * _UNITS_MS[unit] for number, unit in _PART.findall(compact)))


def format_duration(duration_ms: int) -> str:
    """Write a duration (ms, ≥ 0) so that `parse_duration` reads it back.

    Examples
    --------
    >>> format_duration(5_400_000), format_duration(0), format_duration(10_250)
    ('1h30m', '0s', '10s250ms')
    """
    parts = []
    rest = duration_ms
    for unit in ("d", "h", "m", "s", "ms"):
        number, rest = divmod(rest, _UNITS_MS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
