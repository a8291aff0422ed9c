"""A bench for faults: topics of its own on a broker, traffic, workers under a supervisor, and the verdict."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import MemberToRemove

from agents.broker import EmbeddedKafka
from agents.settings import WorkerSettings
from agents.topics import ensure_topics
from schemas.topics import PartitionCounts
from streams.event_files import INPUTS, FileEvent
from streams.settings import HOUR_MS, Settings
from tests.agents.product import SECRET, replayed
from tests.agents.pulse import Pulse
from tests.faults.crew import Crew, Post
from tests.faults.traffic import Traffic, poison
from tests.faults.verdicts import LETTERED, Position, Verdict, Written, judge

SESSION_S = 3.0
"""A worker that is silent for so long is given up by the group."""
GOES_ON_S = 90.0
"""Limit within which work goes on after a fault, with room for a slow machine; the table tells what it took."""
SETTINGS = Settings(warm_up_ms=3 * HOUR_MS, out_of_orderness_ms=2 * HOUR_MS)
"""An hour of the shop is played in four seconds: by that measure two hours are less than the ten seconds that
events may be out of order by default, and more than the five that a claim of silence holds."""
_ENVIRONMENT = {"CULDESAC_WARM_UP": "3h", "CULDESAC_OUT_OF_ORDERNESS": "2h"}
HOUR_PLAYED_S = 4.0
HELD_HOURS = 2.0
"""Of the beginning; sent when the watermark is beyond them."""


class Bench:
    """One deployment of the product, from its first topic to its verdict.

    Parameters
    ----------
    kafka
        Its broker; faults may kill it.
    directory
        Of the workers' data and logs.
    events
        What is to be sent.
    source
        Of chance; the same seed gives the same choices.
    partitions
        How many of each kind of topic.
    environment
        Further settings and switches of all workers.
    bury
        Take workers out of the group as soon as they have died, as their session's end would three seconds later;
        for one worker.

    Attributes
    ----------
    late
        Whether events were sent later than the watermark waits for.
    resumed
        Fault to the seconds after its end until every partition got on.
    """

    def __init__(
        self,
        kafka: EmbeddedKafka,
        directory: Path,
        events: Sequence[FileEvent],
        source: random.Random,
        partitions: PartitionCounts | None = None,
        environment: dict[str, str] | None = None,
        *,
        bury: bool = False,
    ) -> None:
        self.kafka = kafka
        self.events = events
        self.source = source
        self.late = False
        self.resumed: list[tuple[str, float]] = []
        self.partitions = counts = partitions or PartitionCounts()
        self.prefix = f"faults-{uuid.uuid4().hex[:8]}-"
        self.group = group = f"{self.prefix}app"
        self._poison: set[tuple[str, bytes | None]] = set()
        ensure_topics(
            WorkerSettings(kafka=kafka.bootstrap, topic_prefix=self.prefix, app_id=group, partitions=counts)
        )
        self.traffic = Traffic(kafka.bootstrap, self.prefix, events)
        self.pulse = Pulse(kafka.bootstrap, self.prefix, group)
        self.crew = Crew(
            directory,
            {
                "CULDESAC_KAFKA": kafka.bootstrap,
                "CULDESAC_TOPIC_PREFIX": self.prefix,
                "CULDESAC_APP_ID": group,
                "CULDESAC_PARTITIONS": ",".join(
                    f"{kind}={getattr(counts, kind)}" for kind in PartitionCounts.__struct_fields__
                ),
                "CULDESAC_SECRET": SECRET,
                "CULDESAC_METRICS_PORT": "0",
                "CULDESAC_SESSION_TIMEOUT": f"{SESSION_S:.0f}s",
                **_ENVIRONMENT,
                **(environment or {}),
            },
            self._bury if bury else lambda _: None,
        )

    def someone(self) -> Post:
        """One of the workers, by chance."""
        return self.source.choice(self.crew.working())

    def play(self) -> None:
        """Begin to send what is left as live traffic, four seconds an hour of the shop."""
        self.traffic.play(HOUR_PLAYED_S)

    def pass_time(self, least_s: float, most_s: float) -> None:
        """Let a random while pass."""
        time.sleep(self.source.uniform(least_s, most_s))

    def storm(self, count: int) -> None:
        """Send so many unusable records to each input topic at once."""
        records = poison(self.source, self.events, count)
        self._poison |= {(record.topic, record.value) for record in records}
        self.traffic.send(records)

    def hold_back(self, share: float) -> None:
        """Keep back what some visitors do in the first part of the time, as if their producer were cut off."""
        until_ms = HELD_HOURS * HOUR_MS + min(event.occurred_at or 0 for event in self.events)
        visitors = {json.loads(event.value or b"").get("visitor_id") for event in self.events} - {None}
        chosen = set(self.source.sample(sorted(visitors), round(share * len(visitors))))

        def is_held(event: FileEvent) -> bool:
            is_early = (event.occurred_at or 0) < until_ms
            return is_early and json.loads(event.value or b"").get("visitor_id") in chosen

        self.traffic.hold_back(is_held)

    def send_held(self) -> None:
        """Send what was kept back."""
        if self.traffic.held:
            self.late = True
            self.traffic.send(self.traffic.held)
            self.traffic.held = []

    def wait_until_sent(self, share: float) -> None:
        """Until so much of all events has been sent."""
        while self.traffic.is_playing and 1 - self.traffic.left < share:
            time.sleep(0.05)

    def count(self, topic: str) -> int:
        """How many records a topic has."""
        return sum(place.end for place in self.pulse.feel((topic,)).values())

    def inflict(self, name: str, fault: Callable[[Bench], None]) -> None:
        """Let a fault happen, and see that work goes on."""
        fault(self)
        seconds = self.pulse.until_work_goes_on(GOES_ON_S, self.crew.logs)
        if seconds is not None:
            self.resumed.append((name, seconds))

    def verdict(self, limit_s: float = 240.0) -> Verdict:
        """Send what is left, wait until all is done, and compare.

        Raises
        ------
        AssertionError
            It does not come to an end, what stands in the inputs is not what was sent, or a worker ended in a
            way that no rule allows.
        """
        self.traffic.hold()
        self.traffic.publisher.silent = frozenset()
        self.traffic.finish(SETTINGS.run_on_ms)
        self.pulse.until_done(limit_s, self.crew.logs)
        assert not self.crew.unnamed_exits(), f"{self.crew.unnamed_exits()}\n{self.crew.logs()}"
        sent = self.traffic.record
        replay = replayed(sent, SETTINGS)
        return judge(len(sent), replay, self._poisoned(), self._written(), late=self.late)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything but the broker."""
        self.crew.close()
        self.traffic.close()
        self.pulse.close()

    def _bury(self, _: Post) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        members = admin.describe_groups([self.group])[self.group]["members"]
        if members:
            admin.remove_group_members(
                self.group, [MemberToRemove(member["member_id"]) for member in members]
            )
        admin.close()

    def _poisoned(self) -> set[Position]:
        """Where the unusable records stand; and that nothing else stands in the inputs than what was sent."""
        stands: list[tuple[str, bytes | None]] = []
        poisoned = set()
        for topic, partition, offset, value in self._read_inputs():
            if value is not None and value.startswith(b'{"culdesac_progress":'):
                continue
            stands.append((topic, value))
            if (topic, value) in self._poison:
                poisoned.add(Position(topic, partition, offset))
        sent = [(event.topic, event.value) for event in self.traffic.record]
        order = [name + repr(value) for name, value in stands], [name + repr(value) for name, value in sent]
        assert sorted(order[0]) == sorted(order[1]), "the publisher lost or doubled records"
        return poisoned

    def _read_inputs(self) -> list[tuple[str, int, int, bytes | None]]:
        return [
            (topic, record.partition, record.offset, record.value) for topic, record in self._read(INPUTS)
        ]

    def _written(self) -> list[Written]:
        return [
            Written(topic, record.key, record.value, tuple(record.headers))
            for topic, record in self._read(LETTERED)
        ]

    def _read(self, topics: Sequence[str]) -> list[tuple[str, Any]]:
        """All records of some topics, each partition in its order."""
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap)
        records: list[tuple[str, Any]] = []
        for topic in topics:
            name = self.prefix + topic
            tps = [
                TopicPartition(name, number) for number in sorted(consumer.partitions_for_topic(name) or ())
            ]
            consumer.assign(tps)
            ends = consumer.end_offsets(tps)
            consumer.seek_to_beginning(*tps)
            while any(consumer.position(tp) < ends[tp] for tp in tps):
                for fetched in consumer.poll(timeout_ms=200).values():
                    records += [(topic, record) for record in fetched]
        consumer.close()
        return records
