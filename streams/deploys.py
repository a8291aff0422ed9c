"""Deploys of a site, kept for a while and shown beside its alerts: beside, for what comes after need not follow."""

from __future__ import annotations

from bisect import insort

from schemas.dead_end_alerts import AlertDeploy
from schemas.timestamps import MAX_MS, MIN_MS, format_ms, parse_time
from schemas.visitor_events import Deployed
from streams.note_records import KeptDeploy, SiteDeploys
from streams.settings import DAY_MS, HOUR_MS, MINUTE_MS
from streams.states import KeyedState
from streams.symptoms import Suspicion, change_of

MAX_DEPLOYS, KEPT_MS = 50, 7 * DAY_MS
"""So many deploys of a site are kept, the newest, and none for longer (≥) than this."""
BEFORE_MS = 2 * HOUR_MS
"""Shown are those that came so long (≤) before the change that an alert is about, or later;"""
MAX_SHOWN = 5
"""the nearest to it, if there are more."""
NAMED_MINUTES = 30.0
"""The last that came at most (≤) so long before the change stands in the sentence."""


def keep_deploy(state: KeyedState, deploy: Deployed) -> None:
    """Keep a deploy, in order of time; where there are too many, forget the oldest."""
    key = f"i{deploy.site}"
    of_site: SiteDeploys = state.get(key) or SiteDeploys()
    kept = KeptDeploy(deploy.occurred_at, deploy.event_id, deploy.version, deploy.by, deploy.note, deploy.url)
    insort(of_site.deploys, kept, key=lambda one: (one.at_ms, one.event_id))
    del of_site.deploys[:-MAX_DEPLOYS]
    state.put(key, of_site, of_site.deploys[0].at_ms + KEPT_MS)


def forget_deploys(state: KeyedState, key: str, deadline_ms: int) -> None:
    """Forget the deploys of a site that are old by now."""
    of_site: SiteDeploys = state.get(key)
    of_site.deploys = [deploy for deploy in of_site.deploys if deploy.at_ms + KEPT_MS > deadline_ms]
    if of_site.deploys:
        state.put(key, of_site, of_site.deploys[0].at_ms + KEPT_MS)
    else:
        state.delete(key)


def deploys_beside(state: KeyedState, site: str, suspicion: Suspicion, at_ms: int) -> list[AlertDeploy]:
    """Give the deploys about the time when what an alert is about began, up to now, in order of time.

    When it began is known to the stretch of the alert's course in which it did: a deploy within that one counts as
    0 minutes before.

    Parameters
    ----------
    suspicion
        What the alert counts; nothing is shown before there is a change in it.
    at_ms
        Event time of the alert's revision; later deploys are left out.
    """
    of_site: SiteDeploys | None = state.get(f"i{site}")
    change = None if of_site is None else change_of(suspicion)
    if of_site is None or change is None:
        return []
    shown: list[tuple[int, KeptDeploy]] = []
    for deploy in of_site.deploys:
        before_ms = change.at_ms - deploy.at_ms
        if -suspicion.width_ms < before_ms < 0:
            before_ms = 0
        if before_ms <= BEFORE_MS and deploy.at_ms <= at_ms:
            shown.append((before_ms, deploy))
    shown.sort(key=lambda one: (abs(one[0]), one[1].at_ms, one[1].event_id))
    return [
        AlertDeploy(
            version=deploy.version,
            at=format_ms(max(MIN_MS, min(deploy.at_ms, MAX_MS))),
            minutes_before_change=round(before_ms / MINUTE_MS, 1),
            by=deploy.by,
            note=deploy.note,
            url=deploy.url,
        )
        for before_ms, deploy in sorted(shown[:MAX_SHOWN], key=lambda one: (one[1].at_ms, one[1].event_id))
    ]


def after_deploy(deploys: list[AlertDeploy] | None) -> str:
    """Say after which deploy it was; empty where none came shortly before.

    Examples
    --------
    >>> noon, one = "2026-01-07T12:00:00.000Z", "2026-01-07T13:00:00.000Z"
    >>> deploys = [AlertDeploy(version="7", at=noon, minutes_before_change=4.2)]
    >>> after_deploy(deploys), after_deploy([AlertDeploy(version="8", at=one, minutes_before_change=-55.8)])
    (', 4 minutes after deploy 7', '')
    """
    near = [one for one in deploys or () if 0.0 <= one.minutes_before_change <= NAMED_MINUTES]
    if not near:
        return ""
    last = min(near, key=lambda one: (one.minutes_before_change, -parse_time(one.at)))
    minutes = round(last.minutes_before_change)
    if minutes == 0:
        return f", within a minute of deploy {last.version}"
    return f", {minutes} minute{'' if minutes == 1 else 's'} after deploy {last.version}"
