"""The table of topics on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import msgspec
from rich.table import Table

from agents.durations import format_duration
from agents.settings import WorkerSettings
from agents.summary_view import screen
from agents.topics import TopicState, check_topics, ensure_topics
from schemas.topics import TOPICS

_COLOURS = {"ok": "green", "created": "green", "differs": "yellow"}


def show_topics(settings: WorkerSettings, create: bool, check: bool, as_json: bool) -> int:
    """Print the table of topics, with how they are in Kafka where that was asked.

    Returns
    -------
    int
        1 where the stages can't work with the topics as they are, else 0.

    Raises
    ------
    TopicError
        Kafka can't be asked, or topics can't be created.
    """
    states = ensure_topics(settings) if create else check_topics(settings) if check else None
    if as_json:
        sys.stdout.write(json.dumps(_rows(settings, states)) + "\n")
    else:
        screen().print(_table(settings, states))
        for state in states or ():
            if state.mend:
                sys.stdout.write(f"{state.topic}: {state.mend}\n")
    return int(any(state.state in ("missing", "hidden", "wrong") for state in states or ()))


def _rows(settings: WorkerSettings, states: Sequence[TopicState] | None) -> list[dict[str, object]]:
    partitions = settings.topic_partitions()
    rows: list[dict[str, object]] = []
    for number, topic in enumerate(TOPICS.values()):
        row: dict[str, object] = {
            "topic": settings.topic_prefix + topic.name,
            "key": topic.key,
            "partitions": partitions[topic.name],
            "internal": topic.internal,
            "retention_ms": topic.retention_ms,
            "config": topic.config(),
        }
        if states is not None:
            row["kafka"] = msgspec.to_builtins(states[number])
        rows.append(row)
    return rows


def _table(settings: WorkerSettings, states: Sequence[TopicState] | None) -> Table:
    table = Table("Topic", "Key", "Partitions", "Kept")
    if states is not None:
        table.add_column("In Kafka")
    partitions = settings.topic_partitions()
    for number, topic in enumerate(TOPICS.values()):
        name = settings.topic_prefix + topic.name
        kept = "last of each key" if topic.retention_ms is None else format_duration(topic.retention_ms)
        cells = [f"[dim]{name}[/]" if topic.internal else name, topic.key, str(partitions[topic.name]), kept]
        if states is not None:
            state = states[number].state
            cells.append(f"[{_COLOURS.get(state, 'red')}]{state}[/]")
        table.add_row(*cells)
    return table
