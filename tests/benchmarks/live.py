"""Live traffic: a made-up shop played at a steady rate by a process of its own.

A session of half an hour would not end within a benchmark. So the shop is played `SPEED` times as fast, with all
durations of the settings so many times shorter: what is open, closes and is learned is then in the proportions of
a shop with as many events a second. Events are made and encoded before they are played: while the clock runs, only
their time and whose they are is filled in, for what the player needs of the machine the worker does not get.
"""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

import msgspec

from agents.publisher import Publisher, key_of
from schemas.topics import partition
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
STEADY_S = 70.0
"""By then sessions end as often as they begin."""
EVENTS_PER_SESSION = 10.0
MOST_PER_SHOP = 1_000.0
"""Events a second of one shop; more are so many visitors each doing the same, for a shop takes long to make."""
PACE_S = 0.01
"""Events go out together that fall due within such a while."""

_TAKEN = re.compile(r"took over [1-9]\d* partitions in ([\d.]+) s, (\d+) changelog records")
_TURN, _NOW = "@turn@", "@now@"
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


class _Template(NamedTuple):
    """An event as bytes with gaps, for the time of now and for the turn of the shop that it is in."""

    topic: str
    key: bytes | None
    value: bytes


def _templates(events: Iterable[FileEvent]) -> Iterator[_Template]:
    """Prepare events; their ids and visitors are other ones in each turn."""
    for number, event in enumerate(events):
        record = _decode(event.value or b"{}")
        record["event_id"] = f"live-{_TURN}-{number}"
        for field in ("visitor_id", "customer_id", "order_id"):
            if field in record:
                record[field] = f"{record[field]}-{_TURN}"
        record["occurred_at"] = _NOW
        value = _encode(record)
        yield _Template(
            event.topic, key_of(event.topic, value), value.replace(b'"%s"' % _NOW.encode(), b"%b")
        )


class _GapPublisher(Publisher):
    """Publisher of events whose key is known."""

    def fill_in(self, template: _Template, turn: bytes, now: bytes) -> None:
        """Gather an event."""
        topic, key, value = template
        gap = _TURN.encode()
        value = value.replace(gap, turn).replace(b"%b", now, 1)
        key = None if key is None else key.replace(gap, turn)
        self._put((topic, partition(value if key is None else key, self._counts[topic])), key, value)


class Playing:
    """A process that sends a shop's events in their order, again and again, with the time of now.

    Parameters
    ----------
    kafka, prefix
        Where to.
    events_per_second
        How many there are to be; the shop has as many.
    seconds
        For how long they last before they come again, from other visitors.

    Attributes
    ----------
    sent
        How many events there were so far.
    late_ms
        How long the events of the last time waited for their turn at most: the broker, or a busy machine.
    pid
        Of the process.
    """

    def __init__(self, kafka: str, prefix: str, events_per_second: float, seconds: float) -> None:
        self.sent = 0
        self.late_ms = 0.0
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_play, args=(kafka, prefix, events_per_second, seconds, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self.pid = self._process.pid or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()

    def wait_until_ready(self) -> None:
        """Wait until its events are made."""
        assert self._pipe.recv() == "ready"

    def play(
        self, events_per_second: float, seconds: float, each_s: Callable[[], None] = lambda: None
    ) -> None:
        """Send at this rate for so long; what falls due while the broker is slow goes out late, not never."""
        self._pipe.send((events_per_second, seconds))
        while not self._pipe.poll(1.0):
            each_s()
        sent, self.late_ms = self._pipe.recv()
        self.sent += sent


def _play(kafka: str, prefix: str, rate: float, seconds: float, pipe: Connection) -> None:
    copies = max(1, round(rate / MOST_PER_SHOP))
    templates = list(_templates(shop_at(rate / copies, seconds)))
    events = (
        (template, b"%d" % (turn + copy))
        for turn in count(0, copies)
        for template in templates
        for copy in range(copies)
    )
    publisher = _GapPublisher(kafka, prefix)
    pipe.send("ready")
    try:
        while True:
            pipe.send(_play_at(publisher, events, *pipe.recv()))
    except EOFError:
        publisher.close()


def _play_at(
    publisher: _GapPublisher, events: Iterator[tuple[_Template, bytes]], rate: float, seconds: float
) -> tuple[int, float]:
    """Send for so long at a rate; tell how many and how late the latest was (ms)."""
    began = time.monotonic()
    sent, late_s = 0, 0.0
    while (elapsed := time.monotonic() - began) < seconds:
        due = int(elapsed * rate) + 1
        if due > sent:
            late_s = max(late_s, elapsed - sent / rate)
            now = b"%d" % (time.time() * 1000)
            for template, turn in islice(events, due - sent):
                publisher.fill_in(template, turn, now)
            publisher.push()
            sent = due
        time.sleep(max(0.0, began + max(sent / rate, elapsed + PACE_S) - time.monotonic()))
    return sent, 1000 * late_s
