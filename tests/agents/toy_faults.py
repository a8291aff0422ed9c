"""What can go wrong inside a worker, done to a worker of the toy stages when a file appears."""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faust.transport.consumer import Consumer

from agents import watchdog as watchdog_module
from agents.log_units import LogUnit
from agents.runner import Runner
from agents.watchdog import Watchdog
from tests.agents.toy_stages import Windows


async def hang(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")


async def fail_later(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")


async def refuse(*_: Any, **__: Any) -> bool:
    return False


def end_thread(*_: Any, **__: Any) -> Any:
    raise SystemExit


def replace(owner: type, name: str, by: Any) -> None:
    setattr(owner, name, by)


class Faults:
    """Ways to break a worker; each is named after what it does."""

    def __init__(self, runner: Runner, watchdog: Watchdog) -> None:
        self.runner: Any = runner
        self.watchdog: Any = watchdog

    def raise_in_step(self) -> None:
        replace(Windows, "step", fail)

    def raise_in_decode(self) -> None:
        for unit in self.runner.owned.units():
            if isinstance(unit, LogUnit):
                vars(unit.processor)["_decode"] = fail

    def hang_in_batch(self) -> None:
        for unit in self.runner.owned.units():
            unit._outlet = dataclasses.replace(unit._outlet, checkpoint=hang)

    def hang_in_marks(self) -> None:
        self.runner.marker.mark = hang

    def raise_in_marks(self) -> None:
        self.runner.marker.mark = fail_later

    def end_lease(self) -> None:
        self.runner._tasks[1].cancel()

    def end_fetching(self) -> None:
        for task in self.runner.app._fetcher._futures:
            task.cancel()

    def hang_in_fetch(self) -> None:
        self.runner.consumer._wait_next_records = hang

    def refuse_commits(self) -> None:
        replace(Consumer, "_commit_offsets", refuse)

    def hang_in_commit(self) -> None:
        replace(Consumer, "_commit_offsets", hang)

    def stop_client_thread(self) -> None:
        loop = self.runner.consumer._thread.thread_loop
        loop.call_soon_threadsafe(loop.stop)

    def raise_in_watchdog(self) -> None:
        self.watchdog.look = fail_later

    def hang_in_watchdog(self) -> None:
        self.watchdog.look = hang

    def end_watching_thread(self) -> None:
        vars(watchdog_module)["faulthandler"] = SimpleNamespace(dump_traceback_later=end_thread)

    def block_loop(self) -> None:
        time.sleep(1_000)

    def hold_interpreter(self) -> None:
        ctypes.PyDLL(None).sleep(1_000)

    def block_on_log(self) -> None:
        """Nobody reads the log any more, and the pipe is full."""
        _read, write = os.pipe()
        os.dup2(write, 2)
        os.dup2(write, 1)
        while True:
            sys.stderr.write("x" * 4096)


def await_fault(app: Any, file: Path, fault: Callable[[], None]) -> None:
    """Do it in the event loop as soon as the file is there."""

    def wait() -> None:
        while not file.exists():
            time.sleep(0.1)
        app.loop.call_soon_threadsafe(fault)

    threading.Thread(target=wait, daemon=True).start()
