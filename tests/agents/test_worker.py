"""The whole product on a real broker equals its replay, whatever happens to the worker."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from streams.event_files import FileEvent
from streams.settings import DAY_MS, HOUR_MS, Settings
from tests.agents.product import (
    COMPARED,
    Deployment,
    and_decisions,
    and_store_orders,
    differences,
    final,
    replayed,
    shop_events,
)
from tests.streams.made_up_customers import BEGINNING as CUSTOMERS_BEGIN
from tests.streams.made_up_customers import SETTINGS as MADE_UP
from tests.streams.made_up_customers import made_up_events
from tests.streams.reading_sites import made_up_site

SETTINGS = Settings(warm_up_ms=3 * HOUR_MS)
ENVIRONMENT = {"CULDESAC_WARM_UP": "3h"}


@pytest.fixture
def deployment(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(kafka.bootstrap, tmp_path, dict(ENVIRONMENT))
    yield deployment
    deployment.close()


def test_kafka_equals_replay_also_after_ten_kills(deployment: Deployment) -> None:
    events = and_decisions(and_store_orders(shop_events(hours=9, sessions_per_hour=250)), SETTINGS)
    outputs = replayed(events, SETTINGS)
    expected = final(outputs)
    assert len(expected["session-revisions"]) > 10
    said = {record["status"] for record in expected["dead-end-alerts"].values()}
    assert said >= {"opened", "acknowledged", "muted", "dismissed", "reopened"}, "it would say too little"
    assert any(record.get("deploys") for record in expected["dead-end-alerts"].values())
    source = random.Random(3)
    cuts = [len(events) * part // 11 for part in range(12)]
    for part in range(10):
        worker = deployment.fork()
        deployment.publish(events[cuts[part] : cuts[part + 1]])
        time.sleep(1.0 + 2.5 * source.random())
        worker.kill()
        worker.wait()
    deployment.publish(events[cuts[10] :])
    deployment.end(SETTINGS)
    worker = deployment.fork()
    deployment.wait_until_done()
    assert differences(expected, final(deployment.read(COMPARED))) == {}
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0, deployment.logs()
    refused = {record["id"]: record["reason"] for _, record in deployment.read(["rejected-events"])}
    assert Counter(refused.values()) == Counter(
        record["reason"] for topic, record in outputs if topic == "rejected-events"
    )
    assert "unknown_alert" in refused.values()
    copies = Counter(record["id"] for _, record in deployment.read(["enriched-page-views"]))
    assert len(copies) == len(expected["enriched-page-views"])


def test_kafka_equals_replay(deployment: Deployment) -> None:
    events = shop_events(hours=8, sessions_per_hour=200)
    expected = final(replayed(events, SETTINGS))
    deployment.publish(events)
    deployment.end(SETTINGS)
    deployment.fork()
    deployment.wait_until_done()
    assert differences(expected, final(deployment.read(COMPARED))) == {}


def at(event: FileEvent) -> float:
    """Days since the made-up customers began."""
    assert event.occurred_at is not None
    return (event.occurred_at - CUSTOMERS_BEGIN) / DAY_MS


def test_who_buys_later_and_who_has_read_are_the_same_on_kafka_also_after_a_kill(
    deployment: Deployment,
) -> None:
    deployment.environment |= {
        "CULDESAC_SITE": MADE_UP.site, "CULDESAC_BOUGHT_LATER": "2d", "CULDESAC_PSEUDONYMISE": "false",
    }  # fmt: skip
    del deployment.environment["CULDESAC_WARM_UP"]
    # Beside them a site whose recipes are read: what is learned of it in a week reaches all partitions before it
    # holds.
    read = [event for event in made_up_site(4, 9, 100, beginning=CUSTOMERS_BEGIN).events if at(event) < 8.9]
    events = sorted([*made_up_events(4), *read], key=at)
    expected = final(replayed(events, MADE_UP))
    assert len(expected["session-revisions"]) > 15
    rules = Counter(record["exit_rule"] for record in expected["sessions"].values())
    assert rules["learned:60s"] > 10
    middle = sum(at(event) < 7.6 for event in events)
    worker = deployment.fork()
    deployment.publish(events[:middle])
    deployment.wait_until_done()
    worker.kill()
    worker.wait()
    deployment.publish(events[middle:])
    deployment.end(MADE_UP)
    deployment.fork()
    deployment.wait_until_done()
    assert differences(expected, final(deployment.read(COMPARED))) == {}


def test_workers_may_share_out_the_stages(deployment: Deployment) -> None:
    events = shop_events(hours=5, sessions_per_hour=100)
    deployment.publish(events)
    deployment.end(SETTINGS)
    for name, stages in (
        ("a", "intake"),
        ("b", "sessions, customers"),
        ("c", "pages, models"),
        ("d", "models, pages"),
    ):
        deployment.environment["CULDESAC_STAGES"] = stages
        deployment.fork(name)
    deployment.wait_until_done()
    assert differences(final(replayed(events, SETTINGS)), final(deployment.read(COMPARED))) == {}


def test_sessions_are_not_run_without_customers(deployment: Deployment) -> None:
    deployment.environment["CULDESAC_STAGES"] = "intake, sessions, pages, models"
    assert deployment.fork().wait(30) == 2
    assert "name customers as well" in deployment.logs()
    assert "Traceback" not in deployment.logs()


@pytest.mark.parametrize("stages", ["pages", "intake, sessions, customers, models"])
def test_stages_of_one_topic_are_not_torn_apart(deployment: Deployment, stages: str) -> None:
    deployment.environment["CULDESAC_STAGES"] = stages
    assert deployment.fork().wait(30) == 2
    assert "stages: pages and models read the same topic" in deployment.logs()
    assert "Traceback" not in deployment.logs()
