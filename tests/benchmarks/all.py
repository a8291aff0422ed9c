"""All measurements of what the product costs, one after the other, and their figures as Markdown tables.

    python -m tests.benchmarks.all [--short] [--only latency recovery …] [--lines FILE]

takes some half an hour on a quiet machine (`--short`: some minutes, to see that all of it works). Each is a command
of its own, which is printed above its table; the machine's speed stands in the first and last lines of each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FULL = {
    "product": "--hours 20",
    "parts": "--hours 6",
    "latency": "--rates 10 1000 5000 --seconds 30 --silences 15",
    "open_visitors": "--visitors 100000 300000 1000000 --held 50000",
    "recovery": "--visitors 300000 1000000",
    "soak": "--minutes 10",
    "growth": "--events 30000",
    "partitions": "--partitions 1 12 100",
    "collecting": "--connections 8 64 --seconds 10",
    "board": "--updates 20",
}
SHORT = {
    "product": "--hours 2",
    "parts": "--hours 2",
    "latency": "--rates 100 --seconds 5 --steady 5 --silences 1",
    "open_visitors": "--visitors 5000 20000 --held 5000",
    "recovery": "--visitors 20000",
    "soak": "--minutes 0.5 --rate 100",
    "growth": "--events 4000 --only load pages hot",
    "partitions": "--partitions 1 4 --hours 0.5",
    "collecting": "--connections 8 --seconds 2",
    "board": "--updates 3",
}
LIMIT_S = 1_500
Line = dict[str, Any]


def run(name: str, arguments: str) -> list[Line]:
    """Figures of one command; what it says otherwise goes to stderr."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments.split()]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False)
    lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    if process.returncode:
        lines.append({"figure": f"FAILED with code {process.returncode}", "value": float("nan")})
    return lines


def table(name: str, arguments: str, lines: list[Line], seconds: float) -> str:
    """Figures as a Markdown table.

    >>> print(table("soak", "--minutes 1", [{"figure": "rss_mb", "value": 7.5, "events": 3}], 60))
    `python -m tests.benchmarks.soak --minutes 1` (60 s)
    <BLANKLINE>
    | figure | value | workload |
    | --- | --- | --- |
    | rss_mb | 7.5 | events 3 |
    <BLANKLINE>
    """
    rows = [f"`python -m tests.benchmarks.{name} {arguments}` ({seconds:.0f} s)", ""]
    rows += ["| figure | value | workload |", "| --- | --- | --- |"]
    for line in lines:
        workload = ", ".join(f"{k} {v}" for k, v in line.items() if k not in ("figure", "value"))
        rows.append(f"| {line['figure']} | {line['value']:,} | {workload} |")
    return "\n".join([*rows, ""])


def main() -> int:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(FULL), default=list(FULL))
    parser.add_argument("--lines", type=Path, help="where to append the JSON lines, too")
    given = parser.parse_args()
    failed = False
    for name in given.only:
        arguments = (SHORT if given.short else FULL)[name]
        began = time.monotonic()
        lines = run(name, arguments)
        failed |= any(line["figure"].startswith("FAILED") for line in lines)
        if given.lines is not None:
            with given.lines.open("a") as out:
                out.writelines(json.dumps({"benchmark": name, **line}) + "\n" for line in lines)
        sys.stdout.write(table(name, arguments, lines, time.monotonic() - began) + "\n")
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
