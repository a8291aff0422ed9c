"""What changes from hour to hour in the made-up shop: how many come, and how easily they leave each page."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from streams.shop_catalogue import Catalogue, ShopConfig
from streams.shop_faults import HOUR_MS

DAY_MS = 24 * HOUR_MS
# Arrivals are a Poisson process whose rate is constant within a slot.
SLOT_MS = 600_000

# Share of the mean rate by hour of the day, UTC, and by day of the week from Monday.
_HOUR_SHAPE = (
    *(0.50, 0.38, 0.32, 0.30, 0.33, 0.42, 0.60, 0.82, 0.98, 1.08, 1.15, 1.20),
    *(1.28, 1.26, 1.18, 1.15, 1.18, 1.28, 1.42, 1.62, 1.75, 1.62, 1.25, 0.85),
)
_DAY_SHAPE = (1.04, 1.00, 0.99, 0.98, 0.95, 0.95, 1.09)
_HOUR_MEAN = sum(_HOUR_SHAPE) / 24
_DAY_MEAN = sum(_DAY_SHAPE) / 7

# Correlation of a page's noise from one hour to the next.
_NOISE_MEMORY = 0.7
_NIGHT_EXIT_LOGIT = 0.15
_WEEKEND_EXIT_LOGIT = 0.06
_DRIFT_LOGIT = 0.10


@dataclass(frozen=True, slots=True)
class Burst:
    """A campaign: ``extra`` times the mean rate, to one page, while ``start_ms ≤ t < end_ms``."""

    start_ms: int
    end_ms: int
    source: str
    landing: int
    extra: float


def weekday(time_ms: int) -> int:
    """Day of the week in UTC, Monday 0.

    Examples
    --------
    >>> weekday(0)  # 1970-01-01 was a Thursday
    3
    """
    return (time_ms // DAY_MS + 3) % 7


def cycle(time_ms: int) -> float:
    """Rate of arrivals over the week's mean, by hour of the day and day of the week (UTC).

    Examples
    --------
    >>> round(sum(cycle(hour * HOUR_MS) for hour in range(168)) / 168, 6)
    1.0
    """
    return _HOUR_SHAPE[time_ms // HOUR_MS % 24] / _HOUR_MEAN * _DAY_SHAPE[weekday(time_ms)] / _DAY_MEAN


class Hours:
    """Exit logits and campaigns, computed as they are asked for and forgotten when they are past.

    Memory holds the rows of the hours that open visits reach into, and one day's campaigns.
    """

    def __init__(self, config: ShopConfig, catalogue: Catalogue) -> None:
        self._config = config
        self._catalogue = catalogue
        self._noise_rng = random.Random(f"noise {config.seed}")
        self._noise = [self._noise_rng.gauss(0.0, config.sigma) for _ in catalogue.pages]
        self._base = [math.log(exit_ / (1 - exit_)) for exit_ in catalogue.base_exit]
        self._first_hour = config.start_ms // HOUR_MS
        self._next_hour = self._first_hour
        self._rows: dict[int, list[float]] = {}
        self._burst_day: tuple[int, list[Burst]] = (-1, [])
        rng = random.Random(f"drift {config.seed}")
        # Hours a period, and phase, of the slow wave in each template's exit logit.
        self._waves = {t: (rng.uniform(60, 240), rng.uniform(0, math.tau)) for t in catalogue.ranked}

    @property
    def rows(self) -> int:
        """Number of hours held in memory."""
        return len(self._rows)

    def logits(self, hour: int) -> list[float]:
        """Exit logit by page in an hour (hours since the epoch), for an average context.

        Raises
        ------
        KeyError
            When the hour was forgotten or lies before the start.
        """
        while self._next_hour <= hour:
            self._rows[self._next_hour] = self._row(self._next_hour)
            self._next_hour += 1
        return self._rows[hour]

    def forget(self, before_hour: int) -> None:
        """Drop the rows of hours before ``before_hour``."""
        for hour in [hour for hour in self._rows if hour < before_hour]:
            del self._rows[hour]

    def bursts(self, time_ms: int) -> list[Burst]:
        """Campaigns that run at an instant."""
        day = time_ms // DAY_MS
        if self._burst_day[0] != day:
            self._burst_day = (day, self._campaigns(day))
        return [burst for burst in self._burst_day[1] if burst.start_ms <= time_ms < burst.end_ms]

    def _row(self, hour: int) -> list[float]:
        time_ms = hour * HOUR_MS
        common = _NIGHT_EXIT_LOGIT * math.cos(math.tau * (hour % 24 - 3) / 24)
        common += _WEEKEND_EXIT_LOGIT if weekday(time_ms) >= 5 else 0.0
        age = hour - self._first_hour
        shift = {
            template: common + _DRIFT_LOGIT * math.sin(math.tau * age / period + phase)
            for template, (period, phase) in self._waves.items()
        }
        gauss, fresh = self._noise_rng.gauss, self._config.sigma * math.sqrt(1 - _NOISE_MEMORY**2)
        self._noise = [_NOISE_MEMORY * noise + gauss(0.0, fresh) for noise in self._noise]
        templates = self._catalogue.templates
        return [
            base + noise + shift[template]
            for base, noise, template in zip(self._base, self._noise, templates, strict=True)
        ]

    def _campaigns(self, day: int) -> list[Burst]:
        rng = random.Random(f"campaigns {self._config.seed} {day}")
        bursts = []
        for _ in range(rng.choices((0, 1, 2), (40, 45, 15))[0]):
            # Whole slots, and over before midnight: a day's campaigns are known from the day alone.
            start_ms = day * DAY_MS + rng.randrange(7 * 6, 20 * 6) * SLOT_MS
            end_ms = start_ms + rng.randrange(4, 16) * SLOT_MS
            source = rng.choice(("paid", "email", "social"))
            landing = self._catalogue.pick(rng.choice(("category", "product", "content")), rng.random())
            bursts.append(Burst(start_ms, end_ms, source, landing, rng.uniform(0.3, 1.0)))
        return bursts
