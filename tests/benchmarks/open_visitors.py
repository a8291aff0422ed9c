"""Memory of open visitors: in process with all of them held, and in a worker that holds a part of them.

    python -m tests.benchmarks.open_visitors [--visitors 100000 300000 1000000] [--held 50000]

prints one JSON line a figure. Each visitor has four page views of ten minutes and stays open. `held` is how many
records are kept decoded, as a worker does (`RECORDS_IN_MEMORY`), the rest being in a local store on disk; -1
stands for all of them, with no store.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import tempfile
from pathlib import Path

from agents.changelogs import write_fence
from agents.stores import Store
from agents.takeover import RECORDS_IN_MEMORY
from schemas.visitor_events import VisitorPageView
from streams.processors import LogProcessor
from streams.sessions import Sessions
from streams.settings import Settings
from tests.benchmarks.figures import rss_mb, say

VIEWS_EACH = 4
START_MS = 1_700_000_000_000
STEP_MS = 20_000
BATCH = 1_000


def view_of(visitor: int, step: int) -> VisitorPageView:
    """One of a visitor's page views."""
    page = f"shop.example/product/p{visitor * 7 % 200}"
    return VisitorPageView(
        origin=("page-views/0", visitor * VIEWS_EACH + step, 0),
        event_id=f"{visitor}-{step}-0123456789abcdef",
        visitor_id=f"v_{visitor:022d}",
        occurred_at=START_MS + visitor + step * STEP_MS,
        url=f"https://{page}",
        page=page,
        template="product",
        source="organic",
        device="mobile",
        site="shop.example",
    )


def fill(processor: LogProcessor, store: Store | None, visitors: int, first: int = 0) -> None:
    """Open visitors, writing the state away in batches as a worker does."""
    changelog = 0 if store is None else store.persisted + 1
    state = processor.context.state
    for visitor in range(first, visitors):
        for step in range(VIEWS_EACH):
            view = view_of(visitor, step)
            processor.apply_record(view.origin[1], view.occurred_at, view)
        if visitor % BATCH == BATCH - 1:
            rows = state.drain()
            if store is not None:
                fence = write_fence(processor.fence)
                store.write(rows, fence, processor.fence.offset, changelog, changelog + len(rows))
                changelog += len(rows) + 1
            state.settle()


def measure(counts: list[int], held: int) -> None:
    """Grow one state, and print what it takes at each of these numbers of visitors."""
    with tempfile.TemporaryDirectory() as folder:
        store = None if held < 0 else Store(Path(folder) / "sessions" / "0", Sessions.state_format)
        stage = Sessions(Settings(), partitions=1, customers=1)
        processor = LogProcessor(stage, 0, store, None if held < 0 else held)
        gc.collect()
        before = rss_mb(os.getpid())
        done = 0
        for visitors in counts:
            fill(processor, store, visitors, done)
            done = visitors
            grown = rss_mb(os.getpid()) - before
            workload = {"visitors": visitors, "views_each": VIEWS_EACH, "held": held}
            say("open_visitors_mb", grown, **workload)
            say("open_visitors_mb_per_100k", grown / visitors * 1e5, **workload)
        if store is not None:
            store.close()


def main() -> None:
    """Measure, each kind in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--held", type=int, nargs="+", default=[-1, RECORDS_IN_MEMORY])
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for held in given.held:
        process = context.Process(target=measure, args=(sorted(given.visitors), held))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
