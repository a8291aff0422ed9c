"""A worker of the toy stages, as a process that tests may kill."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import mode.loop

mode.loop.use("uvloop")

from agents.runner import Deployment, Runner  # noqa: E402  # the loop must be chosen before Faust is imported
from agents.watchdog import Watchdog  # noqa: E402
from tests.agents.toy_stages import Letters, Totals, Windows  # noqa: E402

STRETCH_S = float(os.environ.get("TOY_STRETCH_S", "0"))


async def stretch(stage: str, step: str) -> None:
    await asyncio.sleep(random.random() * STRETCH_S)


def main() -> None:
    kafka, app_id, data_dir, prefix, count = sys.argv[1:6]
    visitors = int(count)
    partitions = {
        "page-views": 3, "orders": 2, "visitor-events": visitors, "sessions": 2, "rejected-events": 1,
        "site-events": 1, "page-scores": 1,
        "culdesac-sessions-changelog": visitors, "culdesac-pages-changelog": 1,
    }  # fmt: skip
    runner = Runner(
        Deployment(
            kafka=kafka,
            app_id=app_id,
            data_dir=Path(data_dir),
            partitions=partitions,
            sources=[Letters()],
            logs=[Windows(visitors), Totals()],
            out_of_orderness_ms=0,
            prefix=prefix,
            checkpoint=stretch if STRETCH_S else None,
        )  # fmt: skip
    )
    Watchdog(runner, stall_s=30.0).install()
    runner.app.Worker(loglevel="INFO").execute_from_commandline()


if __name__ == "__main__":
    main()
