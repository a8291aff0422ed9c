"""Places of a route of notices: where it goes on after a restart, and what it has still to tell."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.notice_routes import Unheard

AGAIN_S = 1.0
"""Kafka is asked again after this."""


class Places(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Where a route goes on in each partition, and of what it has not told yet.

    Where its group has never committed it begins at the end: nobody wants to hear of last month. The consumer
    fetches from a partition as soon as it has it, and does not wait until that is known: whoever reads has to, by
    `settled`.

    Parameters
    ----------
    consumer
        Of the route.
    group
        Its consumer group.
    asked
        How Kafka is reached, as arguments of a client.
    from_beginning
        Whether a new group begins at the first alert that there is.

    Attributes
    ----------
    settled
        Whether all that is assigned is known.
    begins
        Offsets before which nothing is told.
    unheard
        Of each partition.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, group: str, asked: Mapping[str, Any], from_beginning: bool
    ) -> None:
        self._consumer = consumer
        self._group = group
        self._asked = asked
        self._from_beginning = from_beginning
        self.settled = False
        self.begins: dict[TopicPartition, int] = {}
        self.unheard: dict[TopicPartition, Unheard] = defaultdict(Unheard)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Know nothing any more: each notice was committed when it was told."""
        self.settled = False

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Read what was committed, and commit the end of what is new."""
        self.settled = False
        partitions = list(assigned)
        found = await self._committed(partitions) if partitions else {}
        places = {tp: place for tp, place in found.items() if place.offset >= 0}
        self.unheard.clear()
        self.unheard.update((tp, Unheard(place.metadata)) for tp, place in places.items())
        new = [tp for tp in partitions if tp not in places]
        if new and not self._from_beginning:
            ends = await self._consumer.end_offsets(new)
            self.begins.update(ends)
            for tp, end in ends.items():
                self._consumer.seek(tp, end)
            await self._consumer.commit(ends)
        self.settled = True

    async def _committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Any]:
        """Ask until Kafka says: without an answer a route would tell of all that there ever was.

        The consumer's own `committed` leaves out what stands beside the offset.
        """
        while True:
            admin = AIOKafkaAdminClient(**self._asked)
            try:
                await admin.start()
                found: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(
                    self._group, partitions=partitions
                )
            except (KafkaError, OSError) as error:
                sys.stderr.write(
                    f"culdesac notify: {self._group}: its place is not known yet ({type(error).__name__})\n"
                )
                await asyncio.sleep(AGAIN_S)
            else:
                return found
            finally:
                await admin.close()
