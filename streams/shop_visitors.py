"""Who comes to the made-up shop: browsers, addresses, sources, and the visitors and customers that return."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")

SOURCES = ("direct", "organic", "paid", "email", "social", "referral")
DEVICES = ("desktop", "mobile", "tablet")

_SOURCE_WEIGHTS = list(accumulate((0.24, 0.33, 0.17, 0.08, 0.11, 0.07)))
_DEVICE_WEIGHTS = list(accumulate((0.38, 0.54, 0.08)))

# Logit that the context adds to the exit probability of each of a visit's views.
SOURCE_EXIT_LOGIT = {
    "direct": -0.10,
    "organic": 0.0,
    "paid": 0.22,
    "email": -0.20,
    "social": 0.32,
    "referral": 0.10,
}
DEVICE_EXIT_LOGIT = {"desktop": -0.15, "mobile": 0.10, "tablet": 0.0}

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE_KIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
USER_AGENTS = {
    "desktop": (
        f"{_WINDOWS} {_KIT} Chrome/131.0.0.0 Safari/537.36",
        f"{_WINDOWS} {_KIT} Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0",
        f"{_MAC} {_KIT} Chrome/131.0.0.0 Safari/537.36",
        f"{_MAC} {_APPLE_KIT} Version/17.6 Safari/605.1.15",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    ),
    "mobile": (
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) {_APPLE_KIT} Version/17.6 Mobile/15E148 "
        "Safari/604.1",
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) {_APPLE_KIT} CriOS/131.0.6778.73 "
        "Mobile/15E148 Safari/604.1",
        f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_KIT} Chrome/131.0.0.0 Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 13; SM-S911B) {_KIT} Chrome/130.0.0.0 Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 13; SM-A536B) {_KIT} SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile "
        "Safari/537.36",
    ),
    "tablet": (
        f"Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) {_APPLE_KIT} Version/16.6 Mobile/15E148 Safari/604.1",
        f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {_APPLE_KIT} CriOS/126.0.6478.54 Mobile/15E148 "
        "Safari/604.1",
        f"Mozilla/5.0 (Linux; Android 13; SM-X906B) {_KIT} Chrome/131.0.0.0 Safari/537.36",
    ),
}
CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    f"Mozilla/5.0 {_KIT}; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
)
# On no list: only its pace gives it away.
FAST_BOT = f"{_WINDOWS} {_KIT} Chrome/109.0.0.0 Safari/537.36"

_REFERRERS = {
    "direct": ("",),
    "organic": (
        "https://www.google.com/",
        "https://www.google.com/",
        "https://www.bing.com/",
        "https://duckduckgo.com/",
    ),
    "paid": ("https://www.google.com/", "https://www.bing.com/"),
    "email": ("",),
    "social": (
        "https://www.facebook.com/",
        "https://www.instagram.com/",
        "https://t.co/",
        "https://www.pinterest.com/",
    ),
    "referral": ("https://reviews.example.net/best-desks", "https://blog.example.org/a-room-of-ones-own"),
}
_QUERIES = {
    "paid": "?utm_source=google&utm_medium=cpc&utm_campaign=",
    "email": "?utm_source=newsletter&utm_medium=email&utm_campaign=",
    "social": "?utm_source=facebook&utm_medium=social&utm_campaign=",
}
_CAMPAIGNS = ("spring", "new-in", "last-chance")
_KEPT = 0.4
# RFC 5737 and RFC 3849: addresses that belong to nobody.
_NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.")


@dataclass(slots=True)
class Visitor:
    """A browser, and the customer behind it where the shop could know one."""

    visitor_id: str
    device: str
    user_agent: str
    ip: str
    customer_id: str | None = None
    basket: list[int] = field(default_factory=list)
    # A next visit starts later than this, or it would be the same session.
    away_until_ms: int = 0


def draw_source(u: float) -> str:
    """Choose a source from a uniform number ``0 ≤ u < 1``."""
    return next((s for s, w in zip(SOURCES, _SOURCE_WEIGHTS, strict=True) if u < w), SOURCES[-1])


def arrival(source: str, rng: random.Random) -> tuple[str, str]:
    """Referrer and query string that a visit from a source begins with; either may be empty."""
    referrers = _REFERRERS[source]
    referrer = referrers[int(rng.random() * len(referrers))]
    query = _QUERIES.get(source)
    # Social posts are often shared by people, and those links carry no parameters.
    if query is None or (source == "social" and rng.random() < 0.6):
        return referrer, ""
    return referrer, query + _CAMPAIGNS[int(rng.random() * len(_CAMPAIGNS))]


def address(rng: random.Random) -> str:
    """Draw an address of the documentation networks, one in eight of IPv6."""
    u = rng.random()
    if u < 0.125:
        return f"2001:db8:{rng.getrandbits(16):x}:{rng.getrandbits(16):x}::{rng.getrandbits(12):x}"
    return f"{_NETWORKS[int(u * 3)]}{1 + int(rng.random() * 254)}"


class Pool:
    """Visitors that may return, and customers that may buy elsewhere: two bounded samples of the past.

    A newcomer takes a free place, else that of a random one, so ages are geometric and memory is constant.
    """

    def __init__(self, tag: str, rng: random.Random, *, capacity: int = 8_000, known: int = 1_500) -> None:
        self._tag = tag
        self._rng = rng
        self._capacity = capacity
        self._visitors: list[Visitor] = []
        self._customers: list[str] = []
        self._joining: list[tuple[int, str]] = []
        for number in range(known):
            visitor = self.newcomer(f"k{number:x}", rng)
            self._place(self._visitors, visitor, rng)
            if number % 2 == 0:
                visitor.customer_id = f"c{tag}k{number:x}"
                self._customers.append(visitor.customer_id)

    def newcomer(self, number: str, rng: random.Random) -> Visitor:
        """Make a visitor that was never here before; ``number`` makes its id unique in this shop."""
        u = rng.random()
        device = next((d for d, w in zip(DEVICES, _DEVICE_WEIGHTS, strict=True) if u < w), DEVICES[-1])
        agents = USER_AGENTS[device]
        agent = agents[int(rng.random() * len(agents))]
        return Visitor(f"v{self._tag}{number}", device, agent, address(rng))

    def returning(self, time_ms: int, rng: random.Random) -> Visitor | None:
        """Draw a visitor whose last visit is over; None when the one drawn is still here."""
        visitor = self._visitors[int(rng.random() * len(self._visitors))]
        return visitor if visitor.away_until_ms < time_ms else None

    def keep(self, visitor: Visitor, rng: random.Random) -> None:
        """Remember some of the visitors; to be called before what a visit does is known.

        Otherwise a fault would decide who returns, and the shop with the fault would not be the same shop.
        """
        if rng.random() < _KEPT:
            self._place(self._visitors, visitor, rng)

    def join(self, customer_id: str, time_ms: int) -> None:
        """Remember a customer that may buy in the other channels from ``time_ms`` on."""
        heappush(self._joining, (time_ms, customer_id))

    def customer(self, time_ms: int, rng: random.Random) -> str:
        """Draw a customer that is known by now; times must not run back."""
        while self._joining and self._joining[0][0] <= time_ms:
            self._place(self._customers, heappop(self._joining)[1], self._rng)
        return self._customers[int(rng.random() * len(self._customers))]

    def _place(self, places: list[T], newcomer: T, rng: random.Random) -> None:
        if len(places) < self._capacity:
            places.append(newcomer)
        else:
            places[int(rng.random() * len(places))] = newcomer
