"""Open alerts: what is kept of an alert from its opening until it is over, and how many are open."""

from __future__ import annotations

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from streams.note_records import Answers


class OpenAlert(msgspec.Struct, array_like=True):
    """An alert of a page or a scope: when it opened, was last written, last had views (`seen_ms`), opened again.

    `confirmed_ms` is when final exits confirmed it, since it opened the last time; `answers` is what people said.
    """

    alert_id: str
    revision: int
    opened_ms: int
    updated_ms: int
    seen_ms: int
    evidence: float
    reopened_ms: int | None = None
    confirmed_ms: int | None = None
    answers: Answers = msgspec.field(default_factory=Answers)


class OpenAlerts(msgspec.Struct, array_like=True):
    """The alerts that are open, of all sites of the partition.

    Attributes
    ----------
    number
        How many.
    said
        Of each, by its id, what was said of it last: cause, currency, money at stake. What an earlier version
        opened is missing until it is next spoken of.

    Examples
    --------
    >>> OpenAlerts(1, {"3f2a": ("page_broke", "EUR", "12.5")}).gauges()
    {('open_alerts', ''): 1, ('open_alerts_by_cause', 'page_broke'): 1, ('money_at_stake', 'page_broke EUR'): 12.5}
    """

    number: int = 0
    said: dict[str, tuple[str, str | None, str | None]] = msgspec.field(default_factory=dict)

    def note(self, alert: DeadEndAlert, change: int) -> None:
        """Take in a revision of an alert; `change` in how many are open: 1, 0 or -1."""
        self.number += change
        if change < 0:
            self.said.pop(alert.alert_id, None)
        else:
            self.said[alert.alert_id] = (alert.cause, alert.currency, alert.money_at_stake)

    def gauges(self) -> dict[tuple[str, str], float]:
        """Sum up, as gauges by name and label; the cost grows with the alerts that are open."""
        sums: dict[tuple[str, str], float] = {("open_alerts", ""): self.number}
        for cause, currency, money in self.said.values():
            key = ("open_alerts_by_cause", cause)
            sums[key] = sums.get(key, 0) + 1
            if currency is not None and money is not None:
                key = ("money_at_stake", f"{cause} {currency}")
                sums[key] = sums.get(key, 0) + float(money)
        return sums
