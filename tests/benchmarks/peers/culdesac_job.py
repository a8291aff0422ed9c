"""Our runner: one hop, straight from the input topic; or two, as the product runs, with marks and deadlines.

In the first form the input stands for a log: its records carry no origin, for nothing of ours writes them, so
there is nothing to drop either; and no marks. All else is the runner as it is: fence, changelog, local store, order
of writes.
"""

from __future__ import annotations

import cProfile
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import mode.loop
import msgspec

mode.loop.use("uvloop")

from agents import takeover  # noqa: E402  # the loop must be chosen before Faust is imported
from agents.deployments import Deployment  # noqa: E402
from agents.runner import Runner  # noqa: E402
from schemas.visitor_events import Origin  # noqa: E402
from streams.formats import StateFormat  # noqa: E402
from streams.processors import LogProcessor  # noqa: E402
from streams.stages import Context, Output, SourceResult  # noqa: E402
from tests.benchmarks.peers.folding import GAP_MS, Session, View, closed, fold  # noqa: E402

PROFILE = os.environ.get("PEERS_PROFILE", "")


class KeyedView(msgspec.Struct, tag_field="type", tag="view", gc=False):
    """A view in the visitors' log."""

    origin: Origin
    visitor_id: str
    occurred_at: int
    url: str


class Rekey:
    """Reads views, and writes them by visitor."""

    name = "intake"
    outputs = ("visitor-events",)

    def __init__(self, topic: str) -> None:
        self.inputs = (topic,)
        self._decode = msgspec.json.Decoder(View).decode

    def read(self, context: Context, topic: str, partition: int, value: bytes | None) -> SourceResult:
        view = self._decode(value or b"")
        at = view.occurred_at
        keyed = KeyedView(context.origin(), view.visitor_id, at, view.url)
        return SourceResult(
            [Output("visitor-events", view.visitor_id, keyed, f"{partition}-{context.offset}", at)], at
        )

    def time_of(self, value: bytes | None) -> int | None:
        return self._decode(value or b"").occurred_at


class Sessionise:
    """The job as a stage: `deadlines` closes a session when the watermark says so, too."""

    name = "sessions"
    state_types: ClassVar = {"s": Session}
    state_format = StateFormat(1)
    record_type = KeyedView

    def __init__(self, log: str, output: str, deadlines: bool) -> None:
        self.log = log
        self.outputs = (output,)
        self._output = output
        self._deadlines = deadlines

    def step(self, context: Context, record: View | KeyedView) -> Iterable[Output]:
        """Fold a view."""
        visitor, at = record.visitor_id, record.occurred_at
        key = f"s{visitor}"
        before = context.state.get(key)
        opened = fold(before, at, record.url)
        context.state.put(key, opened or before, at + GAP_MS if self._deadlines else None)
        if opened is None or before is None:
            return ()
        return (self._closed(visitor, before),)

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Close a session after the gap."""
        session = context.state.get(key)
        context.state.delete(key)
        return (self._closed(key[1:], session),)

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Nothing follows."""
        return ()

    def _closed(self, visitor: str, session: Session) -> Output:
        at = session.started_at
        return Output(self._output, visitor, closed(visitor, session), f"{visitor}:{at}", session.ended_at)


class InputProcessor(LogProcessor):
    """Carries a stage with state over an input topic: records without origin, and no marks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._decode = msgspec.json.Decoder(View).decode

    def _fold(self, record: Any, append_ms: int) -> Sequence[Output]:
        """Fold it whatever came before."""
        return list(self.stage.step(self.context, record))


def main() -> None:
    """Work until SIGTERM."""
    kafka, group, topic, output, directory, kind = sys.argv[1:7]
    hops = 2 if kind == "two-hops" else 1
    if hops == 1:
        vars(takeover)["LogProcessor"] = InputProcessor
        stage = Sessionise(topic, output, deadlines=False)
    else:
        stage = Sessionise("visitor-events", output, deadlines=True)
    deployment = Deployment(
        kafka=kafka,
        app_id=group,
        data_dir=Path(directory),
        partitions={
            topic: 4,
            output: 4,
            "visitor-events": 4,
            "rejected-events": 1,
            "culdesac-sessions-changelog": 4,
        },
        sources=[Rekey(topic)] if hops == 2 else [],
        logs=[stage],
        out_of_orderness_ms=10_000,
    )
    Runner(deployment).app.Worker(loglevel="INFO").execute_from_commandline()


if __name__ == "__main__":
    if PROFILE:
        profile = cProfile.Profile()
        try:
            profile.runcall(main)
        finally:
            profile.dump_stats(PROFILE)
    else:
        main()
