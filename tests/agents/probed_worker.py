"""The product's worker with a probe in it, for tests: the most that its units and its merge have held at a time.

    python -m tests.agents.probed_worker worker

Figures go to the file that PROBE_OUT names, as JSON, whenever there is a greater one. PROBE_UNITS sets constants,
as ``FOLD_AHEAD=1000000``, to break what the test holds.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from faust.types import TP

from agents.commands import main
from agents.merging import Merge
from agents.units import Unit
from streams.stages import Output
from tests.agents.constants import set_constants

OUT = "PROBE_OUT"
UNITS = "PROBE_UNITS"
EVERY_S = 0.1
FIRST_PRODUCER = 100
"""The client library counts its producers and calls them by that: so a quota finds the worker's, not the test's."""

_most: Counter[str] = Counter()
_slices: Counter[int] = Counter()


def _see(name: str, value: float) -> None:
    if value > _most[name]:
        _most[name] = int(value)


def _watch_units() -> None:
    take, folded = Unit._take, Unit._folded

    def watched_take(self: Unit, outputs: Iterable[Output]) -> None:
        before = self.pending_bytes
        take(self, outputs)
        _slices[id(self)] += self.pending_bytes - before

    def watched_folded(self: Unit, count: int, began: float) -> None:
        folded(self, count, began)
        _see("pending", self.pending)
        _see("pending_bytes", self.pending_bytes)
        _see("slice", count)
        _see("slice_bytes", _slices.pop(id(self), 0))

    for name, watched in {"_take": watched_take, "_folded": watched_folded}.items():
        setattr(Unit, name, watched)


def _watch_merge() -> None:
    add = Merge.add

    def watched_add(self: Merge, tp: TP, records: Iterable[tuple[int, Any]], end: int, size: int = 0) -> None:
        records = list(records)
        add(self, tp, records, end, size)
        _see("fetched", len(records))
        _see("fetched_bytes", size)
        _see("held", len(self._held[tp]))
        _see("held_bytes", self._bytes[tp])

    for name, watched in {"add": watched_add}.items():
        setattr(Merge, name, watched)


def _write(path: Path) -> None:
    written: dict[str, int] = {}
    while True:
        figures = dict(_most)
        if figures != written:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(figures))
            fresh.replace(path)
            written = figures
        time.sleep(EVERY_S)


def run() -> None:
    """Work, and tell."""
    set_constants(os.environ.get(UNITS, ""))
    for name in ("_PRODUCER_CLIENT_ID_SEQUENCE",):
        assert hasattr(AIOKafkaProducer, name)
        setattr(AIOKafkaProducer, name, FIRST_PRODUCER)
    _watch_units()
    _watch_merge()
    threading.Thread(target=_write, args=(Path(os.environ[OUT]),), daemon=True).start()
    main()


if __name__ == "__main__":
    run()
