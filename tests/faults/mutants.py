"""Ways to break the product, each of which the fault suite has to see: ``deploy/test --faults --mutant NAME``.

Each takes away one of the things that the guarantee rests on, in the process of a test's worker.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from faust.types import TP

from agents import changelogs, log_units, runner, sending, takeover, units
from agents.changelogs import FENCE_KEY
from agents.log_units import LogUnit
from agents.sending import Record, Sender, Span
from agents.stores import Store
from schemas.timestamps import format_ms
from streams import processors
from streams.stages import Output

_chance = random.Random()
Targets = tuple[str, int]


def commit_inputs_when_folded() -> None:
    """An input's offset is committed before what it gave is acknowledged."""

    class Owned(takeover.Owned):
        def done_offset(self, tp: TP) -> int | None:
            return self.inputs[tp].next_offset if tp in self.inputs else super().done_offset(tp)

    vars(runner)["Owned"] = Owned


def ignore_origins() -> None:
    """What was delivered before counts again."""

    class Forgetful(dict[str, tuple[int, int]]):
        def get(self, *_: Any) -> Any:
            return None

    fold = processors.LogProcessor._fold

    def fold_all(self: processors.LogProcessor, record: Any, append_ms: int) -> Sequence[Output]:
        self.fence.origins = Forgetful(self.fence.origins)
        return fold(self, record, append_ms)

    _set(processors.LogProcessor, "_fold", fold_all)


def keep_the_fence_behind() -> None:
    """State is written with the fence of the batch before: what it has seen is read once more."""
    before: dict[int, tuple[processors.Fence, bytes]] = {}  # with the fence, lest its id be given to another

    def write_fence(fence: processors.Fence) -> bytes:
        now = changelogs.write_fence(fence)
        late = before.get(id(fence), (fence, now))[1]
        before[id(fence)] = fence, now
        return late

    vars(log_units)["write_fence"] = write_fence


def drop_outputs(topic: str, share: float) -> Callable[[], None]:
    """Some records of a topic are not sent."""

    def mutate() -> None:
        send = Sender.send

        async def lossy(self: Sender, batches: Mapping[Targets, Sequence[Record]]) -> dict[Targets, Span]:
            kept = {
                target: [r for r in records if target[0] != topic or _chance.random() >= share]
                for target, records in batches.items()
            }
            return await send(self, {target: records for target, records in kept.items() if records})

        _set(Sender, "send", lossy)

    return mutate


def keep_state_at_home() -> None:
    """Only the fence goes to the changelog; the state is in the local store alone."""
    send = Sender.send

    async def fence_only(self: Sender, batches: Mapping[Targets, Sequence[Record]]) -> dict[Targets, Span]:
        sent = {
            target: [r for r in records if not target[0].endswith("-changelog") or r.key == FENCE_KEY]
            for target, records in batches.items()
        }
        spans = await send(self, sent)
        return {
            target: Span(span.last - len(batches[target]) + 1, span.last) for target, span in spans.items()
        }

    def write(self: Store, rows: Any, fence: bytes, top: int, first: int, last: int) -> None:
        self.put(rows, fence, last)

    _set(Sender, "send", fence_only)
    _set(Store, "write", write)


def write_state_before_outputs() -> None:
    """The order of the writes is turned round: the fence moves before the outputs are acknowledged."""
    send_outputs = LogUnit._send_outputs

    async def later(self: LogUnit) -> None:
        late, vars(self)["late"] = vars(self).get("late", {}), self._outbox
        self._outbox = late
        await send_outputs(self)

    _set(LogUnit, "_send_outputs", later)


def stamp_with_the_clock() -> None:
    """An output depends on when it was made."""
    encode = sending.encode

    def stamped(output: Output, partitions: Mapping[str, int], source: str) -> Any:
        targets, record = encode(output, partitions, source)
        headers = [
            (name, format_ms(int(time.time() * 1000)).encode() if name == "ce_time" else value)
            for name, value in record.headers
        ]
        return targets, Record(record.key, record.value, headers)

    vars(units)["encode"] = stamped


def _set(owner: type, name: str, value: object) -> None:
    setattr(owner, name, value)


MUTANTS: dict[str, Callable[[], None]] = {
    "commit-inputs-when-folded": commit_inputs_when_folded,
    "ignore-origins": ignore_origins,
    "keep-the-fence-behind": keep_the_fence_behind,
    "drop-outputs": drop_outputs("sessions", 0.01),
    "drop-rejections": drop_outputs("rejected-events", 0.02),
    "keep-state-at-home": keep_state_at_home,
    "state-before-outputs": write_state_before_outputs,
    "stamp-with-the-clock": stamp_with_the_clock,
}
