"""Publishing as a command: files of events to Kafka, at a rate or as fast as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.progress import Bars
from agents.publisher import Publisher
from agents.security import security_of
from agents.settings import WorkerSettings
from streams.adapters import Adaptation
from streams.event_files import FileEvent, Format, find_files, read_events

SLICE_S = 0.02
"""Events of so long go out at once when a rate is kept."""


def publish(
    events: Iterable[FileEvent],
    publisher: Publisher,
    rate: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send events, at most `rate` a second (None: as fast as Kafka takes them), in slices of 20 ms."""
    began = clock()
    for number, event in enumerate(events):
        if rate is not None and (early := number / rate - (clock() - began)) > SLICE_S:
            publisher.push(telling=True)
            sleep(early)
        publisher.send(event.topic, event.value, event.occurred_at)


def publish_files(
    paths: Sequence[Path],
    settings: WorkerSettings,
    form: Format | Adaptation,
    rate: float | None,
    end: bool,
    bars: Bars,
) -> dict[str, Any]:
    """Send files to Kafka, and tell what was sent.

    Parameters
    ----------
    paths, form
        See `find_files`.
    settings
        Where to, the site of access logs, and how far time runs on at the end.
    rate
        Events a second; None: as fast as Kafka takes them.
    end
        Whether to say at the end that nothing follows, so that everything is closed.
    bars
        Shows how far it is.
    """
    files = find_files(paths, form)
    began = time.monotonic()
    reading = bars.start("Reading", sum(file.stat().st_size for file in files), "bytes")
    with Publisher(settings.kafka, settings.topic_prefix, security=security_of(settings)) as publisher:
        publishing = bars.start("Publishing", None, "events")

        def shown(events: Iterable[FileEvent]) -> Iterator[FileEvent]:
            for number, event in enumerate(events):
                if not number % 500:
                    publishing.reach(number)
                yield event

        events = read_events(files, form, settings.streams.site, reading.advance, publishing.set_total)
        publish(shown(events), publisher, rate)
        if end and publisher.now_ms is not None:
            publisher.tell()
            publisher.tell(publisher.now_ms + settings.streams.run_on_ms)
    return {
        "sent": publisher.sent.total(),
        "by_topic": dict(publisher.sent),
        "refused": publisher.refused,
        "seconds": round(time.monotonic() - began, 2),
    }
