"""Where the CPU goes: the parts of a worker that works off a backlog, and the stages of a replay.

    python -m tests.benchmarks.parts [--hours 10] [--sessions-per-hour 1000]

prints one JSON line a part; it starts its own Kafka. The same events for both. The replay's stages are timed as
they are called; the worker is sampled (`tests.benchmarks.sampled_worker`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents import garbage
from agents.broker import EmbeddedKafka
from streams.event_files import FileEvent
from streams.flow import Flow, stages
from streams.replay import Replay
from streams.settings import Settings
from tests.agents.product import SECRET, Deployment, shop_events
from tests.benchmarks.figures import say, say_machine
from tests.benchmarks.live import wait_until_taken_over
from tests.benchmarks.product import views_in
from tests.benchmarks.sampled_worker import OUT

Spent = dict[str, float]
"""Part to CPU seconds."""


class Timed:
    """A stage whose calls are timed; all else of it is as it was."""

    def __init__(self, stage: Any, spent: defaultdict[str, float]) -> None:
        self._stage = stage
        self._spent = spent

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stage, name)
        if name not in ("step", "due", "advanced", "read"):
            return found

        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = found(*arguments)
            if name != "read":
                result = list(result)
            self._spent[self._stage.name] += time.perf_counter() - began
            return result

        setattr(self, name, timed)
        return timed


def replay_parts(events: Sequence[FileEvent]) -> Spent:
    """CPU seconds by stage; `replay itself` is what is left: processors, JSON of outputs, order of logs."""
    spent: defaultdict[str, float] = defaultdict(float)
    settings = Settings()
    counts = {"visitor-events": 1}
    flow = stages(settings, SECRET, counts)
    flow = replace_stages(flow, spent)
    runner = Replay(flow, settings, counts, lambda output, line: None)
    began, clock = time.process_time(), time.perf_counter()
    for event in events:
        runner.feed(*event)
    runner.finish()
    cpu, clock = time.process_time() - began, time.perf_counter() - clock
    # Calls are too short for the clock of CPU time; where others take the CPU, all parts stretch alike.
    shares = {name: seconds * cpu / clock for name, seconds in spent.items()}
    shares["processors, JSON of outputs"] = cpu - sum(shares.values())
    return shares


def replace_stages(flow: Flow, spent: defaultdict[str, float]) -> Flow:
    """The same flow with timed stages."""
    return replace(
        flow,
        intake=Timed(flow.intake, spent),
        stages=tuple(Timed(stage, spent) for stage in flow.stages),
    )


def worker_parts(kafka: str, events: Sequence[FileEvent]) -> Spent:
    """CPU seconds by part of a worker, its start left out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "parts.json"
        deployment = Deployment(kafka, Path(folder), {OUT: str(out)})
        try:
            deployment.worker(module="tests.benchmarks.sampled_worker")
            wait_until_taken_over(deployment)
            time.sleep(3)
            idle = json.loads(out.read_text())
            deployment.publish(events)
            deployment.wait_until_done(900)
            busy = json.loads(out.read_text())
        finally:
            deployment.close()
    return {part: seconds - idle.get(part, 0.0) for part, seconds in busy.items()}


def tell(figure: str, spent: Spent, views: int) -> None:
    """Print the parts, the greatest first."""
    total = sum(spent.values())
    say(f"{figure}_cpu_s_per_100k_page_views", total / views * 1e5, part="all", page_views=views)
    for part, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        say(f"{figure}_cpu_s_per_100k_page_views", seconds / views * 1e5, part=part,
            percent=round(100 * seconds / total, 1))  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--sessions-per-hour", type=float, default=1000.0)
    given = parser.parse_args()
    garbage.look_seldom()
    say_machine()
    events = shop_events(given.hours, given.sessions_per_hour)
    views = views_in(events)
    tell("replay", replay_parts(events), views)
    with EmbeddedKafka() as kafka:
        tell("worker", worker_parts(kafka.bootstrap, events), views)
    say_machine()


if __name__ == "__main__":
    main()
