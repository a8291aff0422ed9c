"""The faults, each by its name: what it does to a bench, and when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from streams.flow import stages
from tests.faults.bench import SESSION_S, SETTINGS, Bench
from tests.faults.crew import Post
from tests.faults.switches import CRASH, FILE_BYTES

Fault = Callable[[Bench], None]

HOUR_S = 3600.0
BROKER_GONE_S = 10.0
BROKER_FROZEN_S = 30.0
FULL_AT_BYTES = 40_000
"""Where files of a full disk end: less than the local state of any of these runs takes."""
DELAYS_MS = (1300, 0, 2)
"""Between a step of a batch and a kill -9: the first is longer than the pace of commits."""
STORM = 40
"""Unusable records a topic at once."""
CRASH_S = 60.0
"""Limit within which a worker comes to the place where it dies."""
PATIENCE_S = 15.0
"""The same where it may have nothing to do there."""

_FLOW = stages(SETTINGS, "only its names are looked at", {"visitor-events": 1})
PLACES = (
    *((_FLOW.intake.name, step) for step in ("folded", "outputs", "stored")),
    *((stage.name, step) for stage in _FLOW.stages for step in ("folded", "outputs", "changelog", "stored")),
)
"""Stages and the steps of a batch: the stage without state has no changelog."""


def kill(bench: Bench) -> None:
    """Kill -9."""
    bench.crew.kill(bench.someone())


def crash(bench: Bench, post: Post, places: Sequence[tuple[str, str, int, int]]) -> None:
    """Let one life of a worker after the other end at a place: stage, step, how often passed, ms after it.

    A little is sent in each life, for who has nothing to do comes nowhere.
    """
    names = [f"{stage}:{step}:{count}:{delay_ms}" for stage, step, count, delay_ms in places]
    post.coming.extend({CRASH: name} for name in names)
    share, lives = bench.traffic.left / (len(names) + 2), post.lives
    bench.crew.kill(post)
    bench.crew.wait_for_end(post, lives)
    for number, name in enumerate(names):
        if not bench.traffic.is_playing:
            bench.traffic.send_share(share)
        bench.crew.wait_for_end(post, lives + 1 + number, CRASH_S)
        assert f"crash at {name}\n" in post.said(), f"{post.name} ended elsewhere\n{bench.crew.logs()}"


def crash_somewhere(bench: Bench) -> None:
    """Kill -9 at a step of a batch, or some milliseconds into what follows it."""
    post = bench.someone()
    stage, step = bench.source.choice(PLACES)
    place = f"{stage}:{step}:{bench.source.randint(1, 4)}:{bench.source.choice(DELAYS_MS)}"
    lives = post.lives
    post.coming.append({CRASH: place})
    bench.crew.kill(post)
    limit = time.monotonic() + PATIENCE_S
    while post.lives < lives + 2 and time.monotonic() < limit:
        time.sleep(0.05)
    if post.lives < lives + 2:
        # Others may own what it would need to come there.
        bench.crew.kill(post)


def terminate(bench: Bench) -> None:
    """SIGTERM; the worker must end with code 0."""
    bench.crew.terminate(bench.someone())


def join(bench: Bench) -> None:
    """Another worker joins, at most a third one."""
    name = next((name for name in "abc" if name not in {p.name for p in bench.crew.working()}), None)
    if name is not None:
        bench.crew.wait_until_ready(bench.crew.hire(name))


def leave(bench: Bench) -> None:
    """A worker that is not the only one leaves by SIGTERM, for good."""
    _with_company(bench)
    bench.crew.dismiss(bench.someone(), kindly=True)


def die(bench: Bench) -> None:
    """A worker that is not the only one is killed, for good."""
    _with_company(bench)
    bench.crew.dismiss(bench.someone(), kindly=False)


def freeze(bench: Bench) -> None:
    """A worker is stopped until the others have taken over, and goes on as if nothing had been."""
    _with_company(bench)
    post = bench.someone()
    bench.crew.freeze(post)
    time.sleep(SESSION_S + 2 + bench.source.uniform(0, 2))
    bench.crew.thaw(post)


def freeze_alone(bench: Bench) -> None:
    """All workers are stopped beyond their session, and go on."""
    posts = bench.crew.working()
    for post in posts:
        bench.crew.freeze(post)
    time.sleep(SESSION_S + 2)
    for post in posts:
        bench.crew.thaw(post)


def kill_broker(bench: Bench) -> None:
    """The broker is killed, and comes back after a while."""
    bench.pulse.close()
    bench.kafka.kill()
    time.sleep(BROKER_GONE_S)
    bench.kafka.restart()


def freeze_broker(bench: Bench) -> None:
    """The broker hangs."""
    bench.pulse.close()
    bench.kafka.freeze()
    time.sleep(BROKER_FROZEN_S)
    bench.kafka.thaw()


def restart_broker(bench: Bench) -> None:
    """The broker is restarted while workers start."""
    bench.pulse.close()
    for post in bench.crew.working():
        bench.crew.kill(post)
    time.sleep(bench.source.uniform(0.2, 2.0))
    bench.kafka.restart()


def lose_disk(bench: Bench) -> None:
    """A worker starts again on an empty disk."""
    bench.crew.lose_disk(bench.someone())


def fill_disk(bench: Bench) -> None:
    """A worker's disk is full: it ends itself, again and again, until there is room."""
    post = bench.someone()
    ends = len(bench.crew.exits)
    post.environment[FILE_BYTES] = str(FULL_AT_BYTES)
    bench.crew.kill(post)
    limit = time.monotonic() + CRASH_S
    while not any(end.name == post.name and end.code > 0 for end in bench.crew.exits[ends:]):
        if time.monotonic() > limit:
            # Late in a run there may be too little left to write.
            full = [log for log in post.directory.rglob("*.log") if log.stat().st_size >= FULL_AT_BYTES]
            assert not full, f"{post.name} takes a full disk for good\n{bench.crew.logs()}"
            break
        time.sleep(0.1)
    del post.environment[FILE_BYTES]
    bench.crew.kill(post)


def storm(bench: Bench) -> None:
    """Unusable records on every input topic."""
    bench.storm(STORM)


def jump_ahead(bench: Bench) -> None:
    """A worker's clock is an hour fast for a while."""
    _jump(bench, HOUR_S)


def jump_back(bench: Bench) -> None:
    """A worker's clock is an hour slow for a while."""
    _jump(bench, -HOUR_S)


def _jump(bench: Bench, seconds: float) -> None:
    post = bench.someone()
    bench.crew.set_clock(post, seconds)
    bench.pass_time(2, 4)
    bench.crew.set_clock(post, 0.0)


def _with_company(bench: Bench) -> None:
    while len(bench.crew.working()) < 2:
        join(bench)


FAULTS: dict[str, Fault] = {
    "kill -9 at any moment": kill,
    "kill -9 inside a batch": crash_somewhere,
    "SIGTERM": terminate,
    "worker joins": join,
    "worker leaves": leave,
    "worker killed for good": die,
    "worker frozen, then a zombie": freeze,
    "all workers frozen": freeze_alone,
    "broker killed for 10 s": kill_broker,
    "broker frozen for 30 s": freeze_broker,
    "broker restarted with workers": restart_broker,
    "empty disk": lose_disk,
    "disk full": fill_disk,
    "poison storm": storm,
    "clock an hour fast": jump_ahead,
    "clock an hour slow": jump_back,
}
"""Those that may happen at any time; those of the input are scenarios of their own."""
