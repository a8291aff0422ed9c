"""Pulse of the work: how far the group has committed, how far the logs go, and when work goes on after a fault."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from streams.event_files import INPUTS

LOGS = ("visitor-events", "customer-events", "site-events")
"""What the stages tell each other, in the order of the data."""
OUTPUTS = ("sessions",)
EVERY_S = 0.2


class Place(NamedTuple):
    """A partition: offset that is committed, and its end."""

    committed: int
    end: int


Places = dict[TopicPartition, Place]


class Pulse:
    """Asks the broker; connects anew when it was away.

    Parameters
    ----------
    kafka, prefix, group
        Whose work.
    """

    def __init__(self, kafka: str, prefix: str, group: str) -> None:
        self._kafka = kafka
        self._prefix = prefix
        self._group = group
        self._admin: KafkaAdminClient | None = None
        self._partitions: list[TopicPartition] = []

    def feel(self, topics: Sequence[str] = (*INPUTS, *LOGS)) -> Places:
        """Tell where each partition of some topics is.

        Raises
        ------
        KafkaError
            The broker does not answer.
        """
        try:
            return self._feel(topics)
        except KafkaError:
            self.close()
            raise

    def _feel(self, topics: Sequence[str]) -> Places:
        if self._admin is None:
            self._admin = KafkaAdminClient(bootstrap_servers=self._kafka, request_timeout_ms=5_000)
            self._partitions = [
                TopicPartition(topic["name"], partition["partition_index"])
                for topic in self._admin.describe_topics(
                    [self._prefix + name for name in (*INPUTS, *LOGS, *OUTPUTS)]
                )
                for partition in topic["partitions"]
            ]
        wanted = {self._prefix + topic for topic in topics}
        partitions = [tp for tp in self._partitions if tp.topic in wanted]
        ends = self._admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        committed = self._admin.list_group_offsets([self._group])[self._group]
        return {
            tp: Place(max(0, committed[tp].offset) if tp in committed else 0, ends[tp].offset)
            for tp in partitions
        }

    def until_work_goes_on(self, limit_s: float, said: Callable[[], str]) -> float | None:
        """Wait until every partition that is behind now has got on or is done; give the seconds that it took.

        None where nothing is behind: then there is no work to go on with.

        Raises
        ------
        AssertionError
            A partition stands still for `limit_s`.
        """
        began = time.monotonic()
        before: Places | None = None
        now: Places = {}
        while True:
            waited_s = time.monotonic() - began
            try:
                now = self.feel()
                if before is None:
                    before = {tp: place for tp, place in now.items() if place.committed < place.end}
                standing = [
                    tp
                    for tp, place in before.items()
                    if now[tp].committed <= place.committed and now[tp].committed < place.end
                ]
                if not standing:
                    return waited_s if before else None
            except KafkaError:
                standing = []
            stalled = [(tp.topic, tp.partition, *now[tp]) for tp in standing]
            assert waited_s < limit_s, f"a silent stall: {stalled} after {waited_s:.0f} s\n{said()}"
            time.sleep(EVERY_S)

    def until_done(
        self,
        limit_s: float,
        said: Callable[[], str],
        logs: Sequence[str] = LOGS,
        is_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """Wait until the inputs and each log, in the order of the data, are read up to where they end.

        Raises
        ------
        AssertionError
            One of them takes longer than `limit_s`, or nobody is alive to read it.
        """
        # What follows from an offset is there before it is committed: outputs, and marks of the inputs.
        for topics in (INPUTS, *((log,) for log in logs)):
            self.until_read(topics, limit_s, said, is_alive)

    def until_read(
        self,
        topics: Sequence[str],
        limit_s: float,
        said: Callable[[], str],
        is_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """Wait until some topics are read up to where they end now.

        Raises
        ------
        AssertionError
            It takes longer than `limit_s`, or nobody is alive to read them.
        """
        began = time.monotonic()
        ends: dict[TopicPartition, int] = {}
        behind: list[tuple[str, int, int]] = []
        while time.monotonic() - began < limit_s:
            try:
                now = self.feel(topics)
                ends = ends or {tp: place.end for tp, place in now.items()}
                behind = [
                    (tp.topic, now[tp].committed, end) for tp, end in ends.items() if now[tp].committed < end
                ]
                if not behind:
                    return
            except KafkaError:
                pass
            assert is_alive(), f"nobody reads: {behind}\n{said()}"
            time.sleep(EVERY_S)
        raise AssertionError(f"not read: {behind}\n{said()}")

    def close(self) -> None:
        """Disconnect."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None
