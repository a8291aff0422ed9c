"""The made-up shop's settings and pages: what there is to see, how often it is chosen, and where it leads."""

from __future__ import annotations

import math
import random
from bisect import bisect
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

from streams.shop_faults import HOUR_MS, Fault, PlanError, plain_page

# Monday 2026-01-05T00:00:00Z: a fixed start, since nothing here may ask for the time.
DEFAULT_START_MS = 1_767_571_200_000

# Baseline exit probability of a view, and the share of the shop's pages, by template.
BASE_EXIT = {
    "home": 0.30,
    "category": 0.20,
    "product": 0.25,
    "search": 0.20,
    "content": 0.45,
    "cart": 0.20,
    "checkout": 0.12,
    "account": 0.35,
    "help": 0.50,
}
_SHARE_OF_PAGES = {"category": 0.10, "content": 0.08, "help": 0.05}
# The exit probability of pages of one template varies by this coefficient of variation.
_EXIT_VARIATION = 0.25
_ACCOUNT = ("overview", "register", "orders", "login")
_CHECKOUT = ("delivery", "payment", "thanks")
_HELP = ("delivery", "returns", "contact", "payment", "faq", "warranty")
# Nobody has anything left to do there.
_THANKS_EXIT = 0.75
# Log-odds that having seen a page adds to adding to the cart and to ordering, for the rest of the session:
# (template, rank by popularity from 0, effect).
_EFFECTS = (
    ("content", 1, 1.0),
    ("product", 2, 0.8),
    ("category", 2, 0.6),
    ("content", 3, 0.6),
    ("product", 4, -0.8),
)
# Seen mostly by those who already filled a cart, so that it looks like a driver, and does nothing.
_PLACEBO = "help/delivery"


@dataclass(frozen=True, slots=True)
class ShopConfig:
    """Everything that decides the shop's traffic: two equal configurations give the same events.

    Parameters
    ----------
    seed
        Seed of every random choice.
    sessions_per_hour
        Sessions of people an hour, on average over a week without campaigns.
    pages
        Number of pages, at least 40.
    sigma
        Standard deviation of the noise that each page's exit logit gets each hour (AR(1), 0.7 an hour).
    start_ms
        First instant, epoch milliseconds.
    hours
        Length; no event lies at or after ``start_ms + hours``. None goes on for ever.
    site
        Host name of the shop, and its site.
    plan
        Faults. The same seed with another plan is the same shop with the same arrivals, and nearly the same
        events: visits differ from the step on that a fault ends, and a few later ones by what those visitors
        did not do.
    bots
        Visits of bots a session of people, on top of ``sessions_per_hour``.

    Raises
    ------
    ValueError
        When a setting is out of range; one line.
    """

    seed: int = 7
    sessions_per_hour: float = 600.0
    pages: int = 200
    sigma: float = 0.2
    start_ms: int = DEFAULT_START_MS
    hours: float | None = None
    site: str = "shop.example"
    plan: tuple[Fault, ...] = ()
    bots: float = 0.03

    def __post_init__(self) -> None:
        checks = {
            "sessions_per_hour must be above 0": 0 < self.sessions_per_hour < math.inf,
            "pages must be from 40 to 100000": 40 <= self.pages <= 100_000,
            "sigma must be from 0 to 3": 0 <= self.sigma <= 3,
            "start_ms must be epoch milliseconds": self.start_ms >= 0,
            "hours must be above 0, or None": self.hours is None or 0 < self.hours < math.inf,
            "site must be a host name": bool(self.site) and self.site == plain_page(self.site).split("/")[0],
            "bots must be from 0 to 10": 0 <= self.bots <= 10,
        }
        for requirement, holds in checks.items():
            if not holds:
                raise ValueError(f"shop: {requirement}")

    @property
    def end_ms(self) -> int | None:
        """Instant that no event reaches, epoch milliseconds; None where the shop goes on for ever."""
        return None if self.hours is None else self.start_ms + round(self.hours * HOUR_MS)


class Catalogue:
    """Pages of one shop, as parallel lists by page number. Built from the seed, never changed.

    Attributes
    ----------
    pages, urls, titles, templates
        By page number: normalised page, URL, title, template.
    base_exit
        By page number: exit probability of an average view, before context, noise and faults.
    drive
        By page number: log-odds of buying that having seen the page adds.
    price_minor
        By page number, cents; products only, else 0.
    ranked
        By template: page numbers, the most popular first.
    """

    def __init__(self, config: ShopConfig) -> None:
        rng = random.Random(f"catalogue {config.seed}")
        self.pages: list[str] = []
        self.urls: list[str] = []
        self.titles: list[str] = []
        self.templates: list[str] = []
        self.base_exit: list[float] = []
        self.price_minor: list[int] = []
        self.ranked: dict[str, list[int]] = {}
        self._cumulative: dict[str, list[float]] = {}
        self._number: dict[str, int] = {}
        for template, names in _names(config.pages).items():
            first = len(self.pages)
            for name in names:
                self._add(config.site, template, name, rng)
            numbers = list(range(first, len(self.pages)))
            if template in ("category", "product", "content"):
                rng.shuffle(numbers)
            self.ranked[template] = numbers
            # Zipf with exponent 1: the page of rank r is chosen in proportion to 1/r.
            self._cumulative[template] = list(accumulate(1 / rank for rank in range(1, len(numbers) + 1)))
        self.drive = [0.0] * len(self.pages)
        for template, rank, effect in _EFFECTS:
            self.drive[self.ranked[template][min(rank, len(self.ranked[template]) - 1)]] = effect
        self.delivery, self.payment, self.thanks = self.ranked["checkout"]
        self.base_exit[self.thanks] = _THANKS_EXIT
        self.register = self.ranked["account"][_ACCOUNT.index("register")]
        self.login = self.ranked["account"][_ACCOUNT.index("login")]
        self.placebo = self.number(f"{config.site}/{_PLACEBO}")

    def _add(self, site: str, template: str, name: str, rng: random.Random) -> None:
        path = "" if template == "home" else f"{template}/{name}".rstrip("/")
        base = BASE_EXIT[template]
        if name:
            base *= min(max(rng.gauss(1.0, _EXIT_VARIATION), 0.3), 1.9)
        self._number[f"{site}/{path}"] = len(self.pages)
        self.pages.append(f"{site}/{path}")
        self.urls.append(f"https://{site}/{path}")
        self.titles.append(f"{template.capitalize()} {name} · {site}".replace("  ", " "))
        self.templates.append(template)
        self.base_exit.append(base)
        price = round(math.exp(rng.gauss(3.6, 0.7))) * 100 + 90
        self.price_minor.append(price if template == "product" else 0)

    def number(self, page: str) -> int:
        """Find a page's number.

        Raises
        ------
        PlanError
            When the shop has no such page.
        """
        found = self._number.get(page)
        if found is None:
            example = self.pages[self.ranked["product"][0]]
            raise PlanError(f"plan: the shop has no page {page[:80]!r}; a page looks like {example}")
        return found

    def pick(self, template: str, u: float) -> int:
        """Choose a page of a template by its popularity, from a uniform number ``0 ≤ u < 1``."""
        weights = self._cumulative[template]
        # Rounding can carry u × total up to the total itself, which lies behind the last page.
        return self.ranked[template][bisect(weights, u * weights[-1], 0, len(weights) - 1)]

    def weight(self, page: int) -> float:
        """Share of its template's choices that fall on a page, from 0 to 1."""
        template = self.templates[page]
        weights = self._cumulative[template]
        return 1 / (self.ranked[template].index(page) + 1) / weights[-1]


def shop_tag(config: ShopConfig) -> str:
    """Name the shop in its ids, so that two shops in one log never share an event id."""
    text = f"{config.site} {config.seed} {config.start_ms}"
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _names(pages: int) -> dict[str, list[str]]:
    counts = {template: round(share * pages) for template, share in _SHARE_OF_PAGES.items()}
    helps = [*_HELP, *(f"h{number}" for number in range(1, counts["help"] + 1))][: max(2, counts["help"])]
    names = {
        "home": [""],
        "search": [""],
        "cart": [""],
        "checkout": list(_CHECKOUT),
        "account": list(_ACCOUNT),
        "help": helps,
        "category": [f"c{number}" for number in range(1, counts["category"] + 1)],
        "content": [f"g{number}" for number in range(1, counts["content"] + 1)],
    }
    products = pages - sum(map(len, names.values()))
    return {**names, "product": [f"p{number}" for number in range(1, products + 1)]}
