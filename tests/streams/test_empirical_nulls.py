"""Few of the pages that do nothing are called drivers, however many sessions and however much unseen intent."""

import random
from collections import Counter
from collections.abc import Iterable
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.credits import PageCredit
from streams.empirical_nulls import SIZES, NullSpread, null_spread_of, score, size_of


def common(credits: Iterable[PageCredit]) -> NullSpread:
    sizes = Counter(map(size_of, credits))
    return null_spread_of({place: pages for place, pages in sizes.items() if place is not None})


def credit_of(variance: float, z: float) -> PageCredit:
    return PageCredit(int(20 * variance), z * sqrt(variance), variance, variance)


def made_up(rng: random.Random, pages: int, bulk: float, drivers: int = 0) -> list[PageCredit]:
    """Pages from few to many sessions; the first ones drive purchases by half a logit, up or down."""
    credits = []
    for number in range(pages):
        variance = 2.0 ** rng.uniform(3, 10)
        effect = rng.choice([-0.5, 0.5]) if number < drivers else rng.gauss(0, sqrt(bulk))
        credits.append(credit_of(variance, effect * sqrt(variance) + rng.gauss(0, 1)))
    return credits


def called(credit: PageCredit, spread: NullSpread) -> bool:
    found = score(credit, spread)
    return not found.credit_low < 0 < found.credit_high


@pytest.mark.parametrize("bulk", [0.0, 0.01, 0.04, 0.25])
def test_pages_that_do_nothing_are_not_called_drivers(bulk: float) -> None:
    rng, false, pages = random.Random(7), 0, 0
    for _ in range(20):
        credits = made_up(rng, 200, bulk, drivers=16)
        spread = common(credits)
        false += sum(called(credit, spread) for credit in credits[16:])
        pages += len(credits[16:])
    assert false / pages <= 0.03


def test_the_bulk_is_found_and_drivers_hardly_move_it() -> None:
    rng = random.Random(3)
    found = [common(made_up(rng, 400, 0.04, drivers)).bulk for drivers in (0, 30)]
    assert found == pytest.approx([0.04, 0.04], rel=0.5)
    assert common(made_up(rng, 400, 0.0)).bulk < 0.004


def test_drivers_are_found_where_nothing_else_moves_pages() -> None:
    rng = random.Random(5)
    credits = made_up(rng, 200, 0.0, drivers=16)
    spread = common(credits)
    great = [credit for credit in credits[:16] if credit.variance > 60]
    assert len(great) > 5
    assert sum(called(credit, spread) for credit in great) >= 0.8 * len(great)
    assert 0.04 < spread.share < 0.16


def test_many_sessions_do_not_make_a_driver_of_a_page_that_is_like_the_others() -> None:
    rng = random.Random(1)
    spread = common(made_up(rng, 300, 0.04))
    # One standard deviation of the bulk, on ten thousand purchases: six times beyond chance.
    assert not called(credit_of(10_000.0, 0.2 * 100.0), spread)
    assert called(credit_of(10_000.0, 0.2 * 100.0), NullSpread())


def test_pages_that_are_all_above_zero_are_unseen_intent() -> None:
    spread = common([credit_of(400.0, 3.0)] * 9)
    assert spread.bulk == pytest.approx((9.0 / 0.6745**2 - 1.0) / 400.0, rel=0.5)


def test_the_greater_of_the_two_variances_counts() -> None:
    lucky, noisy = PageCredit(10, 2.0, 0.1, 4.0), PageCredit(10, 2.0, 9.0, 4.0)
    assert score(lucky).credit_high - score(lucky).credit_low == pytest.approx(2 * 1.96 * 2.0)
    assert score(noisy).credit_high - score(noisy).credit_low == pytest.approx(2 * 1.96 * 3.0)


def test_a_page_without_sessions_has_no_credit() -> None:
    assert score(PageCredit()).credit_high == 0.0
    assert null_spread_of({}) == NullSpread()


@given(
    st.floats(1e-3, 1e6),
    st.floats(-60, 60),
    st.floats(0, 4),
    st.floats(0.001, 0.999),
)
def test_a_credit_is_shrunk_never_turned_and_lies_in_its_interval(
    variance: float, z: float, bulk: float, share: float
) -> None:
    credit = credit_of(variance, z)
    found = score(credit, NullSpread(bulk, share))
    assert 0.0 <= found.credit / credit.residual <= 1.0 if credit.residual else found.credit == 0.0
    assert found.credit_low <= found.credit <= found.credit_high
    assert found.score <= credit.residual
    assert 0.0 <= found.p_associated <= 1.0


@given(st.lists(st.tuples(st.integers(0, 16 * SIZES - 1), st.integers(1, 50)), max_size=60))
def test_whatever_the_pages_are_there_is_a_spread(places: list[tuple[int, int]]) -> None:
    found = null_spread_of(dict(places))
    assert 0.0 <= found.bulk <= 4.0
    assert 0.0 < found.share < 1.0
