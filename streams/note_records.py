"""What the pages stage keeps of decisions and deploys: notes that wait, deploys, and what was decided."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.alert_decisions import DecisionAction
from schemas.dead_end_alerts import AlertStatus
from schemas.visitor_events import SiteNote
from streams.symptoms import Suspicion


class WaitingNote(msgspec.Struct, array_like=True):
    """A decision or a deploy until its time has come; None once it has, so that a copy is known for one."""

    note: SiteNote | None


class KeptDeploy(msgspec.Struct, array_like=True, frozen=True):
    """A deploy that is kept."""

    at_ms: int
    event_id: str
    version: str
    by: str | None = None
    note: str | None = None
    url: str | None = None


class SiteDeploys(msgspec.Struct, array_like=True):
    """The last deploys of a site, in order of time, then of their ids."""

    deploys: list[KeptDeploy] = []


class AlertSubject(msgspec.Struct, array_like=True):
    """What an alert is about: the page, or the wider scope (``device:mobile``), under whose name it is kept.

    `suspicion` is what it had counted when it was over, to be gone on with if a person says that it is not.
    """

    name: str
    is_wide: bool
    suspicion: Suspicion | None = None


class Decided(msgspec.Struct, array_like=True, frozen=True):
    """A decision that was acted on."""

    action: DecisionAction
    at_ms: int
    by: str | None = None
    why: str | None = None


class Baseline(msgspec.Struct, array_like=True, frozen=True):
    """What the detector took for usual before a dismissal taught it better; see `streams.baselines`.

    `moved` is by how much (logit) all that a wider scope is part of was moved.
    """

    effect: float
    information: float
    newborn: bool
    alert: Literal["open", "open_new"]
    moved: float = 0.0


class Answers(msgspec.Struct, array_like=True):
    """What people have said of an alert.

    Attributes
    ----------
    last, acknowledged
        The last decision, and the one by which it was acknowledged.
    muted_ms
        Until then (<, event time) nothing is said of updates.
    before
        The baseline as it was before a dismissal.
    over
        By which status the alert was over, the last time.
    """

    last: Decided | None = None
    acknowledged: Decided | None = None
    muted_ms: int | None = None
    before: Baseline | None = None
    over: AlertStatus | None = None

    def is_muted(self, at_ms: int) -> bool:
        """Tell whether updates are kept quiet at an event time.

        >>> Answers(muted_ms=5).is_muted(4), Answers(muted_ms=5).is_muted(5), Answers().is_muted(4)
        (True, False, False)
        """
        return self.muted_ms is not None and at_ms < self.muted_ms
