"""Sessions and pages, fed with the events of a world as they arrive, and what they said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from schemas.dead_end_alerts import DeadEndAlert
from schemas.marks import Mark, Progress
from streams.memory_states import MemoryState
from streams.pages import Pages
from streams.processors import LogProcessor
from streams.sessions import Sessions
from streams.settings import MINUTE_MS, SECOND_MS, Settings
from streams.stages import Output
from tests.benchmarks.truth.events import Delivery, delivered, record_of
from tests.benchmarks.truth.played import START_MS, Said
from tests.benchmarks.truth.worlds import World

MARK_EVERY_MS = 10 * SECOND_MS
SAME = ("sessions", "page-scores", "purchase-associations", "dead-end-alerts")
"""Topics of which it is told whether two runs wrote the same; rejected events are not among them."""

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass
class Heard:
    """What was said of a world whose events were delivered.

    Attributes
    ----------
    events
        How many arrived, copies included.
    counts
        What the sessions stage has counted.
    written
        Topic to a hash of all its records, and how many there were.
    """

    said: list[Said] = field(default_factory=list)
    events: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    written: dict[str, tuple[str, int]] = field(default_factory=dict)


class EventStages:
    """The two stages. No customer is known in these worlds, so there is no stage of customers to wait for."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._sessions = LogProcessor(Sessions(self._settings, partitions=1, customers=1), 0)
        self._pages = LogProcessor(Pages(self._settings), 0)
        for processor in (self._sessions, self._pages):
            processor.context.state = MemoryState(processor.stage.state_types)
        self._offsets = [0, 0]
        self._now_ms = START_MS
        self._written = {topic: blake2b(digest_size=8) for topic in SAME}
        self._records: Counter[str] = Counter()
        self.heard = Heard()

    def play(self, world: World, how: Delivery) -> Heard:
        """Play a world to its end."""
        for at_ms, event in delivered(world, world.play(), how):
            while at_ms >= self._now_ms + MARK_EVERY_MS:
                self._mark(self._now_ms + MARK_EVERY_MS)
            self.heard.events += 1
            self._apply(record_of(world, event, self.heard.events))
        self.heard.counts = self._sessions.context.counts
        self.heard.written = {
            topic: (digest.hexdigest(), self._records[topic]) for topic, digest in self._written.items()
        }
        return self.heard

    def _mark(self, now_ms: int) -> None:
        """Say how far time has come: every event from before has arrived, or is late."""
        self._now_ms = now_ms
        time_ms = now_ms - self._settings.out_of_orderness_ms
        self._apply(Mark(1, (Progress("page-views/0", self.heard.events, time_ms),)))

    def _apply(self, record: object) -> None:
        self._offsets[0] += 1
        outputs = self._sessions.apply_record(self._offsets[0], self._now_ms, record)
        if outputs:
            self._keep(outputs)
        for output in outputs:
            if output.topic == "site-events":
                self._to_site(output.value)

    def _to_site(self, record: object) -> None:
        if isinstance(record, Mark):
            record = Mark(1, record.progress)  # of the customers nobody will tell
        self._offsets[1] += 1
        outputs = self._pages.apply_record(self._offsets[1], self._now_ms, record)
        self._keep(outputs)
        minute = (self._now_ms - START_MS) // MINUTE_MS
        self.heard.said += [
            Said(minute, output.value) for output in outputs if isinstance(output.value, DeadEndAlert)
        ]

    def _keep(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            digest = self._written.get(output.topic)
            if digest is not None:
                digest.update(_encode([output.key, output.id, output.time_ms, output.value]))
                self._records[output.topic] += 1


def same(runs: Iterable[Heard]) -> dict[str, bool]:
    """Tell of each topic whether all runs wrote the same records in the same order."""
    first, *others = runs
    return {topic: all(first.written[topic] == other.written[topic] for other in others) for topic in SAME}
