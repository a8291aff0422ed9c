"""Revenue that passes pages: of sessions that saw a page before they purchased, and where their last touch was.

It says where the money went along, not what brought it. A session's revenue counts in full for each page on its
way, so pages' shares add up to more than all. Last touch is the last page that is neither cart nor checkout;
what passes a page beyond that is assisted.

Where the revenue of a session was counted is kept as long as its orders may still change within the retention. A
refund then takes it out again, and an order that comes late is counted by the views that come with the correction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from streams.credits import LEFT_OUT
from streams.states import KeyedState
from streams.visitors import SEPARATOR


class PageRevenue(msgspec.Struct, array_like=True, gc=False):
    """Orders and revenue that passed a page, a template or a content group, and of that what it touched last.

    Amounts are exact decimal strings in the site's currency.
    """

    orders: int = 0
    passed: str = "0"
    last_touch: str = "0"

    def add(self, amount: Decimal, orders: int, is_last: bool) -> None:
        """Count a session's revenue in, or out where both are negative.

        >>> revenue = PageRevenue()
        >>> revenue.add(Decimal("19.90"), 1, True)
        >>> revenue.add(Decimal("5.10"), 1, False)
        >>> revenue
        PageRevenue(orders=2, passed='25.00', last_touch='19.90')
        """
        self.orders += orders
        self.passed = str(Decimal(self.passed) + amount)
        if is_last:
            self.last_touch = str(Decimal(self.last_touch) + amount)


class PassedSession(msgspec.Struct, array_like=True):
    """Where the revenue of a session was counted: kinds and names of what it passed, and touched last."""

    passed: list[str]
    last: list[str]
    revenue: str
    orders: int


class Step(NamedTuple):
    """A view on the way to a purchase: the names that its page, template and content group go by."""

    page: str
    template: str
    group: str | None

    def scopes(self) -> list[str]:
        """Kinds and names of the records that count it."""
        scopes = [f"p{self.page}", f"t{self.template}"]
        return scopes if self.group is None else [*scopes, f"n{self.group}"]


def passed_by(steps: Iterable[Step], revenue: str, orders: int) -> PassedSession:
    """Return where the revenue of a session counts.

    Parameters
    ----------
    steps
        Views up to the purchase, in order.
    revenue, orders
        Of the session.

    Examples
    --------
    >>> steps = [Step("/a", "content", "guides"), Step("/b", "product", None), Step("/cart", "cart", None)]
    >>> found = passed_by(steps, "40", 1)
    >>> found.passed, found.last
    (['p/a', 'tcontent', 'nguides', 'p/b', 'tproduct', 'p/cart', 'tcart'], ['p/b', 'tproduct'])
    """
    passed: dict[str, None] = {}
    last: Sequence[str] = []
    for step in steps:
        scopes = step.scopes()
        passed.update(dict.fromkeys(scopes))
        if step.template not in LEFT_OUT:
            last = scopes
    return PassedSession([*passed], [*last], revenue, orders)


def book_revenue(state: KeyedState, site: str, session: PassedSession, score_ms: int, sign: int = 1) -> None:
    """Count a session's revenue into the records of what it passed (sign 1), or out of them (−1).

    Parameters
    ----------
    state
        Of the pages stage.
    site, session
        Whose, and where it counts. A record that is not there is passed over.
    score_ms
        When pages in which something has changed are scored.
    sign
        Whether it is put in or taken out.
    """
    amount, last = sign * Decimal(session.revenue), set(session.last)
    for scope in session.passed:
        key = f"{scope[0]}{site}{SEPARATOR}{scope[1:]}"
        record = state.get(key)
        if record is not None:
            record.revenue.add(amount, sign * session.orders, scope in last)
            state.put(key, record, score_ms if scope[0] == "p" else None)
