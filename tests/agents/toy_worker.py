"""A worker of the toy stages, as a process that tests may kill. Switches come as ``TOY_…`` in the environment."""

from __future__ import annotations

import asyncio
import cProfile
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mode.loop

mode.loop.use("uvloop")

from agents import log_units, metrics  # noqa: E402  # the loop must be chosen before Faust is imported
from agents import takeover as takeover_module  # noqa: E402
from agents.deployments import Deployment  # noqa: E402
from agents.recovery import Recovered, Target, recover  # noqa: E402
from agents.runner import Runner  # noqa: E402
from agents.stores import Store  # noqa: E402
from agents.watchdog import Watchdog  # noqa: E402
from tests.agents.toy_faults import Faults, await_fault  # noqa: E402
from tests.agents.toy_stages import CountedWindows, Letters, Totals, Windows  # noqa: E402

STRETCH_S = float(os.environ.get("TOY_STRETCH_S", "0"))
"""Stay up to so long between the writes of a batch."""
CRASHES = os.environ.get("TOY_CRASHES", "").split()
"""End at once at a stage, a step, and the so-manieth time there (``pages:stored:2``); then, when a line comes on
stdin, live on until the next of them."""
STALL_S = float(os.environ.get("TOY_STALL_S", "30"))
UNASSIGNED_S = float(os.environ.get("TOY_UNASSIGNED_S", "180"))
BLOCKED_S = float(os.environ.get("TOY_BLOCKED_S", "60"))
SESSION_S = float(os.environ.get("TOY_SESSION_S", "10"))
INSTANCE = os.environ.get("TOY_INSTANCE")
"""Its own name in the group."""
BLOCK_S = float(os.environ.get("TOY_BLOCK_S", "0"))
"""Let the event loop stand still for so long, as soon as a batch is stored."""
RECOVERY_S = float(os.environ.get("TOY_RECOVERY_S", "0"))
"""Let each recovery last at least so long,"""
RECOVERY_GETS_ON = bool(os.environ.get("TOY_RECOVERY_GETS_ON"))
"""and say meanwhile that it gets on."""
SEND_S = float(os.environ.get("TOY_SEND_S", "75"))
FAULT = os.environ.get("TOY_FAULT", "")
"""Break so (see `toy_faults`) as soon as the file ``break`` is in the data folder."""
FORMAT = int(os.environ.get("TOY_FORMAT", "1"))
"""Of the state of the windows."""
PROFILE = os.environ.get("TOY_PROFILE", "")
"""Write a profile of the main thread to this file at the end."""

times: Counter[str] = Counter()


async def slow_recover(
    kafka: str, stores: Mapping[Target, Store], progress: Callable[[], None] = lambda: None, **_: Any
) -> Recovered:
    for _part in range(100):
        await asyncio.sleep(RECOVERY_S / 100)
        if RECOVERY_GETS_ON:
            progress()
    return await recover(kafka, stores)


def run(crash: str) -> None:
    """Work until told to end, or until a place is reached."""

    async def checkpoint(stage: str, step: str) -> None:
        place = f"{stage}:{step}"
        times[place] += 1
        if f"{place}:{times[place]}" == crash:
            os._exit(9)
        if BLOCK_S and step == "stored":
            time.sleep(BLOCK_S)
        if STRETCH_S:
            await asyncio.sleep(random.random() * STRETCH_S)

    kafka, app_id, data_dir, prefix, count = sys.argv[1:6]
    visitors = int(count)
    partitions = {
        "page-views": 3, "orders": 2, "visitor-events": visitors, "sessions": 2, "rejected-events": 1,
        "site-events": 1, "page-scores": 1,
        "culdesac-sessions-changelog": visitors, "culdesac-pages-changelog": 1,
    }  # fmt: skip
    deployment = Deployment(
        kafka=kafka,
        app_id=app_id,
        data_dir=Path(data_dir),
        partitions=partitions,
        sources=[Letters()],
        logs=[CountedWindows(visitors) if FORMAT == 2 else Windows(visitors), Totals()],
        out_of_orderness_ms=0,
        prefix=prefix,
        session_s=SESSION_S,
        send_limit_s=SEND_S,
        instance_id=INSTANCE,
        checkpoint=checkpoint if STRETCH_S or crash or BLOCK_S else None,
    )
    vars(log_units)["ROWS_AGAIN"] = 5
    if RECOVERY_S:
        vars(takeover_module)["recover"] = slow_recover
    runner = Runner(deployment)
    watchdog = Watchdog(runner, STALL_S, UNASSIGNED_S, BLOCKED_S, every_s=0.5)
    watchdog.install()
    server = metrics.serve("127.0.0.1", 0, watchdog.health)
    (Path(data_dir) / "port").write_text(str(server.port))
    if FAULT:
        await_fault(runner.app, Path(data_dir) / "break", getattr(Faults(runner, watchdog), FAULT))
    runner.app.Worker(loglevel="INFO").execute_from_commandline()


def main() -> None:
    """Live once, or as often as `CRASHES` says and once more; a fork spares the imports."""
    for crash in CRASHES:
        child = os.fork()
        if not child:
            run(crash)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 9:
            sys.exit(code)
        sys.stderr.write(f"crashed at {crash}\n")
        sys.stderr.flush()
        sys.stdin.readline()
    run("")


if __name__ == "__main__":
    assert threading.active_count() == 1, "a fork needs a process without threads"
    if PROFILE:
        profile = cProfile.Profile()
        try:
            profile.runcall(main)
        finally:
            profile.dump_stats(PROFILE)
    else:
        main()
