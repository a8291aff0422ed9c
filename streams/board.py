"""The board: folds records of topics into what a team is shown; in bounded memory, in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from schemas.alert_decisions import AlertDecision
from schemas.dead_end_alerts import DeadEndAlert
from schemas.decoding import RejectedError, decode_input
from schemas.page_scores import PageScore
from schemas.purchase_associations import PurchaseAssociation
from schemas.timestamps import UtcTime, parse_time
from schemas.undelivered_notices import UndeliveredNotice
from streams.board_histories import History
from streams.board_traffic import Traffic
from streams.board_visits import MAX_STEPS, Visit, Visits
from streams.intake import PROGRESS

TOPICS = (
    "dead-end-alerts",
    "page-scores",
    "purchase-associations",
    "alert-decisions",
    "undelivered-notices",
    "sessions",
    "enriched-page-views",
)
"""Topics that it reads, those first that matter most."""
TAIL_TOPICS = frozenset({"sessions", "enriched-page-views"})
"""Of these the end is enough: they show what goes on now."""
MAX_ALERTS, MAX_PAGES, MAX_NOTICES = 2_000, 20_000, 100
"""More are not kept: alerts that were over first go first, pages beyond are counted as left out, and of notices the
first ones go."""
OVER = frozenset({"withdrawn", "dismissed", "resolved"})
SETTLED_MS = 15 * 60_000
"""So much event time after a decision its alert carries it, or never will: minutes are judged some 6 later."""


class SeenView(msgspec.Struct, gc=False):
    """As much of an enriched page view as is counted here: nobody's id among it."""

    occurred_at: UtcTime
    site: str | None = None
    is_bot: bool = False


class SeenSession(msgspec.Struct, gc=False):
    """As much of a session as is counted here."""

    session_id: str
    revision: int
    status: str
    ended_at: UtcTime
    site: str | None = None
    pages: list[str] | None = None
    outcome: str | None = None
    exit_reason: str | None = None
    is_bot: bool | None = None


class ShownAlert(NamedTuple):
    """An alert as it is shown.

    Attributes
    ----------
    alert
        Its last revision.
    waiting
        A decision that the alert itself does not carry yet.
    in_vain
        Whether that has had the time to change something: it was refused, or things were so already.
    """

    alert: DeadEndAlert
    waiting: AlertDecision | None
    in_vain: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.alert.status not in OVER

    @property
    def stake(self) -> Decimal:
        """Money at stake; 0 where it is not known."""
        return Decimal(self.alert.money_at_stake or "0")


_DECODERS: dict[str, Any] = {
    "dead-end-alerts": msgspec.json.Decoder(DeadEndAlert),
    "page-scores": msgspec.json.Decoder(PageScore),
    "purchase-associations": msgspec.json.Decoder(PurchaseAssociation),
    "undelivered-notices": msgspec.json.Decoder(UndeliveredNotice),
    "sessions": msgspec.json.Decoder(SeenSession),
    "enriched-page-views": msgspec.json.Decoder(SeenView),
}


class Board:
    """What is shown, from the records of `TOPICS`.

    The last revision of an id holds, so records may come twice, and again after a restart.

    Attributes
    ----------
    unreadable
        Records that could not be read, by topic; they change nothing else.
    left_out
        Pages that are not kept, for there are too many.
    version
        Grows with each record that changes something.

    Examples
    --------
    >>> board = Board()
    >>> board.take("dead-end-alerts", b"nonsense")
    False
    >>> board.unreadable
    {'dead-end-alerts': 1}
    """

    def __init__(self) -> None:
        self.unreadable: dict[str, int] = {}
        self.left_out = 0
        self.version = 0
        self.traffic = Traffic()
        self.visits = Visits()
        self._alerts: dict[str, DeadEndAlert] = {}
        self._decisions: dict[str, AlertDecision] = {}
        self._scores: dict[tuple[str, str], PageScore] = {}
        self._histories: dict[tuple[str, str], History] = {}
        self._credits: dict[tuple[str, str], PurchaseAssociation] = {}
        self._placebos: dict[str, PurchaseAssociation] = {}
        self._notices: dict[str, UndeliveredNotice] = {}

    def take(self, topic: str, value: bytes | None) -> bool:
        """Take a record in; tell whether it changed anything. What can't be read is counted, and left out."""
        if value is None or value.startswith(PROGRESS):
            return False
        try:
            changed = self._take(topic, value)
        except (msgspec.DecodeError, RejectedError, ValueError, RecursionError):
            self.unreadable[topic] = self.unreadable.get(topic, 0) + 1
            self.version += 1
            return False
        self.version += changed
        return changed

    def sites(self) -> list[str]:
        """Sites that are known, by name."""
        known = {alert.site for alert in self._alerts.values()} | {site for site, _ in self._scores}
        return sorted(known)

    def alert(self, alert_id: str) -> ShownAlert | None:
        """Give an alert by its id."""
        alert = self._alerts.get(alert_id)
        return None if alert is None else self._shown(alert)

    def decision_time(self, alert: DeadEndAlert, now_ms: int) -> int:
        """Event time (ms) of a decision that somebody takes now about what he sees here.

        It is the shop's time, so that it counts at once also where a past is played fast, and later than all that
        is known of the alert; never later than `now_ms`, the clock's time.
        """
        seen_ms = self.traffic.newest_ms(alert.site)
        if seen_ms is None:
            return now_ms
        before = self._decisions.get(alert.alert_id)
        known = [seen_ms, parse_time(alert.updated_at), 0 if before is None else before.occurred_at + 1]
        return min(now_ms, max(known))

    def open_alerts(self, site: str | None = None) -> list[ShownAlert]:
        """Alerts that are not over, the most money at stake first; those that are muted are behind."""
        shown = [self._shown(alert) for alert in self._of(site) if alert.status not in OVER]
        return sorted(
            shown,
            key=lambda s: (s.alert.status == "muted", -s.stake, -s.alert.log_evidence, s.alert.alert_id),
        )

    def over_alerts(self, site: str | None = None, number: int = 20) -> list[ShownAlert]:
        """Alerts that are over, the latest first."""
        over = [alert for alert in self._of(site) if alert.status in OVER]
        over.sort(key=lambda alert: (alert.updated_at, alert.alert_id), reverse=True)
        return [self._shown(alert) for alert in over[:number]]

    def alerts_of(self, site: str, page: str) -> list[ShownAlert]:
        """Alerts about a page, the latest first."""
        found = [alert for alert in self._of(site) if alert.page == page]
        found.sort(key=lambda alert: (alert.opened_at, alert.alert_id), reverse=True)
        return [self._shown(alert) for alert in found]

    def driving(self, site: str | None = None) -> list[PurchaseAssociation]:
        """Pages that go along with purchases, by their place; those of no place are left out."""
        found = [
            credit
            for (of, _), credit in self._credits.items()
            if credit.place is not None and (site is None or of == site)
        ]
        return sorted(found, key=lambda credit: (credit.place or 0, credit.site, credit.value))

    def placebo(self, site: str) -> PurchaseAssociation | None:
        """Give the made-up page that does nothing: what is behind it is not known to be better."""
        return self._placebos.get(site)

    def undelivered(self, site: str | None = None, number: int = 5) -> list[UndeliveredNotice]:
        """Notices of which somebody should have been told and was not, the latest first."""
        found = [notice for notice in self._notices.values() if site is None or notice.site == site]
        found.sort(key=lambda notice: (notice.undelivered_at, notice.id), reverse=True)
        return found[:number]

    def scores(self, site: str | None = None, text: str = "") -> list[PageScore]:
        """Pages whose address contains a text, those that lose most first."""
        text = text.casefold()
        found = [
            score
            for (of, page), score in self._scores.items()
            if (site is None or of == site) and (not text or text in page.casefold())
        ]
        return sorted(found, key=lambda score: (-score.rank_score, score.site, score.page))

    def score(self, site: str, page: str) -> PageScore | None:
        """Give the last score of a page."""
        return self._scores.get((site, page))

    def credit(self, site: str, page: str) -> PurchaseAssociation | None:
        """Give what goes along with a page."""
        return self._credits.get((site, page))

    def history(self, site: str, page: str) -> History:
        """Give how a page's counts have grown; empty of a page that is not known."""
        return self._histories.get((site, page)) or History()

    def _take(self, topic: str, value: bytes) -> bool:
        if topic == "alert-decisions":
            decision = decode_input(topic, value)
            return isinstance(decision, AlertDecision) and self._decide(decision)
        record = _DECODERS[topic].decode(value)
        if isinstance(record, SeenView):
            if record.is_bot:
                return False
            self.traffic.add_view(record.site or "", parse_time(record.occurred_at))
            return True
        if isinstance(record, SeenSession):
            return self._visit(record)
        if isinstance(record, DeadEndAlert):
            return self._alert(record)
        if isinstance(record, PageScore):
            return self._score(record)
        if isinstance(record, UndeliveredNotice):
            return self._notice(record)
        return self._credit(record)

    def _alert(self, alert: DeadEndAlert) -> bool:
        known = self._alerts.get(alert.alert_id)
        if known is not None and known.revision >= alert.revision:
            return False
        self._alerts[alert.alert_id] = alert
        if len(self._alerts) > MAX_ALERTS:
            oldest = min(
                self._alerts.values(), key=lambda other: (other.status not in OVER, other.updated_at)
            )
            del self._alerts[oldest.alert_id]
            self._decisions.pop(oldest.alert_id, None)
        return True

    def _decide(self, decision: AlertDecision) -> bool:
        known = self._decisions.get(decision.alert_id)
        if known is not None and known.occurred_at >= decision.occurred_at:
            return False
        self._decisions.pop(decision.alert_id, None)
        self._decisions[decision.alert_id] = decision
        if len(self._decisions) > MAX_ALERTS:
            del self._decisions[next(iter(self._decisions))]
        return True

    def _notice(self, notice: UndeliveredNotice) -> bool:
        is_news = self._notices.get(notice.id) != notice
        self._notices[notice.id] = notice
        if len(self._notices) > MAX_NOTICES:
            del self._notices[
                min(self._notices.values(), key=lambda other: (other.undelivered_at, other.id)).id
            ]
        return is_news

    def _score(self, score: PageScore) -> bool:
        key = score.site, score.page
        known = self._scores.get(key)
        if known is not None and known.revision >= score.revision:
            return False
        if known is None and len(self._scores) >= MAX_PAGES:
            self.left_out += 1
            return True
        self._scores[key] = score
        self._histories.setdefault(key, History()).add(
            parse_time(score.as_of), score.views, score.exits, score.expected_exits, score.dead_end_exits
        )
        return True

    def _credit(self, credit: PurchaseAssociation) -> bool:
        if credit.scope == "placebo":
            self._placebos[credit.site] = credit
        elif credit.scope == "page":
            key = credit.site, credit.value
            known = self._credits.get(key)
            if known is not None and known.revision >= credit.revision:
                return False
            if known is None and len(self._credits) >= MAX_PAGES:
                self.left_out += 1
                return True
            self._credits[key] = credit
        return True

    def _visit(self, session: SeenSession) -> bool:
        if session.is_bot:
            return False
        if session.status == "retracted":
            before, is_news = self.visits.retract(session.session_id), False
        else:
            outcome, reason = session.outcome or "none", session.exit_reason or "none"
            visit = Visit(
                session.revision,
                session.site or "",
                parse_time(session.ended_at),
                outcome == "purchased",
                reason == "dead_end",
                tuple((session.pages or [])[-MAX_STEPS:]),
                reason,
            )
            before, is_news = self.visits.take(session.session_id, visit)
            if not is_news:
                return False
            self.traffic.add_session(visit.site, visit.ended_ms, visit.purchased, visit.dead_end)
        if before is not None:
            self.traffic.add_session(before.site, before.ended_ms, before.purchased, before.dead_end, -1)
        return is_news or before is not None

    def _of(self, site: str | None) -> Iterable[DeadEndAlert]:
        return (alert for alert in self._alerts.values() if site is None or alert.site == site)

    def _shown(self, alert: DeadEndAlert) -> ShownAlert:
        waiting = self._waiting(alert)
        if waiting is None:
            return ShownAlert(alert, None)
        now_ms = self.traffic.newest_ms(alert.site) or 0
        return ShownAlert(alert, waiting, now_ms - waiting.occurred_at > SETTLED_MS)

    def _waiting(self, alert: DeadEndAlert) -> AlertDecision | None:
        """Give the last decision about an alert, as long as the alert does not carry it."""
        decision = self._decisions.get(alert.alert_id)
        if decision is None or decision.site != alert.site:
            return None
        if alert.decided_at is not None and parse_time(alert.decided_at) >= decision.occurred_at:
            return None
        return decision
