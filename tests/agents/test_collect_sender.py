"""The collector's sender on a real Kafka: bounded, in batches, and anew after its producer is of no more use."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine

import pytest

from agents.broker import EmbeddedKafka
from agents.collect_sender import AwayError, CollectSender, FullError
from agents.settings import WorkerSettings
from agents.topics import ensure_topics, partition_counts
from schemas.topics import PartitionCounts
from streams.collected import CollectedRecord

RECORDS = [CollectedRecord("interactions", str(number), b"x" * 1_000) for number in range(100)]
Walk = Callable[[CollectSender], Coroutine[None, None, None]]


@pytest.fixture(scope="module")
def run(kafka: EmbeddedKafka) -> Callable[..., None]:
    """Give a way to walk with a sender whose topics are there."""
    counts = PartitionCounts(inputs=2, visitors=1, customers=1, outputs=1)
    settings = WorkerSettings(
        kafka=kafka.bootstrap, topic_prefix=f"s{uuid.uuid4().hex[:8]}.", partitions=counts
    )
    ensure_topics(settings)
    name = f"{settings.topic_prefix}interactions"
    assert partition_counts(kafka.bootstrap, [name]) == {name: 2}

    def walk(steps: Walk, limit_s: float = 60.0) -> None:
        async def whole() -> None:
            sender = CollectSender(settings.kafka, settings.topic_prefix, 200_000, limit_s=limit_s)
            with pytest.raises(AwayError):
                sender.deliver(RECORDS[:1])
            sender.start()
            while not sender.connected:
                await asyncio.sleep(0.01)
            await steps(sender)
            assert await sender.stop(30)
            assert sender.in_flight == 0

        asyncio.run(whole())

    return walk


def test_what_is_delivered_is_counted_until_kafka_has_it(run: Callable[..., None]) -> None:
    async def steps(sender: CollectSender) -> None:
        assert await sender.deliver([])
        deliveries = [sender.deliver(RECORDS[start : start + 10]) for start in range(0, 100, 10)]
        assert 100_000 < sender.in_flight <= 200_000
        with pytest.raises(FullError):
            sender.deliver(RECORDS)
        assert await asyncio.gather(*deliveries) == [True] * 10
        assert sender.in_flight == 0
        assert await sender.deliver(RECORDS), "there is room again"

    run(steps)


def test_a_producer_that_is_of_no_more_use_is_replaced(run: Callable[..., None]) -> None:
    async def steps(sender: CollectSender) -> None:
        broken = sender._producer
        assert broken is not None
        await broken.stop()
        assert not await sender.deliver(RECORDS[:1]), "and who waits is told so"
        while not await sender.deliver(RECORDS):
            assert sender.in_flight == 0
        assert sender._producer not in (None, broken)
        assert (sender.connected, sender.trouble) == (True, "")

    run(steps, 2.0)
