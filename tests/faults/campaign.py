"""The full fault suite: scenarios and random mixes until time is up, or until the first difference.

``python -m tests.faults.campaign --seed 7 --minutes 30``, which is what ``deploy/test --faults`` calls. A run is
named by its scenario, way of sending and number; all of its choices follow from the seed and that name. What the
machine does with them is chance: a repetition has the same faults at about the same moments.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from agents.broker import EmbeddedKafka
from tests.faults.bench import Bench
from tests.faults.scenarios import MIX, SCENARIOS, Scenario, shop
from tests.faults.switches import MUTANT, STRETCH_S
from tests.faults.table import Row, render

MIX_EVERY = 3
"""After so many runs of one fault comes a mix of all."""
SHOPS = 4
"""Different inputs; a replay of each is not what takes time."""
STRETCHES_S = (0.0, 0.1, 0.5)
"""How long workers may stay between the writes of a batch."""
OPTION = "--faults"


def order(seed: int) -> Iterator[tuple[Scenario, int]]:
    """Each fault under a backlog or in live traffic, by chance, in any order, with mixes between; without end."""
    source = random.Random(seed)
    mixes = count(1)
    faults = sorted({scenario.fault for scenario in SCENARIOS})
    for number in count(1):
        for place, fault in enumerate(source.sample(faults, len(faults))):
            yield source.choice([scenario for scenario in SCENARIOS if scenario.fault == fault]), number
            if place % MIX_EVERY == MIX_EVERY - 1:
                yield MIX, next(mixes)


def name_of(scenario: Scenario, number: int) -> str:
    """Name of a run, by which it can be repeated."""
    return f"{scenario.fault}/{scenario.traffic}/{number}"


def run(scenario: Scenario, number: int, seed: int, mutant: str, rows: dict[str, Row], kept: Path) -> bool:
    """Run a scenario on a broker of its own; tell whether all was as it must be, and keep the logs if not."""
    name = name_of(scenario, number)
    source = random.Random(f"{seed}/{name}")
    directory = Path(tempfile.mkdtemp(prefix="culdesac-faults-"))
    began = time.monotonic()
    environment = {STRETCH_S: str(source.choice(STRETCHES_S))} | ({MUTANT: mutant} if mutant else {})
    try:
        with (
            EmbeddedKafka() as kafka,
            Bench(kafka, directory, shop(source.randrange(SHOPS)), source, None, environment) as bench,
        ):
            scenario.play(bench)
            verdict = bench.verdict()
            rows.setdefault(scenario.fault, Row()).add(verdict, [seconds for _, seconds in bench.resumed])
            said = "equal" if verdict.is_equal else f"NOT EQUAL: {verdict}"
            faults = ", ".join(f"{fault} ({seconds:.1f} s)" for fault, seconds in bench.resumed)
            _say(f"{name}: {said}; {verdict.events} events in {time.monotonic() - began:.0f} s; {faults}")
            is_equal = verdict.is_equal
    except Exception:  # noqa: BLE001  # whatever it is, the run is to be repeated by its name
        _say(f"{name}: {traceback.format_exc()}")
        is_equal = False
    if is_equal:
        shutil.rmtree(directory)
    else:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(directory, kept)
    return is_equal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, and give the exit code."""
    parser = argparse.ArgumentParser(prog=f"deploy/test {OPTION}", description="The full fault suite.")
    parser.add_argument("--seed", type=int, default=None, help="of all choices; printed at the start")
    parser.add_argument("--minutes", type=float, default=None, help="begin no run after so long (30)")
    parser.add_argument("--hours", type=float, default=None, help="the same in hours")
    parser.add_argument(
        "--run", default="", help="only runs whose name begins so; one that is whole: only once"
    )
    parser.add_argument("--mutant", default="", help="break the product in a known way: it has to turn red")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.CRITICAL)
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    is_limited = options.minutes is not None or options.hours is not None
    limit_s = 60 * (options.minutes or 0.0) + 3600 * (options.hours or 0.0) if is_limited else 1800.0
    kept = Path(tempfile.gettempdir()) / "culdesac-faults-failed"
    rows: dict[str, Row] = {}
    began = time.monotonic()
    _say(f"seed {seed}, {limit_s / 60:.0f} minutes")
    for scenario, number in order(seed):
        name = name_of(scenario, number)
        if not name.startswith(options.run):
            if number > 50 and not rows:
                _say(f"no run's name begins with {options.run!r}; one is {name!r}")
                return 2
            continue
        if time.monotonic() - began >= limit_s:
            break
        if not run(scenario, number, seed, options.mutant, rows, kept):
            _say(render(rows))
            _say(f"logs: {kept}\nagain: deploy/test {OPTION} --seed {seed} --run '{name}'")
            return 1
        if name == options.run:
            break
    _say(render(rows))
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
