"""Reading along: when copies arrive at a subscriber, and when the broker appended what stands in a topic."""

from __future__ import annotations

import multiprocessing
import re
import time
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

LOOK_S = 0.2
"""How often a subscriber looks whether somebody asks it something."""

_EVENT_ID = re.compile(rb'"event_id": ?"([^"]*)"')


class Subscriber:
    """Another process that reads a topic and notes when each event id came first (ms).

    Attributes
    ----------
    pid
        Of the process.
    """

    def __init__(self, kafka: str, topic: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(kafka, topic, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()
        self.pid = self._process.pid or 0

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


def _run(kafka: str, topic: str, pipe: Connection) -> None:
    uvloop.run(_subscribe(kafka, topic, pipe))


async def _subscribe(kafka: str, topic: str, pipe: Connection) -> None:
    consumer, tps = await _consumer(kafka, topic)
    await consumer.seek_to_end(*tps)
    pipe.send("ready")
    arrived: dict[str, float] = {}
    look_at = 0.0
    while True:
        fetched = await consumer.getmany(timeout_ms=int(1000 * LOOK_S))
        now_ms = time.time() * 1000
        for records in fetched.values():
            for record in records:
                if (name := _EVENT_ID.search(record.value)) is not None:
                    arrived.setdefault(name[1].decode(), now_ms)
        if time.monotonic() >= look_at:
            look_at = time.monotonic() + LOOK_S
            if pipe.poll():
                if pipe.recv() == "end":
                    break
                pipe.send(arrived)
    await consumer.stop()


async def _consumer(kafka: str, topic: str) -> tuple[Any, list[TopicPartition]]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, check_crcs=False)
    await consumer.start()
    return consumer, sorted(consumer.assignment())


def appended(kafka: str, topic: str, since_ms: float = 0.0) -> dict[str, int]:
    """Event id to the time at which the broker appended it (ms), of the records of a topic since a time (ms)."""
    return uvloop.run(_appended(kafka, topic, int(since_ms)))


async def _appended(kafka: str, topic: str, since_ms: int) -> dict[str, int]:
    consumer, tps = await _consumer(kafka, topic)
    ends = await consumer.end_offsets(tps)
    begins = await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))
    for tp in tps:
        consumer.seek(tp, ends[tp] if begins[tp] is None else begins[tp].offset)
    times: dict[str, int] = {}
    while any([await consumer.position(tp) < ends[tp] for tp in tps]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                if (name := _EVENT_ID.search(record.value)) is not None:
                    times[name[1].decode()] = record.timestamp
    await consumer.stop()
    return times
