"""Chronic dead ends: are the pages that the ranking calls worst the worst, and do their intervals cover the truth?

The truth of a page is what it loses beyond the other pages of its template at the same views: in exits by the very
probabilities that decided, in money by the purchases that would have followed (see `Truth`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from schemas.page_scores import PageScore
from tests.benchmarks.truth.habits import USUAL_EXIT
from tests.benchmarks.truth.played import number_of
from tests.benchmarks.truth.session_stages import SessionStage
from tests.benchmarks.truth.verdicts import Experiment, Figures, coverage, place_in, share
from tests.benchmarks.truth.views import Floats, Views
from tests.benchmarks.truth.walks import PRICE, Truth, Walk, walks
from tests.benchmarks.truth.worlds import World, pages_for

RANK_DAYS = 7
TOP, TOP_EXITS = 10, 20


class _Losses:
    """What each page has truly lost."""

    def __init__(self, world: World) -> None:
        usual = np.array(USUAL_EXIT)[world.template]
        self._own: Floats = world.logit - np.log(usual / (1 - usual))
        self._world = world
        self._truth = Truth(world)
        self.views, self.exits, self._purchases = (np.zeros(world.pages) for _ in range(3))

    def hear(self, views: Views) -> None:
        """Count the exits of an hour that are due to what is special about their pages."""
        pages, world = views.page, self._world
        logit = world.usual_logit(pages, views.source, views.device, views.first, views.minute)
        more = _probability(logit) - _probability(logit - self._own[pages])
        self.exits += np.bincount(pages, weights=more, minlength=world.pages)
        self.views += np.bincount(pages, minlength=world.pages)

    def count(self, walk: Walk) -> None:
        """Count the purchases that the pages of a session have cost."""
        pages = np.array(walk.pages)
        np.add.at(self._purchases, pages, -self._truth.effect(pages, np.array(walk.intents)))

    def excess(self) -> Floats:
        """Exits beyond those of the template's other pages."""
        template = self._world.template
        of_template = np.bincount(template, weights=self.exits)
        views = np.maximum(1.0, np.bincount(template, weights=self.views))
        excess: Floats = self.exits - (of_template / views)[template] * self.views
        return excess

    def money(self) -> Floats:
        """Money that was lost."""
        money: Floats = np.maximum(0.0, self._purchases) * float(PRICE)
        return money


def _probability(logit: Floats) -> Floats:
    probability: Floats = 1 / (1 + np.exp(-logit))
    return probability


def _ranking(seed: int, rate: float, sigma: float) -> Figures:
    world = World(seed, rate, 24 * RANK_DAYS, sigma=sigma, pages=pages_for(rate))
    stage, losses = SessionStage(), _Losses(world)
    for number, walk in enumerate(walks(world, losses.hear)):
        stage.session(world, walk, number)
        losses.count(walk)
    scores = {number_of(page): score for page, score in stage.end().scores.items()}
    return _figures(scores, losses.excess().tolist(), losses.money().tolist())


def _figures(scores: Mapping[int, PageScore], excess: list[float], money: list[float]) -> Figures:
    by_exits = {page: float(score.exits) for page, score in scores.items()}
    by_rate = {page: score.exits / max(1, score.views) for page, score in scores.items()}
    ours = {page: score.rank_score for page, score in scores.items()}
    at_stake = {page: float(score.money_at_stake or 0) for page, score in scores.items()}
    true_money, true_excess = dict(enumerate(money)), dict(enumerate(excess))
    places = [
        (score.settled, place_in(score.excess_low, excess[page], score.excess_high))
        for page, score in scores.items()
    ]
    return {
        "money": {
            name: _overlap(values, true_money, TOP)
            for name, values in (("money_at_stake", at_stake), ("exits", by_exits), ("exit_rate", by_rate))
        },
        "excess": {
            name: _overlap(values, true_excess, TOP_EXITS)
            for name, values in (("rank_score", ours), ("exits", by_exits), ("exit_rate", by_rate))
        },
        "places": places,
        "said_money": sum(at_stake.values()),
        "true_money": sum(money),
    }


def _overlap(said: Mapping[int, float], true: Mapping[int, float], top: int) -> int:
    first, best = (
        set(sorted(values, key=lambda page: (-values[page], page))[:top]) for values in (said, true)
    )
    return len(first & best)


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    def total(name: str) -> float:
        return float(sum(result[name] for result in results))

    lines: list[Figures] = []
    for name, top in (("money", TOP), ("excess", TOP_EXITS)):
        for order in results[0][name]:
            found = sum(result[name][order] for result in results)
            lines.append(
                {f"true_top_{top}_by": name, "order": order, "found": share(found, top * len(results))}
            )
    places = [place for result in results for place in result["places"]]
    return [
        *lines,
        {"pages": "settled", **coverage([place for is_settled, place in places if is_settled])},
        {"pages": "all", **coverage([place for _, place in places])},
        {"money_at_stake_said": round(total("said_money")), "truly_lost": round(total("true_money"))},
    ]


EXPERIMENTS = {"ranking": Experiment(_ranking, _pooled)}
