"""Propensities: River models, each of one probability, as plain records that go through JSON unharmed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import exp
from typing import Any, Final

import msgspec

from schemas.model_snapshots import ModelName
from streams.features import probability
from streams.scorecards import Scorecard

RATE: Final = 0.1
"""AdaGrad's step size. On the UCI Online Shoppers sessions, predicted before they were learned, it came within
0.02 AUPRC of boosted trees that were fitted anew every 500 sessions."""
FIRST_SQUARE: Final = 1.0
"""What AdaGrad adds to each sum of squares: a rare feature's first examples don't move it by a whole `RATE`."""
HALF_LIFE_VIEWS: Final = 100_000
"""In the measures, a view of so many views ago counts half, or a model could go bad unseen for months."""
_RULE_PRIOR: Final = 10.0


class Lesson(msgspec.Struct, frozen=True):
    """One view to learn from.

    Attributes
    ----------
    features
        What was known at the view.
    rule
        The little that the baseline knows of it.
    happened
        What came of it.
    weight
        How many views it stands for in the measures.
    """

    features: dict[str, float]
    rule: str
    happened: bool
    weight: float = 1.0


def _forgetful() -> Scorecard:
    return Scorecard(growth=2.0 ** (1 / HALF_LIFE_VIEWS))


class Propensity(msgspec.Struct):
    """All that is known of one model of one site; nothing of it lives anywhere else.

    Attributes
    ----------
    site, model
        Whose it is, and what it predicts.
    weights, squares
        By feature: weight, and AdaGrad's sum of squared gradients.
    rates
        By rule: weight of all views, and of those where it happened.
    measures
        Of the model's own predictions.
    baseline
        The same of predicting each rule's own rate so far.
    examples
        Sessions learned from.
    version
        Of the last snapshot; 0 before the first.
    published_ms
        Instant of the last snapshot (event time); 0 before the first.
    due_ms
        Instant of the next one; None if nothing was learned since the last.
    """

    site: str
    model: ModelName
    weights: dict[str, float] = {}
    squares: dict[str, float] = {}
    rates: dict[str, tuple[float, float]] = {}
    measures: Scorecard = msgspec.field(default_factory=_forgetful)
    baseline: Scorecard = msgspec.field(default_factory=_forgetful)
    examples: int = 0
    version: int = 0
    published_ms: int = 0
    due_ms: int | None = None

    def __post_init__(self) -> None:
        # River's AdaGrad counts on a default of 0.
        self.squares = defaultdict(float, self.squares)


class Learner:
    """River's logistic regression with AdaGrad, put to work on one propensity after another.

    River's objects hold nothing between two calls: they are given the record's own dicts, and change them in
    place. The intercept stays 0: with a step size that never shrinks it would chase each example, where a
    constant feature settles. No scaler stands before it, since features come in unit range.

    Examples
    --------
    >>> learner, propensity = Learner(), Propensity("shop.example", "p_purchase")
    >>> for _ in range(50):
    ...     learner.learn(propensity, [Lesson({"constant": 1.0, "cart": 1.0}, "cart", happened=True)])
    >>> learner.predict(propensity, {"constant": 1.0, "cart": 1.0}) > 0.8
    True
    >>> propensity.measures.updates, propensity.examples
    (50, 50)
    """

    def __init__(self) -> None:
        # Imported here because River brings scipy: two seconds that a command without models need not wait.
        from river import linear_model, optim
        from river.utils import VectorDict

        class Logistic(linear_model.LogisticRegression):
            """River's own, number for number; a step takes no vectors and dicts of its own, and so a third."""

            held: tuple[dict[str, float], dict[str, float]]

            def learn_one(self, x: Any, y: Any, w: float = 1.0) -> None:
                weights, squares = self.held
                right = self._weights.dot(x) if y else -self._weights.dot(x)
                error = (
                    w / (exp(right) + 1.0)
                    if -18.0 <= right <= 18.0
                    else w * exp(-right)
                    if right > 0.0
                    else w
                )
                if y:
                    error = -error
                known = weights.get
                for name, value in x.items():
                    gradient = error * value
                    squares[name] = square = squares[name] + gradient * gradient
                    weights[name] = known(name, 0.0) - RATE / (square + FIRST_SQUARE) ** 0.5 * gradient

        # River's methods are typed in part only.
        self._model: Any = Logistic(optim.AdaGrad(RATE, FIRST_SQUARE), intercept_lr=0.0)
        self._vector: Any = VectorDict

    def predict(self, propensity: Propensity, features: dict[str, float]) -> float:
        """Give the probability that it will happen; changes nothing."""
        self._hold(propensity)
        return probability(self._model._weights.dot(features))

    def learn(self, propensity: Propensity, lessons: Sequence[Lesson]) -> None:
        """Predict every lesson of a session, score the predictions, and only then learn any of them.

        What became of one view tells what became of the others: to learn the first before the second is
        predicted would give the answer away. About 12 µs a lesson.
        """
        if not lessons:
            return
        self._hold(propensity)
        logit, learn = self._model._weights.dot, self._model.learn_one
        for lesson in lessons:
            p = probability(logit(lesson.features))
            propensity.measures.update(p, lesson.happened, lesson.weight)
        _learn_rules(propensity, lessons)
        for lesson in lessons:
            learn(lesson.features, lesson.happened)
        propensity.examples += 1

    def _hold(self, propensity: Propensity) -> None:
        self._model._weights = self._vector(propensity.weights)
        self._model.held = propensity.weights, propensity.squares


def _learn_rules(propensity: Propensity, lessons: Iterable[Lesson]) -> None:
    rates, baseline = propensity.rates, propensity.baseline
    prior = (baseline.positive + 0.5) / (baseline.total + 1.0)
    for lesson in lessons:
        views, hits = rates.get(lesson.rule, (0.0, 0.0))
        p = (hits + _RULE_PRIOR * prior) / (views + _RULE_PRIOR)
        baseline.update(p, lesson.happened, lesson.weight)
    for lesson in lessons:
        views, hits = rates.get(lesson.rule, (0.0, 0.0))
        weight = lesson.weight
        rates[lesson.rule] = (views + weight, hits + weight if lesson.happened else hits)
