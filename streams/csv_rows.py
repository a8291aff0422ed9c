"""Rows of a CSV file, cut and read as a map says."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from schemas.money import format_amount
from streams.adapters import Adapted, Adapter, Raw, RawError
from streams.csv_maps import SKIP, TOPIC_FIELDS, CsvMap, MapError, fill
from streams.foreign_values import amount, digest, filled, seconds, word

MAX_ROW_LINES = 100
"""A quoted value that goes on for more lines than this was never closed: its first line is refused."""
MAX_ORDER_BYTES = 256 * 1024
"""Rows of one order are gathered up to this."""
MAX_ORDERS_REMEMBERED = 200_000
"""Orders remembered to find rows that do not stand with the others of theirs."""
_EPOCHS = {"epoch_s": Decimal(1000), "epoch_ms": Decimal(1), "epoch_us": Decimal("0.001")}
_AS_THEY_ARE = ("visitor_id", "customer_id", "referrer", "title", "user_agent", "ip", "site", "campaign")


class CsvRows(Adapter):
    """Reads rows as a map says.

    Examples
    --------
    >>> rows = CsvRows(CsvMap(columns=["at", "who", "page"], kind="page-views", delimiter=";",
    ...                       time_zone="Europe/Berlin", time_format="%d.%m.%Y %H:%M",
    ...                       fields={"occurred_at": "at", "visitor_id": "who", "url": "page"}))
    >>> [(topic, view)] = rows.read(b"1.3.2026 12:00;ann;https://shop.example/", "0")
    >>> topic, view["occurred_at"], view["visitor_id"]
    ('page-views', 1772362800000, 'ann')
    """

    name = "csv"
    has_ids = False

    def __init__(self, csv_map: CsvMap) -> None:
        super().__init__()
        self.map = csv_map
        self.unknown_columns: list[str] = []
        self._columns = csv_map.columns
        self._zone = ZoneInfo(csv_map.time_zone)
        self._time = lru_cache(maxsize=4096)(self._time_uncached)
        self.cannot_know = tuple(_cannot_know(csv_map))

    def split(self, lines: Iterable[bytes]) -> Iterator[Raw | tuple[Raw, RawError]]:
        """Cut a file into rows, or into orders of several rows.

        Raises
        ------
        MapError
            The header lacks a column that the map reads.
        """
        self._columns = self.map.columns
        pulled = _Lines(lines, self.map.encoding)
        rows = self._rows(pulled)
        if self.map.header:
            for item in rows:
                self._read_header(item)
                break
        if not self.map.group_rows:
            for raw, _, error in rows:
                yield raw if error is None else (raw, error)
            return
        yield from self._orders(rows)

    def _rows(self, pulled: _Lines) -> Iterator[tuple[Raw, list[str], RawError | None]]:
        reader = csv.reader(pulled, delimiter=self.map.delimiter, strict=True)
        while True:
            pulled.begin()
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error:
                raw = pulled.only_first()
                yield raw, [], RawError("malformed_line", "a quote or a value that does not end")
                continue
            if values:
                raw, bad = pulled.taken()
                yield raw, values, RawError("malformed_line", f"not {self.map.encoding}") if bad else None

    def _read_header(self, item: tuple[Raw, list[str], RawError | None]) -> None:
        names = [name.strip() for name in item[1]]
        missing = sorted(self.map.used() - set(names))
        if missing:
            raise MapError(
                f"the file has no column {', '.join(map(repr, missing))}: write the map's columns as its header "
                "has them, or propose another with culdesac map"
            )
        self._columns = names
        self.unknown_columns = [name for name in names if name not in self.map.columns]

    def _orders(
        self, rows: Iterator[tuple[Raw, list[str], RawError | None]]
    ) -> Iterator[Raw | tuple[Raw, RawError]]:
        """Gather rows that follow each other with one order id."""
        held: list[Raw] = []
        held_id, size = "", 0
        done: dict[str, None] = {}

        def release() -> Iterator[Raw]:
            if held:
                done[held_id] = None
                if len(done) > MAX_ORDERS_REMEMBERED:
                    del done[next(iter(done))]
                yield Raw(held[0].number, b"\n".join(raw.value for raw in held))
                held.clear()

        for raw, values, error in rows:
            order_id = "" if error else self._order_id(values)
            if held and order_id == held_id and size + len(raw.value) < MAX_ORDER_BYTES:
                held.append(raw)
                size += len(raw.value)
                continue
            yield from release()
            if error is not None:
                yield raw, error
            elif order_id in done:
                yield (
                    raw,
                    RawError("schema_violation", "rows of an order are not together: sort the file by it"),
                )
            elif order_id:
                held.append(raw)
                held_id, size = order_id, len(raw.value)
            else:
                yield raw
        yield from release()

    def _order_id(self, values: list[str]) -> str:
        """Order that a row belongs to; empty where it is none, or is refused anyway."""
        if len(values) != len(self._columns):
            return ""
        row = dict(zip(self._columns, values, strict=True))
        try:
            topic = self._target(row)[0]
        except RawError:
            return ""
        return fill(self.map.fields["order_id"], row) if topic == "orders" else ""

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one row, or the rows of one order; see `Adapter.read`."""
        try:
            text = raw.decode(self.map.encoding)
        except UnicodeDecodeError:
            raise RawError("malformed_line", f"not {self.map.encoding}") from None
        try:
            lines = text.splitlines(keepends=True) if "\n" in text else [text]
            found = [row for row in csv.reader(lines, delimiter=self.map.delimiter, strict=True) if row]
        except csv.Error:
            raise RawError("malformed_line", "a quote or a value that does not end") from None
        if not found or (len(found) > 1 and not self.map.group_rows):
            raise RawError("malformed_line", f"{len(found)} rows instead of one")
        wrong = next((row for row in found if len(row) != len(self._columns)), None)
        if wrong is not None:
            raise RawError("malformed_line", f"{len(wrong)} fields instead of {len(self._columns)}")
        if found == [self.map.columns]:
            self.skipped["header"] += 1
            return []
        rows = [dict(zip(self._columns, values, strict=True)) for values in found]
        topic, what = self._target(rows[0])
        if topic == SKIP:
            self.skipped["kind"] += 1
            return []
        return [(topic, self._record(topic, what, rows, mark))]

    def _target(self, row: dict[str, str]) -> tuple[str, str]:
        """Topic of a row, and its name, status or kind there."""
        target = self.map.kind
        if self.map.kind_column is not None:
            target = self.map.kinds.get(row[self.map.kind_column].strip(), self.map.kinds.get("*"))
            if target is None:
                raise RawError(
                    "schema_violation", f"a kind that [kinds] does not name in {self.map.kind_column!r}"
                )
        topic, _, what = (target or "").partition("/")
        return topic, what

    def _record(self, topic: str, what: str, rows: list[dict[str, str]], mark: str) -> dict[str, Any]:
        fields, row = self.map.fields, rows[0]
        usable = TOPIC_FIELDS[topic]

        def value(name: str, of: dict[str, str] = row) -> str:
            source = fields.get(name)
            return fill(source, of) if source is not None and name in usable else ""

        event_id = value("event_id") or f"csv-{digest([list(each.values()) for each in rows])}-{mark}"
        record = filled(
            event_id=event_id,
            occurred_at=self._time(value("occurred_at")),
            **{name: value(name) for name in _AS_THEY_ARE},
        )
        if "url" in fields and "url" in usable:
            record |= filled(url=fill(fields["url"], row, _quoted))
        if topic == "interactions":
            details = filled(sku=value("sku"), seconds=seconds(value("seconds")))
            record |= filled(name=what or word(value("name")), properties=details)
        elif topic in ("orders", "identities"):
            record |= filled(
                identifiers=filled(**{name: value(name) for name in ("email", "phone", "loyalty")})
            )
        if topic == "identities":
            record |= filled(kind=what or "logged_in")
        if topic == "orders":
            record |= self._order(what, rows, value)
        return record

    def _order(self, what: str, rows: list[dict[str, str]], value: Any) -> dict[str, Any]:
        lines, total = [], Decimal(0)
        for row in rows:
            sku, quantity = value("sku", row), self._amount(value("quantity", row) or "1", 0)
            price = self._amount(value("unit_price", row), self.map.minor_units)
            if quantity is not None and price is not None:
                total += Decimal(quantity) * Decimal(price)
            line = filled(
                sku=sku,
                name=value("article", row),
                category=value("category", row),
                quantity=quantity,
                unit_price=price,
            )
            if {"sku", "quantity", "unit_price"} <= line.keys():
                lines.append(line)
        said = self._amount(value("total"), self.map.minor_units)
        has_prices = "unit_price" in self.map.fields
        whole = said if said is not None else (format_amount(total) if has_prices else None)
        status = value("status") or what or "placed"
        if self.map.status_below_zero and whole is not None and Decimal(whole) < 0:
            status = self.map.status_below_zero
        revision = value("revision")
        return filled(
            order_id=value("order_id"),
            status=status,
            revision=int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 10 else 1,
            channel=value("channel") or "web",
            currency=value("currency"),
            total=amount(whole),
            cost=self._amount(value("cost"), self.map.minor_units),
            lines=lines,
        )

    def _amount(self, value: str, minor_units: int) -> str | None:
        plain = "".join(char for char in value if char.isdigit() or char in "+-.,eE")
        thousands = "," if self.map.decimal == "." else "."
        exact = amount(plain.replace(thousands, "").replace(",", "."))
        if exact is None or not minor_units:
            return exact
        return amount(Decimal(exact).scaleb(-minor_units))

    def _time_uncached(self, value: str) -> int:
        form = self.map.time_format
        try:
            if form in _EPOCHS:
                return int(Decimal(value) * _EPOCHS[form]) if len(value) < 32 else int("")
            moment = (
                datetime.fromisoformat(value) if form == "iso" else datetime.strptime(value, form)  # noqa: DTZ007
            )
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self._zone)
            return round(moment.timestamp() * 1000)
        except (ValueError, ArithmeticError):
            raise RawError("schema_violation", "`occurred_at`: not as time_format says") from None


class _Lines:
    """Lines of a file as the reader of rows pulls them; those that a broken row took are given back."""

    def __init__(self, lines: Iterable[bytes], encoding: str) -> None:
        self._lines = enumerate(lines)
        self._back: deque[tuple[int, bytes]] = deque()
        self._pulled: list[tuple[int, bytes]] = []
        self._encoding = encoding
        self._bad = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self._pulled) >= MAX_ROW_LINES:
            raise csv.Error("a row of too many lines")
        number, line = self._back.popleft() if self._back else next(self._lines)
        if number == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        self._pulled.append((number, line))
        try:
            return line.decode(self._encoding) + "\n"
        except UnicodeDecodeError:
            self._bad = True
            return line.decode(self._encoding, "replace") + "\n"

    def begin(self) -> None:
        """Begin another row."""
        self._pulled, self._bad = [], False

    def taken(self) -> tuple[Raw, bool]:
        """Lines of the row, and whether one of them is written otherwise than the map says."""
        return Raw(self._pulled[0][0], b"\n".join(line for _, line in self._pulled)), self._bad

    def only_first(self) -> Raw:
        """First line of a broken row; the others may be good and come again."""
        self._back.extendleft(reversed(self._pulled[1:]))
        return Raw(*self._pulled[0])


def _quoted(value: str) -> str:
    return quote(value, safe="/:?=&%~-._+")


def _cannot_know(csv_map: CsvMap) -> Iterator[str]:
    fields, topics = csv_map.fields, {csv_map.kind or "", *csv_map.kinds.values()}
    topics = {target.partition("/")[0] for target in topics}
    if "page-views" not in topics:
        yield "there are no page views in it: no sessions and no dead ends come of it alone"
    if "visitor_id" not in fields:
        yield "it has no visitor_id: its orders belong to no visit, only to customers"
    if "customer_id" not in fields:
        yield "it has no customer_id: what somebody buys on another channel can't be told to be his"
    if "user_agent" not in fields and "page-views" in topics:
        yield "it has no user agents: devices, browsers and bots can't be told"
    if "referrer" not in fields and "page-views" in topics:
        yield "it has no referrers: every visit's source is direct"
    if csv_map.time_format != "iso" and "%" in csv_map.time_format and "%H" not in csv_map.time_format:
        yield "its times are days: what followed what within a day can't be told"
