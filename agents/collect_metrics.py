"""Metrics of the collector, in a registry of their own: a process that collects runs no stage.

Labels are bounded words, as in `agents.metrics`: never a key, a site, an address or a path.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from agents.metrics import LATENCY_BOUNDS, REASONS, Family
from streams.collected import SKIPS, TOPICS

Refusal: TypeAlias = Literal[
    "bad_request",
    "broken",
    "busy",
    "cross_site",
    "encoding",
    "gone",
    "headers",
    "kafka_away",
    "media_type",
    "no_such_path",
    "not_json",
    "rate_of_client",
    "rate_of_site",
    "slow_body",
    "slow_headers",
    "too_large",
    "too_many_connections",
    "unknown_key",
    "unreadable",
    "wrong_method",
]
ENDPOINTS: Final = ("segment", "plausible", "events", "health", "openapi", "preflight")
STATUSES: Final = (
    "200", "202", "400", "401", "403", "404", "405", "408", "413", "415", "429", "500", "503",
)  # fmt: skip

registry = CollectorRegistry()
ProcessCollector(registry=registry)

requests = Family(
    Counter(
        "culdesac_collect_requests_total", "Requests answered", ("endpoint", "status"), registry=registry
    ),
    (ENDPOINTS, STATUSES),
)
refused = Family(
    Counter("culdesac_collect_refused_total", "Requests not accepted", ("reason",), registry=registry),
    (get_args(Refusal),),
)
records = Family(
    Counter("culdesac_collect_records_total", "Records that Kafka has", ("topic",), registry=registry),
    ((*TOPICS, "rejected-events"),),
)
rejected = Family(
    Counter(
        "culdesac_collect_rejected_events_total",
        "Events of accepted requests that can't be used",
        ("reason",),
        registry=registry,
    ),
    (REASONS,),
)
skipped = Family(
    Counter(
        "culdesac_collect_skipped_total",
        "What was left out because it says nothing that is read, or must not be kept",
        ("reason",),
        registry=registry,
    ),
    (SKIPS,),
)
in_flight_bytes = Family(
    Gauge("culdesac_collect_in_flight_bytes", "Bytes that wait for Kafka", registry=registry), ()
)
kafka_connected = Family(
    Gauge(
        "culdesac_collect_kafka_connected",
        "Whether a Kafka takes what is collected (1), or none has answered yet (0)",
        registry=registry,
    ),
    (),
)
request_seconds = Family(
    Histogram(
        "culdesac_collect_request_seconds",
        "From a request's headers to its answer, of requests that were accepted",
        registry=registry,
        buckets=LATENCY_BOUNDS,
    ),
    (),
)
