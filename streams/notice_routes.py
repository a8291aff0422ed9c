"""Notice routes: of which alerts somebody is told, and when he does not want to be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fnmatch import fnmatchcase

import msgspec

from schemas.dead_end_alerts import AlertScope, AlertStatus, DeadEndAlert

TOLD: tuple[AlertStatus, ...] = ("opened", "confirmed", "withdrawn", "resolved", "reopened")
"""Of which changes one is told where a route names none: an update every few minutes is no news."""
BEGINNINGS: frozenset[AlertStatus] = frozenset({"opened", "reopened"})
ENDS: frozenset[AlertStatus] = frozenset({"withdrawn", "resolved", "dismissed"})
"""With these an alert is over: who was told of it is told of that, even where less money is at stake by then."""
UNHEARD_CHARACTERS = 4_000
"""What Kafka keeps beside a committed offset, by default, less a little."""
_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class QuietHours(msgspec.Struct, frozen=True):
    """A time of day in which nobody is to be told, from `begin` (≥) to `end` (<); it may go over midnight.

    Attributes
    ----------
    zone
        Of both.
    """

    begin: time
    end: time
    zone: tzinfo = UTC

    def wait_s(self, now: datetime) -> float:
        """Seconds until they are over; 0 outside of them.

        Examples
        --------
        >>> quiet = quiet_hours("22:00-07:00")
        >>> quiet.wait_s(datetime(2026, 3, 1, 21, 59, tzinfo=UTC))
        0.0
        >>> quiet.wait_s(datetime(2026, 3, 1, 23, 0, tzinfo=UTC))
        28800.0
        """
        local = now.astimezone(self.zone)
        today, clock = local.date(), local.time()
        within = (
            self.begin <= clock < self.end
            if self.begin < self.end
            else clock >= self.begin or clock < self.end
        )
        if not within:
            return 0.0
        day = today if clock < self.end else today + timedelta(days=1)
        # Both in UTC: of two local times Python takes the difference of the clocks, whatever was changed between.
        end = datetime.combine(day, self.end, self.zone).astimezone(UTC)
        return max(0.0, (end - now.astimezone(UTC)).total_seconds())


def quiet_hours(text: str, zone: tzinfo = UTC) -> QuietHours:
    """Read quiet hours.

    Raises
    ------
    ValueError
        They are not two times of day, or the same one twice.

    Examples
    --------
    >>> quiet_hours("12:30-13:00").begin
    datetime.time(12, 30)
    >>> quiet_hours("22-7")
    Traceback (most recent call last):
        ...
    ValueError: '22-7' are no quiet hours: write them such as 22:00-07:00
    """
    found = _QUIET.fullmatch(text.strip())
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise ValueError(f"{text!r} are no quiet hours: write them such as 22:00-07:00")
    return QuietHours(time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])), zone)


class Unheard:
    """Alerts that a route would have told of when they began, had more been at stake.

    It tells of them when there is more, and not of the end of those of which it never told. Its text makes another
    of the same: committed beside the offset, it outlives a restart.

    Parameters
    ----------
    text
        Ids, by blanks. Of more than `UNHEARD_CHARACTERS` the oldest are forgotten.

    Examples
    --------
    >>> unheard = Unheard("a1 b2")
    >>> unheard.add("c3")
    >>> unheard.discard("a1"), unheard.discard("a1"), unheard.text
    (True, False, 'b2 c3')
    """

    def __init__(self, text: str = "") -> None:
        self._ids = dict.fromkeys(text.split())

    @property
    def text(self) -> str:
        """All of them."""
        return " ".join(self._ids)

    def add(self, alert_id: str) -> None:
        """Keep one more."""
        self._ids[alert_id] = None
        while len(self.text) > UNHEARD_CHARACTERS:
            del self._ids[next(iter(self._ids))]

    def discard(self, alert_id: str) -> bool:
        """Tell whether it is one of them, and keep it no more."""
        if alert_id not in self._ids:
            return False
        del self._ids[alert_id]
        return True


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Of which alerts a receiver is told.

    Attributes
    ----------
    name
        Of the route; who reads on after a restart is known by it.
    receiver
        Name of who is told.
    sites, templates, pages
        Patterns (``*`` and ``?``) of which one has to fit; none: all. Of an alert about something wider than a
        page no template and no page fits, but that of a template its own.
    scopes
        Which kinds; none: all.
    statuses
        Which changes.
    least_money
        Only where so much is at stake, in any currency: an alert that begins with less is told of when there is
        more. That it is over is told if its beginning was.
    quiet
        When not.
    """

    name: str
    receiver: str
    sites: Sequence[str] = ()
    templates: Sequence[str] = ()
    pages: Sequence[str] = ()
    scopes: Sequence[AlertScope] = ()
    statuses: Sequence[AlertStatus] = TOLD
    least_money: Decimal = Decimal(0)
    quiet: QuietHours | None = None

    def wants(self, alert: DeadEndAlert, unheard: Unheard) -> bool:
        """Tell whether somebody is to be told of a change of an alert, and keep in mind of which not yet.

        Of an alert that is muted nothing is told, until it is over.

        Parameters
        ----------
        alert
            As it is now.
        unheard
            Of which alerts before this change nobody was told for want of money at stake; changed.

        Examples
        --------
        >>> alert = DeadEndAlert(
        ...     id="a", alert_id="a", revision=1, status="opened", page="shop.example/sizes", template="help",
        ...     site="shop", scope="page", opened_at="2026-01-07T14:08:00.000Z",
        ...     updated_at="2026-01-07T14:08:00.000Z", cause="page_broke", log_evidence=12.0, views=40, exits=30,
        ...     expected_exits=12.0, money_at_stake="150", currency="EUR")
        >>> Route(name="r", receiver="team", sites=["shop*"], least_money=Decimal(100)).wants(alert, Unheard())
        True
        >>> Route(name="r", receiver="team", templates=["product"]).wants(alert, Unheard())
        False
        """
        if not self._is_about(alert):
            return False
        wanted = alert.status in self.statuses
        if alert.status in ENDS:
            return not unheard.discard(alert.alert_id) and wanted
        if Decimal(alert.money_at_stake or 0) < self.least_money:
            if wanted and alert.status in BEGINNINGS:
                unheard.add(alert.alert_id)
            return False
        if alert.muted_until is not None and alert.updated_at < alert.muted_until:
            return False
        return unheard.discard(alert.alert_id) or wanted

    def _is_about(self, alert: DeadEndAlert) -> bool:
        template = (
            alert.template if alert.scope == "page" else alert.value if alert.scope == "template" else ""
        )
        page = alert.page if alert.scope == "page" else ""
        return (
            _fits(self.sites, alert.site)
            and _fits(self.templates, template or "")
            and _fits(self.pages, page)
            and (not self.scopes or alert.scope in self.scopes)
        )


def _fits(patterns: Sequence[str], text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
