"""CPU per event as load, pages and open visitors grow ten and a hundred times; and hot visitors and pages.

    python -m tests.benchmarks.growth [--events 60000] [--only load pages visitors hot]

prints one JSON line a figure. In process, without Kafka, which plays no part in it: replay, decode to alert; for
open visitors the sessions stage with a state on disk, as a worker has it. Beside CPU seconds, which other
processes on the machine disturb, function calls (Python's and C's, by `sys.setprofile`) are counted on a second,
shorter run: they are the same on every machine. `ratio` compares with the first line of its kind.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from agents import garbage
from agents.changelogs import write_fence
from agents.stores import Store
from agents.takeover import RECORDS_IN_MEMORY
from streams.event_files import FileEvent
from streams.flow import stages
from streams.processors import LogProcessor
from streams.replay import Replay
from streams.sessions import Sessions
from streams.settings import Settings
from streams.shop import ShopConfig, traffic
from tests.agents.product import END_MS, SECRET
from tests.benchmarks.figures import say, say_machine
from tests.benchmarks.open_visitors import BATCH, START_MS, STEP_MS, VIEWS_EACH, view_of
from tests.benchmarks.recovery import rows

EVENTS_PER_SESSION = 8.0
SESSIONS_PER_HOUR = 600.0
PAGES = 200
TIMES = (1, 10, 100)


class Ratios:
    """Prints figures, each with its ratio to the first of its kind."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}

    def say(self, figure: str, value: float, **workload: Any) -> None:
        """Print one."""
        first = self._first.setdefault(figure, value)
        say(figure, value, ratio=round(value / first, 2), **workload)


def shop_of(events: int, sessions_per_hour: float, pages: int = PAGES) -> list[FileEvent]:
    """About so many events of a shop, however busy it is: a busier one runs for a shorter time."""
    hours = max(0.1, events / EVENTS_PER_SESSION / sessions_per_hour)
    config = ShopConfig(sessions_per_hour=sessions_per_hour, pages=pages, start_ms=END_MS, hours=hours)
    return [
        FileEvent(topic, msgspec.json.encode(event), event["occurred_at"])
        for topic, event in islice(traffic(config), events)
    ]


def replay(events: Sequence[FileEvent]) -> None:
    """Decode to alert, outputs encoded."""
    settings = Settings()
    counts = {"visitor-events": 1}
    runner = Replay(stages(settings, SECRET, counts), settings, counts, lambda output, line: None)
    for event in events:
        runner.feed(*event)
    runner.finish()


def cpu_of(work: Callable[[], None]) -> float:
    """CPU seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def calls_of(work: Callable[[], None]) -> int:
    """Function calls of a piece of work, Python's and C's."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def replayed(ratios: Ratios, kind: str, events: Sequence[FileEvent], **workload: Any) -> None:
    """Print what a replay of these events costs."""
    workload |= {"events": len(events), "page_views": sum(event.topic == "page-views" for event in events)}
    cpu = min(cpu_of(lambda: replay(events)) for _ in range(2))
    ratios.say(f"growth_{kind}_cpu_us_per_event", cpu / len(events) * 1e6, **workload)
    calls = calls_of(lambda: replay(events))
    ratios.say(f"growth_{kind}_calls_per_event", calls / len(events), **workload)


def load(events: int) -> None:
    """Sessions an hour."""
    ratios = Ratios()
    for times in TIMES:
        rate = SESSIONS_PER_HOUR * times
        replayed(ratios, "load", shop_of(events, rate), sessions_per_hour=rate)


def pages(events: int) -> None:
    """Pages of the site."""
    ratios = Ratios()
    for times in TIMES:
        replayed(ratios, "pages", shop_of(events, 10 * SESSIONS_PER_HOUR, PAGES * times), pages=PAGES * times)


def visitors(counts: Sequence[int] = (10_000, 100_000, 1_000_000), clicks: int = 20_000) -> None:
    """Open visitors: one more view of visitors that came just now, and of visitors chosen at random."""
    ratios = {"recent": Ratios(), "any": Ratios()}
    for number in counts:
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "sessions" / "0", Sessions.state_format)
            processor = LogProcessor(
                Sessions(Settings(), partitions=1, customers=1), 0, store, RECORDS_IN_MEMORY
            )
            state = processor.context.state
            some = rows(number)
            while chunk := list(islice(some, BATCH)):
                write(processor, store, chunk)
                state.restore(chunk)
            chooser = random.Random(0)
            recent = [number - 1 - chooser.randrange(clicks // 4) for _ in range(clicks)]
            click(processor, store, number, recent)
            wait_for_compaction()
            for kind, chosen in (
                ("recent", recent),
                ("any", [chooser.randrange(number) for _ in range(clicks)]),
            ):
                began = time.process_time()
                click(processor, store, number, chosen)
                cpu = time.process_time() - began
                ratios[kind].say(f"growth_visitors_{kind}_cpu_us_per_event", cpu / clicks * 1e6,
                                 open_visitors=number, held=RECORDS_IN_MEMORY, events=clicks)  # fmt: skip
            store.close()


def wait_for_compaction() -> None:
    """Until the store's threads, which put in order what was filled in, take no CPU any more."""
    spent = 1.0
    while spent > 0.01:
        began = time.process_time()
        time.sleep(0.5)
        spent = time.process_time() - began


def write(processor: LogProcessor, store: Store, changed: Sequence[tuple[bytes, bytes | None]]) -> None:
    """Write rows and fence away."""
    first = store.persisted + 1
    offset = processor.fence.offset
    store.write(changed, write_fence(processor.fence), offset, first, first + len(changed))


def click(processor: LogProcessor, store: Store, visitors: int, chosen: Sequence[int]) -> None:
    """One more view of each of these visitors, the state written away in batches."""
    state, first = processor.context.state, processor.fence.offset + 1
    for offset, visitor in enumerate(chosen, first):
        at = START_MS + visitors + VIEWS_EACH * STEP_MS + offset
        view = msgspec.structs.replace(
            view_of(visitor, VIEWS_EACH),
            origin=("page-views/0", offset, 0),
            event_id=f"more-{offset}",
            occurred_at=at,
        )
        processor.apply_record(offset, at, view)
        if offset % BATCH == BATCH - 1:
            write(processor, store, state.drain())
            state.settle()
    write(processor, store, state.drain())
    state.settle()


def hot(events: int) -> None:
    """One visitor with a tenth of all events; one page with half of all views; and both not."""
    plain = shop_of(events, 10 * SESSIONS_PER_HOUR)
    ratios = Ratios()
    replayed(ratios, "hot", plain, hot="nothing")
    replayed(ratios, "hot", [*heated(plain, "visitor_id", 0.1)], hot="a visitor with 10 % of all events")
    replayed(ratios, "hot", [*heated(plain, "url", 0.5)], hot="a page with 50 % of all views")


def heated(events: Sequence[FileEvent], field: str, share: float) -> Sequence[FileEvent]:
    """Put one value into a field of a share of all events that have it."""
    chooser = random.Random(field)
    value = {"visitor_id": "hot", "url": "https://shop.example/product/p1"}[field]
    some = []
    for event in events:
        record = msgspec.json.decode(event.value or b"{}")
        if field in record and chooser.random() < share:
            record[field] = value
            event = event._replace(value=msgspec.json.encode(record))
        some.append(event)
    return some


def main() -> None:
    """Measure."""
    kinds = ("load", "pages", "visitors", "hot")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--only", nargs="*", choices=kinds, default=kinds)
    given = parser.parse_args()
    garbage.look_seldom()
    say_machine()
    for kind, measure in (("load", load), ("pages", pages), ("hot", hot)):
        if kind in given.only:
            measure(given.events)
    if "visitors" in given.only:
        visitors()
    say_machine()


if __name__ == "__main__":
    main()
