"""What sessions, exits and labelled views must come to, from the whole set of events: plain sort and fold.

Written from the rules, without the code under test.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from schemas.timestamps import format_ms
from schemas.visitor_events import VisitorIdentity, VisitorInteraction, VisitorOrder, VisitorPageView
from streams.settings import MINUTE_MS, Settings

FIELDS: dict[type, tuple[int, tuple[str, ...]]] = {
    VisitorPageView: (
        0,
        (
            "page",
            "template",
            "source",
            "device",
            "campaign",
            "customer_id",
            "is_bot",
            "came_from",
            "occurred_at",
        ),
    ),
    VisitorInteraction: (1, ("name", "page", "seconds", "customer_id", "occurred_at")),
    VisitorOrder: (2, ("order_id", "revision", "status", "currency", "total", "customer_id", "occurred_at")),
    VisitorIdentity: (3, ("kind", "customer_id", "occurred_at")),
}


def text_of(event: Any) -> str:
    fields = {
        name: getattr(event, name) for name in FIELDS[type(event)][1] if getattr(event, name) is not None
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def distinct(events: Iterable[Any]) -> list[Any]:
    best: dict[Any, Any] = {}
    for event in events:
        key = (FIELDS[type(event)][0], event.visitor_id, event.event_id)
        if key not in best or text_of(event) < text_of(best[key]):
            best[key] = event
    return sorted(best.values(), key=rank)


def rank(event: Any) -> tuple[int, int, str]:
    return (event.occurred_at, FIELDS[type(event)][0], event.event_id)


class Truth:
    def __init__(self, events: Iterable[Any], settings: Settings) -> None:
        self.sessions: list[dict[str, Any]] = []
        self.exits: Counter[Any] = Counter()
        self.cells: Counter[Any] = Counter()
        self.s = settings
        by_visitor: dict[str, list[Any]] = {}
        for event in distinct(events):
            by_visitor.setdefault(event.visitor_id, []).append(event)
        for _, theirs in sorted(by_visitor.items()):
            self.visitor(theirs)

    def visitor(self, events: list[Any]) -> None:
        s = self.s
        clicks = [e for e in events if isinstance(e, VisitorPageView | VisitorInteraction)]
        groups: list[list[Any]] = []
        for click in clicks:
            if (
                groups
                and click.occurred_at - groups[-1][-1].occurred_at <= s.gap_ms
                and click.occurred_at - groups[-1][0].occurred_at <= s.max_length_ms
            ):
                groups[-1].append(click)
            else:
                groups.append([click])
        orders: dict[str, list[Any]] = {}
        for e in events:
            if isinstance(e, VisitorOrder):
                orders.setdefault(e.order_id, []).append(e)
        bought = []
        for order_id, revisions in orders.items():
            revisions.sort(key=lambda e: (e.revision, e.occurred_at, e.event_id))
            placed = [e for e in revisions if e.status == "placed"]
            if not placed and revisions[0].status == "paid" and revisions[0].revision == 1:
                placed = revisions
            if placed:
                bought.append((placed[0].occurred_at, order_id, placed[0], revisions[-1]))
        bought.sort(key=lambda b: b[:2])
        identities = [e for e in events if isinstance(e, VisitorIdentity)]

        def at(t: int) -> int | None:
            found = [
                i
                for i, g in enumerate(groups)
                if g[0].occurred_at <= t <= g[-1].occurred_at + s.order_wait_ms
            ]
            return found[-1] if found else None

        ending: list[Any] = [e for e in clicks if isinstance(e, VisitorPageView)]
        ending += [e for e in clicks if isinstance(e, VisitorInteraction) and e.name in s.continuing_names]
        ending += [e for e in clicks if isinstance(e, VisitorInteraction) and e.name in s.handed_off_names]
        ending += [b[2] for b in bought] + [e for e in identities if e.kind == "registered"]
        for i, group in enumerate(groups):
            cut = i + 1 < len(groups) and groups[i + 1][0].occurred_at - group[-1].occurred_at <= s.gap_ms
            mine = [b for b in bought if at(b[0]) == i]
            known = [e for e in identities if at(e.occurred_at) == i]
            self.session(group, mine, known, cut, ending, clicks, [b[2] for b in bought])

    def session(
        self,
        group: list[Any],
        bought: list[Any],
        known: list[Any],
        cut: bool,
        ending: list[Any],
        clicks: list[Any],
        placed: list[Any],
    ) -> None:
        s = self.s
        views = [e for e in group if isinstance(e, VisitorPageView)]
        actions = [e for e in group if isinstance(e, VisitorInteraction)]
        registered = [e for e in known if e.kind == "registered"]
        outcome = "purchased" if bought else "registered" if registered else "none"
        customer = None
        for e in sorted([*group, *known, *(b[2] for b in bought)], key=rank):
            if isinstance(e, VisitorIdentity) and e.kind == "unlinked":
                customer = None
            elif e.customer_id is not None:
                customer = e.customer_id
        revenue = Decimal(0)
        for b in bought:
            if b[3].status in ("placed", "paid") and b[3].currency == bought[0][3].currency:
                revenue += Decimal(b[3].total)
        revenue_text = f"{revenue:f}"
        if "." in revenue_text:
            revenue_text = revenue_text.rstrip("0").rstrip(".")
        after_last = [e for e in actions if not views or rank(e) > rank(views[-1])]
        bot = any(v.is_bot for v in views)
        reason = "dead_end"
        if outcome != "none":
            reason = outcome
        elif any(e.name in s.handed_off_names for e in after_last):
            reason = "handed_off"
        elif (views and views[-1].template in s.served_templates) or (
            views
            and views[-1].template in s.reading_templates
            and max(
                group[-1].occurred_at - views[-1].occurred_at,
                *(
                    e.seconds * 1000
                    for e in after_last
                    if e.name == "engagement" and e.page in ("", views[-1].page)
                ),
                0,
            )
            >= s.reading_ms
        ):
            reason = "served"
        elif bot:
            reason = "bot"
        elif cut:
            reason = "measurement_gap"
        currency = bought[0][3].currency if bought else None
        self.sessions.append(
            {
                "visitor_id": group[0].visitor_id,
                "started_at": format_ms(group[0].occurred_at),
                "ended_at": format_ms(group[-1].occurred_at),
                "pages": [v.page for v in views],
                "page_views": len(views),
                "interactions": len(actions),
                "entry_page": views[0].page if views else None,
                "exit_page": views[-1].page if views else None,
                "source": views[0].source if views else None,
                "device": views[0].device if views else None,
                "campaign": views[0].campaign if views else None,
                "is_bot": bot,
                "outcome": outcome,
                "exit_reason": reason,
                "order_ids": [b[1] for b in bought],
                "revenue": revenue_text,
                "currency": currency,
                "customer_id": customer,
            }
        )
        if views:
            last = views[-1]
            self.exits[
                bot, last.page, last.template, reason, outcome, revenue_text, currency, len(bought)
            ] += 1
        settled = min([b[0] for b in bought] + [e.occurred_at for e in registered], default=None)
        for v in views:
            if v.is_bot:
                continue
            t = v.occurred_at
            is_open = settled is None or settled > t
            ends = [e for e in ending if rank(e) > rank(v) and e.occurred_at <= t + s.stall_after_ms]
            soon = [e for e in clicks if rank(e) > rank(v) and e.occurred_at <= t + s.stall_after_ms]
            minute = t // MINUTE_MS * MINUTE_MS
            name = (minute, v.page, views[0].source, views[0].device, v is views[0])
            self.cells[name, "views"] += 1
            self.cells[name, "stalls"] += is_open and not ends
            self.cells[name, "idle"] += is_open and not ends and not soon
            self.cells[name, "orders"] += is_open and bool(ends) and min(ends, key=rank) in placed
        if views and views[0].came_from is not None and not views[0].is_bot:
            minute = views[0].occurred_at // MINUTE_MS * MINUTE_MS
            self.cells[(minute, views[0].came_from, "", "", False), "orphans"] += 1
