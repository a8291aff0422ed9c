"""The flat regression learns what it should, forgets nothing through JSON, and predicts without a trace."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, optim

from streams.regressions import FlatRegression, probability

FEATURES = [f"feature:{number}" for number in range(6)]
CELLS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(FEATURES), unique=True, max_size=4),
        st.integers(0, 40),
        st.floats(0, 1),
    ),
    max_size=40,
)


def encoded(model: FlatRegression) -> bytes:
    return msgspec.json.encode(model)


def resumed(model: FlatRegression) -> FlatRegression:
    return msgspec.json.decode(encoded(model), type=FlatRegression)


@given(CELLS)
def test_serialise_and_resume_at_every_step_equals_an_uninterrupted_run(
    cells: list[tuple[list[str], int, float]],
) -> None:
    whole, interrupted = FlatRegression(), FlatRegression()
    for features, n, share in cells:
        y = int(n * share)
        whole.learn(whole.enrol(features), n, y)
        interrupted = resumed(interrupted)
        interrupted.learn(interrupted.enrol(features), n, y)
    assert encoded(interrupted) == encoded(whole)


@given(CELLS)
def test_prediction_and_lookup_never_mutate(cells: list[tuple[list[str], int, float]]) -> None:
    model = FlatRegression()
    model.learn(model.enrol(FEATURES[:3]), 7, 3)
    before = encoded(model)
    for features, _, _ in cells:
        model.predict_logit(model.lookup([*features, "never seen"]))
    assert encoded(model) == before


def test_single_views_give_the_weights_of_river() -> None:
    # River's intercept has a rate of its own; a constant feature stands in its place in both.
    optimizer = optim.AdaGrad(0.1)
    theirs = linear_model.LogisticRegression(optimizer, intercept_lr=0.0)
    ours = FlatRegression()
    rng = random.Random(7)
    for _ in range(500):
        features = rng.sample(FEATURES, 3)
        y = rng.random() < 0.3
        ours.learn(ours.enrol(features), 1, int(y))
        theirs.learn_one({"": 1.0, **dict.fromkeys(features, 1.0)}, y)
    assert {name: ours.weights[index] for name, index in ours.features.items()} == pytest.approx(
        dict(theirs.weights), abs=1e-6
    )


def test_learn_returns_the_logit_from_before_the_step() -> None:
    model = FlatRegression()
    indices = model.enrol(["source:paid"])
    model.learn(indices, 5, 1)
    expected = model.predict_logit(indices)
    assert model.learn(indices, 100, 90) == expected != model.predict_logit(indices)


def test_a_cell_grows_the_squares_by_the_squares_of_its_single_views() -> None:
    model = FlatRegression()
    model.learn((0,), 8, 2)
    assert model.squares == [8 * 0.25]
    assert model.weights == [pytest.approx(-0.1 * (8 * 0.5 - 2) / 2.0**0.5)]


@pytest.mark.parametrize(("n", "y"), [(9, 4), (16, 16), (100, 1), (5000, 3500)])
def test_a_flood_cell_is_learned_like_its_chunks(n: int, y: int) -> None:
    flood, chunks = FlatRegression(), FlatRegression()
    flood.learn((0,), n, y)
    done = taken = 0
    while done < n:
        size = min(8, n - done)
        done += size
        chunks.learn((0,), size, y * done // n - taken)
        taken = y * done // n
    assert encoded(flood) == encoded(chunks)
    assert taken == y


def test_a_flood_cell_does_not_overshoot() -> None:
    model = FlatRegression()
    indices = model.enrol(["source:paid", "device:mobile", "hour:3"])
    model.learn(indices, 5000, 3500)
    assert probability(model.predict_logit(indices)) == pytest.approx(0.7, abs=0.05)


def test_a_cell_without_views_teaches_nothing() -> None:
    model = FlatRegression()
    before = encoded(model)
    model.learn((0,), 0, 0)
    assert encoded(model) == before


def test_memory_is_bounded_over_any_number_of_features() -> None:
    model = FlatRegression(max_features=100)
    for number in range(1000):
        model.learn(model.enrol([f"campaign:{number}"]), 1, number % 2)
    assert len(model.weights) == len(model.squares) == len(model.features) == 100


def test_a_feature_that_appears_late_is_learned_beside_the_old_ones() -> None:
    model = FlatRegression()
    old = model.enrol(["device:mobile"])
    for _ in range(300):
        model.learn(old, 10, 2)
    new = model.enrol(["device:mobile", "source:email"])
    for _ in range(300):
        model.learn(new, 10, 6)
        model.learn(old, 10, 2)
    assert probability(model.predict_logit(new)) == pytest.approx(0.6, abs=0.03)
    assert probability(model.predict_logit(old)) == pytest.approx(0.2, abs=0.03)


@given(st.integers(0, 10**6), st.booleans())
def test_weights_stay_finite(n: int, all_positive: bool) -> None:
    model = FlatRegression()
    n %= 20_000
    for _ in range(3):
        model.learn((0,), n, n if all_positive else 0)
    assert abs(model.weights[0]) < 100.0
