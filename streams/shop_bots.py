"""Bots in the made-up shop: crawlers that say who they are, and a fast one that pretends to be a browser."""

from __future__ import annotations

import random

from streams.shop_catalogue import Catalogue
from streams.shop_records import Timed, VisitRecord
from streams.shop_visitors import CRAWLERS, FAST_BOT, Visitor, address

_FAST_SHARE = 0.06
_CRAWLED = ("category", "product", "product", "product", "content", "help")


def crawl(
    catalogue: Catalogue, tag: str, number: int, start_ms: int, site: str, rng: random.Random
) -> list[Timed]:
    """Make one visit of a bot: page views only, at an even pace, of pages chosen without regard to fashion.

    Crawlers take a page every 1 to 8 s, 3 to 25 of them; the fast bot, one visit in sixteen, takes 25 to 80
    pages at 200 to 900 ms. Neither executes what would send interactions.
    """
    is_fast = rng.random() < _FAST_SHARE
    agent = FAST_BOT if is_fast else CRAWLERS[int(rng.random() * len(CRAWLERS))]
    pace_ms, spread_ms = (200, 700) if is_fast else (1_000, 7_000)
    views = rng.randint(25, 80) if is_fast else rng.randint(3, 25)
    visitor = Visitor(f"v{tag}{number:x}", "desktop", agent, address(rng))
    record = VisitRecord(f"{tag}-{number:x}-", visitor, catalogue, site, rng)
    t = start_ms
    for _ in range(views):
        pages = catalogue.ranked[_CRAWLED[int(rng.random() * len(_CRAWLED))]]
        page = pages[int(rng.random() * len(pages))]
        record.view(t, catalogue.urls[page], "", catalogue.titles[page])
        t += pace_ms + int(rng.random() * spread_ms)
    return record.events
