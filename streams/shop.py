"""The made-up shop: seeded traffic in the wire contract, with planted faults whose truth is known.

What real sites have and alerts must bear is in it: Zipf pages, sources and devices that behave differently,
a day and a week, noise from hour to hour, slow drift, campaigns, bots, customers who buy elsewhere.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any

from streams.shop_bots import crawl
from streams.shop_catalogue import DEFAULT_START_MS, Catalogue, ShopConfig, shop_tag
from streams.shop_faults import HOUR_MS, Fault, PlanError, parse_plan, plain_page
from streams.shop_hours import SLOT_MS, Burst, Hours, cycle
from streams.shop_records import Event, Timed, order_elsewhere
from streams.shop_visitors import Pool, draw_source
from streams.shop_visits import Visits

__all__ = [
    "DEFAULT_START_MS",
    "Fault",
    "PlanError",
    "Shop",
    "ShopConfig",
    "busy_pages",
    "demo_plan",
    "expected_views_per_hour",
    "parse_plan",
    "plain_page",
    "traffic",
    "truth",
]

# Orders of known customers in other channels, for each session of a person.
_ELSEWHERE = 0.012
# What the demo shows: a quiet past, then faults that a busy page betrays within an hour or two.
_DEMO_PAST_HOURS = 72
_DEMO_FAULT_HOURS = 10
_DEMO_REPAIR_HOURS = 4
_DEMO_POINTS = 0.40
_DEMO_TEMPLATES = ("product", "category", "content")
# Sessions behind the expected views: a page with a tenth of a view a session is known to about 5 %.
_SURVEY_SESSIONS = 4_000
_WEEK_HOURS = 168


class Shop:
    """One run of the shop, consumed once, lazily.

    Memory holds the events of visits under way, and a bounded sample of visitors who may return.

    Examples
    --------
    >>> shop = Shop(ShopConfig(seed=1, hours=1))
    >>> topic, event = next(iter(shop))
    >>> topic, event["url"].startswith("https://shop.example/")
    ('page-views', True)
    """

    def __init__(self, config: ShopConfig) -> None:
        self._config = config
        self._tag = shop_tag(config)
        self._catalogue = Catalogue(config)
        self._hours = Hours(config, self._catalogue)
        self._pool = Pool(self._tag, random.Random(f"pool {config.seed}"))
        self._visits = Visits(config, self._catalogue, self._hours, self._pool, self._tag)
        self._waiting: list[tuple[int, int, int, str, Event]] = []

    @property
    def pending(self) -> int:
        """Number of events that are made and wait for their time."""
        return len(self._waiting)

    def __iter__(self) -> Iterator[tuple[str, Event]]:
        """Yield (topic, event) by ``occurred_at``; endless where the configuration gives no hours."""
        waiting, end_ms = self._waiting, self._config.end_ms
        # One generator for all visits, seeded anew for each: see Visits.visit.
        rng = random.Random(0)
        for number, (start_ms, seed, kind, burst) in enumerate(self._arrivals()):
            while waiting and waiting[0][0] < start_ms:
                _, _, _, topic, event = heappop(waiting)
                yield topic, event
            rng.seed(seed)
            for order, (time_ms, topic, event) in enumerate(self._arrive(number, start_ms, kind, burst, rng)):
                heappush(waiting, (time_ms, number, order, topic, event))
        while waiting and (end_ms is None or waiting[0][0] < end_ms):
            _, _, _, topic, event = heappop(waiting)
            yield topic, event
        waiting.clear()

    def _arrivals(self) -> Iterator[tuple[int, int, str, Burst | None]]:
        """Yield the time, seed and kind of each arrival: a Poisson process, its rate constant by slot."""
        config, rng = self._config, random.Random(f"arrivals {self._config.seed}")
        slot_ms, end_ms = config.start_ms, config.end_ms
        while end_ms is None or slot_ms < end_ms:
            next_slot_ms = (slot_ms // SLOT_MS + 1) * SLOT_MS
            self._hours.forget(slot_ms // HOUR_MS)
            shape = cycle(slot_ms)
            bursts = self._hours.bursts(slot_ms)
            kinds: list[tuple[str, Burst | None]] = [("person", None), ("bot", None), ("elsewhere", None)]
            kinds += [("person", burst) for burst in bursts]
            shares = [shape, config.bots, _ELSEWHERE * shape, *(burst.extra for burst in bursts)]
            bounds = list(accumulate(shares))
            total = bounds[-1]
            mean_gap_ms = HOUR_MS / (config.sessions_per_hour * total)
            t = float(slot_ms)
            while True:
                t += rng.expovariate(1.0) * mean_gap_ms
                # The process has no memory: what would fall behind the slot is drawn again at the next rate.
                if t >= next_slot_ms or (end_ms is not None and t >= end_ms):
                    break
                kind, burst = kinds[bisect(bounds, rng.random() * total, 0, len(bounds) - 1)]
                yield int(t), rng.getrandbits(64), kind, burst
            slot_ms = next_slot_ms

    def _arrive(
        self, number: int, start_ms: int, kind: str, burst: Burst | None, rng: random.Random
    ) -> list[Timed]:
        catalogue, site = self._catalogue, self._config.site
        if kind == "bot":
            return crawl(catalogue, self._tag, number, start_ms, site, rng)
        if kind == "elsewhere":
            customer_id = self._pool.customer(start_ms, rng)
            return order_elsewhere(catalogue, self._tag, number, start_ms, customer_id, site, rng)
        if burst is not None:
            return self._visits.visit(number, start_ms, rng, burst.source, burst.landing)
        return self._visits.visit(number, start_ms, rng, draw_source(rng.random()))


def traffic(config: ShopConfig) -> Iterator[tuple[str, Event]]:
    """Make the shop's events as ``(topic, event)``, ordered by ``occurred_at`` (epoch ms), lazily.

    Raises
    ------
    PlanError
        At once, when the plan names a page that the shop does not have.

    Examples
    --------
    >>> events = list(traffic(ShopConfig(seed=1, hours=1)))
    >>> times = [event["occurred_at"] for _, event in events]
    >>> times == sorted(times), events == list(traffic(ShopConfig(seed=1, hours=1)))
    (True, True)
    """
    return iter(Shop(config))


def expected_views_per_hour(config: ShopConfig, page: str) -> float:
    """Tell how many views an hour people give a page, on average over a week, faults left out.

    Estimated from a week of 4,000 sessions, so within about 10 % for pages that matter, campaigns aside;
    the first call for a seed takes about half a second, later ones none.

    Raises
    ------
    PlanError
        When the shop has no such page.
    """
    catalogue, views = _survey(_quiet(config))
    return views[catalogue.number(plain_page(page))] * config.sessions_per_hour


def busy_pages(config: ShopConfig, n: int, template: str | None = None) -> list[str]:
    """Name the ``n`` pages with the most expected views, the busiest first; of one template where given.

    Raises
    ------
    ValueError
        When there is no such template.
    """
    catalogue, views = _survey(_quiet(config))
    if template is not None and template not in catalogue.ranked:
        raise ValueError(f"shop: no template {template!r}; there are {', '.join(sorted(catalogue.ranked))}")
    numbers = range(len(catalogue.pages)) if template is None else catalogue.ranked[template]
    return [catalogue.pages[page] for page in sorted(numbers, key=lambda page: (-views[page], page))[:n]]


def demo_plan(config: ShopConfig) -> tuple[Fault, ...]:
    """Plan +40 points on the busiest product, category and content page, from 10 hours before the end.

    The product page is repaired four hours before the end. An endless shop counts as 72 hours old, and its faults
    last for a further week. A short one is left quiet for its first three fifths, and nothing is repaired in it.
    """
    length_hours = _DEMO_PAST_HOURS if config.hours is None else config.hours
    now_ms = config.start_ms + round(length_hours * HOUR_MS)
    quiet_ms = round(length_hours * HOUR_MS * 0.6)
    start_ms = max(now_ms - _DEMO_FAULT_HOURS * HOUR_MS, config.start_ms + quiet_ms)
    end_ms = now_ms + _WEEK_HOURS * HOUR_MS if config.hours is None else now_ms
    ends_ms = dict.fromkeys(_DEMO_TEMPLATES, end_ms)
    if config.hours is not None and end_ms - start_ms >= _DEMO_FAULT_HOURS * HOUR_MS:
        ends_ms[_DEMO_TEMPLATES[0]] -= _DEMO_REPAIR_HOURS * HOUR_MS
    return tuple(
        Fault(busy_pages(config, 1, template)[0], start_ms, ends_ms[template], _DEMO_POINTS)
        for template in _DEMO_TEMPLATES
    )


def truth(config: ShopConfig) -> dict[str, Any]:
    """Tell what the shop knows and a detector must find out; plain JSON values.

    Returns
    -------
    ``faults``, a list that ``parse_plan`` reads (times in epoch ms); ``purchase_effects``, log-odds of
    buying that having seen a page adds, by page, with the placebo at 0; ``placebo``, a page that buyers see
    and that does nothing; ``base_exit``, exit probability of an average view without faults, by page.
    """
    catalogue = Catalogue(config)
    effects = {page: effect for page, effect in zip(catalogue.pages, catalogue.drive, strict=True) if effect}
    placebo = catalogue.pages[catalogue.placebo]
    return {
        "site": config.site,
        "seed": config.seed,
        "start_ms": config.start_ms,
        "end_ms": config.end_ms,
        "faults": [
            {"page": fault.page, "from": fault.start_ms, "to": fault.end_ms, "points": fault.points}
            for fault in config.plan
        ],
        "purchase_effects": {**effects, placebo: 0.0},
        "placebo": placebo,
        "base_exit": {
            page: round(exit_, 4) for page, exit_ in zip(catalogue.pages, catalogue.base_exit, strict=True)
        },
    }


def _quiet(config: ShopConfig) -> ShopConfig:
    # What the views depend on, and nothing else, so that configurations share a survey.
    rate = _SURVEY_SESSIONS / _WEEK_HOURS
    quiet = ShopConfig(seed=config.seed, pages=config.pages, site=config.site, hours=_WEEK_HOURS)
    return replace(quiet, sessions_per_hour=rate, sigma=0.0, bots=0.0)


@lru_cache(maxsize=8)
def _survey(config: ShopConfig) -> tuple[Catalogue, list[float]]:
    """Count views a session by page, over a week of people."""
    catalogue = Catalogue(config)
    counts = Counter(plain_page(event["url"]) for topic, event in traffic(config) if topic == "page-views")
    views = [counts[page] / _SURVEY_SESSIONS for page in catalogue.pages]
    # Where a page is chosen by popularity alone, its share of the template is known exactly.
    for template in ("category", "product", "content"):
        total = sum(views[page] for page in catalogue.ranked[template])
        for page in catalogue.ranked[template]:
            views[page] = total * catalogue.weight(page)
    return catalogue, views
