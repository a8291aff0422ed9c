from __future__ import annotations

import random
from math import exp

import msgspec
import pytest
from river import linear_model, optim
from river.utils import VectorDict

from schemas.visitor_events import ModelWeights
from streams.features import score
from streams.propensities import Learner, Lesson, Propensity


def lessons_of(count: int, seed: int = 1) -> list[Lesson]:
    """Lessons of a world in which a cart makes it probable, and so does depth."""
    rng = random.Random(seed)
    lessons = []
    for _ in range(count):
        cart, depth = rng.random() < 0.3, rng.random() * 2
        features = {"constant": 1.0, "depth": depth, f"noise:{rng.randrange(8)}": 1.0}
        if cart:
            features["cart"] = 1.0
        happened = rng.random() < 1 / (1 + exp(2.5 - 2.0 * cart - 1.0 * depth))
        lessons.append(Lesson(features, "cart" if cart else "none", happened))
    return lessons


def fresh() -> Propensity:
    return Propensity("shop.example", "p_purchase")


def known(measure: float | None) -> float:
    assert measure is not None
    return measure


def restored(propensity: Propensity) -> Propensity:
    return msgspec.json.decode(msgspec.json.encode(propensity), type=Propensity)


def test_a_session_is_predicted_whole_before_any_of_it_is_learned() -> None:
    learner, propensity = Learner(), fresh()
    lesson = Lesson({"constant": 1.0}, "none", happened=True)
    learner.learn(propensity, [lesson] * 5)
    # All five were predicted at 0.5: had the first taught the others, the loss would be smaller.
    assert propensity.measures.log_loss() == pytest.approx(0.6931471805599453)
    assert propensity.baseline.log_loss() == pytest.approx(0.6931471805599453)
    assert learner.predict(propensity, lesson.features) > 0.5


def test_predicting_changes_nothing_not_even_for_features_never_seen() -> None:
    learner, propensity = Learner(), fresh()
    learner.learn(propensity, lessons_of(20))
    before = msgspec.json.encode(propensity)
    features = {"constant": 1.0, "never seen": 1.0}
    assert learner.predict(propensity, features) == learner.predict(propensity, features)
    assert features == {"constant": 1.0, "never seen": 1.0}
    assert msgspec.json.encode(propensity) == before


@pytest.mark.parametrize("cut", [0, 1, 150, 299])
def test_a_propensity_goes_on_from_its_json_bit_for_bit_by_another_learner(cut: int) -> None:
    lessons = lessons_of(300)
    whole, interrupted = fresh(), fresh()
    first, second = Learner(), Learner()
    for number, lesson in enumerate(lessons):
        first.learn(whole, [lesson])
        if number == cut:
            interrupted, second = restored(interrupted), Learner()
        second.learn(interrupted, [lesson])
    assert msgspec.json.encode(interrupted) == msgspec.json.encode(whole)


def test_it_learns_exactly_what_river_by_itself_learns() -> None:
    lessons = lessons_of(300)
    river = linear_model.LogisticRegression(optim.AdaGrad(0.1, eps=1.0), intercept_lr=0.0)
    learner, propensity = Learner(), fresh()
    for lesson in lessons:
        learner.learn(propensity, [lesson])
        river.learn_one(lesson.features, lesson.happened)
    assert propensity.weights == river.weights
    assert propensity.squares == river.optimizer.g2
    assert river.intercept == 0.0


def test_exported_weights_score_as_river_predicts() -> None:
    learner, propensity = Learner(), fresh()
    for lesson in lessons_of(500):
        learner.learn(propensity, [lesson])
    exported = ModelWeights(("site-events/0", 1, 0), "shop.example", "p_purchase", 1, 0.0, propensity.weights)
    for lesson in lessons_of(200, seed=2):
        assert score(exported, lesson.features) == pytest.approx(
            learner.predict(propensity, lesson.features), abs=1e-12
        )


def test_one_learner_serves_many_propensities_without_mixing_them() -> None:
    lessons, others = lessons_of(100), lessons_of(100, seed=2)
    shared, alone = Learner(), Learner()
    left, right, expected = fresh(), fresh(), fresh()
    for lesson, other in zip(lessons, others, strict=True):
        shared.learn(left, [lesson])
        shared.learn(right, [other])
        alone.learn(expected, [lesson])
    assert msgspec.json.encode(left) == msgspec.json.encode(expected)
    assert left.weights != right.weights


def test_the_model_beats_the_rule_and_the_rule_beats_knowing_nothing() -> None:
    learner, propensity = Learner(), fresh()
    for lesson in lessons_of(12_000):
        learner.learn(propensity, [lesson])
    measures, baseline = propensity.measures, propensity.baseline
    assert known(measures.auprc()) > known(baseline.auprc()) + 0.02
    assert known(baseline.auprc()) > 1.5 * known(baseline.positive_rate())
    assert known(measures.log_loss()) < known(baseline.log_loss()) < known(measures.constant_log_loss())
    assert known(measures.calibration_error()) < 0.06


def test_no_lessons_leave_no_trace() -> None:
    propensity = fresh()
    Learner().learn(propensity, [])
    assert msgspec.json.encode(propensity) == msgspec.json.encode(fresh())


def test_river_keeps_its_weights_in_the_dict_that_it_is_given() -> None:
    # All state stands on this: were the dict copied, learning would go on in the copy and be lost.
    weights = {"constant": 1.0}
    VectorDict(weights)["constant"] = 2.0
    assert weights == {"constant": 2.0}
