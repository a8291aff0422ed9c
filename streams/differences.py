"""Differences between the outputs of two replays of the same records: sessions, exits, alerts, page scores.

What is compared are final records (the last revision of an id, retracted ones left out), without revision numbers
and without the scores of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from schemas.page_scores import PageScore
from schemas.rejected_events import RejectedEvent
from schemas.sessions import Session
from streams.alert_differences import ALERT_KINDS, AlertDifference, alert_difference, match_alerts
from streams.page_differences import page_differences
from streams.session_differences import SessionDifference
from streams.settled_sessions import EXAMPLES, SettledSessions
from streams.stages import Output

Difference = SessionDifference | AlertDifference
BEFORE, AFTER = 0, 1
"""The two sides."""


class Differences:
    """Compares outputs as they come.

    It holds the sessions that may still change, the last score of each page and the last revision of each alert, of
    both sides; see `SettledSessions`.

    Parameters
    ----------
    settle_ms
        How long after its end a session may still change; see `streams.settled_sessions.settle_ms`.
    write
        Called with each difference: of sessions as they settle, of alerts at the end, by the time of their opening.

    Examples
    --------
    >>> differences = Differences(0, print)
    >>> differences.finish()
    >>> differences.figures()["alerts"]["same"]
    0
    """

    def __init__(self, settle_ms: int, write: Callable[[Difference], None]) -> None:
        self._write = write
        self._sessions = SettledSessions(settle_ms, write)
        self._scores: tuple[dict[tuple[str, str], PageScore], ...] = ({}, {})
        self._alerts: tuple[dict[str, DeadEndAlert], ...] = ({}, {})
        self._rejected: Counter[tuple[int, str]] = Counter()
        self._differing: list[AlertDifference] = []
        self._same_alerts = 0

    @property
    def held(self) -> int:
        """Sessions that are not settled yet, of both sides."""
        return self._sessions.held

    def take(self, side: int, output: Output) -> None:
        """Take an output of a side in, in the order of its writing."""
        value = output.value
        if isinstance(value, Session):
            self._sessions.take(side, value)
        elif isinstance(value, PageScore):
            self._scores[side][value.site, value.page] = value
        elif isinstance(value, DeadEndAlert):
            self._alerts[side][value.alert_id] = value
        elif isinstance(value, RejectedEvent):
            self._rejected[side, value.reason] += 1

    def advance(self, watermark_ms: int) -> None:
        """Compare and forget what has settled: both sides have come as far as this event time (ms)."""
        self._sessions.advance(watermark_ms)

    def finish(self) -> None:
        """Compare what is left, and the alerts."""
        self._sessions.finish()
        before, after = self._alerts
        for pair in match_alerts(before.values(), after.values()):
            difference = alert_difference(*pair)
            if difference is None:
                self._same_alerts += 1
            else:
                self._differing.append(difference)
                self._write(difference)

    def figures(self, top: int = 10) -> dict[str, Any]:
        """Say what differs, as plain JSON values; ``before`` and ``after`` name the sides.

        Parameters
        ----------
        top
            So many pages are given.

        Returns
        -------
        dict
            ``sessions``: ``before`` and ``after``, how many; how many groups are the ``same`` or differ by kind
            (``changed``, ``split``, ``joined``, ``recut``, ``only_before``, ``only_after``); ``page_views``,
            ``outcomes`` {outcome}, ``revenue`` {currency}, each of both sides; ``fields`` {field: sessions changed
            in it}; ``examples`` {kind: [`SessionDifference`], at most 5, those that move most first}.

            ``exit_reasons``: [``before``, ``after``, ``sessions``], the commonest first; null: nobody left then.

            ``alerts``: ``before`` and ``after``, how many; ``same``, ``changed``, ``figures``, ``only_before``,
            ``only_after``; ``examples`` {kind: [`AlertDifference`], the first 5 by opening}.

            ``pages``: ``before`` and ``after``, how many have a score; ``changed``; ``top``
            [`PageDifference`], those whose rank score changed most.

            ``rejected``: {reason: records of both sides}.
        """
        kinds = Counter(difference.kind for difference in self._differing)
        pages = page_differences(*self._scores)
        reasons = sorted({reason for _, reason in self._rejected})
        return {
            **self._sessions.figures(),
            "alerts": {
                "before": len(self._alerts[BEFORE]),
                "after": len(self._alerts[AFTER]),
                "same": self._same_alerts,
                **{kind: kinds[kind] for kind in ALERT_KINDS},
                "examples": {
                    kind: msgspec.to_builtins([d for d in self._differing if d.kind == kind][:EXAMPLES])
                    for kind in ALERT_KINDS
                },
            },
            "pages": {
                "before": len(self._scores[BEFORE]),
                "after": len(self._scores[AFTER]),
                "changed": len(pages),
                "top": msgspec.to_builtins(pages[:top]),
            },
            "rejected": {
                reason: {"before": self._rejected[BEFORE, reason], "after": self._rejected[AFTER, reason]}
                for reason in reasons
            },
        }
