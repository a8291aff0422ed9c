"""The made-up shop as a command: its traffic into files or to Kafka, its truth beside it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO

import msgspec
import typer

from agents.durations import parse_duration
from agents.publisher import Publisher
from agents.replaying import OutputError
from agents.security import security_of
from agents.settings import WorkerSettings
from schemas.timestamps import parse_time
from streams.event_files import INPUTS
from streams.shop import DEFAULT_START_MS, PlanError, ShopConfig, demo_plan, parse_plan, traffic, truth

DEMO_PLAN = "demo"
"""As a plan: the faults that the demo plants."""
TICK_S = 0.05
"""Pace at which paced traffic goes out."""

_encode = msgspec.json.Encoder().encode


def shop_config(
    seed: int, sessions_per_hour: float, pages: int, hours: float | None, plant: str | None, start: str
) -> ShopConfig:
    """Make the configuration of the shop from what the command line says.

    Parameters
    ----------
    plant
        File with a plan of faults, ``demo`` for three busy pages in the last ten hours, or None.
    start
        A time (RFC 3339), or how long ago (``72h``); empty: a fixed day.

    Raises
    ------
    PlanError
        The plan can't be read, or names a page that the shop does not have.
    """
    try:
        config = ShopConfig(
            seed=seed,
            sessions_per_hour=sessions_per_hour,
            pages=pages,
            hours=hours,
            start_ms=_start_ms(start),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("shop: ")) from None
    if plant is None:
        return config
    if plant == DEMO_PLAN:
        return replace(config, plan=demo_plan(config))
    try:
        text = Path(plant).read_text()
    except (OSError, UnicodeDecodeError):
        raise PlanError(f"{plant}: no such file, or not text: name a plan of faults (JSON or TOML)") from None
    try:
        return replace(config, plan=parse_plan(text, config.start_ms))
    except PlanError as error:
        raise PlanError(f"{plant}: {error}") from None


def write_shop(config: ShopConfig, out: Path) -> Counter[str]:
    """Write a file a topic, and ``truth.json``; tell how many events of each there are.

    Raises
    ------
    OutputError
        The folder can't be written.
    """
    sent: Counter[str] = Counter()
    events = traffic(config)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            files: dict[str, IO[bytes]] = {
                topic: stack.enter_context((out / f"{topic}.ndjson").open("wb")) for topic in INPUTS
            }
            for topic, event in events:
                files[topic].write(_encode(event) + b"\n")
                sent[topic] += 1
        _write_truth(config, out)
    except OSError as error:
        raise OutputError(f"{out}: can't be written ({error.strerror}): name another folder") from None
    return sent


def send_shop(
    config: ShopConfig,
    publisher: Publisher,
    speed: float | None,
    paced_from_ms: int,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send the traffic to Kafka, with progress records.

    Parameters
    ----------
    speed
        Hours of the shop an hour of ours; None: as fast as Kafka takes it.
    paced_from_ms
        Event time (ms) before which it goes as fast as Kafka takes it.
    """
    began: float | None = None
    next_s = 0.0
    for topic, event in traffic(config):
        time_ms = event["occurred_at"]
        if speed is not None and time_ms >= paced_from_ms:
            if began is None:
                began = clock()
            due_s = (time_ms - paced_from_ms) / 1000 / speed
            if due_s >= next_s:
                publisher.push(telling=True)
                passed_s = clock() - began
                if due_s > passed_s:
                    sleep(due_s - passed_s)
                next_s = max(due_s, passed_s) + TICK_S
        publisher.send(topic, _encode(event), time_ms)


def run_shop(
    config: ShopConfig,
    out: Path | None,
    settings: WorkerSettings | None,
    speed: float | None,
    quick_hours: float,
    say: Callable[[str], None],
) -> None:
    """Make the traffic, into `out` or to the Kafka of `settings`; to Kafka, `out` takes the truth alone."""
    if settings is None:
        if out is None or config.hours is None:
            raise typer.BadParameter("say how long: --hours (files have an end)")
        sent = write_shop(config, out)
        say(f"Wrote {sent.total():,} events ({sent['page-views']:,} page views) and truth.json to {out}.")
        return
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _write_truth(config, out)
    with Publisher(settings.kafka, settings.topic_prefix, security=security_of(settings)) as publisher:
        send_shop(config, publisher, speed, config.start_ms + round(quick_hours * 3_600_000))
    say(f"Sent {publisher.sent.total():,} events ({publisher.sent['page-views']:,} page views).")


def _write_truth(config: ShopConfig, out: Path) -> None:
    (out / "truth.json").write_text(json.dumps(truth(config), indent=1))


def _start_ms(start: str) -> int:
    if not start:
        return DEFAULT_START_MS
    try:
        return int(time.time() * 1000) - parse_duration(start)
    except ValueError:
        pass
    try:
        return parse_time(start)
    except ValueError:
        raise typer.BadParameter(
            f"{start!r}: write a time with offset (2026-03-01T12:00:00Z), or how long ago (72h)",
            param_hint="--start",
        ) from None
