"""Quix Streams: stateful apply, with RocksDB and a changelog."""

from __future__ import annotations

import sys
from typing import Any

from tests.benchmarks.peers.folding import Session, closed, fold


def main() -> None:
    """Work until SIGTERM."""
    from quixstreams import Application

    kafka, group, topic, output, directory = sys.argv[1:6]
    app = Application(
        kafka,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=directory,
        commit_interval=1.0,
        loglevel="INFO",
    )
    source = app.topic(topic, key_deserializer="str", value_deserializer="json")
    sink = app.topic(output, key_serializer="str", value_serializer="json")

    def sessionise(view: dict[str, Any], state: Any) -> list[dict[str, Any]]:
        row = state.get("session")
        before = None if row is None else Session(*row)
        opened = fold(before, view["occurred_at"], view["url"])
        now = opened or before
        assert now is not None
        state.set("session", [now.started_at, now.ended_at, now.pages])
        return [closed(view["visitor_id"], before)] if opened is not None and before is not None else []

    app.dataframe(source).apply(sessionise, stateful=True, expand=True).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main()
