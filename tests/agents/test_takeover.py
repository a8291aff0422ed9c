"""Taking over partitions while they are taken away again, and giving them up."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents import takeover as takeover_module
from agents.changelogs import StoreError
from agents.deployments import Deployment
from agents.recovery import Recovered
from agents.runner import Runner
from agents.stores import Store
from tests.agents.toy_bench import Bench
from tests.agents.toy_stages import Letters, Windows

COUNTS = {
    "page-views": 1,
    "orders": 1,
    "visitor-events": 1,
    "sessions": 1,
    "site-events": 1,
    "rejected-events": 1,
}
VIEWS, LOG = TP("page-views", 0), TP("visitor-events", 0)


class FakeConsumer:
    """What a takeover asks of the consumer."""

    def __init__(self) -> None:
        self.held = {VIEWS, LOG}
        self.committed: dict[TP, int | None] = {VIEWS: 40, LOG: None}
        self.is_in = True

    def assignment(self) -> set[TP]:
        return self.held

    def is_member(self, generation: int) -> bool:
        return self.is_in

    async def earliest_offsets(self, *tps: TP) -> Mapping[TP, int]:
        return dict.fromkeys(tps, 0)

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        return self.committed

    async def highwaters(self, *tps: TP) -> Mapping[TP, int]:
        return dict.fromkeys(tps, 0)


class FakeSender:
    timeout_s = 1.0

    def __init__(self) -> None:
        self.flushes = 0
        self.arrives = True

    async def start(self) -> None: ...

    async def flush(self, seconds: float) -> bool:
        self.flushes += 1
        return self.arrives


class Takeover:
    """A runner without Faust, Kafka and changelogs behind it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer, self.sender = FakeConsumer(), FakeSender()
        self.crashes: list[tuple[int, str]] = []
        self.recovering = asyncio.Event()
        self.recovered = asyncio.Event()
        self.closed_too_early = False
        monkeypatch.setattr(takeover_module, "recover", self._recover)
        monkeypatch.setattr(Runner, "_make_app", lambda _: SimpleNamespace(consumer_generation_id=1))
        monkeypatch.setattr(Runner, "consumer", property(lambda _: self.consumer))
        deployment = Deployment(
            kafka="", app_id="", data_dir=directory, partitions=COUNTS, sources=[Letters()], logs=[Windows(1)],
            out_of_orderness_ms=0,
        )  # fmt: skip
        runner: Any = Runner(deployment)
        self.runner = runner
        self.runner.sender = self.sender
        self.runner.crash = lambda code, reason: self.crashes.append((code, reason))

    async def _recover(self, kafka: str, stores: Mapping[tuple[str, int], Store], **_: Any) -> Recovered:
        self.recovering.set()
        try:
            await self.recovered.wait()
        finally:
            for store in stores.values():
                try:
                    store.get(b"x")
                except Exception:  # noqa: BLE001  # whatever a closed RocksDB says
                    self.closed_too_early = True
        return Recovered(0, {target: store.end_recovery() for target, store in stores.items()})

    def take_over(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.runner._on_rebalance_complete())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Takeover], Any]], None]:
    def with_takeover(test: Callable[[Takeover], Coroutine[Any, Any, None]]) -> None:
        async def inner() -> None:
            takeover = Takeover(tmp_path, monkeypatch)
            await test(takeover)
            await takeover.runner.release()

        asyncio.run(inner())

    return with_takeover


Run = Callable[[Callable[[Takeover], Any]], None]


def test_units_go_on_at_the_fence_and_at_the_committed_offset(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        takeover.recovered.set()
        await takeover.take_over()
        assert takeover.crashes == []
        assert takeover.runner.is_open
        [log] = takeover.runner.log_units_of(LOG)
        assert (takeover.runner.input_of(VIEWS).next_offset, log.next_offset) == (40, 0)
        assert takeover.runner.owned.done_offset(VIEWS) == 40

    run(test)


def test_partitions_that_go_away_during_recovery_break_it_off_before_stores_are_closed(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        taking = takeover.take_over()
        await takeover.recovering.wait()
        await takeover.runner.drain(1.0)
        await takeover.runner.release()
        assert not takeover.closed_too_early
        await asyncio.sleep(0.2)
        assert not taking.done(), "Faust would resume consuming in the middle of a rebalance"
        takeover.runner.app.consumer_generation_id = 2
        await asyncio.wait_for(taking, 1.0)
        assert takeover.crashes == []
        assert not takeover.runner.is_open
        takeover.recovered.set()
        await takeover.take_over()
        assert takeover.runner.is_open
        assert takeover.runner.generation == 2

    run(test)


def test_a_generation_that_changes_during_recovery_opens_nothing(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        taking = takeover.take_over()
        await takeover.recovering.wait()
        takeover.runner.app.consumer_generation_id = 2
        takeover.recovered.set()
        await taking
        assert not takeover.runner.is_open
        assert takeover.runner.log_units_of(LOG) == []
        assert takeover.crashes == []

    run(test)


def test_who_cancels_the_takeover_from_outside_ends_it(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        taking = takeover.take_over()
        await takeover.recovering.wait()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert takeover.crashes == []

    run(test)


def test_nothing_is_read_before_all_that_was_sent_has_arrived(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        takeover.sender.arrives = False
        await takeover.take_over()
        assert not takeover.recovering.is_set()
        assert [code for code, _ in takeover.crashes] == [74]
        assert "does not acknowledge" in takeover.crashes[0][1]

    run(test)


def test_committed_offsets_without_a_fence_mean_that_state_was_lost(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        takeover.consumer.committed[LOG] = 12
        takeover.recovered.set()
        await takeover.take_over()
        assert [code for code, _ in takeover.crashes] == [74]
        reason = takeover.crashes[0][1]
        assert "either its changelog culdesac-sessions-changelog was lost, or " in reason
        assert "has run without sessions until now" in reason
        assert not takeover.runner.is_open

    run(test)


def test_an_error_of_recovery_ends_the_worker_for_faust_would_swallow_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreError("no changelog record for 60 s")

    async def test(takeover: Takeover) -> None:
        monkeypatch.setattr(takeover_module, "recover", fail)
        await takeover.take_over()
        assert takeover.crashes == [(74, "no changelog record for 60 s")]

    run(test)


def test_a_drain_waits_for_what_was_folded_and_then_nothing_is_written_any_more(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        takeover.recovered.set()
        await takeover.take_over()
        [unit] = takeover.runner.log_units_of(LOG)
        unit.idle.clear()
        draining = asyncio.ensure_future(takeover.runner.drain(5.0))
        await asyncio.sleep(0.05)
        assert not draining.done()
        flushes = takeover.sender.flushes
        unit.idle.set()
        await draining
        assert unit.dead
        assert takeover.sender.flushes == flushes + 1

    run(test)


def test_who_was_given_up_by_the_group_drops_everything_at_once(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        takeover.recovered.set()
        await takeover.take_over()
        [unit] = takeover.runner.log_units_of(LOG)
        unit.idle.clear()
        takeover.consumer.is_in = False
        await asyncio.wait_for(takeover.runner.drain(5.0), 0.5)
        assert unit.dead

    run(test)


def test_standing_still_for_longer_than_the_lease_ends_the_worker(run: Run) -> None:
    async def test(takeover: Takeover) -> None:
        takeover.recovered.set()
        await takeover.take_over()
        takeover.runner.check_lease()
        assert takeover.crashes == []
        takeover.runner._beat = time.monotonic() - 8.5  # of a session of 10 s
        takeover.runner.check_lease()
        assert [code for code, _ in takeover.crashes] == [77]

    run(test)


def test_workers_that_come_and_go_while_others_recover_lose_nothing(bench: Bench) -> None:
    first = bench.worker("a", recovery_s=2, session_s=6)
    bench.write(1, 0, 2_000)
    while "Executing _on_partitions_assigned" not in bench.log("a"):
        time.sleep(0.05)
    time.sleep(0.5)
    second = bench.worker("b", recovery_s=2, session_s=6)
    bench.wait_until_ready("b")
    bench.wait_until_ready("a")
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0, bench.logs()
    while bench.log("a").count("Executing _on_partitions_assigned") < 3:
        time.sleep(0.05)
    time.sleep(0.5)
    first.send_signal(signal.SIGTERM)  # in the middle of its recovery
    assert first.wait(20) == 0, bench.logs()
    assert "culdesac worker: exit" not in bench.logs()
    bench.end(2_000)
    bench.worker("a", session_s=6)
    bench.wait(len(bench.expected()))
    bench.check()
