"""A simulated shop's page views as context cells, minute by minute, with planted faults.

9 templates, Zipf pages that differ within their template (a coefficient of variation of 0.25), 6 sources, 3
devices, a day and a week cycle, campaign bursts, a slow drift, and hour-to-hour noise of each page's stall
logit, AR(0.7) of standard deviation σ. All randomness comes from the seed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

VIEWS_PER_SESSION = 4.5
#: Name, share of pages, stall probability.
TEMPLATES = (
    ("home", 0.01, 0.25), ("category", 0.15, 0.18), ("product", 0.5, 0.27), ("search", 0.05, 0.2),
    ("content", 0.14, 0.45), ("cart", 0.02, 0.22), ("checkout", 0.03, 0.15), ("account", 0.05, 0.3),
    ("help", 0.05, 0.4),
)  # fmt: skip
CLASSES = ((5, 15), (15, 50), (50, 150), (150, 500), (500, 10**9))
Cells = list[tuple[int, int, int, int, int]]  # source, device, first view, views, stalls
Floats = npt.NDArray[np.float64]


@dataclass
class Fault:
    """A page that loses `points` more of its visitors for some hours, and when the detector noticed."""

    page: int
    hour: int
    points: float
    hours: int = 24
    found_minutes: float | None = None
    resolved_minutes: float | None = None


@dataclass
class Shop:
    """Page views of a site as cells, minute by minute. All randomness comes from `seed`."""

    seed: int
    sessions_per_hour: float
    sigma: float = 0.2
    pages: int = 200
    faults: list[Fault] = field(default_factory=list)
    #: The hour that a page is first seen in, where that is not the beginning.
    born: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = self.rng = np.random.default_rng(self.seed)
        share = np.array([t[1] for t in TEMPLATES])
        self.template = rng.choice(len(TEMPLATES), self.pages, p=share / share.sum())
        self.template[0] = 0
        weight = np.arange(1, self.pages + 1) ** -1.0
        self.views_per_hour = self.sessions_per_hour * VIEWS_PER_SESSION * weight / weight.sum()
        base = np.array([t[2] for t in TEMPLATES])[self.template]
        usual = np.clip(base * np.clip(rng.normal(1, 0.25, self.pages), 0.4, 1.8), 0.03, 0.85)
        self.logit = np.log(usual / (1 - usual))
        self.by_source = np.array([-0.2, 0.0, 0.25, -0.1, 0.35, 0.1])
        self.by_device = np.array([-0.1, 0.15, 0.0])

    def hours(self, hours: int) -> Iterator[tuple[int, list[tuple[int, int, Cells]]]]:
        """Yield each hour with its page-minutes (minute, page, cells), in canonical order."""
        rng = self.rng
        noise = rng.normal(0, self.sigma, self.pages)
        drift: Floats = np.zeros(len(TEMPLATES))
        burst_until, burst_page, burst_source = -1, 0, 2
        for hour in range(hours):
            day = 1 + 0.6 * np.sin(2 * np.pi * (hour % 24 - 9) / 24)
            weekend = hour // 24 % 7 >= 5
            rate = self.views_per_hour * day * (0.8 if weekend else 1.0)
            noise = 0.7 * noise + rng.normal(0, self.sigma * 0.51**0.5, self.pages)
            drift = drift + rng.normal(0, 0.01, len(TEMPLATES))
            sources = np.array([0.25, 0.3, 0.2, 0.08, 0.1, 0.07])
            if hour > burst_until and rng.random() < 1 / 36:
                burst_until = hour + int(rng.integers(2, 7))
                burst_page, burst_source = int(rng.integers(0, self.pages // 4)), int(rng.choice([2, 3, 4]))
            burst = hour <= burst_until
            if burst:
                sources[burst_source] += 0.3
                sources /= sources.sum()
                rate = rate.copy()
                rate[burst_page] *= 3
            rate = np.where([self.born.get(page, 0) <= hour for page in range(self.pages)], rate, 0.0)
            logit = self.logit + noise + drift[self.template] + 0.15 * np.cos(2 * np.pi * hour / 24)
            logit = logit + (0.1 if weekend else 0.0)
            points = np.zeros(self.pages)
            for fault in self.faults:
                if fault.hour <= hour < fault.hour + fault.hours:
                    points[fault.page] += fault.points
            page = np.repeat(np.arange(self.pages), rng.poisson(rate))
            size = len(page)
            minute = rng.integers(0, 60, size)
            source = rng.choice(6, size, p=sources)
            device = rng.choice(3, size, p=[0.4, 0.52, 0.08])
            first = (rng.random(size) < np.where(self.template[page] < 5, 0.3, 0.05)).astype(np.int64)
            z = logit[page] + self.by_source[source] + self.by_device[device] + 0.5 * first
            p = np.minimum(0.98, 1 / (1 + np.exp(-z)) + points[page])
            stall = rng.random(size) < p
            key = (((minute * self.pages + page) * 6 + source) * 3 + device) * 2 + first
            cells, where, views = np.unique(key, return_inverse=True, return_counts=True)
            stalls = np.bincount(where, weights=stall, minlength=len(cells)).astype(np.int64)
            rows: list[tuple[int, int, Cells]] = []
            last = -1
            for cell, n, y in zip(cells.tolist(), views.tolist(), stalls.tolist(), strict=True):
                place, context = divmod(cell, 36)
                if place != last:
                    rows.append((place // self.pages, place % self.pages, []))
                    last = place
                rows[-1][2].append((context // 6, context // 2 % 3, context % 2, n, y))
            yield hour, rows


def context_features(template: int, clock: int, source: int, device: int, first: int) -> tuple[str, ...]:
    """Return the features of a cell: all context, and no page."""
    return (
        f"template:{template}", f"source:{source}", f"device:{device}", f"hour:{clock % 24}",
        f"weekend:{clock // 24}", f"template-first:{template}-{first}",
    )  # fmt: skip


def planted(shop: Shop, points: float, days: int) -> list[Fault]:
    """Plan faults of a day each, from day 3 to the last but one.

    Each day two pages of every class below 150 views an hour break, and one of the greater ones, all at other
    hours; a page has four days of peace after a fault. More would break the site and not its pages.
    """
    rng = np.random.default_rng(shop.seed + 1)
    faults: list[Fault] = []
    free = [0] * shop.pages
    for day in range(3, days - 1):
        for low, high in CLASSES:
            pages = [
                page
                for page, views in enumerate(shop.views_per_hour)
                if low <= views < high and free[page] <= day
            ]
            for page in rng.permutation(pages)[: 2 if low < 150 else 1].tolist():
                faults.append(Fault(page, day * 24 + int(rng.integers(0, 20)), points))
                free[page] = day + 5
    return faults


def with_newborns(shop: Shop, points: float) -> Shop:
    """Let 40 pages of 5 to 150 views an hour be born on days 2 to 5, every fifth of them broken for good."""
    rng = np.random.default_rng(shop.seed + 2)
    pages = [page for page, views in enumerate(shop.views_per_hour) if 5 <= views < 150]
    for number, page in enumerate(rng.permutation(pages)[:40].tolist()):
        shop.born[page] = int(rng.integers(48, 144))
        if number % 5 == 0:
            shop.faults.append(Fault(page, shop.born[page], points, hours=10_000))
    return shop
