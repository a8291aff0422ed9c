"""Shops in which something unusual happens and nothing is broken: whatever is said of them is false.

Late and duplicated events are not among them (see `deliveries`): here counts come as the sessions stage would
write them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tests.benchmarks.truth.faults import Fault, Kind
from tests.benchmarks.truth.habits import CART, CHECKOUT, DAY, HOUR, TEMPLATES
from tests.benchmarks.truth.played import Said, number_of, play
from tests.benchmarks.truth.verdicts import Experiment, Figures, false_alerts, false_alerts_a_week, opened
from tests.benchmarks.truth.worlds import World, pages_for

SALE_DAYS, WEEK_DAYS, DRIFT_DAYS, READ_DAYS, BLOCKED_DAYS = 9, 15, 15, 9, 6
OTHER_WEEKENDS = (0.4, 0.4)
"""On Saturdays and Sundays four in ten come, and they leave sooner (logit)."""
DRIFTS: tuple[tuple[str, float, float], ...] = (("of templates", 0.03, 0.0), ("of pages", 0.01, 0.02))
"""By how much templates and pages move in an hour, for good (standard deviation of a logit)."""
READERS, READ_PART, READ_VIEWS = 6, 0.6, (5, 500)
"""Pages that are read for ten minutes and more, by which part of their visitors, and how many views an hour they
have; for newborn ones see `newborns`."""
HIDDEN_PART = 0.3
HIDDEN: dict[str, tuple[Kind, str]] = {
    "of visitors": ("hidden_visitors", ""),
    "of single views": ("hidden_views", ""),
    "of search pages": ("hidden_template", "search"),
    "of product pages": ("hidden_template", "product"),
}
"""What trackers do not hear of any more from some moment on."""


class Case(NamedTuple):
    """A shop, and which alerts are about what is unusual in it."""

    name: str
    world: World
    is_about: Callable[[Said], bool]


Cases = Callable[[int, float, float], Iterator[Case]]


def _sale(seed: int, rate: float, sigma: float) -> Iterator[Case]:
    """Five times as many come for a day."""
    begin = SALE_DAYS * 2 // 3 * DAY
    sale = (begin, begin + DAY)
    world = World(seed, rate, 24 * SALE_DAYS, sigma=sigma, pages=pages_for(rate), sale=sale)
    yield Case("a sale", world, lambda said: begin <= said.minute < begin + DAY)


def _weeks(seed: int, rate: float, sigma: float) -> Iterator[Case]:
    """Weekends are another world."""
    hours = 24 * WEEK_DAYS
    world = World(seed, rate, hours, sigma=sigma, pages=pages_for(rate), weekend=OTHER_WEEKENDS)
    yield Case("other weekends", world, lambda said: said.minute // DAY % 7 >= 5)


def _drift(seed: int, rate: float, sigma: float) -> Iterator[Case]:
    """Habits move for good, slowly."""
    for name, template, page in DRIFTS:
        hours = 24 * DRIFT_DAYS
        world = World(
            seed,
            rate,
            hours,
            sigma=sigma,
            pages=pages_for(rate),
            template_drift=template,
            page_drift=page,
        )
        yield Case(f"drift {name}", world, lambda said: True)


def _long_reads(seed: int, rate: float, sigma: float) -> Iterator[Case]:
    """Pages that most visitors read for long, and then go on."""
    rng = np.random.default_rng(seed + 5)
    plain = World(seed, rate, 1, sigma=sigma, pages=pages_for(rate))
    views = plain.usual_views()
    some = (READ_VIEWS[0] <= views) & (views < READ_VIEWS[1]) & ~np.isin(plain.template, (CART, CHECKOUT))
    some[: len(TEMPLATES)] = False  # each template has one that is older
    readers = rng.permutation(np.flatnonzero(some))[:READERS].tolist()
    world = World(
        seed,
        rate,
        24 * READ_DAYS,
        sigma=sigma,
        pages=pages_for(rate),
        long_reads=dict.fromkeys(readers, READ_PART),
    )
    yield Case("long reads", world, _about(frozenset(readers)))


def _about(pages: frozenset[int]) -> Callable[[Said], bool]:
    return lambda said: said.alert.scope == "page" and number_of(said.alert.page) in pages


def _blockers(seed: int, rate: float, sigma: float) -> Iterator[Case]:
    """From some moment on a part of the views is not heard of."""
    begin = BLOCKED_DAYS // 2 * DAY + 12 * HOUR
    for name, (kind, template) in HIDDEN.items():
        world = World(seed, rate, 24 * BLOCKED_DAYS, sigma=sigma, pages=pages_for(rate))
        value = TEMPLATES.index(template) if template else 0
        world.faults = [Fault(kind, value, begin, world.hours * HOUR - begin, HIDDEN_PART)]
        yield Case(f"blocked: {HIDDEN_PART:.0%} {name}", world, lambda said: said.minute >= begin)


def _played(cases: Cases) -> Experiment:
    def unusual(seed: int, rate: float, sigma: float) -> Figures:
        found = {}
        for case in cases(seed, rate, sigma):
            said = play(case.world).said
            about = [one for one in opened(said) if case.is_about(one)]
            found[case.name] = {
                **false_alerts(case.world, said),
                "about_it": len(about),
                "shops_with_any": int(bool(about)),
                "causes": dict(Counter(one.alert.cause for one in about)),
                "scopes": dict(Counter(one.alert.scope for one in about)),
            }
        return found

    return Experiment(unusual, _pooled)


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    return [_line(name, [result[name] for result in results]) for name in results[0]]


def _line(name: str, found: Sequence[Figures]) -> Figures:
    causes: Counter[str] = Counter()
    scopes: Counter[str] = Counter()
    for one in found:
        causes.update(one["causes"])
        scopes.update(one["scopes"])
    return {
        "shop": name,
        **false_alerts_a_week(found),
        "about_it": sum(one["about_it"] for one in found),
        "in_shops": f"{sum(one['shops_with_any'] for one in found)} of {len(found)}",
        "about_it_by_scope": dict(scopes),
        "about_it_by_cause": dict(causes),
    }


EXPERIMENTS = {
    "sale": _played(_sale),
    "weeks": _played(_weeks),
    "drift": _played(_drift),
    "long-reads": _played(_long_reads),
    "blockers": _played(_blockers),
}
