"""Traffic of a shop to Kafka: at once or at a pace, with what was really sent; and what no shop should send."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Sequence

from agents.publisher import Publisher
from streams.event_files import INPUTS, FileEvent
from streams.settings import HOUR_MS

SLICE_S = 0.1
"""Pace of sending live traffic."""
_PROGRESS = b'{"culdesac_progress":'


class RecordingPublisher(Publisher):
    """Publisher that knows what it sent, and can leave partitions out, as if nothing happened there.

    Attributes
    ----------
    record
        What was sent, in order, without word of progress.
    silent
        (topic, partition) that get nothing.
    """

    def __init__(self, kafka: str, prefix: str) -> None:
        self.record: list[FileEvent] = []
        self.silent: frozenset[tuple[str, int]] = frozenset()
        self._occurred_at: int | None = None
        super().__init__(kafka, prefix)

    def send(self, topic: str, value: bytes | None, occurred_at: int | None = None) -> None:
        self._occurred_at = occurred_at
        super().send(topic, value, occurred_at)

    def _put(self, target: tuple[str, int], key: bytes | None, value: bytes | None) -> None:
        if target in self.silent:
            return
        if value is None or not value.startswith(_PROGRESS):
            self.record.append(FileEvent(target[0], value, self._occurred_at))
        super()._put(target, key, value)


class Traffic:
    """Sends events; one thread at a time.

    Parameters
    ----------
    kafka, prefix
        Where to.
    events
        All there is to send, in order.

    Attributes
    ----------
    held
        What was taken out of them.
    """

    def __init__(self, kafka: str, prefix: str, events: Sequence[FileEvent]) -> None:
        self.publisher = RecordingPublisher(kafka, prefix)
        self.held: list[FileEvent] = []
        self._events = events
        self._next = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    @property
    def record(self) -> list[FileEvent]:
        """What was sent, in order."""
        return self.publisher.record

    @property
    def left(self) -> float:
        """Share of all events that has not been sent."""
        return 1 - self._next / len(self._events)

    def send(self, events: Sequence[FileEvent]) -> None:
        """Send events besides, at once, while others may be sent at a pace."""
        with self._lock:
            for event in events:
                self.publisher.send(*event)
            self.publisher.push()

    def hold_back(self, is_held: Callable[[FileEvent], bool]) -> None:
        """Take out of the events what is to come later, if at all."""
        self.held = [event for event in self._events if is_held(event)]
        self._events = [event for event in self._events if not is_held(event)]

    def tell(self) -> None:
        """Say to every partition how far time has come."""
        assert self.publisher.now_ms is not None
        self.publisher.tell(self.publisher.now_ms + 1)
        self.publisher.push()

    def send_share(self, share: float) -> None:
        """Send so much of all events at once, and say how far time has come."""
        with self._lock:
            end = min(len(self._events), self._next + round(share * len(self._events)))
            for event in self._events[self._next : end]:
                self.publisher.send(*event)
            self.publisher.tell()
            self.publisher.push()
            self._next = end

    def play(self, hour_s: float) -> None:
        """Begin to send what is left at a pace of so many seconds an hour of event time."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._play, args=(HOUR_MS / hour_s * SLICE_S,), daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Stop playing; what was being sent is acknowledged."""
        self._stopping.set()
        self._join()

    def finish(self, run_on_ms: int) -> None:
        """Send what is left at once, and say that nothing comes any more."""
        self.hold()
        self.send_share(1.0)
        assert self.publisher.now_ms is not None
        self.publisher.tell(self.publisher.now_ms + run_on_ms)
        self.publisher.push()

    @property
    def is_playing(self) -> bool:
        """Whether events are being sent at a pace."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Disconnect."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.publisher.close()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error

    def _play(self, slice_ms: float) -> None:
        try:
            while self._next < len(self._events) and not self._stopping.wait(SLICE_S):
                # By slices and not by the clock: a machine that is slow makes no leaps of event time.
                until_ms = (self._events[self._next].occurred_at or 0) + slice_ms
                with self._lock:
                    while self._next < len(self._events):
                        event = self._events[self._next]
                        if (event.occurred_at or 0) > until_ms:
                            break
                        self.publisher.send(*event)
                        self._next += 1
                    self.publisher.push(telling=True)
        except BaseException as error:  # noqa: BLE001  # raised where the thread is joined
            self._error = error


def poison(source: random.Random, events: Sequence[FileEvent], count: int) -> list[FileEvent]:
    """So many records a topic that no stage can use; real events, broken, are among them."""
    stormy: list[FileEvent] = []
    for topic in INPUTS:
        for _ in range(count):
            whole = source.choice(events).value or b""
            stormy.append(FileEvent(topic, _broken(source, whole), None))
    source.shuffle(stormy)
    return stormy


def _broken(source: random.Random, whole: bytes) -> bytes | None:
    kind = source.randrange(9)
    if kind == 0:
        return None
    if kind == 1:
        return source.randbytes(source.randrange(1, 400))
    if kind == 2:
        return whole[: source.randrange(len(whole))]
    if kind == 3:
        return b"[" * source.choice([1, 600, 100_000])
    if kind == 4:
        return b'{"a":"' + b"x" * source.choice([300_000, 900_000]) + b'"}'
    if kind == 5:
        return b"\xff\xfe" + whole
    event = json.loads(whole)
    if kind == 6:
        event["occurred_at"] = 4_000_000_000_000  # of a clock that is decades ahead
    elif kind == 7:
        event["occurred_at"] = "yesterday"
    else:
        del event["event_id"]
    return json.dumps(event).encode()
