"""Sample paths: some of the sessions that ended on a page under suspicion, and some that went on from it.

Kept are the latest by the time at which they closed, then by their id: no chance is in it, and nobody is named.
"""

from __future__ import annotations

import msgspec

from schemas.dead_end_alerts import AlertPath, AlertStep
from schemas.site_events import SessionExample

MAX_ENDED, MAX_CONTINUED = 20, 5
MAX_STEPS, MAX_ACTIONS = 12, 8
MAX_PAGE = 120
"""Characters of a page; whatever is longer is cut, so that an alert stays within some tens of kilobytes."""
MAX_SAMPLE_SESSIONS = 20


class PathStep(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A page, and when it was seen, in seconds since the session began."""

    page: str
    seconds: int


class SamplePath(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A session on its way; `seen_ms` is when it last saw the page that is suspected."""

    session_id: str
    seen_ms: int
    source: str
    device: str
    returning: bool
    steps: tuple[PathStep, ...]
    actions: tuple[str, ...]


def path_of(example: SessionExample, seen_ms: int) -> SamplePath:
    """Give the path of a session: its last twelve views, and its last eight actions.

    Parameters
    ----------
    example
        A closed session with at least one view.
    seen_ms
        When it last saw the page that is suspected.
    """
    first_ms = example.views[0].occurred_at
    steps = tuple(
        PathStep(_cut(view.page), (view.occurred_at - first_ms) // 1_000)
        for view in example.views[-MAX_STEPS:]
    )
    actions = tuple(action.name for action in example.actions[-MAX_ACTIONS:])
    return SamplePath(
        example.session_id, seen_ms, example.source, example.device, example.returning, steps, actions
    )


def keep_latest(paths: list[SamplePath], path: SamplePath, most: int) -> None:
    """Add a path behind the others, and forget the first if there are more than `most`.

    >>> kept: list[SamplePath] = []
    >>> for name in "abc":
    ...     keep_latest(kept, SamplePath(name, 0, "paid", "mobile", False, (), ()), most=2)
    >>> [path.session_id for path in kept]
    ['b', 'c']
    """
    paths.append(path)
    if len(paths) > most:
        del paths[0]


def paths_since(paths: list[SamplePath], from_ms: int) -> list[AlertPath]:
    """Give the paths of sessions that saw the page at a time or later (≥), as alerts show them."""
    return [
        AlertPath(
            session_id=path.session_id,
            source=path.source,
            device=path.device,
            returning=path.returning,
            steps=[AlertStep(page=step.page, seconds=step.seconds) for step in path.steps],
            actions=list(path.actions),
        )
        for path in paths
        if path.seen_ms >= from_ms
    ]


def _cut(page: str) -> str:
    return page if len(page) <= MAX_PAGE else page[: MAX_PAGE - 1] + "…"
