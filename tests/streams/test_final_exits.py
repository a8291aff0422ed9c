"""Final exits: counts by the time of the view, the two hypotheses, and bounds."""

from __future__ import annotations

import pytest

from streams.final_exits import MAX_SHIFT, FinalExits, shift_of, stall_logit
from streams.regressions import probability
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS
from streams.symptoms import MAX_BUCKETS, Bucket, Contrast, Suspicion


def filled(rate: float, views: int, hours: int = 1) -> FinalExits:
    """Views of a page on which half of the visits usually end, of which so many do, evenly spread."""
    final = FinalExits(0, 0.0, until_ms=DAY_MS)
    for number in range(views):
        final.add(
            number * hours * HOUR_MS // views, 0.0, int((number + 1) * rate) - int(number * rate), False
        )
    return final


def test_only_views_of_the_time_asked_for_count() -> None:
    final = FinalExits(0, 0.0)
    for minute in range(10):
        final.add(minute * MINUTE_MS, 0.0, 1, False)
    assert final.counts(0).whole == Contrast()
    final.until_ms = 8 * MINUTE_MS
    assert final.counts(3 * MINUTE_MS).whole == Contrast(5, 5, 2.5)
    final.until_ms -= 1
    assert final.counts(3 * MINUTE_MS).whole == Contrast(4, 4, 2.0)


def test_the_order_of_sessions_does_not_matter_for_what_is_counted() -> None:
    views = [(minute * 7 % 30 * MINUTE_MS, minute % 3 == 0, minute % 2 == 0) for minute in range(90)]
    forth, back = FinalExits(0, 0.5, until_ms=HOUR_MS), FinalExits(0, 0.5, until_ms=HOUR_MS)
    for final, order in ((forth, views), (back, views[::-1])):
        for at_ms, left, returning in order:
            final.add(at_ms, 0.0, int(left), returning)
    assert [bucket.start_ms for bucket in forth.series] == sorted({at_ms for at_ms, _, _ in views})
    counts = forth.counts(0)
    assert counts == back.counts(0)
    assert (counts.new.views, counts.new.stalls) == (45, 15)
    assert (counts.returning.views, counts.returning.stalls) == (45, 15)
    assert counts.whole.expected == pytest.approx(90 * probability(0.5))


def test_stretches_are_bounded_and_lose_no_view() -> None:
    final = FinalExits(0, 0.0, until_ms=30 * DAY_MS)
    for number in range(5_000):
        final.add(number * 5 * MINUTE_MS, 0.0, number % 2, number % 4 == 0)
        assert len(final.series) <= MAX_BUCKETS
    counts = final.counts(0)
    assert counts.whole == Contrast(5_000, 2_500, 2_500.0)
    assert counts.returning.views == 1_250
    # A view of long ago still finds its place.
    final.add(MINUTE_MS, 0.0, 1, False)
    assert (final.series[0].start_ms, final.counts(0).whole.views) == (0, 5_001)


def test_the_true_hypothesis_wins() -> None:
    worse, usual = filled(0.85, 80), filled(0.5, 80)
    assert worse.evidence(0, 1.7, 0.04) > 4.0
    assert usual.evidence(0, 1.7, 0.04) < -4.0


def test_noise_between_hours_bounds_what_an_hour_can_say() -> None:
    quiet, noisy = filled(0.7, 1_000), filled(0.7, 1_000)
    assert quiet.evidence(0, 1.0, 0.0025) > 4 * noisy.evidence(0, 1.0, 0.16)
    # The same views in ten hours say more than in one.
    assert filled(0.7, 1_000, hours=10).evidence(0, 1.0, 0.16) > 3 * noisy.evidence(0, 1.0, 0.16)


def test_a_fault_that_half_of_the_stalls_are_is_not_taken_for_none() -> None:
    assert filled(probability(0.8), 400).evidence(0, 1.6, 0.04) > 0.0


def test_of_no_views_nothing_is_known() -> None:
    assert FinalExits(0, 0.0).evidence(0, 1.0, 0.04) == 0.0
    assert stall_logit(Suspicion(), 0) == 0.0


def test_the_logit_of_stalls_is_bounded_however_few_go_on() -> None:
    all_stall = Suspicion(series=[Bucket(0, 1_000, 1_000, 300.0, 210.0), Bucket(HOUR_MS, 10, 0, 5.0, 2.5)])
    assert stall_logit(all_stall, 0) > 3.0
    assert stall_logit(all_stall, HOUR_MS) < 0.0
    assert shift_of(stall_logit(all_stall, 0)) == MAX_SHIFT
