"""Made-up shops whose truth is known: sessions walk over pages, and every exit, purchase and fault has a cause.

A session enters by its source's landing pages and goes on from template to template (a Markov chain), within a
template to pages by their popularity (Zipf), until it leaves or purchases. Whether it leaves is decided at every
view by page, source, device, first view, hour, and the page's own noise from hour to hour (AR(0.7) of standard
deviation σ, Gaussian or t with 3 degrees of freedom). Whether it goes to the cart and through the checkout is also
a matter of its intent, which nothing shows, and of pages that move it (`World.drivers`).

All randomness comes from the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tests.benchmarks.truth.blockers import hidden_of, without
from tests.benchmarks.truth.faults import Fault, Kind
from tests.benchmarks.truth.habits import (
    BY_DEVICE,
    BY_SOURCE,
    CART,
    CHECKOUT,
    CONTENT,
    DEVICES,
    DEVICES_SHARE,
    DISAPPOINTED,
    DWELL_S,
    ENTRANCE,
    FIRST_VIEW,
    HOUR,
    LONG_READ,
    LONG_READ_S,
    MAX_VIEWS,
    NEXT,
    PAGES_SHARE,
    RETURNING,
    SOURCES,
    SOURCES_SHARE,
    STALL_S,
    TEMPLATES,
    UNENGAGED,
    USUAL_EXIT,
)
from tests.benchmarks.truth.links import Link, followed, lost_behind
from tests.benchmarks.truth.views import Floats, Ints, Views, chosen, joined

Noise = Literal["normal", "t3"]
FEWEST_PAGES, MOST_PAGES, PAGES_A_SESSION = 200, 2_000, 0.2


def pages_for(sessions_per_hour: float) -> int:
    """About how many pages a shop of that size has.

    >>> [pages_for(rate) for rate in (300, 1_000, 4_000, 10_000)]
    [200, 200, 800, 2000]
    """
    return int(min(MOST_PAGES, max(FEWEST_PAGES, PAGES_A_SESSION * sessions_per_hour)))


@dataclass
class World:
    """A shop.

    Attributes
    ----------
    drivers
        Page to the logit by which its first view moves a session's intent to purchase.
    draws
        Page to how much intent draws visitors to it: beside others of its template it is chosen e^(draw · intent)
        times as often. It moves nobody.
    spread
        By how much the exits of pages of a template differ, as a coefficient of variation.
    born
        Page to the minute that it is first seen in, where that is not the beginning.
    sale
        From and until which minute there are five times as many sessions, if there is a sale.
    long_reads
        Page to the part of its views that take ten minutes and more, where it is not that of its template.
    weekend
        How many times as many sessions there are on Saturdays and Sundays, and the logit by which more leave.
    template_drift, page_drift
        By how much a template, and a page by itself, moves from hour to hour for good: standard deviation of a
        logit.
    links
        Page to the page that it sends visitors to; those are not in `usual_views`.
    """

    seed: int
    sessions_per_hour: float
    hours: int
    sigma: float = 0.2
    pages: int = 200
    noise: Noise = "normal"
    memory: float = 0.7
    faults: list[Fault] = field(default_factory=list)
    drivers: Mapping[int, float] = field(default_factory=dict)
    draws: Mapping[int, float] = field(default_factory=dict)
    spread: float = 0.25
    born: dict[int, int] = field(default_factory=dict)
    sale: tuple[int, int] | None = None
    bursts: bool = True
    long_reads: Mapping[int, float] = field(default_factory=dict)
    weekend: tuple[float, float] = (0.8, 0.1)
    template_drift: float = 0.01
    page_drift: float = 0.0
    links: Mapping[int, Link] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = self._rng = np.random.default_rng(self.seed)
        count = len(TEMPLATES)
        self.template = rng.choice(count, self.pages, p=np.array(PAGES_SHARE))
        self.template[:count] = np.arange(count)  # each has at least one
        self.weight = np.arange(1, self.pages + 1) ** -1.0
        usual = np.array(USUAL_EXIT)[self.template]
        usual = np.clip(usual * np.clip(rng.normal(1, self.spread, self.pages), 0.4, 1.8), 0.03, 0.85)
        self.logit: Floats = np.log(usual / (1 - usual))
        self.drives = np.zeros(self.pages)
        self._driver = np.full(self.pages, len(self.drivers))
        for number, (page, effect) in enumerate(self.drivers.items()):
            self.drives[page], self._driver[page] = effect, number
        self.drift = np.cumsum(rng.normal(0, self.template_drift, (self.hours + 2, count)), axis=0)
        self.noises = self._noises(rng)
        if self.page_drift:
            own = np.random.default_rng(self.seed + 4)
            self.noises += np.cumsum(own.normal(0, self.page_drift, self.noises.shape), axis=0)
        self._reads = np.where(self.template == CONTENT, LONG_READ, 0.0)
        for page, part in self.long_reads.items():
            self._reads[page] = part
        self._of_template = [np.flatnonzero(self.template == kind) for kind in range(count)]
        self._hiding = np.random.default_rng(self.seed + 3)
        self._sessions = 0
        self._later: list[Views] = []

    def _noises(self, rng: np.random.Generator) -> Floats:
        """The pages' noise, by hour: AR(1) of standard deviation σ."""
        shape = (self.hours + 2, self.pages)
        steps = rng.normal(0, 1, shape) if self.noise == "normal" else rng.standard_t(3, shape) / 3**0.5
        noises = np.empty(shape)
        now = steps[0] * self.sigma
        for hour in range(shape[0]):
            now = self.memory * now + steps[hour] * self.sigma * (1 - self.memory**2) ** 0.5
            noises[hour] = now
        return noises

    def usual_views(self) -> Floats:
        """About how many views an hour a page has: visits of the Markov chain, shared out by popularity."""
        entrance = np.array(SOURCES_SHARE) @ np.array(ENTRANCE)
        stay = 1 - np.array(USUAL_EXIT)
        stay[CHECKOUT] *= 1 - 1 / (1 + np.exp(-1.0))
        onward = np.array(NEXT) * stay[:, None]
        visits = np.linalg.solve(np.eye(len(TEMPLATES)) - onward.T, entrance)
        popular = np.array([self.weight[self.template == kind].sum() for kind in range(len(TEMPLATES))])
        share: Floats = self.weight / popular[self.template]
        return self.sessions_per_hour * visits[self.template] * share

    # ---- playing

    def play(self) -> Iterator[tuple[int, Views]]:
        """Yield each hour with the page views in it."""
        rng = self._rng
        self._birth = np.zeros(self.pages)
        for page, minute in self.born.items():
            self._birth[page] = minute
        burst_until, burst_source, burst_page = -1, 0, 0
        for hour in range(self.hours):
            if self.bursts and hour > burst_until and rng.random() < 1 / 36:
                burst_until = hour + int(rng.integers(2, 7))
                burst_source, burst_page = int(rng.choice([2, 3, 4])), int(rng.integers(0, self.pages // 4))
            burst = (burst_source, burst_page) if hour <= burst_until else None
            walked = self._walk(hour, *self._arrivals(hour, burst))
            whole = [joined([*self._later, walked])]
            due = whole[0].minute < (hour + 1) * HOUR
            self._later = [chosen(whole[0], ~due)]
            now = chosen(whole[0], due)
            yield hour, chosen(now, np.argsort(now.minute, kind="stable"))

    def _arrivals(self, hour: int, burst: tuple[int, int] | None) -> tuple[Ints, Ints, Ints]:
        """Seconds of arrival, sources and first pages (−1: to be chosen) of the sessions of an hour."""
        rng = self._rng
        rate = self.sessions_per_hour * (1 + 0.6 * np.sin(2 * np.pi * (hour % 24 - 9) / 24))
        rate *= self.weekend[0] if hour // 24 % 7 >= 5 else 1.0
        if self.sale is not None and self.sale[0] <= hour * HOUR < self.sale[1]:
            rate *= 5
        number = int(rng.poisson(rate))
        at = rng.integers(0, 3600, number) + hour * 3600
        source = rng.choice(len(SOURCES), number, p=np.array(SOURCES_SHARE))
        page = np.full(number, -1)
        if burst is not None:
            more = int(rng.poisson(0.4 * rate))
            at = np.concatenate((at, rng.integers(0, 3600, more) + hour * 3600))
            source = np.concatenate((source, np.full(more, burst[0])))
            known = self._birth[burst[1]] <= hour * HOUR
            landing = np.where((rng.random(more) < 0.5) & known, burst[1], -1)
            page = np.concatenate((page, landing))
        return at, source, page

    def _pages_of(self, template: Ints, at: Ints, intent: Floats) -> Ints:
        """Choose pages of templates, by how popular they are among those that exist, and whom they draw."""
        rng, page = self._rng, np.empty(len(template), dtype=np.int64)
        hour = int(at.min()) // 3600 if len(at) else 0
        for kind in range(len(TEMPLATES)):
            where = np.flatnonzero(template == kind)
            some = self._of_template[kind]
            some = some[self._birth[some] <= hour * HOUR]
            weight = self.weight[some]
            if self.draws and any(int(p) in self.draws for p in some):
                draw = np.array([self.draws.get(int(p), 0.0) for p in some])
                chances = weight * np.exp(np.outer(intent[where], draw))
                drawn = _drawn(rng, chances / chances.sum(axis=1, keepdims=True))
                page[where] = some[np.minimum(drawn, len(some) - 1)]  # sums of chances can end just below 1
            else:
                page[where] = rng.choice(some, len(where), p=weight / weight.sum())
        return page

    def usual_logit(self, page: Ints, source: Ints, device: Ints, first: Ints, minute: Ints) -> Floats:
        """Logit of leaving where nothing is broken."""
        hour = np.minimum(minute // HOUR, self.hours + 1)
        z = self.logit[page] + self.noises[hour, page] + self.drift[hour, self.template[page]]
        z = z + np.array(BY_SOURCE)[source] + np.array(BY_DEVICE)[device] + FIRST_VIEW * first
        weekend = hour // 24 % 7 >= 5
        logit: Floats = z + 0.15 * np.cos(2 * np.pi * (hour % 24) / 24) + self.weekend[1] * weekend
        return logit

    def _steps(self, page: Ints, source: Ints, device: Ints, first: Ints, minute: Ints) -> Floats:
        """By how much the logit is greater because of faults of more than a page."""
        step = np.zeros(len(page))
        kinds: Mapping[str, tuple[Ints, ...]] = {
            "template": (self.template[page],), "device": (device,), "source": (source,), "site": (),
            "first_view": (1 - first,), "checkout": (),
        }  # fmt: skip
        for fault in self.faults:
            if fault.kind in kinds:
                holds = fault.at(minute)
                for values in kinds[fault.kind]:
                    holds &= values == fault.value
                if fault.kind == "checkout":
                    holds &= self.template[page] == CHECKOUT
                step += fault.size * holds
        return step

    def _walk(self, hour: int, at: Ints, source: Ints, page: Ints) -> Views:
        """Let visitors walk until they have left or purchased."""
        rng, number = self._rng, len(at)
        at, source, page = self._with_campaigns(hour, at, source, page)
        walker = np.arange(len(at))
        session = walker + self._sessions
        self._sessions += len(at)
        poor = np.where(
            walker >= number, DISAPPOINTED, 0.0
        )  # who comes by a campaign that promises something else
        seen = np.zeros((len(at), len(self.drivers) + 1), dtype=bool)  # the last: pages that move nothing
        device = rng.choice(len(DEVICES), len(at), p=np.array(DEVICES_SHARE))
        intent = rng.normal(0, 0.7, len(at)) + RETURNING * (rng.random(len(at)) < RETURNING)
        entered = self._pages_of(_drawn(rng, self._entrances(source, at // 60)), at, intent)
        page = np.where(page < 0, entered, page)
        came = orphan_of = np.full(len(at), -1)
        first = np.ones(len(at), dtype=np.int64)
        walked: list[Views] = []
        seconds: list[Ints] = []
        for _ in range(MAX_VIEWS):
            if not len(at):
                break
            minute = at // 60
            usual = self.usual_logit(page, source, device, first, minute)
            p = _logistic(usual + self._steps(page, source, device, first, minute) + poor[walker])
            p = p + self._holding("page", minute, page) + lost_behind(self.faults, minute, page, came)
            luck = rng.random(len(at))
            left = luck < np.minimum(p, 0.98)
            spoiled = left & (luck >= _logistic(usual))
            driver, before_view = self._driver[page], intent[walker]
            intent[walker] += self.drives[page] * ~seen[walker, driver]
            seen[walker, driver] = True
            bought = ~left & (self.template[page] == CHECKOUT)
            bought &= rng.random(len(at)) < _logistic(1 + intent[walker])
            dwell = np.minimum(rng.exponential(DWELL_S, len(at)), STALL_S - 1)
            long_read = rng.random(len(at)) < self._reads[page]
            dwell[long_read] += LONG_READ_S
            lost = ~left & ~bought & (rng.random(len(at)) < self._holding("tag", minute, page))
            late = (bought * self._holding("late_orders", minute)).astype(np.int64)
            unheard = bought & ((self._holding("orders", minute) > 0) | (late > 0))
            stalled = left | (~bought & (dwell > STALL_S)) | lost | unheard
            caused = unheard | ((spoiled | lost) & (dwell <= STALL_S))
            unengaged = stalled & ~long_read & (rng.random(len(at)) < UNENGAGED)
            walked.append(
                Views(
                    minute,
                    page,
                    source,
                    device,
                    first,
                    stalled * 1,
                    (left | lost) * 1,
                    bought * 1,
                    unengaged * 1,
                    orphan_of,
                    session,
                    late,
                    caused * 1,
                    before_view,
                )
            )
            seconds.append(at)
            on = ~left & ~bought
            at = (at + dwell.astype(np.int64))[on]
            source, device, walker, before, lost = source[on], device[on], walker[on], page[on], lost[on]
            # Whose identity is lost comes back as somebody new.
            session = np.where(lost, np.cumsum(lost) - 1 + self._sessions, session[on])
            self._sessions += int(lost.sum())
            first, orphan_of = lost.astype(np.int64), np.where(lost, before, -1)
            chances = np.array(NEXT)[self.template[before]]
            chances[:, CART] *= np.exp(intent[walker])
            template = _drawn(rng, chances / chances.sum(axis=1, keepdims=True))
            page, came = self._pages_of(template, at, intent[walker]), before
            if self.links:
                page = followed(rng, self.links, before, page)
        whole = joined([*walked, self._bots(hour)])
        if any(fault.kind.startswith("hidden_") for fault in self.faults):
            # Of bots nothing is hidden that matters: their visits are of one view.
            second = np.concatenate((*seconds, whole.minute[sum(map(len, seconds)) :] * 60))
            hidden = hidden_of(self._hiding, self.faults, whole, self.template[whole.page])
            whole = without(whole, second, hidden)
        return whole

    def _entrances(self, source: Ints, minute: Ints) -> Floats:
        """Chances of the template that a visit begins with."""
        chances: Floats = np.array(ENTRANCE)[source]
        for fault in self.faults:
            if fault.kind == "mix":
                chances[:, fault.value] *= np.where(fault.at(minute), fault.size, 1.0)
                chances /= chances.sum(axis=1, keepdims=True)
        return chances

    def _holding(self, kind: Kind, minute: Ints, page: Ints | None = None) -> Floats:
        """Sizes of the faults of a kind that hold, of a page where it is given, else anywhere."""
        size = np.zeros(len(minute))
        for fault in self.faults:
            if fault.kind == kind:
                size += fault.size * (fault.at(minute) & (True if page is None else page == fault.value))
        return size

    def _extra(self, kind: Kind, hour: int) -> Iterator[tuple[int, Ints]]:
        """Page, and seconds of visits that there are because of faults of a kind."""
        for fault in self.faults:
            if fault.kind == kind:
                usual = self.usual_views()[fault.value]
                at = self._rng.integers(0, 3600, int(self._rng.poisson(fault.size * usual))) + hour * 3600
                yield fault.value, at[fault.at(at // 60)]

    def _with_campaigns(self, hour: int, at: Ints, source: Ints, page: Ints) -> tuple[Ints, Ints, Ints]:
        for landing, more in self._extra("campaign", hour):
            at = np.concatenate((at, more))
            source = np.concatenate((source, np.full(len(more), SOURCES.index("paid"))))
            page = np.concatenate((page, np.full(len(more), landing)))
        return at, source, page

    def _bots(self, hour: int) -> Views:
        """Visits of one view by programs that call themselves browsers."""
        parts = []
        for page, at in self._extra("bots", hour):
            ones, zeros = np.ones(len(at), dtype=np.int64), np.zeros(len(at), dtype=np.int64)
            session = np.arange(len(at)) + self._sessions
            self._sessions += len(at)
            parts.append(
                Views(
                    at // 60,
                    ones * page,
                    zeros,
                    zeros,
                    ones,
                    ones,
                    ones,
                    zeros,
                    ones,
                    -ones,
                    session,
                    zeros,
                    ones,
                    np.zeros(len(at)),
                )
            )
        nothing = np.zeros(0, dtype=np.int64)
        return joined(parts) if parts else Views(*(nothing,) * 13, np.zeros(0))


def _logistic(z: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-z))
    return p


def _drawn(rng: np.random.Generator, chances: Floats) -> Ints:
    """One column of each row, by its chances."""
    column: Ints = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)
    return column
