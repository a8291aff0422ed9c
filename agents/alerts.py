"""Alerts on the terminal: the last revision of each, from Kafka or from a folder, once or as they change."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agents.security import security_of
from agents.settings import WorkerSettings
from agents.summary_view import alert_table, cause, minute, said_of, screen, subject
from agents.topics import partition_counts
from schemas.dead_end_alerts import DeadEndAlert
from streams.event_files import EventFileError

if TYPE_CHECKING:
    from kafka import KafkaConsumer

TOPIC = "dead-end-alerts"
POLL_S = 0.5
_decode = msgspec.json.Decoder(DeadEndAlert).decode


class Newest:
    """Last revision of each alert.

    Delivery is at least once, and a revision may come again: a lower or equal one changes nothing.
    """

    def __init__(self) -> None:
        self._alerts: dict[str, DeadEndAlert] = {}

    def take(self, alert: DeadEndAlert) -> bool:
        """Keep an alert if it is news, and tell whether it is."""
        known = self._alerts.get(alert.alert_id)
        if known is not None and known.revision >= alert.revision:
            return False
        self._alerts[alert.alert_id] = alert
        return True

    def alerts(self) -> list[DeadEndAlert]:
        """All of them, by the time of their opening."""
        return sorted(self._alerts.values(), key=lambda alert: (alert.opened_at, alert.alert_id))


def show_alerts(settings: WorkerSettings, folder: Path | None, follow: bool, as_json: bool) -> None:
    """Print alerts; with `follow`, each change of one as a line, until interrupted.

    Raises
    ------
    EventFileError
        The folder holds no alerts that a replay wrote.
    TopicError
        Kafka can't be asked, or has no such topic.
    """
    newest = Newest()
    source = _from_folder(folder, follow) if folder is not None else _from_kafka(settings, follow)
    for alert in source:
        if newest.take(alert) and follow:
            sys.stdout.write((_json(alert) if as_json else alert_line(alert)) + "\n")
            sys.stdout.flush()
    if follow:
        return
    alerts = newest.alerts()
    if as_json:
        sys.stdout.writelines(_json(alert) + "\n" for alert in alerts)
    elif alerts:
        screen().print(alert_table([msgspec.to_builtins(alert) for alert in alerts]))
    else:
        sys.stdout.write("No dead-end alerts.\n")


def alert_line(alert: DeadEndAlert) -> str:
    """One revision of an alert as a line."""
    where = subject(alert.scope, alert.value, alert.page)
    share = f"{alert.exits:,} of {alert.views:,} views went no further, {alert.expected_exits:,.0f} expected"
    stake = f", {alert.money_at_stake} {alert.currency} at stake" if alert.money_at_stake else ""
    why = f" ({cause(alert.cause)})" if cause(alert.cause) else ""
    said = said_of(msgspec.to_builtins(alert))
    answer = f" – {said}" if said else ""
    line = (
        f"{minute(alert.updated_at)}  {alert.status:<10} {where}: {share}{stake}{why}{_final(alert)}{answer}"
    )
    return f"{line} [{alert.alert_id}]"


def _final(alert: DeadEndAlert) -> str:
    """Say what final exits have decided, or why it was withdrawn."""
    if alert.withdrawn_because is not None:
        return f"; {alert.withdrawn_because}"
    if alert.confirmed_at is None or alert.final_exits is None:
        return ""
    expected = alert.expected_final_exits or 0.0
    return f"; confirmed: {alert.final_exits:,} of {alert.final_views:,} ended the visit, {expected:,.0f} expected"


def _json(alert: DeadEndAlert) -> str:
    return json.dumps(msgspec.to_builtins(alert), ensure_ascii=False)


def _from_folder(folder: Path, follow: bool) -> Iterator[DeadEndAlert]:
    file = folder / f"{TOPIC}.ndjson"
    try:
        with file.open("rb") as stream:
            line = b""
            while True:
                line += stream.readline()
                if line.endswith(b"\n"):
                    yield _read(line, str(file))
                    line = b""
                elif follow:
                    time.sleep(POLL_S)
                else:
                    return
    except OSError:
        raise EventFileError(f"{file}: can't be read: name a folder that culdesac replay wrote") from None


def _from_kafka(settings: WorkerSettings, follow: bool) -> Iterator[DeadEndAlert]:
    with AlertReader(settings) as reader:
        while follow or not reader.at_end():
            yield from reader.poll(POLL_S)


class AlertReader:
    """Reads the alerts on Kafka from the first one on; a context manager.

    Raises
    ------
    TopicError
        Kafka can't be asked, or has no such topic.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        from kafka import KafkaConsumer, TopicPartition

        self._name = settings.topic_prefix + TOPIC
        security = security_of(settings)
        count = partition_counts(settings.kafka, [self._name], security)[self._name]
        partitions = [TopicPartition(self._name, number) for number in range(count)]
        self._consumer: KafkaConsumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.split(","),
            enable_auto_commit=False,
            client_id="culdesac-alerts",
            **security.arguments(),
        )
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)
        self._ends: dict[Any, int] = self._consumer.end_offsets(partitions)

    def __enter__(self) -> AlertReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def at_end(self) -> bool:
        """Tell whether all was read that was there at the start."""
        return all(self._consumer.position(partition) >= end for partition, end in self._ends.items())

    def poll(self, seconds: float) -> list[DeadEndAlert]:
        """Wait up to `seconds` for alerts, and give those that came, in the order of their writing."""
        polled = self._consumer.poll(timeout_ms=int(seconds * 1000))
        records = [record for batch in polled.values() for record in batch if record.value is not None]
        records.sort(key=lambda record: (record.timestamp, record.partition, record.offset))
        return [_read(record.value, f"{self._name}/{record.partition}/{record.offset}") for record in records]


def _read(value: bytes, where: str) -> DeadEndAlert:
    try:
        return _decode(value)
    except (ValueError, RecursionError) as error:
        raise EventFileError(f"{where}: holds something that is no alert ({error})") from None
