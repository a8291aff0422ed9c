"""Found faults, false alerts and ranking of the dead-end statistics, beside a static rule.

    python -m tests.benchmarks.dead_ends [--quick] [--seed N] [--sigma S] [--weeks N]

prints one JSON line a figure. The workload is `tests.benchmarks.simulated_cells`: 200 pages; the first day of
every run is warm-up and not counted. The peer, on the same views, is the rule that most dashboards offer:
alert when a page's stall rate of an hour is 15 points above its own mean so far. The ranking's peers are the
order by exits and the order by exit rate.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log

from streams.cell_regressions import CellRegression
from streams.detection import DetectorSettings, PageState, SiteState, TemplateState, observe
from streams.rankings import PageTotals, rank
from streams.regressions import probability
from tests.benchmarks.simulated_cells import (
    CLASSES,
    TEMPLATES,
    Cells,
    Fault,
    Shop,
    context_features,
    planted,
    with_newborns,
)

HOUR_MS = 3_600_000
START_MS = 1_767_571_200_000  # Monday, 5 January 2026, 00:00 UTC


@dataclass
class Outcome:
    """What a run saw."""

    false_alerts: int = 0
    static_alerts: int = 0
    cells: int = 0
    detector_seconds: float = 0.0
    totals: list[PageTotals] = field(default_factory=list)
    true_excess: list[float] = field(default_factory=list)


def run(shop: Shop, days: float, settings: DetectorSettings | None = None) -> Outcome:
    """Play the shop through regression and detector, and note what was found in `shop.faults`."""
    settings = settings or DetectorSettings()
    outcome = Outcome()
    model = CellRegression()
    site = SiteState()
    templates = [TemplateState() for _ in TEMPLATES]
    pages = [PageState() for _ in range(shop.pages)]
    static = _StaticRule(shop.pages)
    outcome.totals = [PageTotals() for _ in pages]
    outcome.true_excess = [0.0] * shop.pages
    for hour, rows in shop.hours(int(days * 24)):
        clock = hour % 24 + (24 if hour // 24 % 7 >= 5 else 0)
        batches: list[tuple[int, list[tuple[float, int, int]]]] = []
        began = time.process_time()
        for minute, page, contexts in rows:
            template = int(shop.template[page])
            cells = []
            for source, device, first, n, y in contexts:
                cell = model.predict((template, clock, source, device, first), context_features)
                model.add(cell, n, y)
                cells.append((cell.logit, n, y))
            model.settle()
            at_ms = START_MS + hour * HOUR_MS + minute * 60_000
            event = observe(settings, site, templates[template], pages[page], cells, at_ms).event
            outcome.cells += len(cells)
            if event is not None:
                _book(shop.faults, outcome, page, hour * 60 + minute + 1, event)
            batches.append((page, cells))
        outcome.detector_seconds += time.process_time() - began
        for page, cells in batches if hour >= 24 else ():
            outcome.totals[page].add(cells, hour)
            usual = TEMPLATES[shop.template[page]][2]
            shift = float(shop.logit[page]) - log(usual / (1.0 - usual))
            outcome.true_excess[page] += sum(
                n * (probability(x + shift) - probability(x)) for x, n, _ in cells
            )
        outcome.static_alerts += static.close_hour(rows, quiet=hour < 24)
    return outcome


def _book(faults: Sequence[Fault], outcome: Outcome, page: int, minute: int, event: str) -> None:
    for fault in faults:
        since = minute - fault.hour * 60
        # The noise of a fault's end reaches a little beyond it: an alert then is late, not false.
        if fault.page == page and 0 <= since <= (fault.hours + 2) * 60:
            if event == "resolve":
                mended = since - fault.hours * 60
                if mended > 0 and fault.resolved_minutes is None and fault.found_minutes is not None:
                    fault.resolved_minutes = mended
            elif fault.found_minutes is None and since <= fault.hours * 60:
                fault.found_minutes = since
            return
    outcome.false_alerts += event != "resolve"


class _StaticRule:
    """Fifteen points above the page's own mean in an hour of at least 20 views; onsets are counted."""

    def __init__(self, pages: int) -> None:
        self.views = [0] * pages
        self.stalls = [0] * pages
        self.alerting = [False] * pages

    def close_hour(self, rows: Sequence[tuple[int, int, Cells]], *, quiet: bool) -> int:
        views, stalls, alerts = [0] * len(self.views), [0] * len(self.views), 0
        for _, page, cells in rows:
            for *_, n, y in cells:
                views[page] += n
                stalls[page] += y
        for page, n in enumerate(views):
            if n >= 20 and self.views[page] >= 100:
                high = stalls[page] / n > self.stalls[page] / self.views[page] + 0.15
                alerts += high and not self.alerting[page] and not quiet
                self.alerting[page] = high
            self.views[page] += n
            self.stalls[page] += stalls[page]
        return alerts


def rank_quality(shop: Shop, outcome: Outcome) -> dict[str, float]:
    """Compare three orders of pages with the true 20 worst, and intervals with the true excess."""
    numbers = range(shop.pages)
    true = list(outcome.true_excess)
    for template in set(shop.template.tolist()):
        # A page is compared with its template's views, so the truth is too.
        pages = [p for p in numbers if shop.template[p] == template]
        mean = sum(true[p] for p in pages) / max(1, sum(outcome.totals[p].views for p in pages))
        for p in pages:
            true[p] -= mean * outcome.totals[p].views
    templates: dict[str, dict[str, PageTotals]] = {}
    for p in numbers:
        templates.setdefault(str(shop.template[p]), {})[str(p)] = outcome.totals[p]
    places = rank(templates, shop.sigma**2, 0.03, 5_000)
    worst = set(sorted(numbers, key=lambda p: -true[p])[:20])
    totals = outcome.totals
    by_exits = sorted(numbers, key=lambda p: -totals[p].exits)[:20]
    by_rate = sorted(numbers, key=lambda p: -totals[p].exits / max(1, totals[p].views))[:20]
    covered = sum(place.excess_low <= true[int(place.page)] <= place.excess_high for place in places)
    return {
        "rank_score": len(worst & {int(place.page) for place in places[:20]}) / 20,
        "exits": len(worst & set(by_exits)) / 20,
        "exit_rate": len(worst & set(by_rate)) / 20,
        "covered": covered / shop.pages,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every figure as a JSON line."""
    parser = argparse.ArgumentParser(description="Dead-end detector: false alerts, recall and cost.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sigma", type=float, default=0.2)
    parser.add_argument(
        "--weeks", type=int, default=3, help="fault-free site-weeks at 1,000 sessions an hour"
    )
    parser.add_argument("--busy-weeks", type=int, default=1, help="the same at 10,000 sessions an hour")
    parser.add_argument("--fault-runs", type=int, default=1, help="runs of 12 days for each size of fault")
    parser.add_argument("--quick", action="store_true", help="one quiet week and no busy one")
    options = parser.parse_args(arguments)
    weeks, busy = (1, 0) if options.quick else (options.weeks, options.busy_weeks)

    def say(**figure: object) -> None:
        sys.stdout.write(json.dumps(figure) + "\n")
        sys.stdout.flush()

    for sessions_per_hour, count in ((1000, weeks), (10_000, busy)):
        quiet = [Shop(options.seed + i, sessions_per_hour, options.sigma) for i in range(count)]
        outcomes = [run(shop, 8) for shop in quiet]
        if outcomes:
            cells = sum(o.cells for o in outcomes)
            say(
                figure="false_alerts_per_site_week", sessions_per_hour=sessions_per_hour,
                sigma=options.sigma, site_weeks=count,
                detector=sum(o.false_alerts for o in outcomes) / count,
                static_15_points=sum(o.static_alerts for o in outcomes) / count,
                us_per_cell=round(1e6 * sum(o.detector_seconds for o in outcomes) / cells, 2), cells=cells,
            )  # fmt: skip
            qualities = [rank_quality(shop, o) for shop, o in zip(quiet, outcomes, strict=True)]
            means = {name: sum(q[name] for q in qualities) / count for name in qualities[0]}
            say(
                figure="true_top_20_found", sessions_per_hour=sessions_per_hour, site_weeks=count,
                interval_covers=round(means.pop("covered"), 3), **{k: round(v, 3) for k, v in means.items()},
            )  # fmt: skip
    for points, runs in ((0.4, options.fault_runs), (0.2, options.fault_runs), (0.1, 1)):
        shops = [Shop(options.seed + 100 + i, 2000, options.sigma) for i in range(runs)]
        alerts = 0
        for shop in shops:
            shop.faults = planted(shop, points, days=12)
            alerts += run(shop, 12).false_alerts
        for low, high in CLASSES:
            faults = [f for s in shops for f in s.faults if low <= s.views_per_hour[f.page] < high]
            minutes = [f.found_minutes for f in faults if f.found_minutes is not None]
            ends = [f.resolved_minutes for f in faults if f.resolved_minutes is not None]
            say(
                figure="recall_in_24h", points=round(100 * points), views_per_hour=[low, high],
                faults=len(faults), recall=round(len(minutes) / max(1, len(faults)), 3),
                median_minutes=statistics.median(minutes) if minutes else None,
                median_minutes_to_resolve=statistics.median(ends) if ends else None,
            )  # fmt: skip
        say(figure="false_alerts_beside_faults", points=round(100 * points), runs=runs, alerts=alerts)
    for points in (0.4, 0.2):
        shop = with_newborns(Shop(options.seed + 200, 1000, options.sigma), points)
        alerts = run(shop, 8).false_alerts
        minutes = [f.found_minutes for f in shop.faults if f.found_minutes is not None]
        say(
            figure="pages_broken_from_birth", points=round(100 * points), pages=len(shop.faults),
            recall=len(minutes) / len(shop.faults), median_minutes=statistics.median(minutes or [-1]),
            false_alerts_on_all_pages=alerts, healthy_newborns=len(shop.born) - len(shop.faults),
        )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
