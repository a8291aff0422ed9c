"""No silent stall: whatever stops a worker ends it with one clear line, or it goes on; health tells the same."""

from __future__ import annotations

import concurrent.futures
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest
from kafka.admin import ConfigResource, KafkaAdminClient

from agents.broker import EmbeddedKafka
from tests.agents.toy_bench import Bench

LIMITS: dict[str, Any] = {"stall_s": 3, "unassigned_s": 6, "blocked_s": 3, "send_s": 5}
PATIENT = {"stall_s": 12, "unassigned_s": 12}
"""For who is to live on: on a busy machine a commit may take seconds, which health would tell."""
pytestmark = pytest.mark.timeout(900)  # the first of them waits for all
AT_ONCE = 7
"""Workers that run beside each other: they mostly wait."""


@dataclass
class Seen:
    """What was seen of a worker from outside.

    Attributes
    ----------
    code
        With which it ended; None: it lived on.
    health
        Answers of `/healthz` in order, each once in a row, numbers left out.
    metrics
        (status of `/healthz`, what culdesac_healthy said at the same time).
    """

    code: int | None = None
    log: str = ""
    health: list[tuple[int, str]] = field(default_factory=list)
    metrics: set[tuple[int, float]] = field(default_factory=set)


def look(bench: Bench, seen: Seen) -> None:
    """Ask for health and metrics."""
    port = bench.directory / "a" / "port"
    if not port.exists():
        return
    base = f"http://127.0.0.1:{port.read_text()}"
    try:
        before, figures, found = get(f"{base}/healthz"), get(f"{base}/metrics")[1], get(f"{base}/healthz")
    except (URLError, TimeoutError, ConnectionError, HTTPException):
        return  # it has just ended
    if seen.health[-1:] != [found]:
        seen.health.append(found)
    figure = re.search(r"^culdesac_healthy (\S+)", figures, re.MULTILINE)
    assert figure is not None
    if before[0] == found[0]:
        seen.metrics.add((found[0], float(figure[1])))


def get(url: str) -> tuple[int, str]:
    """Ask, and give status and text; numbers in a line of health are left out."""
    try:
        with urlopen(url, timeout=1) as answer:
            status, text = answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    return status, re.sub(r"\d+", "N", text.strip()) if url.endswith("healthz") else text


def refuse_changelog(bench: Bench) -> None:
    """Let the broker refuse whatever is written to the changelog."""
    admin = KafkaAdminClient(bootstrap_servers=bench.kafka)
    name = bench.prefix + "culdesac-sessions-changelog"
    admin.alter_configs([ConfigResource("topic", name, {"max.message.bytes": "10"})])
    admin.close()


@dataclass(frozen=True)
class Case:
    """A cause, and how it should end.

    Attributes
    ----------
    switches
        Of the toy worker.
    outside
        What is done to it when it works, beside a fault of its own.
    code, line
        How it ends; None: it lives for `for_s` after the fault, and goes on with its work.
    health
        Last answer that is not 200, if any is expected to be seen.
    """

    switches: dict[str, Any] = field(default_factory=dict)
    outside: Callable[[Bench], None] | None = None
    code: int | None = None
    line: str = ""
    health: str | None = None
    for_s: float = 6.0


def fault(name: str, code: int, line: str, health: str | None = None, **switches: Any) -> Case:
    return Case({"fault": name} | switches, None, code, line, health)


CASES: dict[str, Case] = {
    "an exception in a batch": fault(
        "raise_in_step", 70, "consuming failed: RuntimeError('broken on purpose')"
    ),
    "an exception while decoding": fault("raise_in_decode", 70, "consuming failed: RuntimeError"),
    "a batch that waits for ever": fault(
        "hang_in_batch", 71, "stands at N of N for N s", "stands at N of N for N s"
    ),
    "marks that wait for ever": fault("hang_in_marks", 71, "no marks have been written for N s", "no marks"),
    "an exception in marks": fault("raise_in_marks", 70, "writing marks failed"),
    "a lease that nobody keeps": fault(
        "end_lease", 70, "a task that keeps the lease or writes marks has ended"
    ),
    "fetching that has ended": fault(
        "end_fetching", 71, "nothing has been fetched for N s", "nothing has been"
    ),
    "a fetch that waits for ever": fault(
        "hang_in_fetch", 71, "nothing has been fetched for N s", "nothing has been"
    ),
    "commits that are refused": fault("refuse_commits", 71, "stands at N of N for N s", "stands at"),
    "a commit that waits for ever": fault("hang_in_commit", 71, "stands at N of N for N s", "stands at"),
    "a client library without its thread": fault(
        "stop_client_thread",
        70,
        "RuntimeError",
    ),
    "an exception in the watchdog": fault("raise_in_watchdog", 70, "the watchdog failed: RuntimeError"),
    "a watchdog that waits for ever": fault("hang_in_watchdog", 75, "the watchdog does not come round"),
    "a watching thread that has ended": fault(
        "end_watching_thread", 75, "the thread that watches the event loop has ended"
    ),
    "a blocked event loop": fault(
        "block_loop",
        75,
        "the event loop stands still",
        "the event loop has not come round for N s",
        session_s=60,
    ),
    "an interpreter that is held": fault("hold_interpreter", 1, "Timeout (N:N:N)!", session_s=60),
    "a log that nobody reads": fault("block_on_log", 75, "", session_s=60),
    "a changelog that is refused": Case(
        outside=refuse_changelog, code=70, line="writing a batch of sessions/N failed"
    ),
    "an assignment that is lost": Case(PATIENT, outside=Bench.bury),
    "a long recovery that gets on": Case(
        PATIENT | {"recovery_s": 10, "recovery_gets_on": "yes", "unassigned_s": 6}, for_s=1
    ),
    "idleness": Case(PATIENT, for_s=15),
}


def run(case: Case, kafka: EmbeddedKafka, directory: Path) -> Seen:
    """Let a worker work, break it, and see how it ends."""
    directory.mkdir()
    bench, seen = Bench(kafka, directory), Seen()
    try:
        worker = bench.worker(**(LIMITS | case.switches))
        limit = time.monotonic() + 120
        while (200, "ok") not in seen.health:
            assert worker.poll() is None, bench.logs()
            assert time.monotonic() < limit, f"{seen.health}\n{bench.logs()}"
            look(bench, seen)
            time.sleep(0.2)
        bench.write(1, 0, 200)
        if case.code is None:
            bench.end(200)
            bench.wait(len(bench.expected()))
        seen.health.clear()
        if case.outside is not None:
            case.outside(bench)
        (bench.directory / "a" / "break").touch()
        time.sleep(0.3)
        number, limit = 4_000, time.monotonic() + (120 if case.code is not None else case.for_s)
        while worker.poll() is None and time.monotonic() < limit:
            if case.code is not None:
                bench.write(number, number, number + 20)
                number += 20
            look(bench, seen)
            time.sleep(0.2)
        if case.code is None:
            bench.write(number, number, number + 200)
            bench.end(number + 200)
            bench.wait(len(bench.expected()))
            bench.check()
        seen.code, seen.log = worker.poll(), bench.log()
        return seen
    finally:
        bench.close()


@pytest.fixture(scope="module")
def runs(
    kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, concurrent.futures.Future[Seen]]:
    """Every case that is asked for, some at a time."""
    items: list[Any] = request.session.items
    wanted = [item.callspec.params["cause"] for item in items if is_ours(item)]
    folder = tmp_path_factory.mktemp("stalls")
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return {
            cause: pool.submit(run, CASES[cause], kafka, folder / str(number))
            for number, cause in enumerate(wanted)
        }


def is_ours(item: Any) -> bool:
    return item.path == Path(__file__) and "cause" in getattr(item, "callspec", item).params


@pytest.mark.parametrize("cause", CASES)
def test_a_cause_of_a_stall_ends_a_worker_with_one_clear_line_or_it_goes_on(
    runs: dict[str, concurrent.futures.Future[Seen]], cause: str
) -> None:
    case, seen = CASES[cause], runs[cause].result()
    # A consumer without its thread is noticed by the marks (70) or by the watchdog (72), whoever asks first.
    allowed = {70, 72} if case.switches.get("fault") == "stop_client_thread" else {case.code}
    assert seen.code in allowed, seen.log[-4000:]
    log = re.sub(r"\d+", "N", seen.log)
    if case.code is not None and case.line:
        assert re.sub(r"\d+", "N", case.line) in log, seen.log[-4000:]
        lines = [line for line in seen.log.splitlines() if line.startswith("culdesac worker: exit")]
        assert len(lines) == (1 if case.code != 1 else 0), lines
    if case.health is not None:
        assert any(status == 503 and case.health in text for status, text in seen.health), seen.health
    if case.code is None and case.outside is None:
        assert {status for status, _ in seen.health} <= {200}, seen.health
    assert seen.metrics <= {(200, 1.0), (503, 0.0)}
