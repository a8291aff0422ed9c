"""What becomes of alerts on pages that break, and on pages where visitors only pause.

    python -m tests.benchmarks.confirmations [--kinds broken paused] [--seeds N …] [--sessions-per-hour N]

prints one JSON line a page that was ill, and one a kind and seed. The whole flow is replayed over 72 hours of the
made-up shop. After 26 hours two pages at a time are ill for six hours, ten in all: busy products, categories,
content, and one help page, whose exits the rules call served. ``broken`` pages lose that many more of their
visitors (`--points`, .4). On ``paused`` ones nobody leaves who would not have: whoever goes on does so seven
minutes later, as if there was more to read. Without final exits all alerts would stand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import parse_time
from streams.flow import stages
from streams.replay import Replay
from streams.settings import HOUR_MS, MINUTE_MS, Settings
from streams.shop import Fault, ShopConfig, busy_pages, plain_page, traffic
from streams.stages import Output

HOURS, QUIET_HOURS, ILL_HOURS, REST_HOURS = 72, 26, 6, 2
PAUSE_MS = 7 * MINUTE_MS
VISIT_GAP_MS = 25 * MINUTE_MS
"""Events of a visitor that are further apart are of another visit: with a pause added they might not be."""
ILL = (
    (("product", 1), ("category", 2)),
    (("product", 3), ("content", 1)),
    (("product", 4), ("help", 1)),
    (("category", 3), ("content", 2)),
    (("product", 5), ("category", 4)),
)
"""Template and place by views of the pages that are ill, two at a time."""
Event = tuple[str, dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the module's docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=("broken", "paused"), default=("broken", "paused"))
    parser.add_argument("--seeds", nargs="+", type=int, default=(301,))
    parser.add_argument("--sessions-per-hour", type=float, default=600.0)
    parser.add_argument("--points", type=float, default=0.4)
    options = parser.parse_args(arguments)
    for kind in options.kinds:
        for seed in options.seeds:
            config = ShopConfig(seed=seed, hours=HOURS, sessions_per_hour=options.sessions_per_hour)
            plan = plan_of(config, options.points)
            events: Iterator[Event]
            if kind == "broken":
                events = traffic(replace(config, plan=plan))
            else:
                events = iter(paused(traffic(config), plan))
            workload = {"kind": kind, "seed": seed, "sessions_per_hour": options.sessions_per_hour}
            tell(plan, alerts_of(events, config.site), workload)
    return 0


def plan_of(config: ShopConfig, points: float) -> tuple[Fault, ...]:
    """Tell which page is ill when."""
    faults = []
    for number, pages in enumerate(ILL):
        start_ms = config.start_ms + (QUIET_HOURS + number * (ILL_HOURS + REST_HOURS)) * HOUR_MS
        for template, place in pages:
            page = busy_pages(config, place, template)[-1]
            faults.append(Fault(page, start_ms, start_ms + ILL_HOURS * HOUR_MS, points))
    return tuple(faults)


def paused(events: Iterator[Event], plan: Sequence[Fault]) -> list[Event]:
    """Let all that follows a view of an ill page in a visit come later."""
    ordered = list(events)
    of_visitors: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _, event in ordered:
        if event.get("visitor_id"):
            of_visitors[event["visitor_id"]].append(event)
    for ours in of_visitors.values():
        later_ms, last_ms = 0, None
        for event in ours:
            at = event["occurred_at"]
            if last_ms is not None and at - last_ms > VISIT_GAP_MS:
                later_ms = 0
            last_ms, event["occurred_at"] = at, at + later_ms
            if "title" in event and any(_is_ill(fault, event["url"], at) for fault in plan):
                later_ms += PAUSE_MS
    return sorted(ordered, key=lambda entry: entry[1]["occurred_at"])


def _is_ill(fault: Fault, url: str, at: int) -> bool:
    return fault.start_ms <= at < fault.end_ms and plain_page(url) == fault.page


def alerts_of(events: Iterator[Event], site: str) -> list[list[DeadEndAlert]]:
    """Give the revisions of each alert."""
    said: dict[str, list[DeadEndAlert]] = defaultdict(list)

    def write(output: Output, _: bytes) -> None:
        if isinstance(output.value, DeadEndAlert):
            said[output.value.alert_id].append(output.value)

    settings = Settings(site=site, pseudonymise=False)
    replay = Replay(stages(settings, "", {"visitor-events": 1}), settings, {}, write)
    for topic, event in events:
        replay.feed(topic, msgspec.json.encode(event), event["occurred_at"])
    replay.finish()
    return list(said.values())


def tell(plan: Sequence[Fault], alerts: Sequence[Sequence[DeadEndAlert]], workload: dict[str, Any]) -> None:
    """Print what became of each page that was ill, and how many of them."""
    minutes: dict[str, list[float]] = defaultdict(list)
    found: list[Sequence[DeadEndAlert]] = []
    for fault in plan:
        ours = [
            revisions
            for revisions in alerts
            if revisions[0].scope == "page"
            and revisions[0].page == fault.page
            and fault.start_ms <= parse_time(revisions[0].opened_at) < fault.end_ms + REST_HOURS * HOUR_MS
        ]
        found += ours
        said = {
            alert.status: round((parse_time(alert.updated_at) - fault.start_ms) / MINUTE_MS, 1)
            for alert in chain.from_iterable(ours)
            if alert.status != "updated"
        }
        for status, after in said.items():
            minutes[status].append(after)
        last = ours[-1][-1] if ours else None
        _print(
            {
                **workload,
                "page": fault.page,
                "alerts": len(ours),
                "minutes": said,
                "final_views": last.final_views if last else None,
                "final_exits": last.final_exits if last else None,
                "expected_final_exits": last.expected_final_exits if last else None,
            }
        )
    summary: dict[str, Any] = {**workload, "ill": len(plan), "with_alert": len(minutes["opened"])}
    for status in ("confirmed", "withdrawn"):
        times = minutes[status]
        summary[status] = len(times)
        summary[f"{status}_median_minutes"] = statistics.median(times) if times else None
    summary["opened_median_minutes"] = statistics.median(minutes["opened"]) if minutes["opened"] else None
    summary["other_alerts"] = [
        f"{revisions[0].scope}:{revisions[0].value or revisions[0].page} {revisions[0].opened_at} "
        f"{revisions[-1].status}"
        for revisions in alerts
        if revisions not in found
    ]
    _print(summary)


def _print(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"benchmark": "confirmations", **figures}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
