"""Scoring: the same numbers as going through all features, and bounded memory."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from schemas.visitor_events import ModelWeights
from streams.features import TEMPLATES, Journey, score
from streams.scoring import Scorer, SiteWeights

ACTIONS = ("add_to_cart", "remove_from_cart", "search", "checkout_started", "error", "purchased", "scroll")


def walked(rng: random.Random) -> Iterator[Journey]:
    """Journeys of one session, one after each view; each is scored before it goes on."""
    journey = Journey.start(
        rng.choice(["paid", "direct"]), "mobile", rng.random() < 0.5, rng.random() < 0.5, 0
    )
    at = 0
    for _ in range(rng.randrange(1, 30)):
        at += rng.randrange(90_000)
        journey.view(at, f"page{rng.randrange(5)}", rng.choice([*TEMPLATES, "blog/2"]))
        yield journey
        if rng.random() < 0.4:
            journey.action(at, rng.choice(ACTIONS))


def weights(model: str, seed: int, names: list[str]) -> ModelWeights:
    rng = random.Random(seed)
    return ModelWeights(
        ("site-events/0", seed, 0), "shop", model, seed, 0.25, {n: rng.gauss(0, 1) for n in names}
    )


def test_a_score_is_that_of_all_features_one_by_one() -> None:
    names = sorted(
        {name for seed in range(60) for journey in walked(random.Random(seed)) for name in journey.features()}
    )
    purchase, leaving = weights("p_purchase", 1, names[::2]), weights("p_exit", 2, names)
    scorer = Scorer(SiteWeights(purchase, leaving))
    views = 0
    for seed in range(80):
        for journey in walked(random.Random(seed)):
            expected = score(purchase, journey.features()), score(leaving, journey.features())
            assert scorer.score(journey) == pytest.approx(expected, abs=1e-12)
            views += 1
    assert views > 1_000


def test_a_model_without_weights_scores_nothing() -> None:
    journey = next(iter(walked(random.Random(1))))
    leaving = weights("p_exit", 2, ["constant"])
    assert Scorer(SiteWeights(exit=leaving)).score(journey)[0] is None
    assert Scorer(SiteWeights()).score(journey) == (None, None)
    assert (SiteWeights().version, SiteWeights(exit=leaving).version) == (None, 2)


def test_memory_is_bounded_whatever_pages_come() -> None:
    scorer = Scorer(SiteWeights(exit=weights("p_exit", 2, ["constant"])))
    for number in range(20_000):
        journey = Journey.start("paid", "mobile", returning=False, known_customer=False, started_at=0)
        journey.view(0, f"page{number}", "product")
        scorer.score(journey)
    assert len(scorer._sums) <= 8192
