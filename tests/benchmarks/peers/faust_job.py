"""Stock Faust, as its documentation has it: one event at a time; sessions in a dict, or in a RocksDB Table."""

from __future__ import annotations

import sys
from typing import Any

import faust

from tests.benchmarks.peers.folding import Session, closed, fold


def make_app(kafka: str, group: str, topic: str, output: str, directory: str, table: bool) -> faust.App:
    """Make the app."""
    app = faust.App(
        group,
        broker=f"kafka://{kafka}",
        store="rocksdb://",
        datadir=directory,
        topic_partitions=4,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        autodiscover=False,
    )
    source = app.topic(topic, key_type=str, value_serializer="json")
    sink = app.topic(output, key_type=str, value_serializer="json")
    sessions: Any = {}
    if table:
        sessions = app.Table("sessions", key_type=str, partitions=4, options={"driver": "rocksdict"})

    async def sessionise(stream: Any) -> None:
        async for view in stream:
            visitor = view["visitor_id"]
            row = sessions.get(visitor)
            before = None if row is None else Session(*row)
            opened = fold(before, view["occurred_at"], view["url"])
            now = opened or before
            assert now is not None
            sessions[visitor] = [now.started_at, now.ended_at, now.pages]
            if opened is not None and before is not None:
                await sink.send(key=visitor, value=closed(visitor, before))

    app.agent(source)(sessionise)
    return app


def main() -> None:
    """Work until SIGTERM."""
    kafka, group, topic, output, directory, kind = sys.argv[1:7]
    app = make_app(kafka, group, topic, output, directory, kind == "table")
    sys.argv = ["faust_job", "worker", "-l", "info", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
