"""Bytewax: stateful flat map; with recovery, its state is snapshot into SQLite files each second."""

from __future__ import annotations

import os
import sys
from typing import Any

import msgspec

from tests.benchmarks.peers.folding import Session, View, closed, fold


def make_flow(kafka: str, topic: str, output: str) -> Any:
    """Make the dataflow."""
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
    from bytewax.dataflow import Dataflow

    decode = msgspec.json.Decoder(View).decode
    encode = msgspec.json.encode

    def keyed(message: Any) -> tuple[str, tuple[int, str]]:
        view = decode(message.value)
        return view.visitor_id, (view.occurred_at, view.url)

    def sessionise(session: Session | None, view: tuple[int, str]) -> tuple[Session, list[Session]]:
        opened = fold(session, *view)
        if opened is None:
            assert session is not None
            return session, []
        return opened, [] if session is None else [session]

    def message(item: tuple[str, Session]) -> Any:
        return KafkaSinkMessage(item[0].encode(), encode(closed(*item)))

    flow = Dataflow("peers")
    read = op.input("read", flow, KafkaSource([kafka], [topic], batch_size=1_000))
    views = op.map("decode", read, keyed)
    sessions = op.stateful_flat_map("sessionise", views, sessionise)
    op.output("write", op.map("encode", sessions, message), KafkaSink([kafka], output))
    return flow


def main() -> None:
    """Work until killed."""
    kafka, _, topic, output, directory, kind = sys.argv[1:7]
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.run import cli_main

    flow = make_flow(kafka, topic, output)
    if kind == "recovery":
        os.makedirs(directory, exist_ok=True)
        init_db_dir(directory, 1)
        from datetime import timedelta

        config = RecoveryConfig(directory, backup_interval=timedelta(0))
        cli_main(flow, epoch_interval=timedelta(seconds=1), recovery_config=config)
    else:
        cli_main(flow)


if __name__ == "__main__":
    main()
