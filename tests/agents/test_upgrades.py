"""A new version with another state format takes over, is killed in the middle of it, and can't be rolled back."""

from __future__ import annotations

import signal
import time

from agents.changelogs import FENCE_KEY, read_fence, read_headers
from tests.agents.toy_bench import Bench
from tests.agents.toy_stages import CountedWindows

PLACES = [
    "sessions:folded:1",
    "sessions:changelog:1",
    "sessions:stored:1",
    "sessions:changelog:4",
    "sessions:outputs:9",
]
"""Where the new version is killed: before it says anything, when it has announced itself, and among the rows."""


def last_records(bench: Bench) -> dict[tuple[int, bytes], int]:
    """(partition, key) to the format of its last record in the changelog."""
    last = {}
    for record in bench.records("culdesac-sessions-changelog"):
        form = read_headers(record.headers)[1]
        if record.key == FENCE_KEY:
            form = read_fence(record.value, CountedWindows.state_format).format
        last[record.partition, record.key] = form
    return last


def wait_for_keys(bench: Bench, count: int) -> None:
    limit = time.monotonic() + 120
    while len(last_records(bench)) < count:
        assert time.monotonic() < limit, bench.logs()
        time.sleep(0.3)


def test_an_upgrade_that_is_killed_again_and_again_goes_on_and_leaves_no_old_row_behind(bench: Bench) -> None:
    before = bench.worker("b")
    bench.write(1, 0, 600)
    wait_for_keys(bench, 60)
    before.send_signal(signal.SIGTERM)
    assert before.wait(90) == 0, bench.logs()
    old = bench.worker("a", session_s=3, stretch_s=0.3)
    bench.wait_until_ready("a")
    bench.write(2, 600, 700)
    time.sleep(0.2)
    old.send_signal(signal.SIGSTOP)  # a zombie, with what it has not written yet
    bench.bury()
    new = bench.worker("b", format=2, crashes=" ".join(PLACES))  # its folder holds state of the first format
    for place in PLACES:
        limit = time.monotonic() + 120
        while f"crashed at {place}" not in bench.log("b"):
            assert new.poll() is None, bench.logs()
            assert time.monotonic() < limit, f"no crash at {place}\n{bench.logs()}"
            time.sleep(0.1)
        bench.bury()
        assert new.stdin is not None
        new.stdin.write(b"\n")
        new.stdin.flush()
    bench.wait_until_ready("b", times=2)
    assert {form for _, form in last_records(bench).items()} == {2}
    old.send_signal(signal.SIGCONT)
    assert old.wait(90) in (77, 76, 74), bench.logs()
    bench.write(3, 700, 1_000)
    bench.end(1_000)
    bench.wait(len(bench.expected()))
    bench.check()
    new.send_signal(signal.SIGTERM)
    assert new.wait(90) == 0, bench.logs()
    back = bench.worker("a")
    assert back.wait(90) == 74, bench.logs()
    [line] = [line for line in bench.log("a").splitlines() if "exit 74" in line]
    assert "the state has format 2, and this version reads up to 1: run the newer version" in line
