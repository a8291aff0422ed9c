"""Order feeds: orders that cease, or come late, make it look as if visitors stalled where they purchase.

No page is to blame for that. Orders of the whole site are weighed beside the stalls: a reflected sum of
log-likelihood ratios (Page, 1954, *Continuous Inspection Schemes*) of the number of orders, Poisson with a
twentieth of the usual mean against Poisson with the usual one. Where only the checkout breaks some orders still
come.
"""

from __future__ import annotations

from math import log, sqrt

import msgspec

from streams.causes import Cause
from streams.detection import Event, Verdict
from streams.evidence import DecayedSums, PageState
from streams.open_alerts import OpenAlert
from streams.settings import HOUR_MS
from streams.symptoms import MinuteCounts, Suspicion

FEED = "site:orders"
"""Scope and value of an alert about it."""
FALLEN_TO, MARGIN = 0.05, 0.75
"""What is left of the usual orders when they have ceased; and by how much they may fall without being news."""
OPEN_ABOVE, SUSPECT_ABOVE, CLOSE_BELOW, MOST = 10.0, 3.0, 2.0, 15.0
"""Evidence: an alert from about 14 orders that did not come, over after the first 6 or so that come again."""
FORGET_ABOVE = 6.0
"""Evidence (8 missing orders) from which what missing orders explain is forgotten when they come again."""
LATE_ABOVE = 0.2
"""Of the missing orders so many have come since: then they are late."""
LEFT_BELOW, LEFT_ERRORS = 0.25, 2.0
"""Missing orders explain what a page loses if what they leave of it is no more than this part of it, or than so
many standard errors."""
HOLD_MS = 12 * HOUR_MS
"""So long nothing is learned where orders have ceased; after that it is how things are now."""


class OrderFeed(msgspec.Struct, array_like=True):
    """What is kept of the orders of a site.

    Attributes
    ----------
    evidence
        That they have ceased (nats).
    late
        Orders of the time since then that have come too late to end a stall.
    suspicion, alert, closed, state, recent
        As of a scope; of the last two there is nothing to keep but when it was.
    top
        Greatest evidence since there was none.
    """

    evidence: float = 0.0
    late: int = 0
    suspicion: Suspicion = msgspec.field(default_factory=Suspicion)
    alert: OpenAlert | None = None
    closed: OpenAlert | None = None
    state: PageState = msgspec.field(default_factory=PageState)
    recent: DecayedSums = msgspec.field(default_factory=DecayedSums)
    top: float = 0.0

    @property
    def is_suspected(self) -> bool:
        """Whether orders may have ceased."""
        return self.alert is not None or self.evidence > SUSPECT_ABOVE

    def weigh(self, counts: MinuteCounts, minute_ms: int) -> Verdict:
        """Take in a minute of the site, and tell what follows for the alert.

        >>> feed, silent = OrderFeed(), MinuteCounts(views=9, expected=3.0, expected_orders=1.0)
        >>> [feed.weigh(silent, minute * 60_000).event for minute in range(15)].index("open")
        14
        """
        expected = MARGIN * counts.expected_orders
        gained = (1.0 - FALLEN_TO) * expected + counts.orders * log(FALLEN_TO)
        before, self.evidence = self.evidence, min(MOST, max(0.0, self.evidence + gained))
        self.top = max(self.top, self.evidence) if before else self.evidence
        self.recent.at_ms = max(self.recent.at_ms, minute_ms)
        event: Event | None = None
        if self.alert is None:
            if self.evidence == 0.0:
                self.late = 0
            elif self.evidence > OPEN_ABOVE:
                event = "open"
        elif self.evidence < CLOSE_BELOW:
            event = "resolve"
        return Verdict(self.evidence, self.evidence, event, self.is_suspected, counts.expected)

    def holds(self, at_ms: int) -> bool:
        """Whether nothing should be learned just now."""
        since_ms = self.suspicion.since_ms
        return self.is_suspected and since_ms is not None and at_ms - since_ms < HOLD_MS

    def explains(self, suspicion: Suspicion) -> bool:
        """Whether what is lost somewhere are orders that did not come, and hardly anything beside them.

        >>> feed, lost = OrderFeed(), Suspicion(views=30, stalls=24, expected=6.0, variance=4.8)
        >>> lost.expected_orders = 17.0
        >>> feed.explains(lost)
        True
        >>> lost.expected_orders = 9.0
        >>> feed.explains(lost)
        False
        """
        if not suspicion.missing_orders:
            return False
        left = suspicion.excess - suspicion.missing_orders
        return left <= max(LEFT_BELOW * suspicion.excess, LEFT_ERRORS * sqrt(suspicion.variance))

    def hear_late(self, orders: int, minute_ms: int) -> None:
        """Count orders of a minute (ms) that has been counted without them."""
        since_ms = self.suspicion.since_ms
        if since_ms is not None and minute_ms >= since_ms:
            self.late += orders

    @property
    def cause(self) -> Cause:
        """What seems to be the matter with the orders, and the numbers that decided."""
        missing = self.suspicion.missing_orders
        numbers = {
            "orders": float(self.suspicion.orders),
            "expected_orders": round(self.suspicion.expected_orders, 1),
            "late_orders": float(self.late),
        }
        is_late = self.late > LATE_ABOVE * missing
        return Cause("orders_late" if is_late else "orders_silent", numbers)
