"""Metrics: every figure that a worker shows, with its kind and meaning, and the port that shows them.

Labels are bounded words: a value that is not on a label's list counts under ``other``, so that no input,
however wrong, makes a new time series. A label is never a URL, a visitor or a page.
"""

from __future__ import annotations

import platform
import threading
from collections import Counter as Counts
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from typing import Generic, TypeVar, get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from agents.currencies import CURRENCIES
from agents.settings import SettingsError
from schemas.alert_decisions import DecisionAction
from schemas.dead_end_alerts import AlertCause, AlertStatus
from schemas.model_snapshots import ModelName
from schemas.rejected_events import Reason
from schemas.session_revisions import RevisionStatus
from schemas.sessions import ExitReason, ExitRuleKind, Outcome
from schemas.topics import TOPICS

_Kind = TypeVar("_Kind", Counter, Gauge, Histogram)
Health = Callable[[], tuple[bool, str]]
"""Tells whether work goes on, and says in one line why (not)."""

OTHER = "other"
TOPIC_NAMES = tuple(TOPICS)
STAGES = ("intake", "sessions", "customers", "pages", "models")
REASONS = get_args(Reason)
OUTCOMES = get_args(Outcome)
EXIT_REASONS = get_args(ExitReason)
EXIT_RULES = get_args(ExitRuleKind)
REVISION_STATES = get_args(RevisionStatus)
ALERT_STATES = get_args(AlertStatus)
ALERT_CAUSES = get_args(AlertCause)
DECISIONS = get_args(DecisionAction)
MODELS = get_args(ModelName)
PARTITIONS = tuple(str(partition) for partition in range(256))
LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BATCH_BOUNDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)

registry = CollectorRegistry()
ProcessCollector(registry=registry)
Info("culdesac_build", "Version of this worker, and the Python that it runs on", registry=registry).info(
    {"version": metadata.version("culdesac"), "python": platform.python_version()}
)


class Family(Generic[_Kind]):
    """A metric and the values that its labels may have.

    Parameters
    ----------
    metric
        Of prometheus-client, with as many labels as `allowed` has entries.
    allowed
        For each label, in order, its values; any other counts as ``other``.

    Examples
    --------
    >>> rejected_events.labels("no such reason") is rejected_events.labels("other")
    True
    """

    def __init__(self, metric: _Kind, allowed: tuple[tuple[str, ...], ...]) -> None:
        self.metric: _Kind = metric
        self._allowed = tuple(frozenset(values) for values in allowed)
        self._children: dict[tuple[str, ...], _Kind] = {}

    def labels(self, *values: object) -> _Kind:
        """Time series of these label values, in the order of declaration."""
        key = self.words(*values)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self.metric.labels(*key) if key else self.metric
        return child

    def words(self, *values: object) -> tuple[str, ...]:
        """Label values as they are shown."""
        return tuple(
            text if (text := str(value)) in allowed else OTHER
            for value, allowed in zip(values, self._allowed, strict=True)
        )


def _counter(name: str, meaning: str, **labels: tuple[str, ...]) -> Family[Counter]:
    family = Family(Counter(name, meaning, tuple(labels), registry=registry), tuple(labels.values()))
    # From 0 on: of a series that begins with its first count, Prometheus does not see that count as an increase.
    for word in next(iter(labels.values()), ()) if len(labels) == 1 else ():
        if word not in TOPICS:
            family.labels(word)
    return family


def _gauge(name: str, meaning: str, **labels: tuple[str, ...]) -> Family[Gauge]:
    return Family(Gauge(name, meaning, tuple(labels), registry=registry), tuple(labels.values()))


def _histogram(
    name: str, meaning: str, bounds: tuple[float, ...], **labels: tuple[str, ...]
) -> Family[Histogram]:
    metric = Histogram(name, meaning, tuple(labels), registry=registry, buckets=bounds)
    return Family(metric, tuple(labels.values()))


events = _counter("culdesac_events_total", "Input records read", topic=TOPIC_NAMES)
rejected_events = _counter("culdesac_rejected_events_total", "Records refused", reason=REASONS)
late_events = _counter("culdesac_late_events_total", "Events behind the watermark", stage=STAGES)
duplicate_events = _counter("culdesac_duplicate_events_total", "Events that were seen before", stage=STAGES)
redelivered_records = _counter(
    "culdesac_redelivered_records_total", "Log records written twice and applied once", stage=STAGES
)
capped_sessions = _counter("culdesac_capped_sessions_total", "Sessions that ran away and were capped")
closed_sessions = _counter("culdesac_closed_sessions_total", "Sessions closed", outcome=OUTCOMES)
closed_session_exits = _counter(
    "culdesac_closed_session_exits_total", "Sessions closed, by why they ended", reason=EXIT_REASONS
)
closed_session_exit_rules = _counter(
    "culdesac_closed_session_exit_rules_total",
    "Sessions closed, by the kind of rule that says why they ended; otherwise: dead ends",
    rule=EXIT_RULES,
)
served_tables = _counter(
    "culdesac_served_tables_total",
    "Tables of pages that serve by being read, by whether a partition had them before they were to hold",
    arrived=("in_time", "late"),
)
session_revisions = _counter(
    "culdesac_session_revisions_total",
    "Dead ends whose customer bought later (revised), and such that were taken back (retracted)",
    status=REVISION_STATES,
)
open_sessions = _gauge(
    "culdesac_open_sessions",
    "Visitors held: with an open session, or with one that what comes late may still change",
    partition=PARTITIONS,
)
dead_end_alerts = _counter("culdesac_dead_end_alerts_total", "Revisions of alerts", status=ALERT_STATES)
alert_decisions = _counter(
    "culdesac_alert_decisions_total", "Decisions about alerts that changed something", action=DECISIONS
)
deploys = _counter("culdesac_deploys_total", "Deploys that were noted")
open_alerts = _gauge("culdesac_open_alerts", "Dead-end alerts that are open", partition=PARTITIONS)
open_alerts_by_cause = _gauge(
    "culdesac_open_alerts_by_cause",
    "Dead-end alerts that are open, by the cause that they named last",
    cause=ALERT_CAUSES,
    partition=PARTITIONS,
)
money_at_stake = _gauge(
    "culdesac_money_at_stake",
    "What the open alerts' lost visitors would have ordered, in the currency of the label",
    cause=ALERT_CAUSES,
    currency=CURRENCIES,
    partition=PARTITIONS,
)
enriched_seconds = _histogram(
    "culdesac_enriched_seconds",
    "From the append time of a page view to its enriched copy being acknowledged",
    LATENCY_BOUNDS,
)
lag_records = _gauge(
    "culdesac_lag_records",
    "Records in a topic's partition that are not applied yet",
    topic=TOPIC_NAMES,
    partition=PARTITIONS,
)
recovering_records = _gauge(
    "culdesac_recovering_records",
    "Changelog records still to be read before this worker goes on; 0 while it works",
)
watermark_delay_seconds = _gauge(
    "culdesac_watermark_delay_seconds",
    "How far the watermark is behind the wall clock",
    stage=STAGES,
    partition=PARTITIONS,
)
healthy = _gauge("culdesac_healthy", "Whether work goes on (1) or not (0), as /healthz says")
standstill_seconds = _gauge(
    "culdesac_standstill_seconds", "For how long records have waited, fetches or marks have not got on"
)
batch_records = _histogram("culdesac_batch_records", "Records in a batch", BATCH_BOUNDS, stage=STAGES)
stage_cpu_seconds = _counter("culdesac_stage_cpu_seconds_total", "CPU time of a stage's steps", stage=STAGES)
model_auprc = _gauge("culdesac_model_auprc_ratio", "Area under precision-recall, predict first", model=MODELS)
model_baseline_auprc = _gauge(
    "culdesac_model_baseline_auprc_ratio", "The same of the trivial baseline", model=MODELS
)
model_log_loss = _gauge("culdesac_model_log_loss_nats", "Mean log-loss, predict first", model=MODELS)
model_baseline_log_loss = _gauge(
    "culdesac_model_baseline_log_loss_nats", "The same of the trivial baseline", model=MODELS
)
model_calibration_error = _gauge(
    "culdesac_model_calibration_error_ratio", "Expected calibration error", model=MODELS
)
model_examples = _gauge("culdesac_model_examples", "Examples learned from", model=MODELS)
stage_counts = _counter(
    "culdesac_stage_counts_total", "What stages count that has no metric of its own", stage=STAGES
)

_BY_LABEL: Mapping[str, Family[Counter]] = {
    "events": events,
    "rejected": rejected_events,
    "sessions_closed": closed_sessions,
    "exits": closed_session_exits,
    "exit_rules": closed_session_exit_rules,
    "served_tables": served_tables,
    "session_revisions": session_revisions,
    "alerts": dead_end_alerts,
    "alert_decisions": alert_decisions,
}
_BY_STAGE: Mapping[str, Family[Counter]] = {
    "late": late_events,
    "duplicates": duplicate_events,
    "redelivered": redelivered_records,
}
_PLAIN: Mapping[str, Family[Counter]] = {"capped": capped_sessions, "deploys": deploys}


def apply_counts(stage: str, counts: Counts[tuple[str, str]]) -> None:
    """Add what a stage has counted in its `Context` to the metrics, and empty `counts`.

    Parameters
    ----------
    stage
        Its name.
    counts
        (counter, label) to number. ``events`` (topic), ``rejected`` (reason), ``sessions_closed`` (outcome),
        ``exits`` (reason), ``exit_rules`` (rule), ``served_tables`` (arrived), ``session_revisions`` and ``alerts``
        (status), ``alert_decisions`` (action), ``late``,
        ``duplicates``, ``redelivered``, ``capped`` and ``deploys`` have metrics of their own; what no one knows
        counts as ``culdesac_stage_counts_total``.

    Examples
    --------
    >>> before = duplicate_events.labels("sessions")._value.get()
    >>> apply_counts("sessions", Counts({("duplicates", ""): 3}))
    >>> duplicate_events.labels("sessions")._value.get() - before
    3.0
    """
    for (counter, label), number in counts.items():
        if counter in _BY_LABEL:
            _BY_LABEL[counter].labels(label).inc(number)
        elif counter in _BY_STAGE:
            _BY_STAGE[counter].labels(stage).inc(number)
        elif counter in _PLAIN:
            _PLAIN[counter].labels().inc(number)
        else:
            stage_counts.labels(stage).inc(number)
    counts.clear()


_GAUGES: Mapping[str, Family[Gauge]] = {
    "model_auprc": model_auprc,
    "model_baseline_auprc": model_baseline_auprc,
    "model_log_loss": model_log_loss,
    "model_baseline_log_loss": model_baseline_log_loss,
    "model_calibration_error": model_calibration_error,
    "model_examples": model_examples,
}


OF_PARTITIONS: Mapping[str, Family[Gauge]] = {
    "open_alerts": open_alerts,
    "open_alerts_by_cause": open_alerts_by_cause,
    "money_at_stake": money_at_stake,
}
"""Gauges of one partition, shown as long as it is ours: else those of two workers would be added up."""


def apply_gauges(gauges: Mapping[tuple[str, str], float]) -> None:
    """Show what a stage has set in its `Context`; a gauge that no metric stands for is an error of the stage.

    Examples
    --------
    >>> apply_gauges({("model_auprc", "p_exit"): 0.5})
    >>> model_auprc.labels("p_exit")._value.get()
    0.5
    """
    for (gauge, label), value in gauges.items():
        if gauge in OF_PARTITIONS:
            continue
        family = _GAUGES[gauge]
        (family.labels(label) if label else family.labels()).set(value)


class Server:
    """The metrics port, served from a thread of its own. `port` is the one really taken."""

    def __init__(self, http: ThreadingHTTPServer) -> None:
        self._http = http
        self.port: int = http.server_address[1]
        self._thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and give the port back."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def serve(host: str, port: int, health: Health, shown: CollectorRegistry = registry) -> Server:
    """Show ``/metrics`` and ``/healthz``.

    Parameters
    ----------
    host
        Address to bind; only a loopback address keeps the figures on this machine.
    port
        0: any free one.
    health
        Asked at each ``/healthz``, from another thread: 200 if it says so, else 503, with its line.
    shown
        Whose figures: by default a worker's.

    Raises
    ------
    OSError
        The port is taken, or the address is not of this machine.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer a scrape or a health check."""
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(shown))
            elif path == "/healthz":
                ok, text = health()
                self._answer(200 if ok else 503, "text/plain; charset=utf-8", f"{text}\n".encode())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"try /metrics or /healthz\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a scrape every few seconds is no news."""

    http = ThreadingHTTPServer((host, port), Handler)
    http.daemon_threads = True
    return Server(http)


def serve_at(
    setting: str, host: str, port: int, health: Health, shown: CollectorRegistry = registry
) -> Server:
    """As `serve`, of a port that a user has chosen.

    Raises
    ------
    SettingsError
        The port is taken, or the address is not of this machine; the line names the setting.
    """
    try:
        return serve(host, port, health, shown)
    except OSError as error:
        raise SettingsError(f"{setting}: {host}:{port}: {error.strerror}: choose another one") from None
