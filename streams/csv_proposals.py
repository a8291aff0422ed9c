"""Proposals: a map for a CSV file that nobody has described, from its columns' names and values.

What is proposed is a guess to be read by somebody: each guess that may be wrong carries a comment.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import msgspec
import tomli_w

from streams.csv_maps import CsvMap, Encoding, MapError
from streams.foreign_values import word
from streams.format_detection import find_delimiter

SAMPLE_ROWS = 1000
"""So many rows are looked at for a proposal."""
MAX_KINDS = 40
"""A column of more values than this says something else than a row's kind."""
_NAMES: dict[str, str] = {
    "event_id": "eventid messageid hitid",
    "visitor_id": "visitorid anonymousid clientid cookieid deviceid fullvisitorid userpseudoid userid uid visitor"
    " usersession sessionid session",
    "customer_id": "customerid customer accountid memberid customerno customernumber kundennummer kunde",
    "occurred_at": "occurredat eventtime timestamp datetime time eventdate createdat invoicedate orderdate"
    " purchasedate ts date datum zeit zeitpunkt",
    "url": "url pageurl pagelocation page link seite",
    "referrer": "referrer referer pagereferrer",
    "title": "title pagetitle",
    "user_agent": "useragent browser",
    "ip": "ip ipaddress",
    "order_id": "orderid invoiceno invoice invoiceid ordernumber orderno transactionid transaction bestellnummer",
    "sku": "sku productid stockcode articleid itemid aid product artikelnummer",
    "article": "description productname itemname articlename beschreibung",
    "category": "categorycode category categoryid kategorie",
    "quantity": "quantity qty menge anzahl units",
    "unit_price": "unitprice price itemprice preis einzelpreis",
    "total": "total ordertotal revenue amount value summe betrag umsatz",
    "currency": "currency currencycode waehrung",
    "email": "email mail",
}
_KIND = ("eventtype", "event", "eventname", "action", "type", "kind", "activity", "ereignis")
_SESSIONS = ("usersession", "sessionid", "session")
_KINDS = (
    (r"remove", "interactions/remove_from_cart"),
    (r"cart|basket|warenkorb", "interactions/add_to_cart"),
    (r"checkout", "interactions/checkout_started"),
    (r"purchase|transaction|order|buy|sale|kauf", "orders/placed"),
    (r"search", "interactions/search"),
    (r"sign_?up|register", "identities/registered"),
    (r"log_?in|sign_?in", "identities/logged_in"),
    (r"^(page_?)?views?$|page_?view|click|visit|detail", "page-views"),
)
_TIMES = (
    "%Y-%m-%d %H:%M:%S UTC", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y%m%d%H%M%S",
)  # fmt: skip
_MONEY = ("unit_price", "total")


class Proposal(NamedTuple):
    """A map, and by entry what somebody has to check."""

    map: CsvMap
    checks: dict[str, str]


def propose_map(lines: Sequence[bytes], encoding: Encoding | None = None) -> Proposal:
    r"""Propose a map for a file.

    Parameters
    ----------
    lines
        The file's first lines, header first, without their ends.
    encoding
        How they are written; by default found.

    Raises
    ------
    MapError
        It is no CSV with a header, or nothing in it looks like a time.

    Examples
    --------
    >>> lines = [b"zeit;besucher;seite", b"01.03.2026 12:00;ann;/a", b"13.03.2026 12:01;bob;/b"]
    >>> proposal = propose_map(lines)
    >>> proposal.map.delimiter, proposal.map.time_format, proposal.map.fields
    (';', '%d.%m.%Y %H:%M', {'occurred_at': 'zeit', 'url': 'seite'})
    >>> print(proposal.checks["visitor_id"])
    no column looks like a visitor's id: page views without one are rejected. Name it here
    """
    if any(b"\0" in line for line in lines[:1]):
        raise MapError("holds NUL bytes, as UTF-16 without a byte order mark does: save it as UTF-8 first")
    encoding = encoding or _encoding(lines)
    some = [line.decode(encoding, "replace") for line in lines]
    if some:
        some[0] = some[0].removeprefix("\ufeff")
    delimiter = find_delimiter(some[:50])
    if delimiter is None:
        raise MapError("does not look like CSV: no character parts all of its rows into equally many columns")
    rows = [row for row in csv.reader(some, delimiter=delimiter) if row]
    columns = [name.strip() for name in rows[0]]
    if len(set(columns)) != len(columns) or not all(columns):
        raise MapError("its first row does not name the columns: add a header with a name for each")
    body = [row for row in rows[1:] if len(row) == len(columns)]
    values = {name: [row[i].strip() for row in body] for i, name in enumerate(columns)}
    return _Guess(columns, values, delimiter, encoding).proposal()


def show_map(proposal: Proposal, about: Iterable[str] = ()) -> str:
    """Give the map's TOML, with comments that say what to check.

    Parameters
    ----------
    proposal
        See `propose_map`.
    about
        Sentences for its head.

    Examples
    --------
    >>> lines = [b"time,user_id,url", b"2026-03-01 12:00:00,ann,https://shop.example/"]
    >>> print(show_map(propose_map(lines)))
    delimiter = ","
    ...
    # check: the times tell no zone
    time_zone = "UTC"
    ...
    """
    plain = {name: value for name, value in msgspec.to_builtins(proposal.map).items() if value is not None}
    tables = {name: plain.pop(name) for name in ("kinds", "fields")}
    columns = plain.pop("columns")
    order = ("delimiter", "encoding", "header", "time_format", "time_zone", "decimal", "minor_units")
    out = [f"# {sentence}" for sentence in about]

    def put(name: str, value: object) -> None:
        if name in proposal.checks:
            out.append(f"# check: {proposal.checks[name]}")
        out.append(tomli_w.dumps({name: value}).rstrip("\n"))

    for name in (*order, *sorted(plain.keys() - set(order))):
        put(name, plain[name])
    put("columns", columns)
    for name, table in tables.items():
        if table:
            out += ["", f"[{name}]"]
            if name in proposal.checks:
                out.append(f"# check: {proposal.checks[name]}")
            for key, value in table.items():
                put(key, value)
    missing = [name for name in proposal.checks if name not in plain and name not in tables["fields"]]
    out += [
        f'# {name} = ""  # {proposal.checks[name]}' for name in missing if name not in ("kinds", "columns")
    ]
    return "\n".join(out) + "\n"


class _Guess:
    """Works out a proposal entry by entry."""

    def __init__(
        self, columns: list[str], values: dict[str, list[str]], delimiter: str, encoding: Encoding
    ) -> None:
        self.columns, self.values = columns, values
        self.plain = {name: word(name).replace("_", "") for name in columns}
        self.checks: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self.map = CsvMap(columns=columns, fields=self.fields, delimiter=delimiter, encoding=encoding)

    def proposal(self) -> Proposal:
        self._names()
        self._time()
        self._kind()
        self._orders()
        self._views()
        self._money()
        unused = [name for name in self.columns if name not in self.map.used()]
        if unused:
            self.checks["columns"] = f"not used: {', '.join(unused)}"
        self.map.check()
        return Proposal(self.map, self.checks)

    def _names(self) -> None:
        taken: set[str] = set()
        for field, names in _NAMES.items():
            for known in names.split():
                column = next((c for c in self.columns if self.plain[c] == known and c not in taken), None)
                if column is not None:
                    self.fields[field] = column
                    taken.add(column)
                    break

    def _time(self) -> None:
        named = self.fields.pop("occurred_at", None)
        for column in ([named] if named else []) + [c for c in self.columns if c != named]:
            forms = time_formats([value for value in self.values[column] if value][:SAMPLE_ROWS])
            if forms and (column == named or not forms[0].startswith("epoch")):
                self.fields = self.map.fields = {"occurred_at": column} | {
                    field: source for field, source in self.fields.items() if source != column
                }
                self.map.time_format = forms[0]
                if len(forms) > 1:
                    self.checks["time_format"] = f"days and months can't be told apart: it may be {forms[1]}"
                if forms[0] == "%Y-%m-%d %H:%M:%S UTC" or forms[0].startswith("epoch"):
                    return
                if forms[0] != "iso" or not any(map(_tells_zone, self.values[column])):
                    self.checks["time_zone"] = "the times tell no zone"
                return
        raise MapError("no column looks like a time: write a map by hand, with its time_format")

    def _kind(self) -> None:
        for known in _KIND:
            for column in self.columns:
                found = sorted(set(self.values[column]) - {""})
                if self.plain[column] == known and 1 <= len(found) <= MAX_KINDS:
                    self.map.kind_column = column
                    self.map.kinds = {value: _kind_of(value) for value in found}
                    self.checks["kinds"] = "what each value means; skip is for what says nothing"
                    return
        if "order_id" in self.fields:
            self.map.kind = "orders/placed"
        elif "url" in self.fields or "sku" in self.fields:
            self.map.kind = "page-views"
        else:
            raise MapError(
                "can't tell what its rows are: there is no order id, no url, no product and no kind of event"
            )
        self.checks["kind"] = "what every row is"

    def _targets(self) -> set[str]:
        return {target.partition("/")[0] for target in (self.map.kind or "", *self.map.kinds.values())}

    def _orders(self) -> None:
        if "orders" not in self._targets():
            for field in ("order_id", "total", "currency", "quantity", "unit_price", "article", "category"):
                self.fields.pop(field, None)
            return
        if "order_id" not in self.fields:
            session = next((c for c in self.columns if self.plain[c] in _SESSIONS), None)
            who = session or self.fields.get("visitor_id") or self.fields.get("customer_id")
            if who:
                self.fields["order_id"] = f"{{{who}}}-{{{self.fields['occurred_at']}}}"
                self.checks["order_id"] = "no column names the order: made of who and when"
        ids = [] if "{" in self.fields.get("order_id", "{") else self.values[self.fields["order_id"]]
        if self.map.kind and "sku" in self.fields and any(a == b != "" for a, b in pairwise(ids)):
            self.map.group_rows = True
            self.checks["group_rows"] = "rows that follow each other with one order id are one order"
        if "currency" not in self.fields:
            self.fields["currency"] = "=EUR"
            self.checks["currency"] = "no column tells it: write yours"
        if "total" not in self.fields and "unit_price" not in self.fields:
            self.checks["total"] = (
                "no column looks like an amount: orders without one are rejected. Name it here"
            )
        if "total" not in self.fields and "unit_price" in self.fields:
            self.checks["unit_price"] = "an order's total is the sum of quantity times this"

    def _views(self) -> None:
        targets = self._targets()
        if "visitor_id" not in self.fields and targets - {"orders", "skip"}:
            self.checks["visitor_id"] = (
                "no column looks like a visitor's id: page views without one are rejected. Name it here"
            )
        if "page-views" not in targets or "url" in self.fields:
            return
        if "sku" in self.fields:
            self.fields["url"] = f"https://shop.example/product/{{{self.fields['sku']}}}"
            self.checks["url"] = "no column is an address: made of the product's id. Write your shop's own"
        else:
            self.checks["url"] = "no column is an address: page views without one are rejected. Name it here"

    def _money(self) -> None:
        shown = [v for name in _MONEY if name in self.fields for v in self.values[self.fields[name]] if v]
        if not shown:
            return
        commas = sum(bool(re.search(r",\d{1,2}\D*$", value)) for value in shown)
        points = sum(bool(re.search(r"\.\d{1,2}\D*$", value)) for value in shown)
        if commas > points:
            self.map.decimal = ","
            self.checks["decimal"] = f"{commas} of {len(shown)} amounts have a comma before one or two digits"
        elif not points and all(value.isdigit() and len(value) >= 3 for value in shown):
            self.checks["minor_units"] = "all amounts are whole: write 2 if 1999 means 19.99"
        negative = any(
            value.startswith("-") for value in self.values.get(self.fields.get("quantity", ""), [])
        )
        if negative or any(value.startswith("-") for value in shown):
            self.map.status_below_zero = "returned"
            self.checks["status_below_zero"] = "some amounts are below zero"


def time_formats(values: Sequence[str]) -> list[str]:
    """Give the formats that read all of some times; two where days and months can't be told apart.

    Examples
    --------
    >>> time_formats(["13/02/2026 10:00"]), time_formats(["1/2/2026", "3/4/2026"]), time_formats(["1772362800"])
    (['%d/%m/%Y %H:%M'], ['%d/%m/%Y', '%m/%d/%Y'], ['epoch_s'])
    >>> time_formats(["2026-03-01T12:00:00Z"]), time_formats(["noon"])
    (['iso'], [])
    """
    if not values:
        return []
    numbers = [value for value in values if value.isascii() and value.replace(".", "", 1).isdigit()]
    if _are_most(len(numbers), values):
        return _epoch(numbers)
    found = {"iso": _misses(values, datetime.fromisoformat)}
    # %d/%m and %m/%d both read the first twelve days of a month.
    found |= {form: _misses(values, partial(_strptime, form)) for form in _TIMES}
    fewest = min(found.values())
    if not _are_most(len(values) - fewest, values):
        return []
    return [form for form, misses in found.items() if misses == fewest][:2]


def _are_most(number: int, values: Sequence[str]) -> bool:
    """Nine of ten: broken rows do not hide what all others show."""
    return number * 10 >= len(values) * 9


def _strptime(form: str, value: str) -> datetime:
    return datetime.strptime(value, form).replace(tzinfo=UTC)


def _epoch(values: Sequence[str]) -> list[str]:
    middle = sorted(map(Decimal, values))[len(values) // 2]
    for form, unit in (("epoch_s", 1), ("epoch_ms", 1000), ("epoch_us", 1_000_000)):
        if 600_000_000 * unit <= middle < 5_000_000_000 * unit:
            return [form]
    return ["%Y%m%d%H%M%S"] if all(len(value) == 14 for value in values) else []


def _misses(values: Sequence[str], read: Callable[[str], object]) -> int:
    misses = 0
    for value in values:
        try:
            read(value)
        except ValueError:
            misses += 1
            if misses * 10 > len(values):
                return len(values)
    return misses


def _tells_zone(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _encoding(lines: Sequence[bytes]) -> Encoding:
    wrong = 0
    for line in lines:
        try:
            line.decode()
        except UnicodeDecodeError:
            wrong += 1
    # One broken line is a broken line; where most that are not ASCII are no UTF-8, the file is none.
    others = sum(not line.isascii() for line in lines)
    return "cp1252" if wrong * 2 > others else "utf-8"


def _kind_of(value: str) -> str:
    name = word(value)
    for pattern, target in _KINDS:
        if re.search(pattern, name):
            return target
    return f"interactions/{name}" if name else "skip"
