"""Which pages drive purchases: what the pages stage says of sessions whose truth is known, beside what others say.

Fifteen pages move the intent of who sees them, ten up and five down by .2 to .6 of a logit. In the plain shop
all other pages of a template are alike and do nothing: they are the null pages. In the mixed one their exits
differ, which is an effect too, and intent draws visitors to some of them, which is none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from schemas.purchase_associations import PurchaseAssociation
from streams.credits import LEFT_OUT
from tests.benchmarks.truth.habits import CART, CHECKOUT, TEMPLATES
from tests.benchmarks.truth.played import number_of
from tests.benchmarks.truth.session_stages import SessionStage
from tests.benchmarks.truth.verdicts import Experiment, Figures
from tests.benchmarks.truth.views import Floats
from tests.benchmarks.truth.walks import Truth, Walk, walks
from tests.benchmarks.truth.worlds import World, pages_for

UP, DOWN = 10, 5
LEAST, GREATEST = 0.2, 0.6
"""How many pages move intent up and down, and by how much (logit)."""
LEAST_VIEWS = 2.0
"""A page that has fewer views an hour moves nobody: a week could not tell."""
MIXED_SPREAD, MIXED_DRAW = 0.25, 0.3
TOP = 10
LEAST_HELP = 1.0
"""Purchases that a page must truly have added to have helped; in the mixed shop not only planted ones do."""
PLACEBO = -1
"""Number of the made-up page in what others are shown."""


def credit_world(seed: int, rate: float, sigma: float, *, days: int = 7, mixed: bool = False) -> World:
    """A shop with pages that move intent, and in the mixed one with what could be mistaken for them."""
    spread = MIXED_SPREAD if mixed else 0.0
    rng = np.random.default_rng(seed + 7)
    plain = World(seed, rate, 24 * days, sigma=sigma, spread=spread, pages=pages_for(rate))
    busy = (plain.usual_views() >= LEAST_VIEWS) & ~np.isin(plain.template, (CART, CHECKOUT))
    pages = rng.permutation(np.flatnonzero(busy))[: UP + DOWN].tolist()
    effects = [*rng.uniform(LEAST, GREATEST, UP), *-rng.uniform(LEAST, GREATEST, DOWN)]
    drivers = dict(zip(pages, map(float, effects), strict=True))
    draws: list[float] = rng.normal(0, MIXED_DRAW, plain.pages).tolist() if mixed else []
    return World(
        seed,
        rate,
        24 * days,
        sigma=sigma,
        spread=spread,
        pages=pages_for(rate),
        drivers=drivers,
        draws=dict(enumerate(draws)),
    )


def _credit_of(*, days: int = 7, mixed: bool = False) -> Experiment:
    """Experiment on a plain or a mixed shop, over so many days."""

    def credit(seed: int, rate: float, sigma: float) -> Figures:
        world = credit_world(seed, rate, sigma, days=days, mixed=mixed)
        stage = SessionStage()
        others = Others(world)
        truth, seen = Truth(world), _Exposures(world)
        for number, walk in enumerate(walks(world)):
            place = stage.session(world, walk, number)
            others.count(walk, place)
            if place is not None:
                seen.count(walk)
        last = stage.end().associations
        return _figures(world, last, others, seen.effects(truth)) | {
            "sessions": stage.sessions,
            "purchases": others.purchases,
            "us_per_session": 1e6 * stage.seconds / stage.sessions,
        }

    return Experiment(credit, _pooled)


class _Exposures:
    """First views that are credited, and the intent before them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pages: list[int] = []
        self._intents: list[float] = []

    def count(self, walk: Walk) -> None:
        """Count a session's."""
        seen = set()
        for page, intent in zip(walk.pages, walk.intents, strict=True):
            if page not in seen:
                seen.add(page)
                self._pages.append(page)
                self._intents.append(intent)

    def effects(self, truth: Truth) -> Floats:
        """Purchases that each page has truly added."""
        pages = np.array(self._pages)
        effects = truth.effect(pages, np.array(self._intents))
        return np.bincount(pages, weights=effects, minlength=self._world.pages).astype(np.float64)


class Others:
    """What people use today, on the same sessions, with the placebo among the pages as any other."""

    def __init__(self, world: World) -> None:
        self._credited = {
            page for page in range(world.pages) if TEMPLATES[world.template[page]] not in LEFT_OUT
        } | {PLACEBO}
        self._last_touch: Counter[int] = Counter()
        self._participation: defaultdict[int, float] = defaultdict(float)
        self._seen: Counter[int] = Counter()
        self._seen_and_bought: Counter[int] = Counter()
        self._next: Counter[tuple[int, int]] = Counter()
        self._pages = world.pages
        self.sessions = self.purchases = 0

    def count(self, walk: Walk, place: int | None) -> None:
        """Count a session, with the placebo before the view at a place."""
        pages = list(walk.pages)
        if place is not None and place >= 0:
            pages.insert(place, PLACEBO)
        self.sessions += 1
        shown = [page for page in dict.fromkeys(pages) if page in self._credited]
        self._seen.update(shown)
        start, bought, left = self._pages, self._pages + 1, self._pages + 2
        self._next.update(pairwise([start, *pages, bought if walk.bought else left]))
        if walk.bought:
            self.purchases += 1
            self._seen_and_bought.update(shown)
            for page in shown:
                self._participation[page] += 1 / len(shown)
            credited = [page for page in pages if page in self._credited]
            self._last_touch.update(credited[-1:])

    def rankings(self) -> dict[str, dict[int, float]]:
        """Method to page to what it is ranked by."""
        naive = {
            page: bought - n * (self.purchases - bought) / max(1, self.sessions - n)
            for page, n in self._seen.items()
            for bought in (self._seen_and_bought[page],)
        }
        return {
            "last_touch": {page: float(self._last_touch[page]) for page in self._seen},
            "participation": {page: self._participation[page] for page in self._seen},
            "markov_removal": self._removal(),
            "with_and_without": naive,
        }

    def _removal(self) -> dict[int, float]:
        """Removal effect on the whole chain, every page a state of its own."""
        start, bought, left = self._pages, self._pages + 1, self._pages + 2
        size = self._pages + 4  # the placebo, −1, is the last
        counts = np.zeros((size, size))
        for (one, other), count in self._next.items():
            counts[one, other] += count
        ends = (bought, left)
        counts[ends, :] = 0.0
        chances = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
        visits = np.linalg.inv(np.eye(size) - np.where(np.isin(np.arange(size), ends), 0.0, chances))
        worth = visits @ chances[:, bought]
        effects = visits[start] / np.diag(visits) * worth / worth[start]
        return {page: float(effects[page]) for page in self._credited}


def _figures(world: World, last: Mapping[str, PurchaseAssociation], others: Others, truth: Floats) -> Figures:
    said = {number_of(one.value): one for one in last.values() if one.scope == "page"}
    ranked = {page: one for page, one in said.items() if one.place is not None}
    best = set(np.argsort(-truth, kind="stable")[:TOP].tolist())
    true: list[float] = truth.tolist()
    up = {page for page, effect in world.drivers.items() if effect > 0}
    placebo = last["placebo:"]
    found: Figures = {
        "credit": {
            "placebo_place": placebo.place,
            **_precision(sorted(ranked, key=lambda page: ranked[page].place or 0), up, best),
        }
    }
    bounded = {page: one.removal_purchase or 0.0 for page, one in said.items()}
    bounded = {page: share for page, share in bounded.items() if world.template[page] not in (CART, CHECKOUT)}
    for method, scores in {**others.rankings(), "removal_purchase": bounded}.items():
        order = sorted(scores, key=lambda page: (-scores[page], page))
        found[method] = {
            "placebo_place": order.index(PLACEBO) + 1 if PLACEBO in scores else None,
            **_precision([page for page in order if page != PLACEBO], up, best),
        }
    called = {page: not one.credit_low < 0.0 < one.credit_high for page, one in ranked.items()}
    null = [page for page in ranked if page not in world.drivers]
    return {
        "methods": found,
        "pages": len(ranked),
        "null_pages": len(null),
        "null_called": sum(called[page] for page in null),
        "drivers": sum(page in ranked for page in world.drivers),
        "drivers_called": sum(
            called[page] and ranked[page].credit * effect > 0.0
            for page, effect in world.drivers.items()
            if page in ranked
        ),
        "covered": sum(one.credit_low <= true[page] <= one.credit_high for page, one in ranked.items()),
        "drivers_covered": sum(
            ranked[page].credit_low <= true[page] <= ranked[page].credit_high
            for page in world.drivers
            if page in ranked
        ),
        "placebo_called": not placebo.credit_low < 0.0 < placebo.credit_high,
        "suggested": sum(one.experiment is not None for one in ranked.values()),
        "suggested_up": sum(ranked[page].experiment is not None for page in up if page in ranked),
        "suggested_help": sum(
            one.experiment is not None and true[page] >= LEAST_HELP for page, one in ranked.items()
        ),
    }


def _precision(order: list[int], up: set[int], best: set[int]) -> Figures:
    """Of the first ten: how many were planted to help, and how many are truly among the ten that help most."""
    top = set(order[:TOP])
    return {"planted": len(top & up) / TOP, "best": len(top & best) / TOP}


def _pooled(results: Sequence[Figures]) -> list[Figures]:

    def total(name: str) -> int:
        return sum(int(result[name]) for result in results)

    lines: list[Figures] = []
    for method in results[0]["methods"]:
        found = [result["methods"][method] for result in results]
        lines.append(
            {
                "method": method,
                "precision_at_10": round(sum(one["planted"] for one in found) / len(found), 3),
                "of_the_true_top_10": round(sum(one["best"] for one in found) / len(found), 3),
                "placebo_places": [one["placebo_place"] for one in found],
            }
        )
    share = {
        "null_called": f"{total('null_called')} of {total('null_pages')}",
        "null_called_share": round(total("null_called") / total("null_pages"), 4),
        "drivers_called": f"{total('drivers_called')} of {total('drivers')}",
        "placebo_called": f"{total('placebo_called')} of {len(results)}",
        "interval_covers": round(total("covered") / total("pages"), 3),
        "interval_covers_drivers": round(total("drivers_covered") / total("drivers"), 3),
        "suggested": total("suggested"),
        "suggested_that_help": total("suggested_help"),
        "suggested_that_were_planted": total("suggested_up"),
    }
    cost = {
        "us_per_session": round(float(np.median([result["us_per_session"] for result in results])), 1),
        "sessions": total("sessions"),
        "purchases": total("purchases"),
    }
    return [*lines, share, cost]


EXPERIMENTS = {
    "credit": _credit_of(),
    "credit-14-days": _credit_of(days=14),
    "credit-mixed": _credit_of(mixed=True),
}
