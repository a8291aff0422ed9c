"""Times: what is read, what is refused, and how they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.timestamps import MAX_MS, MIN_MS, format_ms, parse_time

NOON = "2026-03-01T12:00:00"
NOON_MS = 1_772_366_400_000
LOW = datetime(2, 1, 1, tzinfo=UTC).replace(tzinfo=None)
HIGH = datetime(9998, 12, 31, tzinfo=UTC).replace(tzinfo=None)
QUICK = settings(deadline=None, derandomize=True, max_examples=200)


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (NOON + "Z", NOON_MS),
        ("2026-03-01t12:00:00z", NOON_MS),
        ("2026-03-01T13:30:00+01:30", NOON_MS),
        ("2026-03-01T04:00:00-08:00", NOON_MS),
        (NOON + ".1Z", NOON_MS + 100),
        (NOON + ".001Z", NOON_MS + 1),
        (NOON + ".001999Z", NOON_MS + 1),
        (NOON_MS, NOON_MS),
        (float(NOON_MS), NOON_MS),
        (0, 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", MIN_MS),
        ("9999-12-31T23:59:59.999Z", MAX_MS),
        (MIN_MS, MIN_MS),
        (MAX_MS, MAX_MS),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        (datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))), NOON_MS),
    ],
)
def test_times_that_are_read(value: object, ms: int) -> None:
    parsed = parse_time(value)
    assert parsed == ms
    assert type(parsed) is int


@pytest.mark.parametrize(
    "value",
    [
        NOON,
        "2026-03-01",
        "2026-02-29T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T12:00:60Z",
        "2026-03-01T12:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        str(NOON_MS),
        "",
        "now",
        MIN_MS - 1,
        MAX_MS + 1,
        2**63,
        10**400,
        0.5,
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        True,
        None,
        [NOON_MS],
        datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None),
    ],
)
def test_times_that_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"Expected|Invalid|no whole number|outside"):
        parse_time(value)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (NOON_MS + 7, NOON + ".007Z"),
        (MIN_MS, "0001-01-01T00:00:00.000Z"),
        (MAX_MS, "9999-12-31T23:59:59.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_written_in_utc_with_milliseconds(ms: int, text: str) -> None:
    assert format_ms(ms) == text


@pytest.mark.parametrize("ms", [MIN_MS - 1, MAX_MS + 1])
def test_a_time_outside_the_years_1_to_9999_is_not_written(ms: int) -> None:
    with pytest.raises(ValueError, match="1 to 9999"):
        format_ms(ms)


@QUICK
@given(st.integers(MIN_MS, MAX_MS))
def test_what_is_written_is_read_as_the_same_time(ms: int) -> None:
    assert parse_time(format_ms(ms)) == ms


@QUICK
@given(st.integers(MIN_MS, MAX_MS), st.integers(MIN_MS, MAX_MS))
def test_text_order_is_time_order(a: int, b: int) -> None:
    assert (format_ms(a) < format_ms(b)) == (a < b)


@QUICK
@given(
    st.datetimes(LOW, HIGH),
    st.integers(-23 * 60, 23 * 60),
)
def test_an_offset_moves_the_time_and_finer_digits_are_cut(naive: datetime, minutes: int) -> None:
    time = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    exact = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(time.isoformat()) == exact
