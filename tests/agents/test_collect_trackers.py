"""The trackers that shops use, as npm gives them, in a real browser: what they send is in Kafka, restart or not."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, sync_playwright

from agents.broker import BrokerError, EmbeddedKafka
from tests.agents.collecting import Collecting, wait_until
from tests.benchmarks.figures import rss_mb
from tests.npm import installed

TRACKERS = Path(__file__).parents[1] / "trackers"
CHROMIUM = shutil.which("chromium")
NUMBERS = range(24)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page with both trackers."""
    folder = installed(TRACKERS, tmp_path_factory.mktemp("trackers"))
    (folder / "segment").symlink_to(folder / "node_modules" / "@segment" / "analytics-next" / "dist")
    (folder / "plausible").symlink_to(folder / "node_modules" / "@plausible-analytics" / "tracker")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedKafka]:
    """Give a Kafka that may be restarted: the shared one is others' too."""
    broker = EmbeddedKafka()
    try:
        broker.start()
    except BrokerError as error:
        if os.environ.get("REQUIRE_KAFKA"):
            raise
        pytest.skip(f"no embedded Kafka here: {error}")
    with broker:
        yield broker


@pytest.fixture(scope="module")
def collector(
    broker: EmbeddedKafka, shop: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collecting]:
    # Kafka may be away for as long as a busy machine needs to start it again.
    with Collecting(
        broker.bootstrap, tmp_path_factory.mktemp("d"), origins=shop, hold="60s", in_flight_mb="1"
    ) as collector:
        collector.wait_until_healthy()
        yield collector
        assert collector.end() == 0
        assert "never retrieved" not in "".join(collector.lines), collector.lines
        assert "Traceback" not in "".join(collector.lines), collector.lines


@pytest.fixture(scope="module")
def page(collector: Collecting, shop: str) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: .ci/run installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{shop}/page.html?collector={quote(collector.url)}&mail=ann%40example.org&utm_source=mail")
        page.wait_for_function("window.ready")
        yield page
        browser.close()


def in_flight(collector: Collecting) -> float:
    return collector.metrics()["culdesac_collect_in_flight_bytes"]


def test_a_visit_arrives_as_the_trackers_send_it(page: Page, collector: Collecting) -> None:
    page.evaluate("window.visit()")

    def names() -> set[str]:
        return {record["name"] for record in collector.records("interactions")}

    wait_until(lambda: names() >= {"add_to_cart", "engagement", "newsletter"})
    for topic, number in (("orders", 2), ("page-views", 3), ("identities", 1)):
        wait_until(lambda topic=topic, number=number: len(collector.records(topic)) >= number)
    views = collector.records("page-views")
    by_visitor = Counter(view["visitor_id"].startswith("d_") for view in views)
    assert by_visitor == {False: 1, True: 2}, "Segment's, and Plausible's of two pages"
    assert all(view["title"] == "Shoes" for view in views if not view["visitor_id"].startswith("d_"))
    assert {view["url"].partition("?")[2] for view in views} == {"utm_source=mail", ""}
    assert {view["ip"] for view in views} == {"127.0.0.0"}
    orders = {order["order_id"]: order for order in collector.records("orders")}
    assert {name: (order["total"], order["currency"]) for name, order in orders.items()} == {
        "o-1": (39.9, "EUR"),
        "o-2": (12.5, "USD"),
    }
    [line] = orders["o-1"]["lines"]
    assert (line["sku"], line["quantity"], line["unit_price"]) == ("p1", 2, 19.95)
    [identity] = collector.records("identities")
    assert (identity["customer_id"], identity["traits"]) == ("customer-7", {"plan": "gold"})
    assert identity["visitor_id"] == orders["o-1"]["visitor_id"]
    [engagement] = [record for record in collector.records("interactions") if record["name"] == "engagement"]
    assert engagement["properties"]["seconds"] >= 0
    assert collector.records("rejected-events") == []


def test_nothing_is_lost_while_kafka_restarts(
    page: Page, collector: Collecting, broker: EmbeddedKafka
) -> None:
    restart = threading.Thread(target=broker.restart)
    for number in NUMBERS:
        page.evaluate("number => window.count(number)", number)
        if number == NUMBERS[4]:
            restart.start()
        page.wait_for_timeout(50)
    restart.join()

    def counted(name: str) -> Counter[int]:
        records = collector.records("interactions")
        return Counter(int(record["properties"]["number"]) for record in records if record["name"] == name)

    wait_until(lambda: set(counted("counted")) >= set(NUMBERS))
    wait_until(lambda: set(counted("counted_too")) >= set(NUMBERS))
    assert set(counted("counted_too").values()) == {1}, "it sends each once, and has no id to tell copies by"
    ids = {record["event_id"] for record in collector.records("interactions") if record["name"] == "counted"}
    assert len(ids) == len(NUMBERS)
    wait_until(lambda: in_flight(collector) == 0)


def test_an_outage_fills_no_memory_and_what_is_answered_well_is_there(
    collector: Collecting, broker: EmbeddedKafka
) -> None:
    def send(number: int) -> int:
        page = {"type": "page", "anonymousId": "ann", "messageId": f"big-{number}", "writeKey": "k1"}
        properties = {"url": "https://shop.example/", "more": "x" * 60_000}
        answer = collector.send("/v1/p", page | {"properties": properties})
        assert answer.status == 200 or int(answer.headers["retry-after"]) >= 1
        return answer.status

    busy = 'culdesac_collect_refused_total{reason="busy"}'
    with ThreadPoolExecutor(40) as pool:
        broker.freeze()
        try:
            futures = [pool.submit(send, number) for number in range(40)]
            wait_until(lambda: sum(future.done() for future in futures) >= 20)
            assert {future.result() for future in futures if future.done()} == {503}, "Kafka has nothing yet"
            figures = collector.metrics()
            assert figures[busy] >= 20
            assert 500_000 < figures["culdesac_collect_in_flight_bytes"] <= 1 << 20
        finally:
            broker.thaw()
        statuses = [future.result() for future in futures]
    assert set(statuses) == {200, 503}
    there = {view["event_id"] for view in collector.records("page-views")}
    assert {f"big-{number}" for number, status in enumerate(statuses) if status == 200} <= there
    assert collector.metrics()["culdesac_collect_in_flight_bytes"] == 0


def test_what_waits_holds_its_records_and_not_its_body(collector: Collecting, broker: EmbeddedKafka) -> None:
    body = {"n": "pageview", "u": "https://shop.example/", "d": "shop.example", "ignored": "x" * 500_000}
    with ThreadPoolExecutor(60) as pool:
        broker.freeze()
        try:
            before_mb = rss_mb(collector.process.pid)
            futures = []
            for _ in range(60):
                waiting = in_flight(collector)
                futures.append(pool.submit(collector.send, "/api/event", body))
                wait_until(lambda waiting=waiting: in_flight(collector) > waiting)
            assert rss_mb(collector.process.pid) < before_mb + 15, "of 30 MB that were sent"
        finally:
            broker.thaw()
        assert {future.result().status for future in futures} == {202}


def test_a_stop_finishes_what_was_accepted(collector: Collecting, broker: EmbeddedKafka) -> None:
    context = {"page": {"url": "https://shop.example/last"}}
    page = {"type": "page", "anonymousId": "ann", "messageId": "last", "writeKey": "k1", "context": context}
    with ThreadPoolExecutor(1) as pool:
        broker.freeze()
        try:
            future = pool.submit(collector.send, "/v1/p", page)
            wait_until(lambda: in_flight(collector) > 0)
            collector.process.terminate()
            with pytest.raises(ConnectionError):
                wait_until(lambda: collector.send("/health", method="GET").status == 0)
            time.sleep(1)  # one that does not wait would have ended by now
            assert collector.process.poll() is None
            assert not future.done()
        finally:
            broker.thaw()
        assert future.result().status == 200
    assert collector.end() == 0
    assert "last" in {view["event_id"] for view in collector.records("page-views")}
