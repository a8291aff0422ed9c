"""A plain loop of confluent-kafka with its state in a dict: about the limit in Python, and nothing is durable."""

from __future__ import annotations

import signal
import sys
import time

import msgspec

from tests.benchmarks.peers.folding import Session, View, closed, fold


def main() -> None:
    """Work until SIGTERM."""
    from confluent_kafka import Consumer, Producer

    kafka, group, topic, output, _ = sys.argv[1:6]
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 20, "enable.idempotence": True})
    decode = msgspec.json.Decoder(View).decode
    encode = msgspec.json.encode
    sessions: dict[str, Session] = {}
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
    consumer.subscribe([topic])
    committed = time.monotonic()
    while not ends:
        for message in consumer.consume(2_000, timeout=0.1):
            if message.error():
                raise RuntimeError(message.error())
            view = decode(message.value())
            visitor = view.visitor_id
            before = sessions.get(visitor)
            opened = fold(before, view.occurred_at, view.url)
            if opened is not None:
                sessions[visitor] = opened
                if before is not None:
                    producer.produce(output, encode(closed(visitor, before)), visitor)
        producer.poll(0)
        if time.monotonic() - committed > 1:
            producer.flush()
            if consumer.assignment():
                consumer.commit(asynchronous=True)
            committed = time.monotonic()
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main()
