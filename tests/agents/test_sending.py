"""Sending: the envelope, where a record goes, and batches of one partition that follow each other."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from agents.broker import EmbeddedKafka
from agents.sending import Record, RecordTooLargeError, Sender, Span, encode
from schemas.topics import KAFKA_RECORD_BYTES, STATE_RECORD_BYTES, partition
from streams.stages import EVERY_PARTITION, Output

SOURCE = "/culdesac/sessions"
COUNTS = {"sessions": 4, "visitor-events": 3}


def test_an_output_travels_as_a_cloud_event_in_binary_mode() -> None:
    output = Output("sessions", "visitor-1", {"b": 1, "a": "ä"}, "s1", 1_000, revision=3)
    targets, record = encode(output, COUNTS, SOURCE)
    assert targets == [("sessions", partition(b"visitor-1", 4))]
    assert record.key == b"visitor-1"
    assert json.loads(record.value or b"") == {"a": "ä", "b": 1}
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"s1:3",
        "ce_type": b"culdesac.sessions",
        "ce_source": SOURCE.encode(),
        "ce_time": b"1970-01-01T00:00:01.000Z",
        "content-type": b"application/json",
    }


def test_the_same_output_is_the_same_to_the_letter_whatever_the_order_of_its_fields() -> None:
    one = Output("sessions", "v", {"a": 1, "b": {"c": 1, "d": 2}}, "s1", 0)
    other = Output("sessions", "v", {"b": {"d": 2, "c": 1}, "a": 1}, "s1", 0)
    assert encode(one, COUNTS, SOURCE) == encode(other, COUNTS, SOURCE)


def test_what_only_we_read_travels_without_an_envelope() -> None:
    record = encode(Output("visitor-events", "v", {"a": 1}, "e1", 0), COUNTS, SOURCE)[1]
    assert record == Record(b"v", b'{"a":1}', [])


@pytest.mark.parametrize(("wanted", "targets"), [(2, [2]), (EVERY_PARTITION, [0, 1, 2])])
def test_an_output_may_say_which_partitions_it_is_for(wanted: int, targets: list[int]) -> None:
    output = Output("visitor-events", "", {}, "mark", 0, partition=wanted)
    assert encode(output, COUNTS, SOURCE)[0] == [("visitor-events", number) for number in targets]


class Producer:
    """Stands in for aiokafka's: takes batches of at most three records, and answers when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, list[bytes]]] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.ends: dict[tuple[str, int], int] = {}

    def create_batch(self) -> Any:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> asyncio.Future[Any]:
        self.sent.append((topic, partition, batch.values))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return answer

    def answer(self) -> None:
        """Acknowledge all that was sent."""
        for (topic, number, values), answer in zip(self.sent, self.answers, strict=True):
            if not answer.done():
                begin = self.ends.get((topic, number), 100)
                self.ends[topic, number] = begin + len(values)
                answer.set_result(type("Metadata", (), {"offset": begin}))


class Batch:
    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, timestamp: int, key: bytes, value: bytes, headers: object) -> Any:
        if len(self.values) == 3:
            return None
        self.values.append(value)
        return type("Metadata", (), {"size": len(value)})

    def close(self) -> None: ...


def records(*values: bytes) -> list[Record]:
    return [Record(b"k", value, []) for value in values]


def with_fake(test: Callable[[Sender, Producer], Coroutine[Any, Any, None]]) -> None:
    sender, producer = Sender("", prefix="p-", timeout_s=0.5), Producer()
    sender._producer = producer
    asyncio.run(test(sender, producer))


def test_a_batch_waits_until_its_predecessor_in_the_partition_is_acknowledged() -> None:
    async def test(sender: Sender, producer: Producer) -> None:
        batches = {("a", 0): records(*[b"%d" % n for n in range(7)]), ("b", 1): records(b"x")}
        sending = asyncio.ensure_future(sender.send(batches))
        await asyncio.sleep(0.01)
        assert producer.sent == [("p-a", 0, [b"0", b"1", b"2"]), ("p-b", 1, [b"x"])]
        producer.answer()
        await asyncio.sleep(0.01)
        assert producer.sent[2:] == [("p-a", 0, [b"3", b"4", b"5"])]
        producer.answer()
        await asyncio.sleep(0.01)
        producer.answer()
        assert await sending == {("a", 0): Span(100, 106), ("b", 1): Span(100, 100)}

    with_fake(test)


def test_nothing_follows_a_batch_that_failed() -> None:
    async def test(sender: Sender, producer: Producer) -> None:
        sending = asyncio.ensure_future(sender.send({("a", 0): records(b"0", b"1", b"2", b"3")}))
        await asyncio.sleep(0.01)
        producer.answers[0].set_exception(OSError("refused"))
        with pytest.raises(OSError, match="refused"):
            await sending
        assert len(producer.sent) == 1

    with_fake(test)


def test_units_take_turns_in_a_partition_and_none_follows_a_batch_that_failed() -> None:
    async def test(sender: Sender, producer: Producer) -> None:
        sending = [asyncio.ensure_future(sender.send({("a", 0): records(b"%d" % n)})) for n in range(4)]
        await asyncio.sleep(0.01)
        assert producer.sent == [("p-a", 0, [b"0"])]
        sending[0].cancel()  # its batch is on its way all the same, and the library keeps the order
        await asyncio.sleep(0.01)
        assert producer.sent[1:] == [("p-a", 0, [b"1"])]
        producer.answers[1].set_result(type("Metadata", (), {"offset": 101}))
        await asyncio.sleep(0.01)
        assert producer.sent[2:] == [("p-a", 0, [b"2"])]
        producer.answers[2].set_exception(OSError("refused"))
        results = await asyncio.gather(*sending, return_exceptions=True)
        assert [type(result) for result in results[1:]] == [dict, OSError, TimeoutError]
        assert len(producer.sent) == 3

    with_fake(test)


def test_a_broker_that_does_not_answer_ends_it() -> None:
    async def test(sender: Sender, producer: Producer) -> None:
        sender.timeout_s = 0.05
        with pytest.raises(TimeoutError):
            await sender.send({("a", 0): records(b"0")})

    with_fake(test)


def test_a_record_that_is_too_large_is_named_before_anything_is_sent() -> None:
    async def test(sender: Sender, producer: Producer) -> None:
        huge = Record(b"vann", b"x" * (KAFKA_RECORD_BYTES + 1), [])
        with pytest.raises(RecordTooLargeError, match="a record for a of 1000001 bytes, key b'vann'"):
            await sender.send({("b", 0): records(b"0"), ("a", 0): [huge]})
        assert producer.sent == []

    with_fake(test)


def test_state_may_be_larger_than_other_records() -> None:
    async def test(sender: Sender, producer: Producer) -> None:
        changelog = "culdesac-sessions-changelog"
        row = Record(b"vann", b"x" * (STATE_RECORD_BYTES - 1_000), [])
        sending = asyncio.ensure_future(sender.send({(changelog, 0): [row]}))
        await asyncio.sleep(0.01)
        producer.answer()
        assert await sending == {(changelog, 0): Span(100, 100)}
        with pytest.raises(RecordTooLargeError, match="a record for culdesac-sessions-changelog of"):
            await sender.send({(changelog, 0): [Record(b"v", b"x" * (STATE_RECORD_BYTES + 1), [])]})

    with_fake(test)


def test_a_hundred_units_in_line_at_one_partition_wait_no_longer_than_it_takes(kafka: EmbeddedKafka) -> None:
    """The client library's own queue adds up all former waits at each, and gave up after a part of the limit."""
    topic = f"sending-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic(name=topic, num_partitions=1, replication_factor=1)])
    admin.close()

    async def run() -> list[int]:
        sender = Sender(kafka.bootstrap, timeout_s=10.0)
        await sender.start()
        spans = await asyncio.gather(*(sender.send({(topic, 0): records(b"x")}) for _ in range(300)))
        await sender.stop()
        return [span.first for result in spans for span in result.values()]

    assert asyncio.run(run()) == list(range(300))


def test_a_real_broker_keeps_the_order_and_tells_the_offsets(kafka: EmbeddedKafka) -> None:
    topic = f"sending-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    admin.create_topics([NewTopic(name=topic, num_partitions=1, replication_factor=1)])
    admin.close()
    # More than a batch holds, one that fills a batch by itself among them.
    many = [Record(b"%d" % n, b"x" * 9_000, [("n", b"1")]) for n in range(150)]
    large = Record(b"large", b"x" * (KAFKA_RECORD_BYTES - 100), [])

    async def run() -> list[Span]:
        sender = Sender(kafka.bootstrap)
        await sender.start()
        first, second = await asyncio.gather(
            sender.send({(topic, 0): [*many[:100], large, *many[100:]]}), sender.send({(topic, 0): many[:1]})
        )
        assert await sender.flush(5)
        await sender.stop()
        return [*first.values(), *second.values()]

    spans = asyncio.run(run())
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    tp = TopicPartition(topic, 0)
    consumer.assign([tp])
    consumer.seek_to_beginning(tp)
    keys: dict[int, bytes] = {}
    while len(keys) < 152:
        for fetched in consumer.poll(timeout_ms=200).values():
            keys |= {record.offset: record.key for record in fetched}
    consumer.close()
    assert sorted(keys) == list(range(152))
    mine = [key for offset, key in sorted(keys.items()) if offset != spans[1].first]
    assert mine == [*(b"%d" % n for n in range(100)), b"large", *(b"%d" % n for n in range(100, 150))]
    assert keys[spans[0].first] == b"0"
    assert keys[spans[0].last] == b"149"
