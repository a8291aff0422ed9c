"""Maps for CSV: which column of somebody's export is which of our fields, as a TOML file says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schemas.orders import OrderStatus
from streams.event_files import EventFileError

Encoding = Literal["utf-8", "cp1252", "latin-1"]
_OF_ALL = "event_id visitor_id customer_id occurred_at site"
_CONTACTS = "email phone loyalty"
_TOPIC_FIELDS = {
    "page-views": f"{_OF_ALL} url referrer title user_agent ip",
    "interactions": f"{_OF_ALL} url referrer user_agent name sku seconds",
    "orders": f"{_OF_ALL} {_CONTACTS} order_id revision status channel currency total cost campaign sku article"
    " category quantity unit_price",
    "identities": f"{_OF_ALL} {_CONTACTS}",
}
TOPIC_FIELDS = {topic: frozenset(names.split()) for topic, names in _TOPIC_FIELDS.items()}
"""Topics that a row can become, and the fields that a map can fill there."""
FIELDS = frozenset[str]().union(*TOPIC_FIELDS.values())
SKIP = "skip"
_PLACE = re.compile(r"\{([^{}]+)\}")


class MapError(EventFileError):
    """A map can't be used; one line that says what to mend."""


class CsvMap(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to read a CSV file.

    Parameters
    ----------
    columns
        Names of all columns, in order; a file with a header may have them in another.
    header
        Whether a file's first row names the columns. In a Kafka topic no record does.
    delimiter, encoding
        How the text is written.
    time_format
        ``iso``, ``epoch_s``, ``epoch_ms``, ``epoch_us``, or as Python's strptime has it.
    time_zone
        Of times that tell none.
    decimal
        What stands before the fraction; the other of ``.`` and ``,`` groups thousands.
    minor_units
        How many digits of an amount are fraction: 2 where 1999 means 19.99.
    kind
        What every row is: ``page-views``, ``interactions/NAME``, ``orders/STATUS``, ``identities/KIND``.
    kind_column, kinds
        Instead: the column that tells, and what each of its values is, or ``skip``; ``*`` is all others.
    group_rows
        Rows that follow each other with one order id are articles of one order.
    status_below_zero
        Status of an order whose total is below zero.
    fields
        Our field to a column's name, to a text with ``{column}`` in it, or to ``=constant``.
    """

    columns: list[str]
    fields: dict[str, str]
    header: bool = True
    delimiter: str = ","
    encoding: Encoding = "utf-8"
    time_format: str = "iso"
    time_zone: str = "UTC"
    decimal: Literal[".", ","] = "."
    minor_units: int = 0
    kind: str | None = None
    kind_column: str | None = None
    kinds: dict[str, str] = msgspec.field(default_factory=dict)
    group_rows: bool = False
    status_below_zero: OrderStatus | None = None

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises
        ------
        MapError
            Naming the entry and what to write there.
        """
        known = set(self.columns)
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\0':
            raise MapError("delimiter: write one character, such as ; or \\t")
        if not 0 <= self.minor_units <= 6:
            raise MapError("minor_units: write 0 to 6")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise MapError("time_zone: there is no such zone: write one such as Europe/Berlin") from None
        if (self.kind is None) == (self.kind_column is None):
            raise MapError("kind: write either kind, or kind_column and [kinds]")
        if self.kind_column is not None and self.kind_column not in known:
            raise MapError(f"kind_column: there is no column {self.kind_column!r} in columns")
        if self.kind_column is not None and not self.kinds:
            raise MapError("[kinds]: say what each value of kind_column is")
        for target in (*self.kinds.values(), *([self.kind] if self.kind else [])):
            if target != SKIP and target.partition("/")[0] not in TOPIC_FIELDS:
                raise MapError(f"kind: {target!r} is none of {', '.join((*TOPIC_FIELDS, SKIP))}")
        for name, source in self.fields.items():
            if name not in FIELDS:
                raise MapError(f"[fields] {name}: there is no such field: {', '.join(sorted(FIELDS))}")
            for column in columns_of(source):
                if column not in known:
                    raise MapError(f"[fields] {name}: there is no column {column!r} in columns")
        if "occurred_at" not in self.fields:
            raise MapError("[fields] occurred_at: say which column is the time")
        if self.group_rows and "order_id" not in self.fields:
            raise MapError("group_rows: needs [fields] order_id")

    def used(self) -> set[str]:
        """Columns that the map reads."""
        named = {column for source in self.fields.values() for column in columns_of(source)}
        return named | ({self.kind_column} if self.kind_column else set())


def columns_of(source: str) -> list[str]:
    """Columns that a source of a field names.

    >>> columns_of("user_id"), columns_of("https://shop.example/{sku}"), columns_of("=EUR")
    (['user_id'], ['sku'], [])
    """
    if source.startswith("="):
        return []
    return _PLACE.findall(source) if "{" in source else [source]


def fill(source: str, row: Mapping[str, str], quoted: Any = None) -> str:
    """Value of a field in a row; empty where a column that it needs is.

    Parameters
    ----------
    source
        Column, text with ``{column}``, or ``=constant``.
    row
        Column to value.
    quoted
        Function that makes a value fit into the text around it, as an address needs.

    Examples
    --------
    >>> row = {"sku": "A 1", "shop": ""}
    >>> fill("sku", row), fill("/p/{sku}", row), fill("{shop}/{sku}", row), fill("=EUR", row)
    ('A 1', '/p/A 1', '', 'EUR')
    """
    if source.startswith("="):
        return source[1:]
    if "{" not in source:
        return row[source].strip()
    values = {column: row[column].strip() for column in _PLACE.findall(source)}
    if not all(values.values()):
        return ""
    return _PLACE.sub(lambda match: quoted(values[match[1]]) if quoted else values[match[1]], source)


def read_map(content: bytes) -> CsvMap:
    r"""Read a map's TOML.

    Raises
    ------
    MapError
        It is no TOML, has an unknown entry, or contradicts itself.

    Examples
    --------
    >>> text = b'columns = ["time", "url", "who"]\nkind = "page-views"\n[fields]\noccurred_at = "time"\n'
    >>> read_map(text).delimiter
    ','
    >>> read_map(text + b'visitor = "who"')  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streams.csv_maps.MapError: [fields] visitor: there is no such field: article, campaign, category, channel, ...
    """
    try:
        found = msgspec.toml.decode(content, type=CsvMap)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MapError(" ".join(str(error).split())) from None
    found.check()
    return found
