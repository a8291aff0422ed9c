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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mode.loop

mode.loop.use("uvloop")

from agents import takeover as takeover_module  # noqa: E402  # the loop must be chosen before Faust is imported
from agents.deployments import Deployment  # noqa: E402
from agents.recovery import Recovered, Target, recover  # noqa: E402
from agents.runner import Runner  # noqa: E402
from agents.stores import Store  # noqa: E402
from agents.watchdog import Watchdog  # noqa: E402
from tests.agents.toy_stages import Letters, Totals, Windows  # noqa: E402

STRETCH_S = float(os.environ.get("TOY_STRETCH_S", "0"))
"""Stay up to so long between the writes of a batch."""
CRASHES = os.environ.get("TOY_CRASHES", "").split()
"""End at once at a stage, a step, and the so-manieth time there (``pages:stored:2``); then, when a line comes on
stdin, live on until the next of them."""
STALL_S = float(os.environ.get("TOY_STALL_S", "30"))
UNASSIGNED_S = float(os.environ.get("TOY_UNASSIGNED_S", "180"))
BLOCKED_S = float(os.environ.get("TOY_BLOCKED_S", "60"))
SESSION_S = float(os.environ.get("TOY_SESSION_S", "10"))
BLOCK_S = float(os.environ.get("TOY_BLOCK_S", "0"))
"""Let the event loop stand still for so long, as soon as a batch is stored."""
RECOVERY_S = float(os.environ.get("TOY_RECOVERY_S", "0"))
"""Let each recovery last at least so long."""
PROFILE = os.environ.get("TOY_PROFILE", "")
"""Write a profile of the main thread to this file at the end."""

times: Counter[str] = Counter()


async def slow_recover(kafka: str, stores: Mapping[Target, Store], **_: Any) -> Recovered:
    await asyncio.sleep(RECOVERY_S)
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
        logs=[Windows(visitors), Totals()],
        out_of_orderness_ms=0,
        prefix=prefix,
        session_s=SESSION_S,
        checkpoint=checkpoint if STRETCH_S or crash or BLOCK_S else None,
    )
    if RECOVERY_S:
        vars(takeover_module)["recover"] = slow_recover
    runner = Runner(deployment)
    Watchdog(runner, STALL_S, UNASSIGNED_S, BLOCKED_S, every_s=0.5).install()
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
