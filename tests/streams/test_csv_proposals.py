import pytest

from streams.csv_maps import MapError, read_map
from streams.csv_proposals import propose_map, show_map
from streams.csv_rows import CsvRows
from streams.event_files import read_lines
from tests.streams.foreign_files import FOREIGN, read
from tests.streams.real_data import FULL, needs


def test_a_proposed_map_reads_what_it_was_proposed_for() -> None:
    lines = (FOREIGN / "shop_events.csv").read_bytes().splitlines()
    proposal = propose_map(lines)
    got = read(CsvRows(read_map(show_map(proposal).encode())), lines)
    assert dict(got.adaptation.written) == {"page-views": 102, "interactions": 14, "orders": 7}
    assert dict(got.adaptation.rejected) == {"malformed_line": 1, "schema_violation": 1, "missing_visitor": 1}
    assert got.of("page-views")[0]["url"] == "https://shop.example/product/44600062"
    assert {"url", "currency", "order_id", "kinds"} <= proposal.checks.keys()


def test_rows_of_a_real_shops_orders_are_gathered() -> None:
    lines = (FOREIGN / "online_retail.csv").read_bytes().splitlines()
    got = read(CsvRows(propose_map(lines).map), lines)
    orders = got.of("orders")
    assert not got.rejected
    assert sum(len(order["lines"]) for order in orders) == len(lines) - 1
    assert {order["order_id"]: order["total"] for order in orders}["536365"] == "139.12"
    assert [order["status"] for order in orders if order["order_id"].startswith("C")] == [
        "returned",
        "returned",
    ]


@needs(FULL / "online_retail.csv.gz")
def test_a_part_of_the_full_file_gives_every_row_once() -> None:
    lines = [line for line, _ in zip(read_lines(FULL / "online_retail.csv.gz"), range(20_000), strict=False)]
    got = read(CsvRows(propose_map(lines[:1000]).map), lines)
    assert sum(len(order["lines"]) for order in got.of("orders")) + len(got.rejected) == len(lines) - 1


def test_german_exports_are_understood() -> None:
    lines = [
        b"Bestellnummer;Datum;Kundennummer;Betrag",
        "1;13.02.2026 10:00;7;19,90".encode("cp1252"),
        "2;14.02.2026 10:00;8;1.019,90 €".encode("cp1252"),
        "3;15.02.2026 10:00;Jürgen;9,90".encode("cp1252"),
    ]
    proposal = propose_map(lines)
    assert (proposal.map.encoding, proposal.map.decimal, proposal.map.delimiter) == ("cp1252", ",", ";")
    got = read(CsvRows(proposal.map), lines)
    assert [(o["total"], o["customer_id"]) for o in got.of("orders")] == [
        ("19.9", "7"),
        ("1019.9", "8"),
        ("9.9", "Jürgen"),
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "does not look like CSV"),
        ([b"hello", b"world"], "does not look like CSV"),
        ([b"\xff\xfet\x00,\x00a\x00"], "save it as UTF-8"),
        ([b"a,a", b"1,2"], "does not name the columns"),
        ([b"a,b", b"x,y"], "no column looks like a time"),
        ([b"time,b", b"2026-03-01,y"], "can't tell what its rows are"),
    ],
)
def test_what_can_not_be_proposed_is_one_line(lines: list[bytes], said: str) -> None:
    with pytest.raises(MapError, match=said) as error:
        propose_map(lines)
    assert "\n" not in str(error.value)
