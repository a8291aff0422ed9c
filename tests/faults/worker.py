"""The product's worker with faults built in, for tests: where it dies, its clock, its disk.

Switches come in the environment, see `tests.faults.switches`. Lives are forked from
one process that has imported everything: an import costs more than a whole recovery.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dataclasses
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_real_time = time.time
_shift_s = 0.0


def _shifted_time() -> float:
    return _real_time() + _shift_s


# Before anything binds it. So all Python code of the process reads the shifted clock: the times of the records
# that it writes (which bound claims of silence), ages in its metrics, its log. Not covered: timers and timeouts,
# which are monotonic as on a machine whose clock is set; what C code reads for itself; the broker's clock, which
# bounds the times of inputs.
time.time = _shifted_time

from agents import worker  # noqa: E402  # the clock has to be shifted first
from agents.deployments import Deployment  # noqa: E402
from agents.errors import sentence  # noqa: E402
from agents.settings import WorkerSettings, load_settings  # noqa: E402
from streams import intake, user_agents  # noqa: E402
from streams.flow import stages  # noqa: E402
from streams.settings import Settings  # noqa: E402
from tests.agents.constants import set_constants  # noqa: E402  # the clock has to be shifted first
from tests.faults import mutants  # noqa: E402
from tests.faults.switches import CLOCK, CRASH, FILE_BYTES, HELD_MS, MUTANT, STRETCH_S, UNITS  # noqa: E402

# What a start costs most, some seconds of it, once for all lives: River's imports, and the patterns of user agents.
stages(Settings(), "it is not kept anywhere", {"visitor-events": 1})
_READER = user_agents.UserAgentReader()
vars(intake)["UserAgentReader"] = lambda: _READER

_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def run(environment: Mapping[str, str], log_path: str) -> None:
    """Be a worker with these settings, in a process that was forked for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    if FILE_BYTES in environment:
        # Another process writes the log, or that would be full as well, and nothing could be said.
        writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        assert writer.stdin is not None
        log = writer.stdin.fileno()
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(environment)
    if CLOCK in environment:
        threading.Thread(target=_follow_clock, args=(Path(environment[CLOCK]),), daemon=True).start()
    if FILE_BYTES in environment:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(environment[FILE_BYTES]), most))
    set_constants(environment.get(UNITS, ""))
    if MUTANT in environment:
        mutants.MUTANTS[environment[MUTANT]]()
    _stop_between_writes(environment.get(CRASH, ":::0"), float(environment.get(STRETCH_S, "0")))
    try:
        worker.run_worker(load_settings(environment=environment))
    except Exception as error:
        line = sentence(error)
        if line is None:
            raise
        sys.stderr.write(f"culdesac: {line}\n")
        sys.exit(2)


def _stop_between_writes(place: str, stretch_s: float) -> None:
    stage, step, count, delay_ms = place.split(":")
    passed: Counter[tuple[str, str]] = Counter()
    source = random.Random(os.getpid())
    make = worker.make_deployment

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def checkpoint(at_stage: str, at_step: str) -> None:
        passed[at_stage, at_step] += 1
        if (at_stage, at_step) == (stage, step) and passed[stage, step] == int(count):
            os.write(2, f"crash at {place}\n".encode())
            if int(delay_ms):
                # A thread, for the event loop may be busy when the time comes.
                threading.Timer(int(delay_ms) / 1000, die).start()
                if int(delay_ms) >= HELD_MS:
                    await asyncio.Event().wait()
            else:
                die()
        if stretch_s:
            await asyncio.sleep(source.random() * stretch_s)

    def make_deployment(settings: WorkerSettings) -> Deployment:
        return dataclasses.replace(make(settings), checkpoint=checkpoint)

    vars(worker)["make_deployment"] = make_deployment


def _follow_clock(path: Path) -> None:
    global _shift_s
    while True:
        with contextlib.suppress(OSError, ValueError):  # not written yet
            _shift_s = float(path.read_text())
        time.sleep(0.1)
