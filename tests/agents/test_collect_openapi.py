"""The collector keeps to its OpenAPI document, whatever is sent: requests that nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from agents.broker import EmbeddedKafka
from agents.collect_openapi import document, text
from tests.agents.collecting import SITE, Collecting

COMMITTED = Path(__file__).parents[2] / "deploy" / "collector.openapi.json"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def collector(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    folder = tmp_path_factory.mktemp("collector")
    with Collecting(kafka.bootstrap, folder, client_rate="100000", client_burst="100000") as collector:
        collector.wait_until_healthy()
        yield collector
        assert collector.end() == 0
        assert "error of ours" not in "".join(collector.lines)


def test_the_committed_document_is_the_one_that_is_served(collector: Collecting) -> None:
    assert COMMITTED.read_text() == text(), (
        "run python -m agents.collect_openapi > deploy/collector.openapi.json"
    )
    assert collector.send("/openapi.json", method="GET").json() == document()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all: there are a thousand requests."""
    with requests.Session() as session:
        yield session


@schema.include(method="POST").parametrize()
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_is_answered_as_the_document_says(
    case: Any, collector: Collecting, session: requests.Session
) -> None:
    if case.path == "/api/event" and isinstance(case.body, dict):
        case.body |= {"d": SITE, "u": f"https://{SITE}/"}
    case.call_and_validate(
        base_url=collector.url,
        checks=CHECKS,
        headers={"Authorization": "Bearer k1"},
        session=session,
        timeout=60,
    )


def test_it_reached_all_that_can_be_said(collector: Collecting) -> None:
    figures = collector.metrics()
    reached = {
        name.partition('status="')[2].partition('"')[0]
        for name in figures
        if name.startswith("culdesac_collect_requests_total")
    }
    assert reached >= {"200", "400"}
    assert figures.get('culdesac_collect_refused_total{reason="broken"}', 0) == 0
    assert figures['culdesac_collect_records_total{topic="rejected-events"}'] > 0
