"""What if: the same records through the flow under two settings, side by side in one pass."""

from __future__ import annotations

from functools import partial

import msgspec

from schemas.topics import TOPICS
from streams.differences import AFTER, BEFORE, Differences
from streams.flow import stages
from streams.replay import Replay
from streams.settings import Settings
from streams.stages import Output

WITHOUT_EFFECT = {
    "future_ms": "in files nothing is ahead of its time of arrival",
    "pseudonymise": "both sides need the same ids, or nothing could be matched",
    "learn_views": "it decides only the scores of the models, which are not compared",
    "snapshot_every_ms": "it decides only the scores of the models, which are not compared",
}
"""Settings that change nothing that is compared, and why."""
NEVER_DIFFERENT = {"site": "a visitor of another site is another visitor, and nothing could be matched"}
"""Settings that have to be the same on both sides, and why."""
SETTLE_EVERY_EVENTS = 1_000
"""How often it is looked for what has settled; it changes no result."""


def comparable(before: Settings, after: Settings) -> Settings:
    """Give `after` with what is without effect as in `before`; equal to that where nothing would differ.

    Examples
    --------
    >>> comparable(Settings(), Settings(future_ms=1)) == Settings()
    True
    """
    return msgspec.structs.replace(after, **{name: getattr(before, name) for name in WITHOUT_EFFECT})


class WhatIf:
    """Carries a flow over input records twice. It costs as much as two replays, in time and in memory.

    Parameters
    ----------
    before, after
        The two settings; of `after` what is `comparable` counts.
    secret
        Key of the pseudonyms, of both sides.
    differences
        Compares what comes out.

    Raises
    ------
    ValueError
        The settings differ in what has to be the same, see `NEVER_DIFFERENT`.

    Examples
    --------
    >>> from streams.settled_sessions import settle_ms
    >>> before, after = Settings(), Settings(gap_ms=600_000)
    >>> differences = Differences(settle_ms(before, after), lambda _: None)
    >>> what_if = WhatIf(before, after, "a secret of 16+ characters", differences)
    >>> for at in (0, 1_200_000):
    ...     view = {"event_id": str(at), "visitor_id": "v", "occurred_at": at, "url": "https://shop.example/a"}
    ...     what_if.feed("page-views", msgspec.json.encode(view), at)
    >>> what_if.finish()
    >>> sessions = differences.figures()["sessions"]
    >>> sessions["before"], sessions["after"], sessions["split"]
    (1, 2, 1)
    """

    def __init__(self, before: Settings, after: Settings, secret: str, differences: Differences) -> None:
        for name in NEVER_DIFFERENT:
            if getattr(before, name) != getattr(after, name):
                raise ValueError(f"{name}: has to be the same on both sides")
        self._differences = differences
        partitions = dict.fromkeys(TOPICS, 1)

        def replay(side: int, settings: Settings) -> Replay:
            return Replay(
                stages(settings, secret, partitions), settings, partitions, partial(self._take, side)
            )

        self._replays = (replay(BEFORE, before), replay(AFTER, comparable(before, after)))
        self.fed = 0

    def feed(self, topic: str, value: bytes | None, occurred_at: int | None = None) -> None:
        """Take one input record in; see `Replay.feed`."""
        for replay in self._replays:
            replay.feed(topic, value, occurred_at)
        self.fed += 1
        if not self.fed % SETTLE_EVERY_EVENTS:
            self._differences.advance(min(replay.watermark for replay in self._replays))

    def finish(self) -> None:
        """Let time run on until everything is closed, and compare what is left."""
        for replay in self._replays:
            replay.finish()
        self._differences.finish()

    def _take(self, side: int, output: Output, _: bytes) -> None:
        self._differences.take(side, output)
