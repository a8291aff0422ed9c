from __future__ import annotations

from math import exp, log

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.scorecards import FLOOR, Scorecard

Rows = list[tuple[float, bool, float]]

judged = st.lists(
    st.tuples(st.floats(0.001, 0.999), st.booleans(), st.sampled_from([1.0, 2.0, 5.5])),
    min_size=1,
    max_size=60,
)


def card_of(rows: Rows, growth: float = 1.0) -> Scorecard:
    card = Scorecard(growth=growth)
    for p, happened, weight in rows:
        card.update(p, happened, weight)
    return card


def placed(p: float) -> int:
    return int((log(p / (1 - p)) + 10) * 10)


def average_precision(rows: Rows) -> float:
    """By the definition: over thresholds, precision times recall gained."""
    positive = sum(weight for _, happened, weight in rows if happened)
    area = recall = 0.0
    for threshold in sorted({p for p, _, _ in rows}, reverse=True):
        above = [(happened, weight) for p, happened, weight in rows if p >= threshold]
        hits = sum(weight for happened, weight in above if happened)
        area += (hits / positive - recall) * hits / sum(weight for _, weight in above)
        recall = hits / positive
    return area


def roc_area(rows: Rows) -> float:
    """By the definition: over pairs of a positive and a negative."""
    won = pairs = 0.0
    for p, happened, weight in rows:
        for q, other, also in rows:
            if happened and not other:
                pairs += weight * also
                won += weight * also * (1.0 if p > q else 0.5 if p == q else 0.0)
    return won / pairs


@given(judged)
def test_measures_equal_their_definitions(rows: Rows) -> None:
    card = card_of(rows)
    total = sum(weight for _, _, weight in rows)
    positive = sum(weight for _, happened, weight in rows if happened)
    loss = -sum(weight * log(p if happened else 1 - p) for p, happened, weight in rows)
    assert card.log_loss() == pytest.approx(loss / total)
    assert card.positive_rate() == pytest.approx(positive / total)
    in_bins = [(float(placed(p)), happened, weight) for p, happened, weight in rows]
    if positive:
        assert card.auprc() == pytest.approx(average_precision(in_bins))
        if positive < total:
            assert card.auroc() == pytest.approx(roc_area(in_bins))
    error = sum(
        abs(sum(weight * (p - happened) for p, happened, weight in rows if placed(p) // 10 == coarse))
        for coarse in range(20)
    )
    assert card.calibration_error() == pytest.approx(error / total)
    constant = card_of([(positive / total, happened, weight) for _, happened, weight in rows])
    assert card.constant_log_loss() == pytest.approx(constant.log_loss(), abs=1e-4)


def test_bins_cost_the_areas_almost_nothing() -> None:
    rows = [
        (1 / (1 + exp(-((n * 37 % 1000) / 100 - 7))), n * 37 % 1000 > 611 + n * 7919 % 400, 1.0)
        for n in range(1000)
    ]
    card = card_of(rows)
    assert card.auprc() == pytest.approx(average_precision(rows), abs=0.01)
    assert card.auroc() == pytest.approx(roc_area(rows), abs=0.005)


def test_an_empty_card_measures_nothing() -> None:
    card = Scorecard()
    measures = (card.auprc(), card.auroc(), card.log_loss(), card.positive_rate(), card.calibration_error())
    assert measures == (None,) * 5
    assert card.constant_log_loss() is None


@pytest.mark.parametrize("happened", [True, False])
def test_one_kind_of_outcome_alone_is_no_trouble(happened: bool) -> None:
    card = card_of([(0.3, happened, 1.0)] * 3)
    assert card.auprc() == (1.0 if happened else None)
    assert card.auroc() is None
    assert card.constant_log_loss() == 0.0


@pytest.mark.parametrize("p", [0.0, 1.0, -0.5, 1.5])
def test_a_certainty_that_fails_costs_much_but_not_infinitely(p: float) -> None:
    card = card_of([(p, p <= 0.0, 1.0)])
    assert card.log_loss() == pytest.approx(-log(FLOOR))


def test_with_growth_old_updates_fade_by_half_in_a_half_life() -> None:
    card = card_of([(0.5, True, 1.0)] + [(0.5, False, 1.0)] * 10, growth=2 ** (1 / 10))
    rate = 1.0 / sum(2 ** (n / 10) for n in range(11))
    assert card.positive_rate() == pytest.approx(rate)
    assert (card.updates, card.happenings) == (11, 1)


def test_growth_never_overflows_and_rescaling_changes_no_measure() -> None:
    rows = [(0.2 + 0.6 * (n % 2), n % 3 == 0, 1.0) for n in range(9_000)]
    fading = card_of(rows, growth=1.2)
    recent = card_of([(p, y, 1.2 ** (n - 300)) for n, (p, y, _) in enumerate(rows[-300:])])
    assert fading.unit <= 1e100
    for measure in ("auprc", "auroc", "log_loss", "calibration_error", "positive_rate"):
        assert getattr(fading, measure)() == pytest.approx(getattr(recent, measure)())


@given(judged, st.integers(0, 60))
def test_a_card_goes_on_from_its_json_bit_for_bit(rows: Rows, cut: int) -> None:
    resumed = msgspec.json.decode(msgspec.json.encode(card_of(rows[:cut], growth=1.01)), type=Scorecard)
    for p, happened, weight in rows[cut:]:
        resumed.update(p, happened, weight)
    assert msgspec.json.encode(resumed) == msgspec.json.encode(card_of(rows, growth=1.01))
