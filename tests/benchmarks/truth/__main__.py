"""What alerts are worth: worlds whose faults are known, played through the pages stage from counts a minute.

    python -m tests.benchmarks.truth [--hours] [--only quiet +40 steps …] [--seeds 201 202 …] [--rates 1000]
                                     [--sigmas 0.2] [--jobs N] [--journal FILE]

prints a JSON line a figure, pooled over the seeds: in some minutes a few, with `--hours` all of them. `--only`,
`--seeds`, `--rates` and `--sigmas` choose others. A result stands in the journal as soon as it is there and is not
computed again: what was broken off goes on. Thresholds and margins were not chosen on the seeds that are the
default.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import chain, islice
from math import isfinite
from pathlib import Path

from tests.benchmarks.truth.experiments import EXPERIMENTS
from tests.benchmarks.truth.grids import HOURS, MINUTES, Row, pools
from tests.benchmarks.truth.journals import Journal, JournalError


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every figure as a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", action="store_true", help="all experiments, on shops of all sizes")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=_seed, nargs="+")
    parser.add_argument("--rates", type=_positive, nargs="+", help="sessions an hour")
    parser.add_argument("--sigmas", type=_not_negative, nargs="+", help="noise from hour to hour, as a logit")
    parser.add_argument("--jobs", type=_count, default=1, help="how many processes")
    parser.add_argument("--journal", type=Path, help="where results are kept")
    given = parser.parse_args(arguments)
    asked = list(pools(_rows(given)))
    try:
        results = Journal(given.journal).find(chain.from_iterable(asked), given.jobs)
        for pool in asked:
            name, rate, sigma, _ = pool[0]
            what = {"experiment": name, "sessions_an_hour": rate, "sigma": sigma}
            what["seeds"] = [one.seed for one in pool]
            for figures in EXPERIMENTS[name].pool(list(islice(results, len(pool)))):
                sys.stdout.write(json.dumps(what | figures, ensure_ascii=False) + "\n")
                sys.stdout.flush()
    except (JournalError, OSError) as error:
        parser.error(str(error))
    return 0


def _rows(given: argparse.Namespace) -> list[Row]:
    """Give the grid that is asked for."""
    chosen = {"rates": given.rates, "sigmas": given.sigmas, "seeds": given.seeds}
    chosen = {name: values for name, values in chosen.items() if values is not None}
    rows: Sequence[Row] = HOURS if given.hours else MINUTES
    if not given.hours and (given.only or chosen):
        rows = [Row(given.only or tuple(EXPERIMENTS))]
    wanted = given.only or EXPERIMENTS
    rows = [row._replace(names=[name for name in row.names if name in wanted], **chosen) for row in rows]
    return [row for row in rows if row.names]


def _positive(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value > 0.0):
        raise argparse.ArgumentTypeError(f"{text} is not greater than 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not (isfinite(value) and value >= 0.0):
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
