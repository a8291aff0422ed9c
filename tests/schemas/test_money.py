"""Amounts are exact, or refused."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fields import FieldError
from schemas.money import format_amount, parse_amount

QUICK = settings(deadline=None, derandomize=True, max_examples=200)


@pytest.mark.parametrize(
    ("json", "text"),
    [
        ('"19.90"', "19.9"),
        ("19.90", "19.9"),
        ("19.9", "19.9"),
        ("20", "20"),
        ('"20.00"', "20"),
        ("0.1", "0.1"),
        ('"-5.5"', "-5.5"),
        ("-0.0", "0"),
        ('"-0"', "0"),
        ("1.0E7", "10000000"),
        ("5e-3", "0.005"),
        ("0e99", "0"),
        ("123456789012345", "123456789012345"),
        ("0.000001", "0.000001"),
        ("100000000000000.0", "100000000000000"),
        ('"0.000001234"', "0.000001234"),
        ('"999999999999999.999999999"', "999999999999999.999999999"),
        ('"0.333333333"', "0.333333333"),
    ],
)
def test_amounts_that_are_read(json: str, text: str) -> None:
    amount = parse_amount(msgspec.Raw(json.encode()))
    assert str(amount) == text
    assert format_amount(amount) == text


@pytest.mark.parametrize(
    "json",
    [
        "1234567890123456",
        "0.30000000000000004",
        "12345678.90123456",
        "0.10000000000000000001",
        "19.989999999999998436",
        "1e15",
        "1e-7",
        '"0.000000999"',
        "1e400",
        "1e999999999",
        "9" * 5000,
        '"1000000000000000"',
        '"0.0000000001"',
        '"1e3"',
        '"NaN"',
        '"Infinity"',
        '"1_000"',
        '"1,50"',
        '" 1"',
        '"+1"',
        '".5"',
        '"5."',
        '"007"',
        '"١"',
        '"1\\n"',
        '""',
        "true",
        "null",
        "[]",
        "{}",
        "",
    ],
)
def test_amounts_that_are_refused_without_quoting_them(json: str) -> None:
    with pytest.raises(FieldError) as refused:
        parse_amount(msgspec.Raw(json.encode()), "total")
    assert str(refused.value) == "`total` is no exact amount"


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), True, None, Decimal("NaN"), Decimal("1E+999999"), 10**400, 0.1 + 0.2],
)
def test_values_that_are_refused(value: object) -> None:
    with pytest.raises(FieldError):
        parse_amount(value)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("1.50", "1.5"),
        (1.5, "1.5"),
        (3, "3"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E+9999"), "0"),
        (1e7, "10000000"),
    ],
)
def test_values_that_are_no_json_are_read_too(value: object, amount: str) -> None:
    assert str(parse_amount(value)) == amount


@QUICK
@given(st.decimals(-(10**15) + 1, 10**15 - 1, places=6))
def test_an_amount_written_and_read_again_is_the_same(amount: Decimal) -> None:
    assert parse_amount(format_amount(amount)) == amount
    assert parse_amount(msgspec.Raw(msgspec.json.encode(parse_amount(amount)))) == amount


@QUICK
@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(0, 6))
def test_a_float_of_at_most_15_digits_is_what_was_meant(digits: int, places: int) -> None:
    meant = Decimal(digits).scaleb(-places)
    assert parse_amount(float(meant)) == meant


@QUICK
@given(st.lists(st.decimals(0, 10**6, places=2), max_size=50))
def test_equal_sums_have_one_text(amounts: list[Decimal]) -> None:
    assert format_amount(sum(amounts, Decimal(0))) == format_amount(sum(reversed(amounts), Decimal("0.000")))


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_amount_is_not_written(amount: Decimal) -> None:
    with pytest.raises(ValueError, match="finite"):
        format_amount(amount)
