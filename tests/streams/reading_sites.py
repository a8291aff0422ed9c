"""A made-up site whose visitors are known: who was served by what he read, who gave up, and who merely glanced.

Recipes are read, and then most readers leave: they were served. Who compares products goes on the more often the
longer he looks: who leaves was not served. Of products some are put into a cart. From a day on one product and one
recipe are broken: their visitors try for long, then leave.

What is found there of who was served: ``python -m tests.streams.reading_sites SEED…``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from math import exp, log
from random import Random
from typing import NamedTuple

from schemas.timestamps import parse_time
from streams.event_files import FileEvent
from streams.settings import DAY_MS, SECOND_MS, Settings
from tests.agents.product import Final, final, replayed

SITE = "recipes.example"
BEGINNING = 1_700_006_400_000
"""A midnight (UTC), on a Wednesday."""
RECIPES, COMPARISONS, PRODUCTS = 5, 3, 6
READING_S = (70.0, 90.0, 120.0, 160.0, 220.0)
"""Median time (s) of those who read a recipe."""
BROKEN = frozenset(("product/p5", "recipes/r0"))
SETTINGS = Settings(pseudonymise=False)
FROM_DAY = 8
"""A table is made of seven days, and holds a day later."""


class MadeUpSite(NamedTuple):
    """Events in order of time, and of each visitor whether he left because he had read what he came for."""

    events: list[FileEvent]
    served: dict[str, bool]


def made_up_site(
    seed: int,
    days: int,
    sessions_a_day: int,
    *,
    breaks_on: int | None = None,
    engagement: float = 0.9,
    beginning: int = BEGINNING,
) -> MadeUpSite:
    """Make up a site.

    Parameters
    ----------
    seed
        Of all chances.
    days, sessions_a_day
        How much of it.
    breaks_on
        Day (from 0) from which on `BROKEN` pages are broken; None: never.
    engagement
        How many views tell how long they were.
    beginning
        A midnight (UTC, ms).
    """
    rng = Random(seed)
    served: dict[str, bool] = {}
    events: list[FileEvent] = []
    for number in range(days * sessions_a_day):
        visitor = f"v{number}"
        at = beginning + int((number + rng.random()) * DAY_MS / sessions_a_day)
        is_broken = breaks_on is not None and at >= beginning + breaks_on * DAY_MS
        for at_ms, topic, fields in _visit(rng, visitor, at, is_broken, engagement, served):
            name = f"{visitor}-{at_ms}-{topic}-{fields.get('name')}"
            event: dict[str, object] = {"event_id": name, "visitor_id": visitor, "site": SITE}
            event |= {"occurred_at": at_ms, **fields}
            events.append(FileEvent(topic, json.dumps(event).encode(), at_ms))
    events.sort(key=lambda event: event.occurred_at or 0)
    return MadeUpSite(events, served)


def _visit(
    rng: Random, visitor: str, at: int, is_broken: bool, engagement: float, served: dict[str, bool]
) -> Iterator[tuple[int, str, dict[str, object]]]:
    kind = rng.choices(("recipes", "compare", "product"), (5, 2, 4))[0]
    for _ in range(8):
        page, seconds, leaves, is_served, carts = _view(rng, kind, is_broken)
        url = f"https://{SITE}/{page}"
        yield at, "page-views", {"url": url}
        end = at + int(seconds * SECOND_MS)
        if carts:
            yield (at + end) // 2, "interactions", {"name": "add_to_cart", "url": url}
        if rng.random() < engagement:
            properties = {"seconds": round(seconds * 0.95, 1)}
            yield end - 1, "interactions", {"name": "engagement", "url": url, "properties": properties}
        served[visitor] = is_served
        if leaves:
            return
        at = end
        kind = rng.choices(("product", "compare", "recipes"), (6, 2, 1))[0]


def _view(rng: Random, kind: str, is_broken: bool) -> tuple[str, float, bool, bool, bool]:
    """Page, seconds on it, whether the visitor leaves, was served, and puts something into a cart."""
    if kind == "recipes":
        number = rng.randrange(RECIPES)
        page = f"recipes/r{number}"
        if is_broken and page in BROKEN:
            return page, _time(rng, 60.0, 0.6), rng.random() < 0.95, False, False
        if rng.random() < 0.4:
            return page, _time(rng, 9.0, 0.6), rng.random() < 0.45, False, False
        leaves = rng.random() < 0.8
        return page, _time(rng, READING_S[number], 0.5), leaves, leaves, False
    if kind == "compare":
        seconds = _time(rng, 45.0, 0.8)
        page = f"compare/c{rng.randrange(COMPARISONS)}"
        return page, seconds, rng.random() < (0.35 if seconds > 40.0 else 0.6), False, False
    page = f"product/p{rng.randrange(PRODUCTS)}"
    if is_broken and page in BROKEN:
        return page, _time(rng, 80.0, 0.6), rng.random() < 0.95, False, False
    seconds = _time(rng, 40.0, 0.8)
    carts = rng.random() < 0.12
    return page, seconds, rng.random() < (0.35 if seconds > 40.0 else 0.45), False, carts


def _time(rng: Random, median_s: float, spread: float) -> float:
    return min(1500.0, max(1.5, exp(log(median_s) + spread * rng.gauss(0.0, 1.0))))


class Told(NamedTuple):
    """Of visitors who left once a table held: said to be served, truly served, both; said so of broken pages."""

    said: int
    true: int
    both: int
    of_broken: int


def told(site: MadeUpSite, found: Final) -> Told:
    """Compare what is said of a site's visitors with the truth; `of_broken` are left out of `said`."""
    said = true = both = of_broken = 0
    for session in found["sessions"].values():
        if parse_time(session["ended_at"]) + SETTINGS.hold_ms < BEGINNING + FROM_DAY * DAY_MS:
            assert session["exit_reason"] == "dead_end"
            continue
        is_said, is_true = session["exit_reason"] == "served", site.served[session["visitor_id"]]
        true += is_true
        if is_said and not is_true and session["exit_page"].partition("/")[2] in BROKEN:
            of_broken += 1
            continue
        said += is_said
        both += is_said and is_true
    return Told(said, true, both, of_broken)


def main(seeds: list[int]) -> None:
    """Print what is found on sites of twelve days, none of whose pages breaks, or two of them on the tenth."""
    for seed in seeds:
        for breaks_on in (None, 9):
            site = made_up_site(seed, 12, 200, breaks_on=breaks_on)
            found = told(site, final(replayed(site.events, SETTINGS)))
            sys.stdout.write(json.dumps({"seed": seed, "breaks_on": breaks_on, **found._asdict()}) + "\n")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
