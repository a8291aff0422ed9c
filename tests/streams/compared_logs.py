"""Carries the sessions stage over one log under two settings, and compares what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from streams.differences import Difference, Differences
from streams.session_differences import SessionDifference
from streams.settings import Settings
from streams.settled_sessions import settle_ms
from streams.stages import Output
from tests.streams.visitor_logs import AT_THE_END, BEGINNING, Run


class Side(Run):
    """A run of the stage that hands on what it writes."""

    def __init__(self, settings: Settings, take: Callable[[Output], None]) -> None:
        super().__init__(settings)
        self._take = take

    def _apply(self, value: bytes) -> None:
        for output in self.processor.apply(self.offset, BEGINNING, value):
            self._take(output)
        self.offset += 1


@dataclass
class Compared:
    """What was written of the differences in their order, the figures, and how many sessions were held at most."""

    written: list[Difference]
    figures: dict[str, Any]
    most_held: int

    @property
    def sessions(self) -> list[SessionDifference]:
        """Differences of sessions."""
        return [difference for difference in self.written if isinstance(difference, SessionDifference)]

    @property
    def shapes(self) -> list[tuple[str, int, int]]:
        """Kind of each difference of sessions, and how many sessions it has before and after."""
        return [(d.kind, len(d.before), len(d.after)) for d in self.sessions]


def compared(
    records: Iterable[Any], before: Settings, after: Settings, settles: bool = True, tail: bool = True
) -> Compared:
    """Compare two settings over a log.

    Parameters
    ----------
    records
        Events in order of arrival, and whole numbers: marks, so many ms after the beginning.
    settles
        Compare what has settled at each mark; else all at the end, from all that was ever written.
    tail
        Let all deadlines pass at the end.
    """
    written: list[Difference] = []
    differences = Differences(settle_ms(before, after), written.append)
    sides = [
        Side(settings, partial(differences.take, number)) for number, settings in enumerate((before, after))
    ]
    most_held = 0
    for record in [*records, *([AT_THE_END] if tail else [])]:
        for side in sides:
            if isinstance(record, int):
                side.mark(record)
            else:
                side.send(record)
        most_held = max(most_held, differences.held)
        if settles and isinstance(record, int):
            differences.advance(min(side.processor.context.watermark for side in sides))
    differences.finish()
    return Compared(written, differences.figures(), most_held)
