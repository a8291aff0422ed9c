"""Deployments: where the stages run, and which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.security import OPEN, Security
from streams.stages import LogStage, SourceStage


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Where and what to run.

    Attributes
    ----------
    kafka, app_id, prefix
        Bootstrap servers; name of the consumer group; prefix of all topics' names.
    data_dir
        Of the local state; each worker of a machine needs its own.
    partitions
        Topic (without prefix) to its number of partitions, changelogs too.
    sources, logs
        Stages without and with state.
    out_of_orderness_ms
        See `SourceProcessor`.
    session_s
        A worker that is silent for so long is given up by the group (s).
    send_limit_s
        How long Kafka may take to acknowledge what is sent (s).
    instance_id
        Its own name in the group, under which it can come back without a rebalance; None: it has none.
    security
        How to get into Kafka.
    checkpoint
        Awaited with stage and step between the writes of a batch; for tests that stop there.
    """

    kafka: str
    app_id: str
    data_dir: Path
    partitions: Mapping[str, int]
    sources: Sequence[SourceStage]
    logs: Sequence[LogStage]
    out_of_orderness_ms: int
    prefix: str = ""
    session_s: float = 10.0
    send_limit_s: float = 75.0
    instance_id: str | None = None
    security: Security = OPEN
    checkpoint: Callable[[str, str], Awaitable[None]] | None = None
    topics_of_sources: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        """Collect what is derived."""
        topics = [topic for stage in self.sources for topic in stage.inputs]
        object.__setattr__(self, "topics_of_sources", topics)

    def changelog(self, stage: str) -> str:
        """Topic that a stage's state can be rebuilt from, without prefix."""
        return f"culdesac-{stage}-changelog"
