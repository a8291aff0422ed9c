"""Planted faults: what breaks in the made-up shop, when, and by how much.

A plan is the truth that alerts are measured against, so it is read strictly: a page, a time or a size that
can't be meant is refused with one line that names the entry.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

HOUR_MS = 3_600_000
# 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
LATEST_MS = 253_402_300_799_999

_UNIT_MS = {"s": 1_000, "m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
_RELATIVE = re.compile(r"\+(\d{1,9}(?:\.\d{1,6})?)([smhd])", re.ASCII)
_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
_KEYS = {"page", "from", "to", "points"}


class PlanError(ValueError):
    """A plan of faults that can't be carried out; its text is one line, fit to be shown to a user."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A page that loses visitors for a while.

    Parameters
    ----------
    page
        Normalised page, host and path: ``shop.example/product/p12``.
    start_ms, end_ms
        Epoch milliseconds; the fault holds where ``start_ms ≤ t < end_ms``.
    points
        Added to the exit probability of each view of the page: 0.40 is +40 percentage points. The sum is
        capped at 1.
    """

    page: str
    start_ms: int
    end_ms: int
    points: float

    def __post_init__(self) -> None:
        if not self.start_ms < self.end_ms:
            raise PlanError(f"fault on {self.page}: 'to' must be later than 'from'")
        if not 0.0 < self.points <= 1.0:
            raise PlanError(
                f"fault on {self.page}: points is {self.points:g}, but must be above 0 and at most 1 "
                "(0.40 is +40 percentage points)"
            )


def plain_page(text: str) -> str:
    """Cut one of the shop's URLs to the page: host and path, no scheme, query, fragment or trailing slash.

    A host alone is its home page, which keeps the slash. Enough for the made-up shop, whose URLs are tame.

    Examples
    --------
    >>> plain_page("https://shop.example/product/p12/?ref=mail#top"), plain_page("shop.example")
    ('shop.example/product/p12', 'shop.example/')
    """
    page = _SCHEME.sub("", text.strip()).split("#")[0].split("?")[0].rstrip("/")
    return page if "/" in page or not page else page + "/"


def parse_plan(text: str, start_ms: int) -> tuple[Fault, ...]:
    """Read a plan of faults from JSON or TOML.

    JSON is a list of ``{page, from, to, points}``, or an object whose ``faults`` is that list; TOML is an
    array of tables ``[[faults]]``. A time is RFC 3339 with offset, epoch milliseconds, or relative to the
    shop's start: ``"+66h"``, also with s, m or d.

    Parameters
    ----------
    text
        The file's content.
    start_ms
        Epoch milliseconds that relative times count from.

    Returns
    -------
    The faults, by their start, then by page.

    Raises
    ------
    PlanError
        When the text is neither JSON nor TOML, or an entry is incomplete, misspelt or impossible.

    Examples
    --------
    >>> parse_plan('[{"page": "shop.example/cart", "from": "+1h", "to": "+2h", "points": 0.4}]', 0)
    (Fault(page='shop.example/cart', start_ms=3600000, end_ms=7200000, points=0.4),)
    """
    document = _document(text)
    if isinstance(document, dict):
        unknown = sorted(set(document) - {"faults"})
        if unknown:
            raise PlanError(f"plan: unknown key {_shown(unknown[0])}; it holds a list called 'faults'")
        document = document.get("faults", [])
    if not isinstance(document, list):
        raise PlanError("plan: expected a list of {page, from, to, points}")
    faults = [_fault(entry, number, start_ms) for number, entry in enumerate(document, 1)]
    return tuple(sorted(faults, key=lambda fault: (fault.start_ms, fault.page, fault.end_ms, fault.points)))


def _document(text: str) -> Any:
    # A TOML plan may begin with "[[faults]]", which also looks like JSON: so JSON is tried, not guessed.
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        json_reason = error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        json_like = text.lstrip()[:1] in ("{", "[") and not text.lstrip().startswith("[[")
        name, reason = ("JSON", json_reason) if json_like else ("TOML", error)
    raise PlanError(f"plan: not readable as {name}: {str(reason).splitlines()[0]}")


def _fault(entry: Any, number: int, start_ms: int) -> Fault:
    if not isinstance(entry, dict):
        raise PlanError(f"plan, fault {number}: expected {{page, from, to, points}}, found {_shown(entry)}")
    for key in sorted(set(entry) ^ _KEYS):
        raise PlanError(f"plan, fault {number}: {'missing' if key in _KEYS else 'unknown'} key {_shown(key)}")
    page = entry["page"]
    if not isinstance(page, str) or not plain_page(page):
        raise PlanError(f"plan, fault {number}: page must be a host and path, found {_shown(page)}")
    points = entry["points"]
    # Written so that NaN fails it, and no integer is too long for it.
    if isinstance(points, bool) or not isinstance(points, int | float) or not -1_000 < points < 1_000:
        raise PlanError(f"plan, fault {number}: points must be a number such as 0.40, found {_shown(points)}")
    from_ms = _time_ms(entry["from"], f"plan, fault {number}: from", start_ms)
    to_ms = _time_ms(entry["to"], f"plan, fault {number}: to", start_ms)
    try:
        return Fault(plain_page(page), from_ms, to_ms, float(points))
    except PlanError as error:
        raise PlanError(f"plan, fault {number}: {error}") from None


def _time_ms(value: Any, where: str, start_ms: int) -> int:
    time_ms: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        time_ms = value
    elif isinstance(value, str) and (relative := _RELATIVE.fullmatch(value.strip())):
        time_ms = start_ms + round(float(relative[1]) * _UNIT_MS[relative[2]])
    elif isinstance(value, str | datetime):
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            if moment.tzinfo is not None:
                time_ms = round(moment.timestamp() * 1_000)
        except (ValueError, OverflowError):
            time_ms = None
    if time_ms is None or not 0 <= time_ms <= LATEST_MS:
        raise PlanError(
            f"{where} must be a time with offset (2026-01-05T10:00:00Z), epoch milliseconds, or hours after "
            f"the start ('+66h'); found {_shown(value)}"
        )
    return time_ms


def _shown(value: Any) -> str:
    # A huge value would not fit one line, and a very long int can't even be printed.
    try:
        text = repr(value)
    except ValueError:
        return "a number that is far too long"
    return text if len(text) <= 60 else text[:57] + "..."
