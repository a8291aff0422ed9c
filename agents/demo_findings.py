"""Findings of the demo: alerts held against the faults that were planted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agents.alerts import Newest
from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import parse_time
from streams.shop import Fault, plain_page

DUE_VIEWS = 500
"""A fault of 40 points that is not found after so many views of its page was missed: of the made-up shop's
faults, on busy pages and at any hour of the day, the slowest took 400."""
_HOUR_MS = 3_600_000


class Finding(NamedTuple):
    """One planted fault, the alert that found it, and how often its page is usually seen.

    Attributes
    ----------
    fault
        What was planted.
    alert
        First alert for that page that opened, or opened again, after the fault began; None: not found.
    views_per_hour
        Of the page, on average over a week.
    """

    fault: Fault
    alert: DeadEndAlert | None
    views_per_hour: float

    @property
    def after_ms(self) -> int | None:
        """How long after it began it was found (event time, ms)."""
        return None if self.alert is None else _opened_ms(self.alert) - self.fault.start_ms

    @property
    def over_after_ms(self) -> int | None:
        """How long after its repair the alert was over (event time, ms); None: it is not over."""
        if self.alert is None or self.alert.resolved_at is None or self.alert.status != "resolved":
            return None
        return parse_time(self.alert.resolved_at) - self.fault.end_ms

    def is_due(self, now_ms: int) -> bool:
        """Tell whether its time is up at the event time `now_ms`: it should have been found."""
        return (now_ms - self.fault.start_ms) / _HOUR_MS * self.views_per_hour >= DUE_VIEWS


class Findings:
    """Keeps the newest revision of each alert, and knows the plan.

    Parameters
    ----------
    views_per_hour
        Each planted fault with the views that its page usually has.

    Examples
    --------
    >>> findings = Findings({Fault("shop.example/cart", 0, 9, 0.4): 120.0})
    >>> findings.planted()[0].after_ms, findings.unplanted()
    (None, [])
    """

    def __init__(self, views_per_hour: Mapping[Fault, float]) -> None:
        self._plan = sorted(views_per_hour, key=lambda fault: (fault.start_ms, fault.page))
        self._views_per_hour = views_per_hour
        self._newest = Newest()

    def take(self, alert: DeadEndAlert) -> bool:
        """Take a revision in; tell whether it is news."""
        return self._newest.take(alert)

    def planted(self) -> list[Finding]:
        """Give each planted fault with its alert."""
        alerts = self._newest.alerts()
        return [
            Finding(
                fault,
                next((alert for alert in alerts if _finds(alert, fault)), None),
                self._views_per_hour[fault],
            )
            for fault in self._plan
        ]

    def unplanted(self) -> list[DeadEndAlert]:
        """Give alerts about what was not planted: false ones, and those of wider scopes."""
        return [
            alert for alert in self._newest.alerts() if not any(_finds(alert, fault) for fault in self._plan)
        ]

    def verdict(self, now_ms: int) -> tuple[bool, str]:
        """Tell whether all was found whose time was up at the event time `now_ms`, and say so in a line."""
        planted = self.planted()
        due = [finding for finding in planted if finding.is_due(now_ms)]
        missed = [finding for finding in due if finding.alert is None]
        found = sum(finding.alert is not None for finding in planted)
        line = f"Found {found} of {len(planted)} planted dead ends; alerts about others: {len(self.unplanted())}."
        if not due:
            return (
                False,
                f"{line} No page was seen often enough since it broke: raise --sessions-per-hour, or --for.",
            )
        if missed:
            pages = ", ".join(finding.fault.page for finding in missed)
            return False, f"{line} Missed, though its time was up: {pages}."
        return True, line


def _finds(alert: DeadEndAlert, fault: Fault) -> bool:
    is_of_page = alert.scope == "page" and plain_page(alert.page) == fault.page
    return is_of_page and _opened_ms(alert) >= fault.start_ms


def _opened_ms(alert: DeadEndAlert) -> int:
    """When it opened, the last time."""
    return parse_time(alert.reopened_at or alert.opened_at)
