"""How soon a worker goes on: with its local state (warm), and on an empty disk, from the changelog (cold).

    python -m tests.benchmarks.recovery [--visitors 300000 1000000] [--writes 1]

prints one JSON line a figure; it starts its own Kafka. The changelog is filled as a worker fills it, with rows of
open visitors (four page views each, 4 partitions, every row `writes` times, a fence every 5,000 rows); then real
workers start. What is told is the time in which they took their partitions over, by their own log, their CPU
seconds until then and the most memory that they held.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from agents.broker import EmbeddedKafka
from agents.changelogs import FENCE_KEY, top_header, write_fence
from agents.sending import Record, Sender
from schemas.topics import partition
from streams.processors import Fence, LogProcessor
from streams.sessions import Sessions
from streams.settings import Settings
from streams.visitors import visitor_key
from tests.agents.product import Deployment
from tests.benchmarks.figures import cpu_seconds, say, say_machine
from tests.benchmarks.live import wait_until_taken_over
from tests.benchmarks.open_visitors import START_MS, VIEWS_EACH, view_of

PARTITIONS = 4
ROWS_AT_ONCE = 5_000
FORMAT = Sessions.state_format.number
CHANGELOG = "culdesac-sessions-changelog"


def rows(visitors: int) -> Iterator[tuple[bytes, bytes]]:
    """State rows of open visitors, all after the first one's."""
    processor = LogProcessor(Sessions(Settings(), partitions=1, customers=1), 0)
    for step in range(VIEWS_EACH):
        processor.apply_record(step, START_MS, view_of(0, step))
    key = visitor_key("shop.example", view_of(0, 0).visitor_id).encode()
    first = dict(processor.context.state.drain())[key] or b""
    rest = first[first.index(b",") :]
    for visitor in range(visitors):
        yield (
            key[:-22] + b"%022d" % visitor,
            b"[%d" % (START_MS + visitor) + rest.replace(b'"00-', b'"0%d-' % visitor),
        )


async def fill(deployment: Deployment, visitors: int, writes: int) -> None:
    """Write the rows to the changelog, each partition's in batches with a fence behind."""
    sender = Sender(deployment.kafka, deployment.prefix)
    await sender.start()
    waiting: list[list[tuple[bytes, bytes]]] = [[] for _ in range(PARTITIONS)]
    offsets = [0] * PARTITIONS

    async def push(number: int) -> None:
        offsets[number] += VIEWS_EACH * len(waiting[number])
        headers = top_header(offsets[number], FORMAT)
        records = [Record(key, row, headers) for key, row in waiting[number]]
        records.append(Record(FENCE_KEY, write_fence(Fence(format=FORMAT, offset=offsets[number])), headers))
        await sender.send({(CHANGELOG, number): records})
        waiting[number] = []

    for _ in range(writes):
        for key, row in rows(visitors):
            number = partition(key.partition(b"\x1f")[2], PARTITIONS)
            waiting[number].append((key, row))
            if len(waiting[number]) >= ROWS_AT_ONCE:
                await push(number)
        for number in range(PARTITIONS):
            await push(number)
    await sender.stop()


def take_over(deployment: Deployment) -> tuple[float, int, float, float]:
    """Start a worker and end it when it has its partitions: s and changelog records; CPU s and MB in all."""
    log = deployment.directory / "worker-a.log"
    log.unlink(missing_ok=True)
    process = deployment.worker()
    found = wait_until_taken_over(deployment)
    cpu = cpu_seconds(process.pid)
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    time.sleep(2)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return float(found[1]), int(found[2]), cpu, int(peak[1]) / 1e3


def measure(kafka: str, visitors: int, writes: int) -> None:
    """Print the figures of one number of visitors."""
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(kafka, Path(folder))
        try:
            for _ in range(2):  # the first start compiles, joins anew and makes the topics' first records
                idle, _, cpu_idle, mb_idle = take_over(deployment)
            say("recovery_of_nothing_s", idle)
            shutil.rmtree(Path(folder) / "a")
            asyncio.run(fill(deployment, visitors, writes))
            for kind in ("cold", "warm"):
                seconds, records, cpu, mb = take_over(deployment)
                workload = {"keys": visitors, "writes": writes, "changelog_records": records}
                say(f"recovery_{kind}_s", seconds, **workload)
                say(f"recovery_{kind}_cpu_s", cpu - cpu_idle, **workload)
                say(f"recovery_{kind}_peak_mb", mb - mb_idle, **workload)
        finally:
            deployment.close()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[300_000, 1_000_000])
    parser.add_argument("--writes", type=int, default=1)
    given = parser.parse_args()
    say_machine()
    with EmbeddedKafka() as kafka:
        for visitors in given.visitors:
            measure(kafka.bootstrap, visitors, given.writes)
            say_machine()


if __name__ == "__main__":
    main()
