"""Lanes: partitions of which nobody waits are worked on beside the others, each in its order."""

from __future__ import annotations

import asyncio
from functools import partial

from faust.types import TP

from agents.lanes import Lanes

ONE, OTHER = TP("site-events", 0), TP("site-events", 1)


class Bench:
    """Work that goes on when its gate is opened."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self.lanes = Lanes(self.failures.append)
        self.said: list[str] = []
        self.gates = {name: asyncio.Event() for name in "abc"}

    async def work(self, name: str) -> None:
        self.said.append(f"{name} begins")
        await self.gates[name].wait()
        self.said.append(f"{name} ends")


async def settle() -> None:
    """Let all that can go on do so."""
    for _ in range(9):
        await asyncio.sleep(0)


def test_whoever_begins_work_goes_on_while_one_piece_after_the_other_is_done() -> None:
    async def scenario() -> list[str]:
        bench = Bench()
        await bench.lanes.begin(ONE, partial(bench.work, "a"))
        await bench.lanes.begin(OTHER, partial(bench.work, "b"))
        bench.said.append("others go on")
        assert bench.lanes.busy() == {ONE, OTHER}
        bench.gates["a"].set()
        await settle()
        assert bench.lanes.busy() == {OTHER}
        bench.gates["b"].set()
        await settle()
        assert bench.lanes.busy() == set()
        return bench.said

    assert asyncio.run(scenario()) == ["others go on", "a begins", "a ends", "b begins", "b ends"]


def test_batches_of_one_partition_follow_each_other() -> None:
    async def scenario() -> list[str]:
        bench = Bench()
        await bench.lanes.begin(ONE, partial(bench.work, "a"))
        second = asyncio.ensure_future(bench.lanes.begin(ONE, partial(bench.work, "b")))
        await settle()
        assert not second.done()
        for name in "ab":
            bench.gates[name].set()
        await second
        await settle()
        return bench.said

    assert asyncio.run(scenario()) == ["a begins", "a ends", "b begins", "b ends"]


def test_work_that_fails_is_told() -> None:
    async def scenario() -> list[BaseException]:
        bench = Bench()

        async def fail() -> None:
            raise ValueError("as it must be told")

        await bench.lanes.begin(ONE, fail)
        await settle()
        return bench.failures

    [error] = asyncio.run(scenario())
    assert str(error) == "as it must be told"
