"""What a stage is: a value with a pure step, carried by any runner.

A stage that keeps state reads exactly one topic, its log. Whatever feeds it (events, marks, weights of models)
is written into that log by the stages before it, so its input has a total order, and its state and its outputs
are functions of the log alone: whoever reads the log again gets the same. A stage without state reads foreign
topics, each partition by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from schemas.visitor_events import Origin
from streams.formats import StateFormat
from streams.states import KeyedState

EVERY_PARTITION = -1
"""As an output's `partition`: one copy into each partition of the topic."""


class Output(msgspec.Struct, frozen=True):
    """A record to write.

    Attributes
    ----------
    topic, key
        Where it goes; the partition follows from the key, unless `partition` says otherwise.
    value
        The record, as one of the topic's types.
    id, revision
        Name the thing, deterministically: who keeps the last revision of an id sees it exactly once.
    time_ms
        Event time (ms).
    received_ms
        When the event that it answers was appended to the first topic (ms): for measuring the delay.
    """

    topic: str
    key: str
    value: Any
    id: str
    time_ms: int
    revision: int = 1
    partition: int | None = None
    received_ms: int | None = None


@dataclass
class Context:
    """What a step may touch: its state, its watermark, names for what it writes, and counters.

    Attributes
    ----------
    state
        Keyed records and deadlines of this partition.
    upstream, offset
        Partition (``visitor-events/3``) and offset of the record in hand.
    append_ms
        When that record was appended to its log (ms); in files the greatest event time so far.
    watermark
        Event time (ms): every event before it has been seen, or is late.
    counts
        (counter, label) to number: what a runner adds to its metrics. Labels are bounded words.
    gauges
        (gauge, label) to its value now: what a runner shows.
    """

    state: KeyedState
    upstream: str
    offset: int = -1
    append_ms: int = 0
    watermark: int = 0
    number: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    gauges: dict[tuple[str, str], float] = field(default_factory=dict)

    def origin(self) -> Origin:
        """Name the next internal record that the record in hand gives rise to."""
        number = self.number
        self.number = number + 1
        return (self.upstream, self.offset, number)

    def count(self, counter: str, label: str = "", by: int = 1) -> None:
        """Add to a counter."""
        self.counts[counter, label] += by


class SourceStage(Protocol):
    """A stage without state: any bytes of its input topics in, records out."""

    @property
    def name(self) -> str:
        """One word."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Topics that it reads."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Topics that it may write."""
        ...

    def read(self, context: Context, topic: str, partition: int, value: bytes | None) -> SourceResult:
        """Turn one input record into outputs, and tell its event time."""
        ...

    def time_of(self, value: bytes | None) -> int | None:
        """Tell the event time (ms) that a record seems to have, for a runner that orders what it reads."""
        ...


class SourceResult(msgspec.Struct, frozen=True):
    """What one input record gives.

    Attributes
    ----------
    outputs
        Records to write.
    time_ms
        Event time that it proves, if any; counts only up to the record's append time.
    runs_on_to_ms
        Event time that a producer says has come, even ahead of the append time: the end of a closed log.
    """

    outputs: list[Output]
    time_ms: int | None = None
    runs_on_to_ms: int | None = None


class LogStage(Protocol):
    """A stage with state, over one log."""

    @property
    def name(self) -> str:
        """One word."""
        ...

    @property
    def log(self) -> str:
        """Topic that it reads."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Topics that it may write."""
        ...

    @property
    def state_types(self) -> Mapping[str, type]:
        """First character of a state key to the type of its record."""
        ...

    @property
    def state_format(self) -> StateFormat:
        """Layout of these records; its number grows with each change of it."""
        ...

    @property
    def record_type(self) -> Any:
        """Union of what stands in its log, marks left out."""
        ...

    def step(self, context: Context, record: Any) -> Iterable[Output]:
        """Fold one record of the log into the state."""
        ...

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Act on a deadline: the watermark is greater than `deadline_ms`, which is no longer set."""
        ...

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Do what follows when the watermark has grown, after all deadlines before it."""
        ...
