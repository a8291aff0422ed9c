"""One visit to the made-up shop: a walk over its pages until the visitor is served, or gives up."""

from __future__ import annotations

import math
import random

from streams import shop_habits as habits
from streams.shop_catalogue import Catalogue, ShopConfig
from streams.shop_faults import HOUR_MS, LATEST_MS
from streams.shop_hours import Hours
from streams.shop_records import Timed, VisitRecord
from streams.shop_visitors import DEVICE_EXIT_LOGIT, SOURCE_EXIT_LOGIT, Pool, arrival


class Visits:
    """Makes whole visits; holds the shop's pages, hours and people, and no events."""

    def __init__(self, config: ShopConfig, catalogue: Catalogue, hours: Hours, pool: Pool, tag: str) -> None:
        self.catalogue = catalogue
        self.hours = hours
        self.pool = pool
        self.site = config.site
        self.tag = tag
        self.faults: dict[int, list[tuple[int, int, float]]] = {}
        for fault in config.plan:
            spans = self.faults.setdefault(catalogue.number(fault.page), [])
            spans.append((fault.start_ms, fault.end_ms, fault.points))

    def visit(
        self, number: int, start_ms: int, rng: random.Random, source: str, landing: int | None = None
    ) -> list[Timed]:
        """Make the events of one visit of a person, ids unique to ``number``.

        Parameters
        ----------
        number
            Running number of the visit.
        start_ms
            Time of the first view, epoch milliseconds.
        rng
            Seeded for this visit alone, so that a fault elsewhere changes nothing here.
        source
            One of ``SOURCES``.
        landing
            Page number of the first view; None lets the source decide.
        """
        visitor = self.pool.returning(start_ms, rng) if rng.random() < habits.P_RETURNING else None
        is_new = visitor is None
        if visitor is None:
            visitor = self.pool.newcomer(f"{number:x}", rng)
            self.pool.keep(visitor, rng)
        record = VisitRecord(f"{self.tag}-{number:x}-", visitor, self.catalogue, self.site, rng)
        walk = _Walk(self, record, number, rng)
        walk.context += SOURCE_EXIT_LOGIT[source] + (0.0 if is_new else habits.RETURNING_EXIT_LOGIT)
        page = self.catalogue.pick(habits.ENTRY_CHOICE[source].pick(rng.random()), rng.random())
        end_ms = walk.run(start_ms, page if landing is None else landing, source)
        visitor.away_until_ms = end_ms + habits.AWAY_MS
        if not record.consent(end_ms, is_new=is_new):
            # Who refuses is never seen again under this id.
            visitor.away_until_ms = LATEST_MS
        return record.events


class _Walk:
    """The state of one visit under way."""

    __slots__ = ("_drive", "_number", "_record", "_rng", "_seen", "_shop", "context")

    def __init__(self, shop: Visits, record: VisitRecord, number: int, rng: random.Random) -> None:
        intent = rng.gauss(0.0, habits.INTENT_SD)
        visitor = record.visitor
        self.context = DEVICE_EXIT_LOGIT[visitor.device] + habits.INTENT_EXIT_LOGIT * intent
        self._drive = habits.INTENT_BUY_LOGIT * intent
        self._drive += 0.0 if visitor.customer_id is None else habits.KNOWN_BUY_LOGIT
        self._seen: set[int] = set()
        self._shop = shop
        self._record = record
        self._number = number
        self._rng = rng

    def run(self, t: int, page: int, source: str) -> int:
        """Walk from the first page to the last; returns when the visitor is gone."""
        catalogue, record, rng = self._shop.catalogue, self._record, self._rng
        referrer, query = arrival(source, rng)
        url = catalogue.urls[page] + query
        for position in range(1, habits.MOST_VIEWS + 1):
            record.view(t, url, referrer, catalogue.titles[page])
            if position == 1 and rng.random() < habits.P_LOGIN:
                self._log_in(t + 900)
            template = catalogue.templates[page]
            if page not in self._seen:
                self._seen.add(page)
                self._drive += catalogue.drive[page]
            p_exit = self._p_exit(t, page, template, position)
            u = rng.random()
            # The same draw decides with and without a fault: +points is +points, exactly.
            broken = p_exit <= u < p_exit + self._points(t, page)
            dwell = int(1_000 * math.exp(habits.DWELL_LOG[template] + habits.DWELL_SD * rng.gauss(0.0, 1.0)))
            dwell = min(max(dwell, habits.SHORTEST_DWELL_MS), habits.LONGEST_DWELL_MS)
            if broken:
                dwell = max(dwell // 4, habits.SHORTEST_DWELL_MS)
                self._complain(t, dwell, url)
            if rng.random() < habits.P_ENGAGEMENT:
                engagement = {"seconds": round(dwell * 0.00095, 1), "scroll": round(rng.random(), 2)}
                record.act(t + dwell * 95 // 100, "engagement", url, engagement)
            if broken or u < p_exit:
                hand_off, share = habits.HAND_OFFS.get(template, ("", 0.0))
                if not broken and rng.random() < share:
                    record.act(t + dwell * 98 // 100, hand_off, url, {})
                return t + dwell
            page, query = self._step(t, dwell, page, template, url)
            referrer, url = url, catalogue.urls[page] + query
            t += dwell
        return t

    def _p_exit(self, t: int, page: int, template: str, position: int) -> float:
        x = self._shop.hours.logits(t // HOUR_MS)[page] + self.context
        if position > 1:
            x += habits.LATER_EXIT_LOGIT
        else:
            x += habits.FIRST_EXIT_LOGIT.get(template, habits.OTHER_FIRST_EXIT_LOGIT)
        return 1 / (1 + math.exp(-x))

    def _points(self, t: int, page: int) -> float:
        spans = self._shop.faults.get(page)
        return 0.0 if spans is None else sum(points for start, end, points in spans if start <= t < end)

    def _step(self, t: int, dwell: int, page: int, template: str, url: str) -> tuple[int, str]:
        """Do what is done on a page that is not the last; returns the next page and its query string."""
        catalogue, rng = self._shop.catalogue, self._rng
        following = ""
        if template == "product":
            if rng.random() < self._p_buy(habits.ADD_LOGIT):
                self._record.add_to_cart(t + dwell * 60 // 100, page, url)
                following = "cart" if rng.random() < habits.P_TO_CART_AFTER_ADD else ""
        elif template in _ERRANDS:
            errand = _ERRANDS[template](self, t, dwell, page, url)
            if errand is not None:
                return errand, ""
        following = following or habits.STEP_CHOICE[template].pick(rng.random())
        if following == "search":
            words = habits.QUERY_WORDS[int(rng.random() * len(habits.QUERY_WORDS))]
            self._record.act(t + dwell * 98 // 100, "search", url, {"query": words})
            return catalogue.pick("search", 0.0), "?q=" + words.replace(" ", "+")
        if following == "help" and template == "cart":
            return catalogue.placebo, ""
        return catalogue.pick(following, rng.random()), ""

    def _in_cart(self, t: int, dwell: int, page: int, url: str) -> int | None:
        record = self._record
        record.fill_basket()
        if self._rng.random() < habits.P_CHECKOUT:
            record.act(t + dwell * 98 // 100, "checkout_started", url, {"items": len(record.visitor.basket)})
            return self._shop.catalogue.delivery
        if self._rng.random() < habits.P_REMOVE:
            record.remove_from_cart(t + dwell * 60 // 100, url)
        return None

    def _in_checkout(self, t: int, dwell: int, page: int, url: str) -> int | None:
        catalogue, record, random_ = self._shop.catalogue, self._record, self._rng.random
        if page == catalogue.delivery:
            self._log_in(t + dwell // 2)
            return catalogue.payment if random_() < habits.P_PAYMENT else None
        if page == catalogue.payment:
            if random_() < self._p_buy(habits.ORDER_LOGIT):
                if random_() < habits.P_REGISTER_WITH_ORDER:
                    self._register(t + dwell // 2)
                record.order(t + dwell * 90 // 100)
                return catalogue.thanks
            return page if random_() < habits.P_TRY_AGAIN else None
        return None

    def _in_account(self, t: int, dwell: int, page: int, url: str) -> int | None:
        if self._record.visitor.customer_id is not None:
            self._log_in(t + dwell // 2)
        elif page == self._shop.catalogue.register:
            if self._rng.random() < habits.P_REGISTER:
                self._register(t + dwell * 80 // 100)
        elif self._rng.random() < habits.P_TO_REGISTER:
            return self._shop.catalogue.register
        return None

    def _p_buy(self, logit: float) -> float:
        return 1 / (1 + math.exp(-logit - self._drive))

    def _log_in(self, time_ms: int) -> None:
        if self._record.visitor.customer_id is not None and self._record.customer_id is None:
            self._record.log_in(time_ms)

    def _register(self, time_ms: int) -> None:
        if self._record.visitor.customer_id is None:
            customer_id = f"c{self._shop.tag}{self._number:x}"
            self._record.register(time_ms, customer_id)
            self._shop.pool.join(customer_id, time_ms)

    def _complain(self, t: int, dwell: int, url: str) -> None:
        """Leave the traces that a broken page leaves with some of those who give up."""
        if self._rng.random() < habits.P_ERROR:
            message = {"message": "TypeError: undefined is not a function"}
            self._record.act(t + dwell // 5, "error", url, message)
        if self._rng.random() < habits.P_RAGE_CLICK:
            clicks = 3 + int(self._rng.random() * 6)
            self._record.act(t + dwell // 2, "rage_click", url, {"clicks": clicks})


# What may be done on a page that decides where it leads.
_ERRANDS = {"cart": _Walk._in_cart, "checkout": _Walk._in_checkout, "account": _Walk._in_account}
