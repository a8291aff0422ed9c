"""Session differences: what another cut, or other rules, make of a visitor's sessions.

Sessions of a visitor that overlap in time share clicks, whatever their ids. So what is compared is a group:
sessions of both sides, each of which overlaps another. One against one is the same or has ``changed``; one against
several was ``split``, several against one were ``joined``, several against several were ``recut``.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, NamedTuple, TypeAlias, get_args

import msgspec

from schemas.sessions import Session

SessionKind: TypeAlias = Literal["changed", "split", "joined", "recut", "only_before", "only_after"]
SESSION_KINDS: tuple[SessionKind, ...] = get_args(SessionKind)
NOT_COMPARED = ("id", "revision", "status")
"""How often a session was written, and that its id is there twice, says nothing of what came of it."""
FIELDS = tuple(name for name in Session.__struct_fields__ if name not in NOT_COMPARED)


class SessionDifference(
    msgspec.Struct, kw_only=True, frozen=True, tag_field="schema", tag="session-differences/1"
):
    """A group of sessions of a visitor that are not the same on both sides.

    Attributes
    ----------
    id
        Id of the earliest session in it: names the group.
    kind
        What has become of it.
    site, visitor_id
        Whose; the visitor as pseudonymised as in the sessions.
    fields
        In which fields the session has changed, in the order of the topic's fields; empty for other kinds.
    before, after
        The last revision of its sessions on either side, in order of time.
    """

    id: str
    kind: SessionKind
    site: str
    visitor_id: str
    fields: tuple[str, ...]
    before: tuple[Session, ...]
    after: tuple[Session, ...]


class Group(NamedTuple):
    """Sessions of a visitor that overlap, directly or by way of others, in order of time; up to `ended_at`."""

    before: tuple[Session, ...]
    after: tuple[Session, ...]
    ended_at: str


def groups(before: Iterable[Session], after: Iterable[Session]) -> list[Group]:
    """Put together the sessions of one visitor that overlap, in order of time.

    Sessions overlap if one starts at or before (≤) the end of the other: then they share the click at that start.

    Examples
    --------
    >>> def session(start: int, end: int) -> Session:
    ...     at = ["2026-03-01T12:%02d:00.000Z" % minute for minute in (start, end)]
    ...     return Session(id=f"{start}", session_id=f"{start}", revision=1, status="final", visitor_id="v",
    ...                    started_at=at[0], ended_at=at[1], page_views=2, interactions=0)
    >>> cut = groups([session(0, 20), session(50, 50)], [session(0, 5), session(20, 20), session(50, 50)])
    >>> [(len(group.before), len(group.after)) for group in cut]
    [(1, 2), (1, 1)]
    """
    # Text order of the times is time order. Whole records are not compared: who comes first of two sides is given.
    sessions = sorted(
        [(session.started_at, 0, session) for session in before]
        + [(session.started_at, 1, session) for session in after],
        key=lambda entry: entry[:2],
    )
    found: list[Group] = []
    sides: tuple[list[Session], list[Session]] = ([], [])
    ended_at = ""
    for started_at, side, session in sessions:
        if started_at > ended_at and ended_at:
            found.append(Group(tuple(sides[0]), tuple(sides[1]), ended_at))
            sides, ended_at = ([], []), ""
        sides[side].append(session)
        ended_at = max(ended_at, session.ended_at)
    if ended_at:
        found.append(Group(tuple(sides[0]), tuple(sides[1]), ended_at))
    return found


def difference_of(group: Group) -> SessionDifference | None:
    """Tell how a group differs; None where it is the same on both sides."""
    before, after = group.before, group.after
    fields: tuple[str, ...] = ()
    kind: SessionKind
    if len(before) == len(after) == 1:
        if before[0] is after[0]:
            return None
        fields = changed_fields(before[0], after[0])
        if not fields:
            return None
        kind = "changed"
    elif not after:
        kind = "only_before"
    elif not before:
        kind = "only_after"
    elif len(before) == 1:
        kind = "split"
    elif len(after) == 1:
        kind = "joined"
    else:
        kind = "recut"
    # Both sides' earliest may start with one click, and then have one id; else the lesser names the group.
    first = min((*before, *after), key=lambda session: (session.started_at, session.session_id))
    return SessionDifference(
        id=first.session_id,
        kind=kind,
        site=first.site or "",
        visitor_id=first.visitor_id,
        fields=fields,
        before=before,
        after=after,
    )


def changed_fields(before: Session, after: Session) -> tuple[str, ...]:
    """Names of the fields in which two sessions differ, but for `NOT_COMPARED`."""
    return tuple(name for name in FIELDS if getattr(before, name) != getattr(after, name))


def exits_of(group: Group) -> list[tuple[str | None, str | None]]:
    """Exit reasons of a group, before and after; None where nobody left at that time on that side.

    The last exits of both sides are one. No other is on both: where sessions of both sides end, the group ends.

    Returns
    -------
    list
        One pair an exit: each session of either side is in it once.

    Examples
    --------
    >>> exits_of(Group((), (), ""))
    []
    """
    before = [session.exit_reason for session in group.before]
    after = [session.exit_reason for session in group.after]
    last = [(before.pop(), after.pop())] if before and after else []
    return [*last, *((reason, None) for reason in before), *((None, reason) for reason in after)]


def weight_of(difference: SessionDifference) -> tuple[Decimal, int, str, str]:
    """Sort key that shows first what says most: more money moved, then more pages, then the earliest.

    Amounts of different currencies are compared as plain numbers.
    """
    before, after = difference.before, difference.after
    moved = sum(map(revenue_of, after), Decimal(0)) - sum(map(revenue_of, before), Decimal(0))
    views = sum(session.page_views for session in (*before, *after))
    first = min(session.started_at for session in (*before, *after))
    return -abs(moved), -views, first, difference.id


def revenue_of(session: Session) -> Decimal:
    """Revenue of a session, 0 where there is none."""
    return Decimal(session.revenue or 0)
