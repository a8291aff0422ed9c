"""The pages stage, fed with closed sessions of a world, and what it said last."""

from __future__ import annotations

import time
from typing import NamedTuple

from schemas.marks import Mark, Progress
from schemas.page_scores import PageScore
from schemas.purchase_associations import PurchaseAssociation
from streams.credits import LEFT_OUT
from streams.memory_states import MemoryState
from streams.pages import Pages
from streams.placebos import Placebo, place_of
from streams.processors import LogProcessor
from streams.settings import DAY_MS, HOUR_MS, Settings
from tests.benchmarks.truth.habits import TEMPLATES
from tests.benchmarks.truth.played import SITE, START_MS, UPSTREAM
from tests.benchmarks.truth.walks import Walk, example
from tests.benchmarks.truth.worlds import World


class SaidOfSessions(NamedTuple):
    """Associations by scope and value, and scores by page."""

    associations: dict[str, PurchaseAssociation]
    scores: dict[str, PageScore]


class SessionStage:
    """The pages stage, fed with closed sessions; it may run a day behind, for they come sorted by time within
    one."""

    def __init__(self) -> None:
        self._processor = LogProcessor(Pages(Settings()), 0)
        self._processor.context.state = MemoryState(Pages.state_types)
        self._offset = self._now_ms = 0
        self._last = SaidOfSessions({}, {})
        self.seconds = 0.0
        self.sessions = 0

    def session(self, world: World, walk: Walk, number: int) -> int | None:
        """Play a session; give the place at which it sees the placebo, −1 for none, None while all is only
        learned."""
        due_ms = walk.shown_at[-1] + HOUR_MS
        if due_ms // HOUR_MS > self._now_ms // HOUR_MS:
            # The hour before has closed: no session that is still to come was due then.
            self._mark(due_ms // HOUR_MS * HOUR_MS - HOUR_MS)
            self._now_ms = due_ms
        self._offset += 1
        record = example(world, walk, self._offset, max(due_ms, self._now_ms - HOUR_MS))
        began = time.process_time()
        self._processor.apply_record(self._offset, START_MS, record)
        self.seconds += time.process_time() - began
        self.sessions += 1
        return self._place(record.session_id, walk, world)

    def end(self) -> SaidOfSessions:
        """What was said last."""
        self._mark(self._now_ms + 2 * DAY_MS)
        return self._last

    def _place(self, session_id: str, walk: Walk, world: World) -> int | None:
        record = self._processor.context.state.get(f"a{SITE}")
        if record is None:
            return None
        placebo: Placebo = record.placebo
        if not placebo.credit.sessions:
            return None
        firsts = dict.fromkeys(page for page in walk.pages if TEMPLATES[world.template[page]] not in LEFT_OUT)
        place = place_of(placebo, session_id, len(firsts))
        return -1 if place is None else walk.pages.index([*firsts][place])

    def _mark(self, now_ms: int) -> None:
        self._offset += 1
        began = time.process_time()
        mark = Mark(1, (Progress(UPSTREAM, self._offset, now_ms),))
        for output in self._processor.apply_record(self._offset, START_MS, mark):
            if isinstance(output.value, PurchaseAssociation):
                self._last.associations[f"{output.value.scope}:{output.value.value}"] = output.value
            elif isinstance(output.value, PageScore):
                self._last.scores[output.value.page] = output.value
        self.seconds += time.process_time() - began
