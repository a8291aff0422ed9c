"""Metrics of the board, in a registry of their own.

Labels are bounded words, as in `agents.metrics`: never an alert, a page or a name.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from agents.metrics import Family
from streams.board import TOPICS

STATUSES: Final = ("2xx", "3xx", "4xx", "5xx")

registry = CollectorRegistry()
ProcessCollector(registry=registry)

requests = Family(
    Counter(
        "culdesac_board_requests_total",
        "Requests answered, by class of status",
        ("status",),
        registry=registry,
    ),
    (STATUSES,),
)
records = Family(
    Counter("culdesac_board_records_total", "Records read", ("topic",), registry=registry), (tuple(TOPICS),)
)
decisions = Family(
    Counter(
        "culdesac_board_decisions_total",
        "Decisions that were sent, or not taken",
        ("outcome",),
        registry=registry,
    ),
    (("sent", "refused"),),
)
open_pages = Family(
    Gauge("culdesac_board_open_pages", "Pages that browsers keep open", registry=registry), ()
)
connected = Family(Gauge("culdesac_board_connected", "Whether Kafka answers: 1 or 0", registry=registry), ())
