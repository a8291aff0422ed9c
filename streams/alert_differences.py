"""Alert differences: which alerts another setting would have raised, missed, or raised at another time.

An alert's id names the moment of its opening, so one that opens earlier has another id. Alerts are matched by what
they are about and by their lives: from the opening until they are over.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Literal, NamedTuple, TypeAlias, get_args

import msgspec

from schemas.dead_end_alerts import AlertScope, AlertStatus, DeadEndAlert
from schemas.timestamps import parse_time
from streams.settings import DAY_MS, MINUTE_MS

AlertKind: TypeAlias = Literal["changed", "figures", "only_before", "only_after"]
ALERT_KINDS: tuple[AlertKind, ...] = get_args(AlertKind)
APART_MS = DAY_MS
"""Alerts about one thing with at most (≤) so much time between their lives may be the same one, found otherwise."""
SAID = frozenset({"status", "cause", "opened_at", "resolved_at"})
"""Fields in which an alert says something else; in all others it gives other figures for the same."""
_NOT_COMPARED = ("id", "alert_id", "revision")
_FIELDS = tuple(name for name in DeadEndAlert.__struct_fields__ if name not in _NOT_COMPARED)
_OVER: frozenset[AlertStatus] = frozenset({"resolved", "withdrawn", "dismissed"})


class AlertDifference(
    msgspec.Struct, kw_only=True, frozen=True, tag_field="schema", tag="alert-differences/1"
):
    """An alert that is not the same on both sides.

    Attributes
    ----------
    id
        Id of the alert that opened first: names the difference.
    kind
        ``changed`` in time, cause or status; ``figures`` where only its numbers differ; or on one side only.
    site, scope, value
        What it is about; `value` is the page, template, source or device.
    opened_later_minutes
        By how much it opened later after than before, negative where it opened earlier; None on one side only.
    fields
        In which fields it differs, in the order of the topic's fields; empty on one side only.
    before, after
        Its last revision on either side.
    """

    id: str
    kind: AlertKind
    site: str
    scope: AlertScope
    value: str
    opened_later_minutes: float | None
    fields: tuple[str, ...]
    before: DeadEndAlert | None
    after: DeadEndAlert | None


class Life(NamedTuple):
    """When an alert opened, and when it was over (ms, event time); infinite while it is open."""

    opened_ms: int
    over_ms: float


_Pair = tuple[DeadEndAlert | None, DeadEndAlert | None]


def life_of(alert: DeadEndAlert) -> Life:
    """Tell how long an alert stood."""
    opened_ms = parse_time(alert.opened_at)
    if alert.status not in _OVER:
        return Life(opened_ms, inf)
    return Life(opened_ms, max(opened_ms, parse_time(alert.resolved_at or alert.updated_at)))


def match_alerts(before: Iterable[DeadEndAlert], after: Iterable[DeadEndAlert]) -> list[_Pair]:
    """Pair alerts about the same that are, as far as their lives tell, the same; by the time of the first opening.

    First those whose lives overlap or lie nearest, of these those that open nearest. Lives more than (>) `APART_MS`
    apart are never paired. What finds no partner is paired with None. Swapped sides give swapped pairs.

    Parameters
    ----------
    before, after
        The last revision of each alert of a side.
    """
    sides: dict[tuple[str, str, str], tuple[list[DeadEndAlert], list[DeadEndAlert]]] = {}
    for side, alerts in enumerate((before, after)):
        for alert in alerts:
            sides.setdefault(_subject(alert), ([], []))[side].append(alert)
    pairs: list[_Pair] = []
    for ours, theirs in sides.values():
        candidates = sorted(
            (
                (_distance(life_of(one), life_of(other)), one, other)
                for one in ours
                for other in theirs
                if _distance(life_of(one), life_of(other))[0] <= APART_MS
            ),
            key=lambda candidate: candidate[0],
        )
        taken: set[tuple[int, str]] = set()
        for _, one, other in candidates:
            if (0, one.alert_id) not in taken and (1, other.alert_id) not in taken:
                taken |= {(0, one.alert_id), (1, other.alert_id)}
                pairs.append((one, other))
        pairs.extend((one, None) for one in ours if (0, one.alert_id) not in taken)
        pairs.extend((None, other) for other in theirs if (1, other.alert_id) not in taken)
    return sorted(pairs, key=_first)


def alert_difference(before: DeadEndAlert | None, after: DeadEndAlert | None) -> AlertDifference | None:
    """Tell how a pair differs; None where it is the same on both sides."""
    kind: AlertKind
    fields: tuple[str, ...] = ()
    later: float | None = None
    if before is not None and after is not None:
        fields = tuple(name for name in _FIELDS if getattr(before, name) != getattr(after, name))
        if not fields:
            return None
        kind = "changed" if SAID.intersection(fields) else "figures"
        later = round((life_of(after).opened_ms - life_of(before).opened_ms) / MINUTE_MS, 1)
    else:
        kind = "only_before" if after is None else "only_after"
    first = _first_of(before, after)
    site, _, value = _subject(first)
    return AlertDifference(
        id=first.alert_id,
        kind=kind,
        site=site,
        scope=first.scope,
        value=value,
        opened_later_minutes=later,
        fields=fields,
        before=before,
        after=after,
    )


def _subject(alert: DeadEndAlert) -> tuple[str, str, str]:
    return alert.site, alert.scope, alert.page if alert.scope == "page" else alert.value or ""


def _distance(one: Life, other: Life) -> tuple[float, int, int, int]:
    """Time between two lives (ms), then between their openings; the rest settles ties alike from both sides."""
    apart_ms = max(0.0, max(one.opened_ms, other.opened_ms) - min(one.over_ms, other.over_ms))
    first, last = sorted((one.opened_ms, other.opened_ms))
    return apart_ms, last - first, first, last


def _first_of(before: DeadEndAlert | None, after: DeadEndAlert | None) -> DeadEndAlert:
    there = [alert for alert in (before, after) if alert is not None]
    return min(there, key=lambda alert: (alert.opened_at, alert.alert_id))


def _first(pair: _Pair) -> tuple[str, str]:
    first = _first_of(*pair)
    return first.opened_at, first.alert_id
