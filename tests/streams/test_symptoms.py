"""Symptoms: counts by time stay few however far apart they are, and lose nothing."""

from __future__ import annotations

import pytest

from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS
from streams.symptoms import MAX_BUCKETS, MinuteCounts, Suspicion, change_of

MONDAY = 1_767_571_200_000


def gathered(number: int, apart_ms: int) -> Suspicion:
    """Gather so many minutes, each so far from the one before; in the last twenty all stall."""
    suspicion = Suspicion()
    for minute in range(number):
        stalls = 4 if minute >= number - 20 else 2
        suspicion.gather(MinuteCounts(views=4, stalls=stalls), 2.0, MONDAY + minute * apart_ms)
        assert len(suspicion.series) <= MAX_BUCKETS
    return suspicion


@pytest.mark.parametrize("apart_ms", [MINUTE_MS, 3 * MINUTE_MS, HOUR_MS, DAY_MS])
@pytest.mark.parametrize("number", [MAX_BUCKETS, MAX_BUCKETS + 1, 3 * MAX_BUCKETS])
def test_a_series_is_bounded_whatever_lies_between_its_minutes(number: int, apart_ms: int) -> None:
    suspicion = gathered(number, apart_ms)
    series, width_ms = suspicion.series, suspicion.width_ms
    assert all(bucket.start_ms % width_ms == 0 for bucket in series)
    assert [bucket.start_ms for bucket in series] == sorted({bucket.start_ms for bucket in series})
    for name in ("views", "stalls", "expected", "variance"):
        assert sum(getattr(bucket, name) for bucket in series) == getattr(suspicion, name)
    # As narrow as the bound allows: half as wide there would be too many.
    half = {(MONDAY + minute * apart_ms) // (width_ms // 2) for minute in range(number)}
    assert width_ms == MINUTE_MS or len(half) > MAX_BUCKETS


def test_after_a_long_silence_it_is_still_seen_when_it_began() -> None:
    """A hundred and twenty minutes in a row, a month of nothing, and all are lost from then on."""
    suspicion = Suspicion()
    for minute in range(MAX_BUCKETS):
        suspicion.gather(MinuteCounts(views=4, stalls=2), 2.0, MONDAY + minute * MINUTE_MS)
    later_ms = MONDAY + 30 * DAY_MS
    for minute in range(20):
        suspicion.gather(MinuteCounts(views=4, stalls=4), 2.0, later_ms + minute * MINUTE_MS)
    assert suspicion.width_ms == 2 * MINUTE_MS
    change = change_of(suspicion)
    assert change is not None
    assert change.at_ms == later_ms
