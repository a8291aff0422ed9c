"""Recovery: bring local stores up to the end of their changelogs before their partitions are folded again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents import metrics
from agents.changelogs import FENCE_KEY, StoreError, read_fence
from agents.security import OPEN, Security
from agents.stores import LostFenceError, Store

log = logging.getLogger(__name__)

REPORT_S = 2.0
"""A long recovery says how far it is this often."""
STOP_S = 5.0
"""How long the client may take to disconnect."""
TAIL = 2_000
"""The newest fence is looked for among so many last records, so that rows need not wait for it in memory."""

Target = tuple[str, int]


class Recovered(NamedTuple):
    """What a recovery did.

    Attributes
    ----------
    records
        How many changelog records were read.
    heal
        (changelog topic, partition) to the keys that must be written again; see `Store.end_recovery`.
    """

    records: int
    heal: dict[Target, list[bytes]]


async def recover(
    kafka: str,
    stores: Mapping[Target, Store],
    stall_s: float = 60.0,
    progress: Callable[[], None] = lambda: None,
    security: Security = OPEN,
) -> Recovered:
    """Read what the stores lack from their changelogs. May be cancelled, and begun anew with the same folders.

    Parameters
    ----------
    kafka
        Bootstrap servers.
    stores
        (changelog topic, partition) to its store.
    stall_s
        Give up when nothing has come for so long (s).
    progress
        Called whenever something has come.
    security
        How to get in.

    Raises
    ------
    StoreError
        A changelog stands still or is not the store's, or a record in it is not ours.
    """
    if not stores:
        return Recovered(0, {})
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.split(","),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
        fetch_max_wait_ms=100,
        **security.arguments(),
    )
    try:
        await consumer.start()
        return await _Recovery(consumer, stores, stall_s, progress).run()
    finally:
        # A client that was cancelled while it connects may never come to an end.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), STOP_S)


class _Recovery:
    def __init__(
        self, consumer: Any, stores: Mapping[Target, Store], stall_s: float, progress: Callable[[], None]
    ) -> None:
        self._consumer = consumer
        self._stores = {TopicPartition(*target): store for target, store in stores.items()}
        self._stall_s = stall_s
        self._progress = progress

    async def run(self) -> Recovered:
        consumer, stores = self._consumer, self._stores
        consumer.assign(list(stores))
        ends = await consumer.end_offsets(list(stores))
        begins = await consumer.beginning_offsets(list(stores))
        starts: dict[TopicPartition, int] = {}
        for tp, store in stores.items():
            starts[tp] = max(store.persisted + 1, begins[tp])
            if starts[tp] > ends[tp]:
                raise StoreError(
                    f"{store.directory} is ahead of its changelog {tp.topic}: the topic was deleted or made anew; "
                    "remove the directory to start anew, or bring the topic back"
                )
        tails = {tp: ends[tp] - TAIL for tp in stores if ends[tp] - starts[tp] > 2 * TAIL}
        await self._read(tails, ends, self._glimpse)
        records = await self._read(starts, ends, self._take, "recovering state")
        heal: dict[Target, list[bytes]] = {}
        for tp, store in stores.items():
            read_to = await consumer.position(tp) - 1
            try:
                keys = store.end_recovery(read_to)
            except LostFenceError:
                # Perhaps the hint was a fence of an earlier format that does not count: read without it.
                store.start_over()
                records += await self._read({tp: begins[tp]}, ends, self._take, "recovering state anew")
                keys = store.end_recovery(read_to)
            heal[tp.topic, tp.partition] = keys
        return Recovered(records, heal)

    def _glimpse(self, store: Store, records: Sequence[Any]) -> None:
        for record in records:
            if record.key == FENCE_KEY:
                store.hint(read_fence(record.value or b"", store.form))

    def _take(self, store: Store, records: Sequence[Any]) -> None:
        store.recover_all(records)

    async def _read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        take: Callable[[Store, Sequence[Any]], None],
        report: str = "",
    ) -> int:
        """Hand the records from `starts` to `ends`, and a few that came meanwhile, to `take`."""
        consumer, stores = self._consumer, self._stores
        for tp, start in starts.items():
            consumer.seek(tp, start)
        todo = {tp for tp, start in starts.items() if start < ends[tp]}
        consumer.pause(*(tp for tp in stores if tp not in todo))
        consumer.resume(*todo)
        total = sum(ends[tp] - starts[tp] for tp in todo)
        read, heard, reported = 0, time.monotonic(), time.monotonic()
        remaining = metrics.recovering_records.labels()
        remaining.set(total)
        while todo:
            fetched = await consumer.getmany(*todo, timeout_ms=200)
            now = time.monotonic()
            for tp, records in fetched.items():
                take(stores[tp], records)
                read += len(records)
                remaining.set(max(0, total - read))
                heard = now
                self._progress()
                await asyncio.sleep(0)
            # Compaction leaves gaps, so the position tells the end, not the last record.
            for tp in list(todo):
                if await consumer.position(tp) >= ends[tp]:
                    todo.discard(tp)
                    consumer.pause(tp)
            if now - heard > self._stall_s:
                raise StoreError(
                    f"no changelog record for {self._stall_s:.0f} s with {len(todo)} partitions to recover"
                )
            if report and now - reported > REPORT_S:
                reported = now
                log.info("%s: %d of about %d changelog records (%d %%)", report, read, total,
                         100 * min(read, total) // max(1, total))  # fmt: skip
        remaining.set(0)
        return read
