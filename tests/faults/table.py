"""The table of what was survived: a row a fault."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from tests.faults.verdicts import Verdict

_HEAD = "| fault | runs | events | missing | wrong | extra | duplicates | seconds until work went on: median, max |"
_RULE = "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"


@dataclass
class Row:
    """What all runs of a fault came to."""

    runs: int = 0
    events: int = 0
    missing: int = 0
    wrong: int = 0
    extra: int = 0
    duplicates: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, verdict: Verdict, seconds: list[float]) -> None:
        """Take in a run."""
        self.runs += 1
        self.events += verdict.events
        self.missing += verdict.missing
        self.wrong += verdict.wrong
        self.extra += verdict.extra
        self.duplicates += verdict.duplicates
        self.seconds += seconds


def render(rows: dict[str, Row]) -> str:
    """Markdown of the table.

    Examples
    --------
    >>> row = Row()
    >>> row.add(Verdict(events=12_000, duplicates=3), [1.0, 4.0])
    >>> print(render({"kill": row}).splitlines()[2])
    | kill | 1 | 12,000 | 0 | 0 | 0 | 3 | 2.5, 4.0 |
    """
    lines = [_HEAD, _RULE]
    for fault, row in rows.items():
        seconds = f"{statistics.median(row.seconds):.1f}, {max(row.seconds):.1f}" if row.seconds else "–"
        counts = (row.runs, row.events, row.missing, row.wrong, row.extra, row.duplicates)
        lines.append(f"| {fault} | {' | '.join(f'{count:,}' for count in counts)} | {seconds} |")
    return "\n".join(lines)
