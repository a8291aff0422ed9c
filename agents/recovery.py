"""Recovery: bring local stores up to the end of their changelogs before their partitions are folded again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.stores import Store, StoreError, read_top

log = logging.getLogger(__name__)

REPORT_S = 2.0
"""A long recovery says how far it is this often."""


async def recover(
    kafka: str,
    stores: Mapping[tuple[str, int], Store],
    is_current: Callable[[], bool],
    stall_s: float = 60.0,
) -> int:
    """Read what the stores lack from their changelogs.

    Parameters
    ----------
    kafka
        Bootstrap servers.
    stores
        (changelog topic, partition) to its store.
    is_current
        False as soon as the assignment has changed: then recovery stops early.
    stall_s
        Give up when nothing has come for so long (s).

    Returns
    -------
    int
        Records read.

    Raises
    ------
    StoreError
        A changelog stands still, or a record in it is not ours.
    """
    wanted = {TopicPartition(*target): store for target, store in stores.items()}
    if not wanted:
        return 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        consumer.assign(list(wanted))
        ends = await consumer.end_offsets(list(wanted))
        begins = await consumer.beginning_offsets(list(wanted))
        positions: dict[TopicPartition, int] = {}
        for tp, store in wanted.items():
            start = max(store.persisted + 1, begins[tp])
            if start > ends[tp]:
                raise StoreError(
                    f"{store.directory} is ahead of its changelog {tp.topic}: the topic was deleted or made anew; "
                    "remove the directory to start anew, or bring the topic back"
                )
            positions[tp] = start
            consumer.seek(tp, start)
        todo = {tp for tp, start in positions.items() if start < ends[tp]}
        consumer.pause(*(tp for tp in wanted if tp not in todo))
        total = sum(ends[tp] - positions[tp] for tp in todo)
        read, heard, reported = 0, time.monotonic(), time.monotonic()
        while todo and is_current():
            fetched = await consumer.getmany(timeout_ms=200)
            now = time.monotonic()
            for tp, records in fetched.items():
                store = wanted[tp]
                for record in records:
                    store.recover(record.offset, record.key, record.value, read_top(record.headers))
                read += len(records)
                heard = now
                await asyncio.sleep(0)
            # Compaction leaves gaps, so the position tells the end, not the last record.
            for tp in list(todo):
                if await consumer.position(tp) >= ends[tp]:
                    todo.discard(tp)
                    consumer.pause(tp)
            if now - heard > stall_s:
                raise StoreError(
                    f"no changelog record for {stall_s:.0f} s with {len(todo)} partitions to recover"
                )
            if now - reported > REPORT_S:
                reported = now
                log.info("recovering state: %d of about %d changelog records", read, total)
        return read
    finally:
        await consumer.stop()
