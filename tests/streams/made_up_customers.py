"""Made-up customers with two browsers each, who buy on any channel; for whole flows."""

from __future__ import annotations

import json
import random
from typing import Any

from streams.event_files import FileEvent
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS, Settings

SETTINGS = Settings(pseudonymise=False, site="shop.example", bought_later_ms=2 * DAY_MS)
BEGINNING = 1_767_225_600_000
DAYS = 6
CUSTOMERS = 100
CHANNELS = ("web", "app", "store", "call_centre", "marketplace", "catalogue")
TEMPLATES = ("product", "category", "help", "cart")


def made_up_events(seed: int) -> list[FileEvent]:
    """Make up customers with two browsers each: known at once, later or never, with orders anywhere."""
    source = random.Random(seed)
    events: list[tuple[int, str, dict[str, Any]]] = []

    def add(topic: str, at: int, **fields: Any) -> None:
        event = {"event_id": f"e{len(events)}", "occurred_at": at, "site": "shop.example"}
        events.append((at, topic, event | fields))

    def some_time() -> int:
        # Mostly on full hours, so that there are ties and boundaries.
        at = BEGINNING + source.randrange(DAYS * 24) * HOUR_MS
        return at + source.choice([0, 0, source.randrange(HOUR_MS), 30 * MINUTE_MS])

    for number in range(CUSTOMERS):
        customer = f"c{number}"
        browsers = [f"{customer}-phone", f"{customer}-desk"]
        starts = [some_time()]
        for _ in range(source.randrange(6)):
            at, names = some_time(), source.random() < 0.3
            starts.append(at)
            for click in range(source.randrange(1, 4)):
                page = f"https://shop.example/{source.choice(TEMPLATES)}/x{source.randrange(3)}"
                known = {"customer_id": customer} if names else {}
                add(
                    "page-views",
                    at + click * 5 * MINUTE_MS,
                    visitor_id=source.choice(browsers) if click == 0 else events[-1][2]["visitor_id"],
                    url=page,
                    **known,
                )
        for _ in range(source.randrange(5)):
            kind = source.choice(["registered", "logged_in", "logged_in", "logged_out", "unlinked"])
            # Now and then it is another customer who sits at that browser.
            who = customer if source.random() < 0.8 else f"c{source.randrange(CUSTOMERS)}"
            visitor = source.choice(browsers)
            after = source.choice(starts) + source.randrange(1, 26) * HOUR_MS
            unsaid = source.choice([(), (), ("unlinked",), ("unlinked", "logged_in")])
            for said in (kind, *unsaid):
                add("identities", after, kind=said, visitor_id=visitor, customer_id=who)
                after += source.randrange(1, 24) * HOUR_MS
        for purchase in range(source.randrange(6)):
            at = source.choice(starts) + source.randrange(3 * DAY_MS)
            order = {
                "order_id": f"o{number}-{purchase}",
                "channel": source.choice(CHANNELS),
                "currency": "EUR",
                "total": "20",
                "customer_id": customer,
            }
            if source.random() < 0.3:
                order["visitor_id"] = source.choice([*browsers, "another"])
            first = source.choice(["placed", "placed", "paid", "cancelled"])
            add("orders", at, status=first, **order)
            if source.random() < 0.5:
                status = source.choice(["paid", "refunded", "cancelled"])
                add("orders", at + source.randrange(DAY_MS), status=status, revision=2, **order)
    events.sort(key=lambda event: event[0])
    return [FileEvent(topic, json.dumps(event).encode(), at) for at, topic, event in events]
