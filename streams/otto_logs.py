"""Sessions of the OTTO dataset, read into page views, interactions and orders.

A line is ``{"session": 0, "events": [{"aid": 1517085, "ts": 1659304800025, "type": "clicks"}, …]}``: one
session, ``ts`` in epoch milliseconds, ``aid`` the article's number (Normann et al., 2022, "OTTO Recommender
Systems Dataset"). A click is a page view of the article's page, a cart an ``add_to_cart`` on it, and all
orders of a session with one ``ts`` are one order. The data holds no prices: `unit_price` and `total` are
``"0"``, in EUR.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from streams.malformed_lines import malformed_line

SITE = "otto.example"


class OttoEvent(msgspec.Struct, frozen=True, gc=False):
    """One thing done with one article; ``ts`` in epoch milliseconds."""

    aid: int
    ts: int
    type: Literal["clicks", "carts", "orders"]


class OttoSession(msgspec.Struct, frozen=True):
    """One line of the data."""

    session: int
    events: list[OttoEvent]


_decode = msgspec.json.Decoder(OttoSession).decode


def product_url(aid: int) -> str:
    """Give the page of an article.

    Examples
    --------
    >>> product_url(1517085)
    'https://otto.example/product/1517085'
    """
    return f"https://{SITE}/product/{aid}"


def _order(session: int, visitor_id: str, ts: int, quantities: Counter[int]) -> dict[str, Any]:
    return {
        "event_id": f"otto-{session}-order-{ts}",
        "order_id": f"otto-{session}-{ts}",
        "revision": 1,
        "status": "placed",
        "occurred_at": ts,
        "channel": "web",
        "visitor_id": visitor_id,
        "currency": "EUR",
        "total": "0",
        "lines": [
            {"sku": str(aid), "quantity": str(quantity), "unit_price": "0"}
            for aid, quantity in quantities.items()
        ],
        "site": SITE,
    }


def session_events(session: OttoSession) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the events of one session in order of time; an order stands where its first article stands.

    An article ordered twice at one time is one line of quantity 2. Ids are made of the session's number and
    the event's position, so reading a file twice gives the same events.

    Examples
    --------
    >>> session = OttoSession(7, [OttoEvent(1, 1000, "clicks"), OttoEvent(1, 2000, "orders")])
    >>> [(topic, event["event_id"]) for topic, event in session_events(session)]
    [('page-views', 'otto-7-0'), ('orders', 'otto-7-order-2000')]
    """
    visitor_id = f"otto-{session.session}"
    ordered: dict[int, Counter[int]] = {}
    for event in session.events:
        if event.type == "orders":
            ordered.setdefault(event.ts, Counter())[event.aid] += 1
    for position, event in sorted(enumerate(session.events), key=lambda item: item[1].ts):
        if event.type == "orders":
            quantities = ordered.pop(event.ts, None)
            if quantities is not None:
                yield "orders", _order(session.session, visitor_id, event.ts, quantities)
            continue
        record: dict[str, Any] = {
            "event_id": f"otto-{session.session}-{position}",
            "visitor_id": visitor_id,
            "occurred_at": event.ts,
            "url": product_url(event.aid),
            "site": SITE,
        }
        if event.type == "carts":
            record["name"] = "add_to_cart"
            record["properties"] = {"sku": str(event.aid)}
            yield "interactions", record
        else:
            yield "page-views", record


class OttoLog:
    """Reads lines of the dataset into ``(topic, event)`` pairs.

    Attributes
    ----------
    rejected
        Lines that are no session; each was also yielded as a ``rejected-events`` record.

    Examples
    --------
    >>> log = OttoLog()
    >>> [topic for topic, _ in log.read(['{"session":7,"events":[{"aid":1,"ts":2,"type":"carts"}]}', "[]"])]
    ['interactions', 'rejected-events']
    """

    def __init__(self) -> None:
        self.rejected = 0

    def read(self, lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read lines; empty ones are passed over.

        Yields
        ------
        tuple
            ``page-views``, ``interactions`` or ``orders`` and the event; or ``rejected-events`` and a record
            with the reason ``malformed_line`` and the line's number (from 0) as `offset`.
        """
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                session = _decode(line)
            except msgspec.ValidationError as error:
                self.rejected += 1
                yield malformed_line("otto", number, line, str(error))
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                self.rejected += 1
                yield malformed_line("otto", number, line, "no JSON")
            else:
                yield from session_events(session)
