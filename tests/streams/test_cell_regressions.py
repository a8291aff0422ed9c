"""Cells: batches change nothing but when something is learned, and survive a restart at any point."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cell_regressions import BATCH_SHARE, MAX_BATCH_VIEWS, CellRegression
from streams.regressions import FlatRegression, probability

DEVICES = ("mobile", "desktop", "tablet")
SOURCES = ("paid", "direct")
contexts = st.tuples(st.sampled_from(DEVICES), st.sampled_from(SOURCES))
views = st.lists(st.tuples(contexts, st.integers(1, 40), st.floats(0, 1)), max_size=60)


def names(device: str, source: str) -> tuple[str, ...]:
    """Features of a context."""
    return f"device:{device}", f"source:{source}"


def resumed(model: CellRegression) -> CellRegression:
    return msgspec.json.decode(msgspec.json.encode(model), type=CellRegression)


def take(model: CellRegression, context: tuple[str, str], n: int, y: int) -> float:
    cell = model.predict(context, names)
    p = cell.probability
    model.add(cell, n, y)
    model.settle()
    return p


@given(views)
def test_serialise_and_resume_at_every_step_equals_an_uninterrupted_run(
    taken: list[tuple[tuple[str, str], int, float]],
) -> None:
    whole, interrupted = CellRegression(), CellRegression()
    for context, n, share in taken:
        interrupted = resumed(interrupted)
        assert take(interrupted, context, n, int(n * share)) == take(whole, context, n, int(n * share))
    assert msgspec.json.encode(interrupted) == msgspec.json.encode(whole)


@given(views)
def test_no_view_is_lost_or_learned_twice(taken: list[tuple[tuple[str, str], int, float]]) -> None:
    model = CellRegression()
    for context, n, share in taken:
        take(model, context, n, int(n * share))
        assert model.waiting == sum(entry.views for entry in model.pending)
        assert model.waiting < MAX_BATCH_VIEWS
        assert BATCH_SHARE * model.waiting <= model.learned
    assert model.learned + model.waiting == sum(n for _, n, _ in taken)


def test_what_is_predicted_stands_still_until_the_batch_is_learned() -> None:
    model = CellRegression()
    while model.waiting or model.learned < 1_000:
        take(model, ("mobile", "paid"), 10, 3)
    before = take(model, ("mobile", "paid"), 10, 10)
    assert take(model, ("mobile", "paid"), 10, 10) == before
    for _ in range(20):
        take(model, ("mobile", "paid"), 10, 10)
    assert model.predict(("mobile", "paid"), names).probability > before


def test_it_comes_to_what_view_by_view_would_have_come_to() -> None:
    rng = random.Random(3)
    batches, single = CellRegression(), FlatRegression()
    for _ in range(20_000):
        context = rng.choice(DEVICES), rng.choice(SOURCES)
        y = int(rng.random() < 0.2 + 0.3 * (context[0] == "mobile") + 0.2 * (context[1] == "paid"))
        take(batches, context, 1, y)
        single.learn(single.enrol(names(*context)), 1, y)
    for device in DEVICES:
        for source in SOURCES:
            p = probability(single.predict_logit(single.lookup(names(device, source))))
            assert batches.predict((device, source), names).probability == pytest.approx(p, abs=0.03)


def test_memory_is_bounded_whatever_contexts_come() -> None:
    model = CellRegression()
    for number in range(20_000):
        take(model, (f"device{number}", f"source{number}"), 1, 0)
    assert len(model._cells) <= 8192
    assert len(model.pending) < MAX_BATCH_VIEWS
    assert len(model.regression.weights) <= model.regression.max_features
