"""The watchdog: when a worker ends itself, with which code, and what health says meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents import metrics
from agents import watchdog as watchdog_module
from agents.changelogs import top_header
from agents.watchdog import Watchdog
from tests.agents.toy_bench import Bench

ONE, TWO = TP("page-views", 0), TP("visitor-events", 1)


class CrashError(Exception):
    """Stands in for the end of the process."""


class FakeConsumer:
    def __init__(self) -> None:
        self.ends: dict[TP, int] = {ONE: 10, TWO: 10}
        self.at: dict[TP, int] = {ONE: 10, TWO: 10}
        self.answers = True
        self.is_in = True
        self.round_at = 0.0
        self.stands = 0.0

    def stands_s(self, now: float) -> float:
        return self.stands

    async def highwaters(self, *tps: TP) -> Mapping[TP, int]:
        if not self.answers:
            raise TimeoutError
        return {tp: self.ends[tp] for tp in tps}

    def committed(self, tp: TP) -> int:
        return self.at[tp]

    def is_member(self, generation: int) -> bool:
        return self.is_in


class Bed:
    """A watchdog, a worker to watch, and a clock that is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        clock = SimpleNamespace(monotonic=lambda: self.now, time=time.time)
        monkeypatch.setattr(watchdog_module, "time", clock)
        self.consumer = FakeConsumer()
        self.tps = [ONE, TWO]
        self.at: dict[TP, int] = {}
        runner: Any = SimpleNamespace(
            consumer=self.consumer,
            is_open=True,
            generation=1,
            progress_at=0.0,
            owned=SimpleNamespace(partitions=lambda: self.tps, done_offset=self.at.get, log_units={}),
            crash=self.crash,
            marker=None,
            broken=lambda: None,
            deployment=SimpleNamespace(prefix=""),
            app=SimpleNamespace(should_stop=False),
        )
        self.runner = runner
        self.watchdog = Watchdog(runner, stall_s=60, unassigned_s=180)

    def crash(self, code: int, reason: str) -> None:
        raise CrashError(code, reason)

    def look(self, later_s: float = 0.0) -> tuple[bool, str]:
        self.now += later_s
        asyncio.run(self.watchdog.look())
        self.watchdog._beat = self.now
        return self.watchdog.health()


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    return Bed(monkeypatch)


def test_who_is_caught_up_is_well_however_long_nothing_comes(bed: Bed) -> None:
    for _ in range(5):
        assert bed.look(100) == (True, "ok")


def test_records_that_wait_while_the_commit_stands_still_end_it_after_the_limit_and_not_before(
    bed: Bed,
) -> None:
    bed.look()
    bed.consumer.ends[TWO] = 11
    assert bed.look(1) == (True, "ok")
    assert bed.look(40) == (False, "visitor-events/1 stands at 10 of 11 for 41 s")
    assert bed.look(19) == (False, "visitor-events/1 stands at 10 of 11 for 60 s")
    with pytest.raises(CrashError, match=r"71, 'visitor-events/1 stands at 10 of 11 for 61 s'"):
        bed.look(1)


def test_a_commit_that_moves_is_work_that_goes_on(bed: Bed) -> None:
    bed.consumer.ends[ONE] = 1_000
    for committed in range(10, 20):
        bed.consumer.at[ONE] = committed
        assert bed.look(50) == (True, "ok")


def test_a_partition_that_comes_back_is_not_judged_by_what_was_before(bed: Bed) -> None:
    bed.consumer.ends[ONE] = 1_000
    bed.look()
    bed.tps = [TWO]
    bed.look(50)
    bed.tps = [ONE, TWO]
    assert bed.look(50) == (True, "ok")


def test_a_takeover_that_does_not_end_ends_the_worker(bed: Bed) -> None:
    bed.runner.is_open = False
    assert bed.look(180) == (False, "taking over partitions")
    with pytest.raises(CrashError, match="72, 'taking over partitions for 181 s'"):
        bed.look(1)


def test_a_long_recovery_that_gets_on_is_no_standstill(bed: Bed) -> None:
    bed.runner.is_open = False
    for _ in range(10):
        bed.runner.progress_at = bed.now
        assert bed.look(100) == (False, "taking over partitions")


def test_a_broker_that_does_not_answer_ends_the_worker(bed: Bed) -> None:
    bed.look()
    bed.consumer.answers = False
    assert bed.look(180) == (False, "the broker does not answer (TimeoutError)")
    with pytest.raises(CrashError, match="72, 'the broker does not answer"):
        bed.look(1)


def test_the_time_without_a_broker_does_not_count_as_a_stall_but_does_not_hide_one(bed: Bed) -> None:
    bed.consumer.ends[TWO] = 11
    bed.look()
    bed.look(50)
    bed.consumer.answers = False
    bed.look(100)
    bed.consumer.answers = True
    assert bed.look(10) == (False, "visitor-events/1 stands at 10 of 11 for 60 s")
    with pytest.raises(CrashError, match="71"):
        bed.look(1)


def test_a_spare_is_well_as_long_as_it_is_in_the_group(bed: Bed) -> None:
    bed.tps = []
    for _ in range(3):
        assert bed.look(150) == (True, "no partitions: this worker is a spare")
    bed.consumer.is_in = False
    assert not bed.look(180)[0]
    with pytest.raises(CrashError, match="72"):
        bed.look(1)


def test_an_event_loop_that_stands_still_is_told_from_another_thread(bed: Bed) -> None:
    assert bed.watchdog.health() == (False, "starting")
    bed.watchdog._installed = True
    assert bed.look() == (True, "ok")
    bed.now += 11
    assert bed.watchdog.health() == (False, "the event loop has not come round for 11 s")


@pytest.mark.parametrize("away", [False, True])
def test_fetches_and_marks_that_stop_end_it_but_not_while_the_broker_is_away(bed: Bed, away: bool) -> None:
    bed.look()
    bed.runner.marker = SimpleNamespace(round_at=bed.now)
    bed.consumer.answers = not away
    assert bed.look(59) == (False, "the broker does not answer (TimeoutError)" if away else
                            "no marks have been written for 59 s")  # fmt: skip
    bed.consumer.answers = True
    if away:
        assert bed.look(1) == (True, "ok")
        bed.consumer.stands = 61
    with pytest.raises(CrashError, match=r"71, '.* for 61 s'"):
        bed.look(2)


def test_a_task_of_its_own_that_has_ended_ends_the_worker(bed: Bed) -> None:
    bed.runner.broken = lambda: "a task has ended"
    with pytest.raises(CrashError, match="70, 'a task has ended'"):
        bed.look()


def lag(topic: str, partition: int) -> float:
    return float(metrics.lag_records.labels(topic, partition)._value.get())


def test_the_lag_is_what_is_not_done_and_goes_with_the_partition(bed: Bed) -> None:
    bed.at[TWO] = 4
    bed.consumer.ends[TWO] = 10
    bed.look()
    assert lag("visitor-events", 1) == 6
    bed.tps.clear()
    bed.look()
    assert lag("visitor-events", 1) == 0


@pytest.mark.parametrize(
    ("switches", "code", "line"),
    [
        ({"stretch_s": 10_000, "stall_s": 2}, 71, "stands at"),
        ({"recovery_s": 60, "unassigned_s": 2}, 72, "taking over partitions for 2 s"),
        ({"block_s": 20, "blocked_s": 2, "session_s": 60}, 75, "the event loop stands still"),
    ],
    ids=["stall", "unassigned", "blocked loop"],
)
def test_a_real_worker_ends_itself(bench: Bench, switches: dict[str, Any], code: int, line: str) -> None:
    bench.write(1, 0, 200)
    worker = bench.worker(**switches)
    assert worker.wait(30) == code, bench.logs()
    assert f"culdesac worker: exit {code}: " in bench.log()
    assert line in bench.log()


def test_a_worker_that_was_frozen_for_too_long_ends_itself(bench: Bench) -> None:
    worker = bench.worker(session_s=6)
    bench.wait_until_ready()
    worker.send_signal(signal.SIGSTOP)
    time.sleep(5.5)
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(10) == 77, bench.logs()
    assert "culdesac worker: exit 77: stood still for" in bench.log()


def test_a_second_writer_in_a_changelog_is_noticed_and_mended(bench: Bench) -> None:
    """A stale row, as of a worker that was frozen and wakes up where its lease can't see it."""
    worker = bench.worker()
    bench.wait_until_ready()
    bench.write(1, 0, 400)
    key, row, partition = next(
        state for state in bench.wait_for_state("sessions", b"c") if state[0].startswith(b"c")
    )
    changelog = bench.prefix + "culdesac-sessions-changelog"
    bench.producer.send(changelog, row, key=key, partition=partition, headers=top_header(0)).get(5)
    bench.write(2, 400, 800)
    assert worker.wait(20) == 76, bench.logs()
    assert "exit 76: another worker wrote to the changelog of sessions/" in bench.log()
    bench.bury()
    bench.write(3, 800, 1_000)
    bench.end(1_000)
    bench.worker("b")  # an empty disk: all that it knows comes from that changelog
    bench.wait(len(bench.expected()))
    bench.check()
