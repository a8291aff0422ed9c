"""The largest that may come in: a worker takes it, keeps it, and finds it again on an empty disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from schemas.decoding import MAX_RECORD_BYTES
from schemas.topics import KAFKA_RECORD_BYTES
from streams.event_files import FileEvent
from streams.settings import Settings
from tests.agents.product import COMPARED, END_MS, Deployment, Record, differences, final, replayed

WIDE = "\U0001f600"
"""Four bytes, and one character."""


def event(topic: str, number: int, **fields: object) -> FileEvent:
    at = END_MS + number * 100
    record: Record = {
        "event_id": f"{number}{WIDE * 256}"[:256],
        "visitor_id": "ann",
        "occurred_at": at,
    } | fields
    return FileEvent(topic, json.dumps(record, ensure_ascii=False).encode(), at)


def full(number: int, size: int) -> FileEvent:
    """Give a page view of just so many bytes."""
    short = event("page-views", number, visitor_id="bob", url="https://shop.example/", properties={"x": ""})
    assert short.value is not None
    filled = short.value.replace(b'"x": ""', b'"x": "%s"' % (b"x" * (size - len(short.value))))
    return FileEvent(short.topic, filled, short.occurred_at)


@pytest.fixture
def deployment(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    # No short lease: one event of a visitor with thousands of clicks may take long on a busy machine.
    deployment = Deployment(kafka.bootstrap, tmp_path, {"CULDESAC_SESSION_TIMEOUT": "10s"})
    yield deployment
    deployment.close()


def test_the_largest_inputs_and_the_largest_visitor_stop_no_worker(deployment: Deployment) -> None:
    text = WIDE * 8_192
    url = "https://shop.example/" + "a" * 8_100
    views = [event("page-views", n, url=f"{url}/{n}", title=text if n < 20 else None) for n in range(300)]
    clicks = [event("interactions", n, url=url, name="add_to_cart") for n in range(300, 1_050)]
    orders = [
        event("orders", n, order_id=f"{n}{WIDE * 256}"[:256], status="placed", channel="web", currency="EUR",
              total="9.99", customer_id=WIDE * 256)
        for n in range(1_400, 1_440)
    ]  # fmt: skip
    events = [full(0, MAX_RECORD_BYTES), full(1, MAX_RECORD_BYTES + 1), *views, *clicks, *orders]
    more = [event("page-views", 1_600, url="https://shop.example/")]
    settings = Settings()
    expected = final(replayed([*events, *more], settings))
    deployment.publish(events)
    worker = deployment.fork("a")
    deployment.wait_until_done()
    worker.kill()
    worker.wait()
    deployment.publish(more)
    deployment.end(settings)
    again = deployment.fork("b")  # an empty disk: the state comes from its changelog
    deployment.wait_until_done()
    assert again.poll() is None, deployment.logs()
    assert differences(expected, final(deployment.read(COMPARED))) == {}
    rejected = deployment.read(["rejected-events"])
    assert [record["reason"] for _, record in rejected] == ["too_large"]
    rows = deployment.state_bytes("sessions")
    assert max(rows) > KAFKA_RECORD_BYTES, "no row was large: the test says nothing"
