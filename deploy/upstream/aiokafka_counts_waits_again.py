"""aiokafka: who waits in line gives up long before the timeout (`add_batch`, producer/message_accumulator.py)."""

import asyncio
import time
from types import SimpleNamespace

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from aiokafka.producer.message_accumulator import MessageAccumulator

WAIT_S, TIMEOUT_S = 0.05, 2.0


async def wait_drain(timeout):
    await asyncio.sleep(WAIT_S)


async def waited_s():
    """Wait behind one batch after the other, each of which arrives soon."""
    tp = TopicPartition("orders", 0)
    busy = SimpleNamespace(wait_drain=wait_drain)
    accumulator = SimpleNamespace(_closed=False, _exception=None, _batches={tp: [busy]})
    began = time.monotonic()
    try:
        async with asyncio.timeout(5 * TIMEOUT_S):
            await MessageAccumulator.add_batch(accumulator, None, tp, TIMEOUT_S)
    except KafkaTimeoutError:
        pass
    return time.monotonic() - began


found_s = asyncio.run(waited_s())
there = found_s < TIMEOUT_S * 0.9
print(f"gave up after {found_s:.2f} s of {TIMEOUT_S:.0f} s" if there else f"mended: waited {found_s:.2f} s")
raise SystemExit(0 if there else 1)
