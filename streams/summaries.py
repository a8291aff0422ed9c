"""Summaries: what came out of a replay, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from schemas.enriched_page_views import EnrichedPageView
from schemas.model_reports import ModelReport
from schemas.page_scores import PageScore
from schemas.rejected_events import RejectedEvent
from schemas.session_revisions import SessionRevision
from schemas.sessions import Session
from streams.alert_rates import AlertRate, rate_of
from streams.settings import Settings
from streams.stages import Output

KEPT_SESSIONS = 500_000
"""So many of the newest sessions are remembered to correct the counts when one changes; older ones are final."""

Counts = Mapping[str, Counter[tuple[str, str]]]
_Known = tuple[str, str, int, bool]


class Summary:
    """Counts outputs as they come: the last revision of a session, a page and an alert holds.

    Parameters
    ----------
    settings
        Of the replay: for how long no alert opens, and how many a week will be borne.

    Examples
    --------
    >>> Summary().figures({})["sessions"]["closed"]
    0
    """

    def __init__(self, settings: Settings | None = None) -> None:
        settings = settings or Settings()
        self._warm_up_ms = settings.warm_up_ms
        self._budget = settings.alerts_per_week
        self._seen: dict[str, list[int]] = {}
        self.outputs: Counter[str] = Counter()
        self._sessions: dict[str, _Known] = {}
        self._later: dict[str, set[str]] = {}
        self._outcomes: Counter[str] = Counter()
        self._exit_reasons: Counter[str] = Counter()
        self._views_in_sessions = 0
        self._bots = 0
        self._views = 0
        self._rejected: Counter[str] = Counter()
        self._pages: dict[tuple[str, str], PageScore] = {}
        self._alerts: dict[str, DeadEndAlert] = {}
        self._models: dict[tuple[str, str], ModelReport] = {}

    def add(self, output: Output) -> None:
        """Take one output in."""
        self.outputs[output.topic] += 1
        value = output.value
        if isinstance(value, EnrichedPageView):
            self._views += 1
            site, at_ms = value.site or "", output.time_ms
            seen = self._seen.get(site)
            if seen is None:
                self._seen[site] = [at_ms, at_ms]
            elif at_ms > seen[1]:
                seen[1] = at_ms
            elif at_ms < seen[0]:
                seen[0] = at_ms
        elif isinstance(value, Session):
            self._add_session(value)
        elif isinstance(value, SessionRevision):
            self._revise(value)
        elif isinstance(value, PageScore):
            self._pages[value.site, value.page] = value
        elif isinstance(value, DeadEndAlert):
            self._alerts[value.alert_id] = value
        elif isinstance(value, RejectedEvent):
            self._rejected[value.reason] += 1
        elif isinstance(value, ModelReport):
            self._models[value.site, value.model] = value

    @property
    def page_views(self) -> int:
        """Page views that came out enriched."""
        return self._views

    @property
    def alerts(self) -> list[DeadEndAlert]:
        """Last revision of each alert, by the time of its opening."""
        return sorted(self._alerts.values(), key=lambda alert: (alert.opened_at, alert.alert_id))

    @property
    def alert_rate(self) -> AlertRate:
        """Alerts a week that were not withdrawn; on a log without faults, what the budget really gives."""
        watched_ms = sum(max(0, last - first - self._warm_up_ms) for first, last in self._seen.values())
        return rate_of(sum(alert.status != "withdrawn" for alert in self._alerts.values()), watched_ms)

    def dead_ends(self, number: int = 10) -> list[PageScore]:
        """Pages that lose the most visitors beyond what was to be expected, the worst first."""
        return ranked(self._pages.values())[:number]

    def figures(self, counts: Counts) -> dict[str, Any]:
        """Everything as plain JSON values.

        Parameters
        ----------
        counts
            What the stages have counted, by stage.
        """

        def total(counter: str) -> int:
            return sum(by for stage in counts.values() for (name, _), by in stage.items() if name == counter)

        return {
            "page_views": self._views,
            "sessions": {
                "closed": sum(self._outcomes.values()),
                "page_views": self._views_in_sessions,
                "bots": self._bots,
                "by_outcome": _sorted(self._outcomes),
                "by_exit_reason": _sorted(self._exit_reasons),
            },
            "dead_ends": [msgspec.to_builtins(page) for page in self.dead_ends()],
            "alerts": [msgspec.to_builtins(alert) for alert in self.alerts],
            "alert_rate": {**msgspec.to_builtins(self.alert_rate), "budget": self._budget},
            "rejected": _sorted(self._rejected),
            "late": total("late"),
            "duplicates": total("duplicates"),
            "models": [msgspec.to_builtins(self._models[key]) for key in sorted(self._models)],
            "records": _sorted(self.outputs),
        }

    def _add_session(self, session: Session) -> None:
        before = self._sessions.pop(session.session_id, None)
        if before is not None:
            self._count(session.session_id, before, -1)
        if session.status == "retracted":
            self._later.pop(session.session_id, None)
            return
        known = (
            session.outcome or "none",
            session.exit_reason or "none",
            session.page_views,
            bool(session.is_bot),
        )
        self._sessions[session.session_id] = known
        self._count(session.session_id, known, 1)
        if len(self._sessions) > KEPT_SESSIONS:
            oldest = next(iter(self._sessions))
            del self._sessions[oldest]
            self._later.pop(oldest, None)

    def _revise(self, revision: SessionRevision) -> None:
        """Let another reason hold for a session, or no more."""
        name = revision.session_id
        known = self._sessions.get(name)
        if known is None:
            return
        self._count(name, known, -1)
        # What was the session of one customer and is another's has a revision of each.
        holding = self._later.setdefault(name, set())
        if revision.status == "revised":
            holding.add(revision.id)
        else:
            holding.discard(revision.id)
        self._count(name, known, 1)

    def _count(self, session_id: str, known: _Known, by: int) -> None:
        outcome, exit_reason, page_views, is_bot = known
        if exit_reason == "dead_end" and self._later.get(session_id):
            exit_reason = "bought_later"
        self._outcomes[outcome] += by
        self._exit_reasons[exit_reason] += by
        self._views_in_sessions += by * page_views
        self._bots += by * is_bot


def ranked(pages: Iterable[PageScore]) -> list[PageScore]:
    """Give the pages that lose visitors for all we know (`settled`, with a rank score > 0), the worst first."""
    settled = [page for page in pages if page.settled and page.rank_score > 0]
    return sorted(settled, key=lambda page: (-page.rank_score, page.page))


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return {name: number for name, number in counter.most_common() if number}
