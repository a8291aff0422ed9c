"""A worker of the toy stages, as a process that tests may kill."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import mode.loop

mode.loop.use("uvloop")

from agents.runner import Deployment, Runner  # noqa: E402  # the loop must be chosen before Faust is imported
from agents.watchdog import Watchdog  # noqa: E402
from tests.agents.toy_stages import Letters, Totals, Windows  # noqa: E402

STRETCH_S = float(os.environ.get("TOY_STRETCH_S", "0"))
"""Stay up to so long between the writes of a batch."""
CRASH = os.environ.get("TOY_CRASH", "")
"""End at once at a stage, a step, and the so-manieth time there: ``pages:stored:2``."""
STALL_S = float(os.environ.get("TOY_STALL_S", "30"))
SESSION_S = float(os.environ.get("TOY_SESSION_S", "10"))

times: Counter[str] = Counter()


async def checkpoint(stage: str, step: str) -> None:
    place = f"{stage}:{step}"
    times[place] += 1
    if f"{place}:{times[place]}" == CRASH:
        os._exit(9)
    if STRETCH_S:
        await asyncio.sleep(random.random() * STRETCH_S)


def main() -> None:
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
        checkpoint=checkpoint if STRETCH_S or CRASH else None,
    )
    runner = Runner(deployment)
    Watchdog(runner, stall_s=STALL_S).install()
    runner.app.Worker(loglevel="INFO").execute_from_commandline()


if __name__ == "__main__":
    main()
