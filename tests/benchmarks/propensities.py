"""How good `p_purchase` and `p_exit` are on the made-up shop, beside what needs no model.

    python -m tests.benchmarks.propensities [--hours N] [--sessions-per-hour N] [--seed N]

prints one JSON line a model and kind of measure. The whole flow is replayed. `prequential` is the last
model-report: each closed session predicted before it was learned, the early ones by a model that knew
nothing. `served` are the scores that stood on the enriched page views, each by the weights of that moment,
against what came of the view; the first `--skip-hours` are left out there. The peers, on the same views: the
rate so far of the template with and without a cart (`rule`), and no knowledge at all (`nothing`), whose AUPRC
is the share of positives, and whose log-loss is that of the best constant in hindsight.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence

import msgspec

from schemas.enriched_page_views import EnrichedPageView
from schemas.model_reports import ModelReport
from schemas.site_events import SessionExample
from streams.flow import stages
from streams.replay import Replay
from streams.scorecards import Scorecard
from streams.settings import HOUR_MS, Settings
from streams.shop import Shop, ShopConfig
from streams.stages import Output

Served = dict[tuple[str, int], tuple[float | None, float | None]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the module's docstring says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=48.0)
    parser.add_argument("--sessions-per-hour", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--skip-hours", type=float, default=6.0)
    options = parser.parse_args(arguments)
    config = ShopConfig(seed=options.seed, hours=options.hours, sessions_per_hour=options.sessions_per_hour)
    settings = Settings(site=config.site, pseudonymise=False)
    reports: dict[str, ModelReport] = {}
    served: Served = {}
    examples: list[SessionExample] = []

    def write(output: Output, line: bytes) -> None:
        value = output.value
        if isinstance(value, ModelReport):
            reports[value.model] = value
        elif isinstance(value, EnrichedPageView):
            served[value.session_id, value.position] = (value.p_purchase, value.p_exit)

    def write_logs(output: Output, line: bytes) -> None:
        if isinstance(output.value, SessionExample):
            examples.append(output.value)

    replay = Replay(stages(settings, "", {"visitor-events": 1}), settings, {}, write, write_logs)
    started = time.process_time()
    for topic, event in Shop(config):
        replay.feed(topic, msgspec.json.encode(event), event["occurred_at"])
    replay.finish()
    figures = {"hours": options.hours, "seed": options.seed, "sessions": len(examples)}
    figures["cpu_seconds"] = round(time.process_time() - started, 1)
    cards = _judge(served, examples, config.start_ms + int(options.skip_hours * HOUR_MS))
    for model, report in sorted(reports.items()):
        _print("prequential", model, figures, _of_report(report))
        _print("served", model, figures, _of_card(cards[model]))
    return 0


def _judge(served: Served, examples: list[SessionExample], from_ms: int) -> dict[str, Scorecard]:
    """Hold what was served against what came of it, bots and capped sessions left out."""
    cards = {"p_purchase": Scorecard(), "p_exit": Scorecard()}
    for example in examples:
        if example.is_bot or example.capped:
            continue
        bought_at = example.purchased_at
        for position, view in enumerate(example.views, 1):
            p_purchase, p_exit = served.get((example.session_id, position), (None, None))
            if view.occurred_at < from_ms or p_purchase is None or p_exit is None:
                continue
            cards["p_exit"].update(p_exit, position == len(example.views))
            if bought_at is None or view.occurred_at < bought_at:
                cards["p_purchase"].update(p_purchase, bought_at is not None)
    return cards


def _of_report(report: ModelReport) -> dict[str, float | None]:
    return {
        "views": report.examples,
        "auprc": report.auprc,
        "rule_auprc": report.baseline_auprc,
        "auroc": report.auroc,
        "log_loss": report.log_loss,
        "rule_log_loss": report.baseline_log_loss,
        "calibration_error": report.calibration_error,
    }


def _of_card(card: Scorecard) -> dict[str, float | None]:
    return {
        "views": card.updates,
        "auprc": card.auprc(),
        "nothing_auprc": card.positive_rate(),
        "auroc": card.auroc(),
        "log_loss": card.log_loss(),
        "nothing_log_loss": card.constant_log_loss(),
        "calibration_error": card.calibration_error(),
    }


def _print(kind: str, model: str, run: dict[str, float], figures: dict[str, float | None]) -> None:
    rounded = {name: None if value is None else round(value, 4) for name, value in figures.items()}
    sys.stdout.write(
        json.dumps({"benchmark": "propensities", "kind": kind, "model": model, **run, **rounded}) + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
