"""Doctor: looks for what could keep it from working, and says for each finding how to mend it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec
from kafka import OffsetSpec, TopicPartition
from kafka.errors import KafkaError
from rich.console import Console
from rich.markup import escape

from agents.broker import BrokerError
from agents.doctor_findings import Finding
from agents.doctor_outside import find_receivers, find_watching
from agents.doctor_services import find_ports, find_rights, port_finding
from agents.grants import commands, lacking, missing_grants
from agents.java import find_java
from agents.kafka_jars import jars_are_cached
from agents.security import security_of
from agents.settings import FILE_VARIABLE, SettingsError, WorkerSettings, load_settings
from agents.topics import TopicError, TopicState, admin_client, check_topics
from streams.event_files import INPUTS

PYTHONS = ((3, 11), (3, 14))
"""Oldest and newest Python that it runs on."""
EXACT = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
"""Packages of which exactly the locked version is needed: private names are used, and held by tests."""
SKEW_S = 5.0
"""Append times so far ahead of this machine's clock mean that one of the clocks is wrong."""
_MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "broken": "[red]broken[/]"}


def examine(
    file: Path | None,
    kafka: str | None,
    as_json: bool,
    notify_file: Path | None = None,
    prometheus: str | None = None,
) -> int:
    """Examine everything and print it; 1 if anything is broken, else 0.

    Parameters
    ----------
    file, kafka
        As for the worker. A Kafka that nobody named may be missing: the demo brings its own.
    as_json
        Whether to print JSON.
    notify_file
        Of `culdesac notify`, if those whom it tells are to be looked at.
    prometheus
        URL of a Prometheus, if it is to be asked.
    """
    findings = list(find(file, kafka))
    if notify_file is not None:
        findings += find_receivers(notify_file)
    if prometheus is not None:
        findings += find_watching(prometheus)
    if as_json:
        sys.stdout.write(json.dumps([msgspec.to_builtins(finding) for finding in findings]) + "\n")
    else:
        console = Console(highlight=False, soft_wrap=True)
        for finding in findings:
            console.print(f"{_MARKS[finding.state]} [bold]{finding.name}[/]: {escape(finding.text)}")
            if finding.mend:
                console.print(f"     {escape(finding.mend)}")
    return int(any(finding.state == "broken" for finding in findings))


def find(file: Path | None, kafka: str | None) -> Iterator[Finding]:
    """Look at one thing after the other."""
    yield _python()
    yield _packages()
    yield _java()
    yield _jars()
    try:
        settings = load_settings(file, None, kafka=kafka)
    except SettingsError as error:
        yield Finding("settings", "broken", str(error), "mend it there; the other checks need the settings")
        return
    yield Finding("settings", "ok", str(file or os.environ.get(FILE_VARIABLE) or "defaults and environment"))
    yield _data_dir(settings.data_dir)
    host, port = settings.metrics_host, settings.metrics_port
    yield port_finding("metrics port", host, port, "for metrics", "a worker", "the metrics")
    yield from find_ports(settings)
    yield from _broker(settings, settings.kafka != WorkerSettings().kafka or kafka is not None)


def _python() -> Finding:
    version = platform.python_version()
    (_, oldest), (_, newest) = PYTHONS
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return Finding("Python", "ok", version)
    return Finding(
        "Python", "broken", version, f"install Python 3.{oldest} to 3.{newest}, then run deploy/setup"
    )


def _packages() -> Finding:
    try:
        found = {name: metadata.version(name) for name in EXACT}
    except metadata.PackageNotFoundError as error:
        return Finding("packages", "broken", f"{error.name} is not installed", "run deploy/setup")
    for name, version in EXACT.items():
        if found[name] != version:
            return Finding("packages", "broken", f"{name} {found[name]}, not {version}", "run deploy/setup")
    return Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items()))


def _java() -> Finding:
    try:
        java = find_java()
    except BrokerError as error:
        return Finding("Java", "broken", "none that is new enough", str(error))
    return Finding("Java", "ok", f"{java.major}, from {java.source}")


def _jars() -> Finding:
    try:
        cached = jars_are_cached()
    except BrokerError as error:
        return Finding("Kafka's jars", "broken", "your own can't be used", str(error))
    if cached:
        return Finding("Kafka's jars", "ok", "here, and as they were listed")
    return Finding("Kafka's jars", "note", "not here yet", "culdesac demo fetches them (44 MB, once)")


def _data_dir(folder: Path) -> Finding:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Finding("data folder", "ok", str(folder))
    return Finding(
        "data folder", "broken", f"{existing} can't be written", "set data_dir to a folder that can"
    )


def _broker(settings: WorkerSettings, named: bool) -> Iterator[Finding]:
    try:
        states = check_topics(settings)
    except TopicError as error:
        mend = "start it, or name another by --kafka or CULDESAC_KAFKA; the demo brings its own"
        yield Finding("broker", "broken" if named else "note", str(error).partition(": start it")[0], mend)
        return
    yield Finding("broker", "ok", f"{settings.kafka} answers")
    yield _topics(states)
    yield _grants(settings)
    yield from find_rights(settings)
    yield _clock(settings, [state for state in states if state.partitions], time.time)


def _topics(states: list[TopicState]) -> Finding:
    for wanted, mark in (("hidden", "broken"), ("wrong", "broken"), ("missing", "note"), ("differs", "note")):
        found = [state for state in states if state.state == wanted]
        if found:
            verdict: Literal["note", "broken"] = "broken" if mark == "broken" else "note"
            text = f"{len(found)} of {len(states)} {wanted}, such as {found[0].topic}"
            return Finding("topics", verdict, text, f"{found[0].topic} {found[0].mend}")
    return Finding("topics", "ok", f"all {len(states)} as they should be")


def _grants(settings: WorkerSettings) -> Finding:
    missing = missing_grants(settings)
    if not missing:
        return Finding("rights", "ok", "this user may do all that a worker has to")
    mend = "; ".join(commands(missing, f"User:{settings.sasl_username or '…'}", settings.kafka))
    return Finding("rights", "broken", f"this user lacks {lacking(missing)}", mend)


def _clock(settings: WorkerSettings, states: list[TopicState], now: Callable[[], float]) -> Finding:
    inputs = {settings.topic_prefix + topic for topic in INPUTS}
    wanted = {
        TopicPartition(state.topic, number): OffsetSpec.MAX_TIMESTAMP
        for state in states
        if state.topic in inputs
        for number in range(state.partitions)
    }
    newest = -1
    try:
        with admin_client(settings.kafka, security_of(settings)) as client:
            found = client.list_partition_offsets(wanted) if wanted else {}
        newest = max((offset.timestamp for offset in found.values()), default=-1)
    except (TopicError, KafkaError) as error:
        return Finding(
            "clock", "note", f"can't be compared ({error})", "see whether the broker is a Kafka 3 or newer"
        )
    ahead_s = newest / 1000 - now()
    if ahead_s > SKEW_S:
        text = f"the broker's is {ahead_s:.0f} s ahead of this machine's"
        return Finding("clock", "broken", text, "set both by NTP: append times bound event time")
    return Finding(
        "clock", "ok", "no record is from the future" if newest > 0 else "no record to compare with yet"
    )
