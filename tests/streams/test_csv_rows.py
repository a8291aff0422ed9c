from __future__ import annotations

from typing import Any

import pytest

from streams.csv_maps import CsvMap, MapError, read_map
from streams.csv_rows import MAX_ROW_LINES, CsvRows
from tests.streams.foreign_files import Read, read

HEAD = b"at,who,what,page,sku,price,order"
COLUMNS = HEAD.decode().split(",")
KINDS = {"view": "page-views", "cart": "interactions/add_to_cart", "buy": "orders/placed", "noise": "skip"}
FIELDS = {"occurred_at": "at", "visitor_id": "who", "url": "page", "sku": "sku", "unit_price": "price"}
ORDER = {"order_id": "order", "currency": "=EUR"}


def rows(*lines: bytes, **changed: Any) -> Read:
    settings: dict[str, Any] = {
        "columns": COLUMNS,
        "kind_column": "what",
        "kinds": KINDS,
        "fields": FIELDS | ORDER,
    }
    csv_map = CsvMap(**{**settings, **changed})
    csv_map.check()
    return read(CsvRows(csv_map), [HEAD, *lines])


def test_several_kinds_in_one_file_by_a_column() -> None:
    got = rows(
        b"2026-03-01 12:00,ann,view,https://shop.example/,,,",
        b"2026-03-01 12:01,ann,cart,https://shop.example/p,s1,,",
        b'2026-03-01 12:02,ann,buy,,s1,"1,999.50",o1',
        b"2026-03-01 12:03,ann,noise,,,,",
        b"2026-03-01 12:03,ann,dance,,,,",
    )
    assert [topic for topic, _ in got.events] == ["page-views", "interactions", "orders"]
    assert got.of("orders")[0]["total"] == "1999.5"
    assert dict(got.adaptation.adapter.skipped) == {"kind": 1}
    assert got.rejected[0]["detail"] == "line 6: a kind that [kinds] does not name in 'what'"


@pytest.mark.parametrize(
    ("price", "changed", "total"),
    [
        ("19,90 €", {"decimal": ","}, "19.9"),
        ("1.999,90", {"decimal": ","}, "1999.9"),
        ("1999", {"minor_units": 2}, "19.99"),
        ("$1,000", {}, "1000"),
    ],
)
def test_amounts_are_read_as_the_map_says(price: str, changed: dict[str, Any], total: str) -> None:
    got = rows(f'2026-03-01,ann,buy,,s,"{price}",o'.encode(), **changed)
    assert got.of("orders")[0]["total"] == total


@pytest.mark.parametrize(
    ("time", "form", "zone", "ms"),
    [
        ("2026-07-01 12:00", "iso", "Europe/Berlin", 1782900000000),
        ("2026-07-01T12:00:00Z", "iso", "Europe/Berlin", 1782907200000),
        ("01.07.2026 12:00", "%d.%m.%Y %H:%M", "UTC", 1782907200000),
        ("1782907200.5", "epoch_s", "UTC", 1782907200500),
        ("1782907200500", "epoch_ms", "UTC", 1782907200500),
        ("1782907200500999", "epoch_us", "UTC", 1782907200500),
    ],
)
def test_times_are_read_as_the_map_says(time: str, form: str, zone: str, ms: int) -> None:
    got = rows(f"{time},ann,view,/,,,".encode(), time_format=form, time_zone=zone)
    assert got.of("page-views")[0]["occurred_at"] == ms


def test_rows_of_one_order_are_one_order_and_a_straggler_is_told() -> None:
    buy = b"2026-03-01,ann,buy,,%s,%s,%s"
    got = rows(
        buy % (b"s1", b"10", b"o1"),
        buy % (b"s2", b"-2.5", b"o1"),
        buy % (b"s1", b"-10", b"o2"),
        buy % (b"s3", b"1", b"o1"),
        group_rows=True,
        status_below_zero="returned",
    )
    assert [(o["order_id"], o["total"], o["status"], len(o["lines"])) for o in got.of("orders")] == [
        ("o1", "7.5", "placed", 2),
        ("o2", "-10", "returned", 1),
    ]
    assert "rows of an order are not together" in got.rejected[0]["detail"]


def test_a_quote_that_does_not_end_costs_its_own_line_only() -> None:
    views = [b"2026-03-01,ann,view,/%d,,," % number for number in range(3 * MAX_ROW_LINES)]
    got = rows(*views[:1], b'2026-03-01,ann,view,"/open,,,', *views[1:])
    assert len(got.of("page-views")) == len(views)
    assert [record["offset"] for record in got.rejected] == [2]


def test_wrong_encodings_nul_bytes_and_gigantic_values_are_typed_rejects() -> None:
    got = rows(
        b"2026-03-01,ann,view,/a,,,",
        b"2026-03-01,\xff\xfe,view,/b,,,",
        b"2026-03-01,an\x00n,view,/c,,,",
        b"2026-03-01,ann,view,/" + b"x" * 200_000 + b",,,",
        b"2026-03-01,ann",
        b"2026-03-01,,view,/d,,,",
    )
    assert len(got.of("page-views")) == 1
    assert [(record["offset"], record["reason"]) for record in got.rejected] == [
        (2, "malformed_line"),
        (3, "schema_violation"),
        (4, "malformed_line"),
        (5, "malformed_line"),
        (6, "missing_visitor"),
    ]


def test_identical_rows_are_told_apart_and_keep_their_ids() -> None:
    line = b"2026-03-01,ann,view,/,,,"
    first, again = rows(line, line), rows(line, line)
    assert first.events == again.events
    assert len({event["event_id"] for _, event in first.events}) == 2


def test_columns_may_stand_in_another_order_and_new_ones_are_told() -> None:
    csv_map = CsvMap(columns=["at", "who", "page"], kind="page-views", fields={
        "occurred_at": "at", "visitor_id": "who", "url": "page"})  # fmt: skip
    adapter = CsvRows(csv_map)
    got = read(adapter, [b"page,new,who,at", b"/,x,ann,2026-03-01"])
    assert got.of("page-views")[0]["visitor_id"] == "ann"
    assert adapter.unknown_columns == ["new"]
    with pytest.raises(MapError, match="the file has no column 'who'"):
        read(CsvRows(csv_map), [b"page,at", b"/,2026-03-01"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('kind = "page-view"', "'page-view' is none of page-views"),
        ('kind = "page-views"\ntime_zone = "Mars"', "there is no such zone"),
        ('kind = "page-views"\ndelimiter = ",,"', "write one character"),
        ('kind = "page-views"\nmoney = 1', "unknown field `money`"),
        ('kind_column = "x"', "there is no column 'x'"),
        ("", "write either kind, or kind_column"),
        ("kind = ", "Invalid value"),
    ],
)
def test_a_map_that_can_not_be_used_is_one_line(line: str, said: str) -> None:
    content = f'columns = ["at"]\n{line}\n[fields]\noccurred_at = "at"\n'
    with pytest.raises(MapError, match=said) as error:
        read_map(content.encode())
    assert "\n" not in str(error.value)
