"""Causes: faults of all kinds by turns, and what the alerts said was behind them, at first and at last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.benchmarks.truth.plans import RIGHT_CAUSES, mixed
from tests.benchmarks.truth.played import play
from tests.benchmarks.truth.verdicts import Experiment, Figures, share
from tests.benchmarks.truth.worlds import World, pages_for

CAUSE_DAYS = 20


def _causes(seed: int, rate: float, sigma: float) -> Figures:
    world = World(seed, rate, 24 * CAUSE_DAYS, sigma=sigma, pages=pages_for(rate))
    world.faults = mixed(world)
    said = play(world).said
    found: dict[str, list[list[str | None]]] = {kind: [] for kind in RIGHT_CAUSES}
    for fault in world.faults:
        until = fault.begin + fault.minutes
        theirs = [one.alert for one in said if fault.begin <= one.minute <= until]
        names = [alert.alert_id for alert in theirs if alert.status in ("opened", "reopened")]
        gone = {alert.alert_id for alert in theirs if alert.status == "withdrawn"}
        # Of several the one that stood for most: what was withdrawn stands for nothing.
        stood = [alert for alert in theirs if alert.alert_id in names and alert.alert_id not in gone]
        if not stood:
            found[fault.kind].append([None, None])
            continue
        greatest = max(stood, key=lambda alert: alert.exits - alert.expected_exits).alert_id
        revisions = [alert.cause for alert in stood if alert.alert_id == greatest]
        found[fault.kind].append([revisions[0], revisions[-1]])
    return {"causes": found}


def _pooled(results: Sequence[Figures]) -> list[Figures]:
    lines, named, right = [], 0, 0
    for kind, cause in RIGHT_CAUSES.items():
        pairs = [pair for result in results for pair in result["causes"][kind]]
        last = Counter(str(last) for _, last in pairs if last is not None)
        named += last.total()
        right += last[cause]
        lines.append(
            {
                "fault": kind,
                "faults": len(pairs),
                "alerts": last.total(),
                "right_at_first": sum(first == cause for first, _ in pairs),
                "right_at_last": last[cause],
                "said_at_last": dict(last.most_common()),
            }
        )
    return [*lines, {"causes_right": share(right, named), "alerts": named}]


EXPERIMENTS = {"causes": Experiment(_causes, _pooled)}
