"""Detection: what format a file has, by its first lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import msgspec

from streams.access_logs import AccessLog
from streams.snowplow_events import FIELDS

LOOKED_AT = 20
"""So many lines are looked at."""
DELIMITERS = ",;\t|"
_VISIT = re.compile(rb'\[\s*\{.{0,4096}?"(?:idVisit|actionDetails|visitorId)"\s*:', re.DOTALL)
_KEYS = (
    ("ga4", {"event_name", "event_timestamp"}),
    ("matomo", {"idVisit", "actionDetails"}),
    ("otto", {"session", "events"}),
    ("topic-log", {"topic", "value"}),
    ("topic-log", {"topic", "base64"}),
    ("segment", {"type", "messageId"}),
    ("segment", {"type", "anonymousId"}),
    ("segment", {"type", "userId"}),
)


def detect_format(lines: Sequence[bytes]) -> str | None:
    r"""Tell the format of a file by its first lines; None where none fits.

    Parameters
    ----------
    lines
        Without their ends; blank ones do not matter.

    Returns
    -------
    str or None
        As ``--format`` takes it. ``csv`` also needs a map. NDJSON that is ours has to be named after its topic
        and is not told here.

    Examples
    --------
    >>> detect_format([b'{"event_name": "page_view", "event_timestamp": "1"}'])
    'ga4'
    >>> detect_format([b"web" + b"\t" * 130]), detect_format([b"a;b", b"1;2"]), detect_format([b"hello"])
    ('snowplow', 'csv', None)
    """
    some = [line for line in lines if line.strip()][:LOOKED_AT]
    if not some:
        return None
    first = some[0].removeprefix(b"\xef\xbb\xbf")
    if any(line.count(b"\t") == len(FIELDS) - 1 for line in some):
        return "snowplow"
    if _VISIT.match(b"".join([first, *some[1:]])[:8192].lstrip()):
        return "matomo"
    if first.lstrip().startswith(b"{"):
        return next(filter(None, map(_by_keys, [first, *some[1:]])), None)
    if any(_is_access(line) for line in some):
        return "access-log"
    return "csv" if find_delimiter([line.decode("cp1252", "replace") for line in some]) else None


def find_delimiter(lines: Sequence[str]) -> str | None:
    """Tell what parts the columns: what gives every row equally many, and the most of them.

    Examples
    --------
    >>> find_delimiter(["time;price", "2026-03-01 12:00;1,50", "2026-03-01 12:01;2,50"])
    ';'
    """
    best, most = None, 1
    for delimiter in DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        # Nine of ten rows as wide as the header: a broken row does not hide what all others show.
        if widths and widths[0] > most and widths.count(widths[0]) * 10 >= len(widths) * 9:
            best, most = delimiter, widths[0]
    return best


def _by_keys(line: bytes) -> str | None:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return next((name for name, keys in _KEYS if keys <= value.keys()), None)


def _is_access(line: bytes) -> bool:
    try:
        AccessLog("shop.example").read_line(line.decode("utf-8", "replace"))
    except ValueError:
        return False
    return True
