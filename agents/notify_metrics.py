"""Metrics of notices, in a registry of their own: a process that notifies runs no stage.

Labels are bounded words, as in `agents.metrics`: never a receiver's name or address.
"""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from agents.metrics import Family
from schemas.undelivered_notices import ReceiverKind

KINDS: Final = get_args(ReceiverKind)
OUTCOMES: Final = ("delivered", "undelivered", "left_out", "unreadable")

registry = CollectorRegistry()
ProcessCollector(registry=registry)

notices = Family(
    Counter(
        "culdesac_notices_total",
        "Changes of alerts by what became of them: delivered, undelivered, left_out (not wanted), unreadable",
        ("kind", "outcome"),
        registry=registry,
    ),
    (KINDS, OUTCOMES),
)
failed_attempts = Family(
    Counter(
        "culdesac_failed_notice_attempts_total",
        "Attempts to deliver a notice that failed",
        ("kind",),
        registry=registry,
    ),
    (KINDS,),
)
waiting_seconds = Family(
    Gauge(
        "culdesac_notice_waiting_seconds",
        "How long the present notice could not be delivered",
        ("kind",),
        registry=registry,
    ),
    (KINDS,),
)


def begin(kinds: set[ReceiverKind]) -> None:
    """Show what there is to count from 0 on: Prometheus does not see a first count as an increase."""
    for kind in kinds:
        for outcome in OUTCOMES:
            notices.labels(kind, outcome)
        failed_attempts.labels(kind)
        waiting_seconds.labels(kind).set(0)
