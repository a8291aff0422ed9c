"""The collector on a real Kafka: what is answered with 2xx is there, and what is not for it is refused."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agents.broker import EmbeddedKafka
from tests.agents.collecting import KEY, SITE, Collecting, wait_until

PAGE = {"type": "page", "anonymousId": "ann", "writeKey": KEY}
PLAUSIBLE = {"n": "pageview", "u": f"https://{SITE}/", "d": SITE, "v": 36}
BASIC = "Basic azE6"  # k1:


@pytest.fixture(scope="module")
def collector(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    folder = tmp_path_factory.mktemp("collector")
    with Collecting(kafka.bootstrap, folder, max_body_kb="64", body_timeout="5s") as collector:
        collector.wait_until_healthy()
        yield collector


def test_what_is_answered_with_2xx_is_in_kafka(collector: Collecting) -> None:
    page = PAGE | {
        "messageId": "m1",
        "context": {"page": {"url": f"https://{SITE}/cart?token=s3cret&utm_source=a"}},
    }
    answer = collector.send("/v1/p", page)
    assert (answer.status, answer.json()) == (200, {"success": True})
    answer = collector.send("/api/event", PLAUSIBLE, Content_Type="text/plain", Origin=f"https://{SITE}")
    assert (answer.status, answer.body) == (202, b"ok")
    assert answer.headers["access-control-allow-origin"] == f"https://{SITE}"
    own = {
        "event_id": "o1", "order_id": "7", "status": "placed", "occurred_at": "2026-03-01T12:00:00Z",
        "channel": "web", "currency": "EUR", "total": "12.50", "visitor_id": "ann",
    }  # fmt: skip
    answer = collector.send(
        "/v1/events", {"events": [{"topic": "orders", "value": own}]}, Authorization=BASIC
    )
    assert (answer.status, answer.json()["accepted"]) == (200, 1)
    batch = [
        {"type": "track", "event": "Product Added", "anonymousId": "ann", "messageId": "m2"},
        {
            "type": "identify",
            "userId": "7",
            "anonymousId": "ann",
            "messageId": "m3",
            "traits": {"email": "A@b.c"},
        },
        {"type": "track", "event": "Search", "messageId": "m4"},
        5,
    ]
    assert collector.send("/v1/b", {"batch": batch, "writeKey": KEY}).status == 200
    views = {view["event_id"]: view for view in collector.records("page-views")}
    assert views["m1"]["url"] == f"https://{SITE}/cart?utm_source=a"
    assert {view["ip"] for view in views.values()} == {"127.0.0.0"}
    assert any(view["visitor_id"].startswith("d_") for view in views.values())
    assert [order["total"] for order in collector.records("orders")] == ["12.50"]
    assert [record["name"] for record in collector.records("interactions")] == ["add_to_cart"]
    [identity] = collector.records("identities")
    assert identity["kind"] == "logged_in"
    assert "A@b.c" not in json.dumps(identity)
    rejected = collector.records("rejected-events")
    assert {record["reason"] for record in rejected} == {"missing_visitor", "schema_violation"}
    figures = collector.metrics()
    assert figures['culdesac_collect_records_total{topic="page-views"}'] == 2
    assert figures['culdesac_collect_rejected_events_total{reason="missing_visitor"}'] == 1
    assert figures["culdesac_collect_in_flight_bytes"] == 0


def test_who_asks_for_privacy_is_nobodys_customer_and_another_visitor_tomorrow(collector: Collecting) -> None:
    message = PAGE | {"anonymousId": "gpc-ann", "userId": "gpc-customer"}
    context = {"page": {"url": f"https://{SITE}/gpc"}}
    assert collector.send("/v1/p", message | {"context": context}, Sec_GPC="1").status == 200
    identify = {"type": "identify", "userId": "gpc-customer", "anonymousId": "gpc-ann", "writeKey": KEY}
    assert collector.send("/v1/i", identify, Sec_GPC="1").status == 200
    assert collector.send("/v1/t", message | {"type": "track", "event": 5}, Sec_GPC="1").status == 400
    everything = [
        record
        for topic in ("page-views", "identities", "interactions", "rejected-events")
        for record in collector.records(topic)
    ]
    assert "gpc-ann" not in json.dumps(everything)
    assert "gpc-customer" not in json.dumps(everything)
    [view] = [view for view in everything if view.get("url") == f"https://{SITE}/gpc"]
    assert view["visitor_id"].startswith("d_")
    assert "ip" not in view
    assert collector.metrics()['culdesac_collect_skipped_total{reason="gpc"}'] == 1


REFUSALS = [
    ("no_such_path", 404, "/v2/page", PAGE, {}),
    ("no_such_path", 404, "/v1/../../etc/passwd", PAGE, {}),
    ("unknown_key", 401, "/v1/p", PAGE | {"writeKey": "k2"}, {}),
    ("unknown_key", 401, "/v1/events", {"events": []}, {}),
    ("unknown_key", 401, "/api/event", PLAUSIBLE | {"d": "other.example"}, {}),
    ("cross_site", 403, "/api/event", PLAUSIBLE, {"Origin": "https://evil.example"}),
    ("cross_site", 403, "/api/event", PLAUSIBLE, {"Origin": "null"}),
    ("not_json", 400, "/v1/p", b"\xff\xfe{}", {}),
    ("not_json", 400, "/v1/p", '{"properties": {"a": ' + "[" * 60_000, {}),
    ("unreadable", 400, "/v1/p", "[]", {}),
    ("unreadable", 400, "/v1/p", PAGE, {}),
    ("too_large", 413, "/v1/p", b" " * 65_537, {}),
    ("encoding", 415, "/v1/p", gzip.compress(b" " * 1_000_000), {"Content_Encoding": "gzip"}),
    ("media_type", 415, "/v1/p", PAGE, {"Content_Type": "application/json; charset=utf-16"}),
    ("media_type", 415, "/v1/p", "a=1", {"Content_Type": "application/x-www-form-urlencoded"}),
]


@pytest.mark.parametrize(("reason", "status", "path", "body", "headers"), REFUSALS)
def test_what_is_not_for_it_is_refused_with_a_reason_and_counted(
    collector: Collecting, reason: str, status: int, path: str, body: bytes, headers: dict[str, str]
) -> None:
    name = f'culdesac_collect_refused_total{{reason="{reason}"}}'
    before = collector.metrics().get(name, 0)
    answer = collector.send(path, body, **headers)
    assert (answer.status, answer.json()["error"]) == (status, reason)
    assert collector.metrics()[name] == before + 1


def test_methods_and_preflights(collector: Collecting) -> None:
    assert collector.send("/v1/p", method="GET").status == 405
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    good = collector.send("/v1/p", method="OPTIONS", Origin=f"https://www.{SITE}", **asked)
    assert (good.status, good.headers["access-control-allow-origin"]) == (200, f"https://www.{SITE}")
    bad = collector.send("/v1/p", method="OPTIONS", Origin="https://evil.example", **asked)
    assert (bad.status, "access-control-allow-origin" in bad.headers) == (400, False)


def raw(collector: Collecting, sent: bytes) -> bytes:
    """Send bytes as they are, and read until the other side closes."""
    with socket.create_connection(
        (urlsplit(collector.url).hostname, urlsplit(collector.url).port), 60
    ) as client:
        client.sendall(sent)
        answer = b""
        while chunk := client.recv(65_536):
            answer += chunk
        return answer


def test_slow_endless_and_malformed_requests_end_and_slow_down_nobody(collector: Collecting) -> None:
    head = b"POST /v1/p HTTP/1.1\r\nHost: x\r\n"
    attacks = {
        b" 408 ": head + b"Content-Length: 900\r\n\r\n{",
        b" 413 ": head + b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 4,
        b" 431 ": head + b"A: " + b"a" * 40_000,
        b" 408  ": head,
        b" 400 ": b"\x16\x03\x01 hello\r\n\r\n",
    }  # fmt: skip
    with ThreadPoolExecutor(24) as pool:
        futures = [
            (status, pool.submit(raw, collector, sent)) for status, sent in attacks.items() for _ in range(6)
        ]
        assert collector.send("/api/event", PLAUSIBLE).status == 202
        for status, future in futures:
            assert status.rstrip() in future.result().partition(b"\r\n")[0]
    figures = collector.metrics()
    assert figures['culdesac_collect_refused_total{reason="slow_body"}'] == 6
    assert figures['culdesac_collect_refused_total{reason="slow_headers"}'] == 6
    assert figures['culdesac_collect_refused_total{reason="headers"}'] == 6
    assert figures["culdesac_collect_in_flight_bytes"] == 0


def test_rates_and_missing_kafka_say_when_to_come_again_and_stop_is_orderly(tmp_path: Path) -> None:
    # No Kafka is there: the collector waits for it, and says so.
    with Collecting(
        "127.0.0.1:1", tmp_path, create=False, client_rate="1", client_burst="3", proxies="127.0.0.0/8"
    ) as collector:
        assert collector.send("/health", method="GET").status == 503
        answers = [collector.send("/api/event", PLAUSIBLE) for _ in range(3)]
        assert [answer.status for answer in answers] == [503] * 3
        assert [answer.json()["error"] for answer in answers] == ["kafka_away"] * 3

        def last(**headers: str) -> int:
            answers.append(collector.send("/api/event", PLAUSIBLE, **headers))
            return answers[-1].status

        wait_until(lambda: last() == 429)
        assert last(X_Forwarded_For="203.0.113.1") == 503, "another network has a bucket of its own"
        ends = count(2)
        wait_until(lambda: last(X_Forwarded_For=f"203.0.113.{next(ends)}") == 429)
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        began = time.monotonic()
        assert collector.end() == 0
        assert time.monotonic() - began < 30
    assert "waiting for it" in "".join(collector.lines)
    assert "Traceback" not in "".join(collector.lines)
