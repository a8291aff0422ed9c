"""Live traffic: a made-up shop played at a steady rate, and a subscriber that notes when copies arrive.

A session of half an hour would not end within a benchmark. So the shop is played `SPEED` times as fast, with all
durations of the settings so many times shorter: what is open, closes and is learned is then in the proportions of
a shop with as many events a second.
"""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition

from agents.publisher import Publisher
from streams.event_files import FileEvent
from tests.agents.product import Deployment, shop_events

SPEED = 30
SETTINGS = {
    "CULDESAC_GAP": "60s",
    "CULDESAC_ORDER_WAIT": "60s",
    "CULDESAC_STALL_AFTER": "10s",
    "CULDESAC_RETENTION": "48m",
    "CULDESAC_SNAPSHOT_EVERY": "30s",
    "CULDESAC_SCORE_EVERY": "2m",
    "CULDESAC_WARM_UP": "48m",
}
"""The defaults, `SPEED` times as short, as a worker's environment."""
STEADY_S = 75.0
"""By then sessions end as often as they begin."""
EVENTS_PER_SESSION = 10.0
PACE_S = 0.005
"""Events go out together that fall due within such a while."""

_TAKEN = re.compile(r"took over [1-9]\d* partitions in ([\d.]+) s, (\d+) changelog records")
_EVENT_ID = re.compile(rb'"event_id": ?"([^"]*)"')
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


def shop_at(events_per_second: float, seconds: float) -> list[FileEvent]:
    """Events of a shop that has about so many a second when it is played, for about so long."""
    hours = min(24.0, max(0.5, 1.3 * seconds * SPEED / 3600))
    return shop_events(hours, events_per_second * 3600 / SPEED / EVENTS_PER_SESSION)


def wait_until_taken_over(deployment: Deployment, name: str = "a", seconds: float = 300.0) -> re.Match[str]:
    """Until a worker has its partitions; tell what its log says of it: seconds and changelog records."""
    log = deployment.directory / f"worker-{name}.log"
    limit = time.monotonic() + seconds
    while (found := _TAKEN.search(log.read_text(errors="replace"))) is None:
        assert deployment.workers[-1].poll() is None, deployment.logs()
        assert time.monotonic() < limit, deployment.logs()
        time.sleep(0.05)
    return found


class Playing:
    """Sends a shop's events in their order, again and again, under names of their own and with the time of now.

    Attributes
    ----------
    sent
        How many events there were so far.
    """

    def __init__(self, publisher: Publisher, events: Sequence[FileEvent], name: str = "live") -> None:
        self.sent = 0
        self._publisher = publisher
        self._events = self._forever(events, name)

    @staticmethod
    def _forever(events: Sequence[FileEvent], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for turn in count():
            for number, event in enumerate(events):
                record = _decode(event.value or b"{}")
                record["event_id"] = f"{name}-{turn}-{number}"
                for field in ("visitor_id", "customer_id", "order_id"):
                    if field in record:
                        record[field] = f"{record[field]}-{turn}"
                yield event.topic, record

    def play(
        self, events_per_second: float, seconds: float, each_s: Callable[[], None] = lambda: None
    ) -> None:
        """Send at this rate for so long; what falls due while the broker is slow goes out late, not never."""
        began = time.monotonic()
        sent, looked = 0, began
        while (elapsed := time.monotonic() - began) < seconds:
            due = int(elapsed * events_per_second) + 1
            if due > sent:
                now_ms = int(time.time() * 1000)
                for _ in range(due - sent):
                    topic, record = next(self._events)
                    record["occurred_at"] = now_ms
                    self._publisher.send(topic, _encode(record), now_ms)
                self._publisher.push()
                self.sent += due - sent
                sent = due
            if time.monotonic() - looked >= 1.0:
                looked = time.monotonic()
                each_s()
            time.sleep(max(0.0, min(PACE_S, began + sent / events_per_second - time.monotonic())))


class Subscriber:
    """Another process that reads a topic and notes when each event id came first (ms)."""

    def __init__(self, kafka: str, topic: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_subscribe, args=(kafka, topic, theirs), daemon=True)
        self._process.start()
        self._pipe.recv()

    def arrivals(self) -> dict[str, float]:
        """Event id to its arrival so far."""
        self._pipe.send("arrivals")
        found: dict[str, float] = self._pipe.recv()
        return found

    def close(self) -> None:
        """End it."""
        self._pipe.send("end")
        self._process.join(10)
        self._process.close()


def _subscribe(kafka: str, topic: str, pipe: Connection) -> None:
    consumer = KafkaConsumer(bootstrap_servers=kafka, fetch_max_wait_ms=100)
    tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(tps)
    consumer.seek_to_end(*tps)
    for tp in tps:
        consumer.position(tp)
    pipe.send("ready")
    arrived: dict[str, float] = {}
    while True:
        for records in consumer.poll(timeout_ms=50).values():
            now_ms = time.time() * 1000
            for record in records:
                name = _EVENT_ID.search(record.value)
                if name is not None:
                    arrived.setdefault(name[1].decode(), now_ms)
        if pipe.poll():
            if pipe.recv() == "end":
                break
            pipe.send(arrived)
    consumer.close()


def appended(kafka: str, topic: str) -> dict[str, int]:
    """Event id to the time at which the broker appended it (ms), of all records of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=kafka)
    tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(tps)
    consumer.seek_to_beginning(*tps)
    ends = consumer.end_offsets(tps)
    times: dict[str, int] = {}
    while any(consumer.position(tp) < ends[tp] for tp in tps):
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                name = _EVENT_ID.search(record.value)
                if name is not None:
                    times[name[1].decode()] = record.timestamp
    consumer.close()
    return times
