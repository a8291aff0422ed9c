"""States as an earlier version wrote them, kept in a file, and what goes on from them.

A file holds for each stage a part of its log, and the rows and the fence after the first half of it. To make one
for the present format, from logs of ``{"topic": …, "timestamp": …, "value": …}`` a line:
``python -m tests.streams.kept_states LOGS OUT [STAGE…]``.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from streams.flow import stages
from streams.processors import Fence, LogProcessor
from streams.settings import HOUR_MS, Settings
from streams.stages import LogStage, Output

SETTINGS = Settings(warm_up_ms=HOUR_MS)
STAGES: Mapping[str, LogStage] = {
    stage.name: stage for stage in stages(SETTINGS, "a secret of the tests", {"visitor-events": 1}).stages
}


class Record(msgspec.Struct, array_like=True):
    """A record of a log."""

    timestamp: int
    value: msgspec.Raw


class Kept(msgspec.Struct):
    """State of one stage after the first `cut` records of its log: rows by key, and fence."""

    format: int
    cut: int
    log: list[Record]
    rows: dict[str, msgspec.Raw]
    fence: msgspec.Raw


def run(processor: LogProcessor, log: Iterable[tuple[int, Record]]) -> list[Output]:
    """Apply records at their offsets."""
    outputs: list[Output] = []
    for offset, record in log:
        outputs += processor.apply(offset, record.timestamp, bytes(record.value))
    return outputs


def keep(stage: LogStage, log: list[Record]) -> Kept:
    """Make the state of a stage after half of a log."""
    cut = len(log) // 2
    processor = LogProcessor(stage, 0)
    run(processor, enumerate(log[:cut]))
    rows = {key.decode(): msgspec.Raw(row) for key, row in processor.context.state.drain() if row is not None}
    fence = msgspec.Raw(msgspec.json.encode(processor.fence))
    return Kept(stage.state_format.number, cut, log, rows, fence)


def resume(stage: LogStage, kept: Kept) -> LogProcessor:
    """Give a processor that goes on from a kept state, as a worker that takes over does."""
    rows: dict[bytes, bytes] = {}
    for key, row in kept.rows.items():
        upgraded = stage.state_format.upgrade(key.encode(), bytes(row), kept.format)
        if upgraded is not None:
            rows[key.encode()] = upgraded
    fence = msgspec.json.decode(kept.fence, type=Fence)
    fence.format = stage.state_format.number
    processor = LogProcessor(stage, 0, rows, 1_000, fence)
    processor.context.state.restore(rows.items())
    return processor


def read(file: Path) -> dict[str, Kept]:
    """States of a file by stage."""
    return msgspec.json.decode(gzip.decompress(file.read_bytes()), type=dict[str, Kept])


def main(logs: Path, out: Path, *names: str) -> None:
    """Make a file of states, of all stages if none is named."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in logs.read_text().splitlines()]
    kept = {}
    for name in names or STAGES:
        stage = STAGES[name]
        log = [
            Record(line["timestamp"], msgspec.Raw(line["value"].encode()))
            for line in lines
            if line["topic"] == stage.log
        ]
        kept[name] = keep(stage, log)
    out.write_bytes(gzip.compress(msgspec.json.encode(kept), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
