"""What alerts are worth: worlds whose faults are known, played through the pages stage from counts a minute.

    python -m tests.benchmarks.truth [--only quiet +40 steps …] [--seeds 201 202 …] [--rates 1000] [--sigmas 0.2]
                                     [--journal FILE]

prints a JSON line a figure, pooled over the seeds. A result stands in the journal as soon as it is there and is not
computed again: what was broken off goes on. Thresholds and margins were not chosen on these seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.benchmarks.truth.experiments import EXPERIMENTS
from tests.benchmarks.truth.verdicts import Figures

SEEDS = (201, 202, 203, 204, 205)


class Journal:
    """Results by what was asked, in a file of JSON lines if one is given."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        self._known: dict[str, Figures] = dict(json.loads(line) for line in lines)

    def result(self, name: str, seed: int, rate: float, sigma: float) -> Figures:
        """Look a result up, or find it."""
        asked = f"{name} seed={seed} rate={rate:g} sigma={sigma:g}"
        if asked not in self._known:
            self._known[asked] = EXPERIMENTS[name].find(seed, rate, sigma)
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps([asked, self._known[asked]]) + "\n")
        return self._known[asked]


def main() -> None:
    """Print every figure as a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--rates", type=float, nargs="*", default=[1000.0])
    parser.add_argument("--sigmas", type=float, nargs="*", default=[0.2])
    parser.add_argument("--journal", type=Path)
    given = parser.parse_args()
    journal = Journal(given.journal)
    for name in given.only:
        for rate in given.rates:
            for sigma in given.sigmas:
                results = [journal.result(name, seed, rate, sigma) for seed in given.seeds]
                for figures in EXPERIMENTS[name].pool(results):
                    line = {
                        "experiment": name,
                        "sessions_an_hour": rate,
                        "sigma": sigma,
                        "seeds": given.seeds,
                    }
                    sys.stdout.write(json.dumps(line | figures) + "\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
