"""The board's live stream: parts of a page that have changed, pushed as server-sent events."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping

from agents.board_hub import Hub
from agents.board_pages import Part

PACE_S = 0.25
"""A page is not told more often: nobody reads faster, and browsers have other things to do."""
QUIET_S = 10.0
KEPT_PAGES = 200

Render = Callable[[], Mapping[str, Part]]


class Renderings:
    """The last rendering of each view: who looks at the same page shares it.

    Parameters
    ----------
    hub
        Whose version says when a rendering is old.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._last: dict[str, tuple[int, Mapping[str, Part]]] = {}

    def of(self, view: str, render: Render) -> Mapping[str, Part]:
        """Render a view, unless nothing has changed since."""
        version = self._hub.version
        known = self._last.get(view)
        if known is not None and known[0] == version:
            return known[1]
        if len(self._last) > 200:
            self._last.clear()
        parts = render()
        self._last[view] = (version, parts)
        return parts


class Given:
    """What the latest pages were given with, so that their streams begin with what has changed since.

    Each is taken once: who connects again may have missed what came and went, and gets all.

    Examples
    --------
    >>> given = Given()
    >>> name = given.keep({"row": Part("1", "<li>1</li>")})
    >>> given.take(name), given.take(name)
    ({'row': '1'}, {})
    """

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, str]] = {}

    def keep(self, parts: Mapping[str, Part]) -> str:
        """Note what a page is given with, under a new name."""
        name = secrets.token_urlsafe(9)
        self._kept[name] = {part: rendered.key for part, rendered in parts.items()}
        if len(self._kept) > KEPT_PAGES:
            del self._kept[next(iter(self._kept))]
        return name

    def take(self, name: str) -> dict[str, str]:
        """Give what a page was given with; nothing where that is not known any more."""
        return self._kept.pop(name, {})


async def changes(
    hub: Hub, parts_of: Callable[[], Mapping[str, Part]], sent: dict[str, str]
) -> AsyncIterator[dict[str, str]]:
    """Give parts as they change; first those that differ from what was sent before."""
    while True:
        version = hub.version
        parts = parts_of()
        news = changed_parts(sent, parts)
        if news:
            yield {"event": "parts", "data": news}
        await asyncio.sleep(PACE_S)
        await hub.wait(version, QUIET_S)


def changed_parts(sent: dict[str, str], parts: Mapping[str, Part]) -> str:
    """Give the parts that differ from what was sent, and note that they are sent.

    Examples
    --------
    >>> parts = {"list": Part("a", "<ol>1</ol>"), "row": Part("1", "<li>1</li>", "list")}
    >>> sent: dict[str, str] = {}
    >>> changed_parts(sent, parts)
    '<ol>1</ol>'
    >>> changed_parts(sent, parts | {"row": Part("2", "<li>2</li>", "list")})
    '<li>2</li>'
    """
    changed = {name for name, part in parts.items() if sent.get(name) != part.key}
    news = [
        part.html
        for name, part in parts.items()
        if name in changed and (part.within is None or part.within not in changed)
    ]
    sent.clear()
    sent.update((name, part.key) for name, part in parts.items())
    return "\n".join(news)
