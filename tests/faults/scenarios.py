"""Scenarios: what is sent, how, and which faults happen meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from streams.event_files import INPUTS, FileEvent
from tests.agents.product import and_store_orders, shop_events
from tests.faults.bench import Bench
from tests.faults.faults import FAULTS, Fault, kill

HOURS = 6.0
SESSIONS_PER_HOUR = 120.0
HELD_SHARE = 0.1
"""Visitors whose events are held back."""
SILENCE_S = 9.0
"""Longer than the five seconds after which a silent partition is no longer waited for."""
LONG = ("broker killed for 10 s", "broker frozen for 30 s")
"""Faults that happen once a run."""


@dataclass(frozen=True)
class Scenario:
    """A way to try the product.

    Attributes
    ----------
    fault
        Its row in the table.
    play
        What happens, from the first worker on; when it returns, the rest is sent and all is compared.
    traffic
        ``backlog``: most of it is there before the first worker; ``live``: it comes while faults happen.
    """

    fault: str
    play: Callable[[Bench], None]
    traffic: str


def shop(seed: int) -> list[FileEvent]:
    """What all scenarios send: some hours of a shop, whose customers buy in a store as well."""
    return and_store_orders(shop_events(HOURS, SESSIONS_PER_HOUR, seed))


def begin(bench: Bench, share: float, workers: int = 1) -> None:
    """Send a share of the events and let workers begin."""
    bench.traffic.send_share(share)
    posts = [bench.crew.hire(name) for name in "abc"[:workers]]
    for post in posts:
        bench.crew.wait_until_ready(post)


def under_backlog(name: str, fault: Fault, times: int) -> Callable[[Bench], None]:
    """A fault some times, with more to do than a worker gets done."""

    def play(bench: Bench) -> None:
        begin(bench, 0.6, bench.source.choice([1, 1, 2]))
        for _ in range(times):
            bench.pass_time(0.0, 2.0)
            bench.traffic.send_share(0.3 / times)
            bench.inflict(name, fault)

    return play


def in_live_traffic(name: str, fault: Fault, times: int) -> Callable[[Bench], None]:
    """A fault some times, while events come in."""

    def play(bench: Bench) -> None:
        begin(bench, 0.05, bench.source.choice([1, 2]))
        bench.play()
        for _ in range(times):
            bench.pass_time(0.5, 3.0)
            bench.inflict(name, fault)

    return play


def mix(bench: Bench) -> None:
    """Faults of all kinds by chance, while events come in, some of them late."""
    if bench.source.random() < 0.3:
        bench.hold_back(HELD_SHARE)
    begin(bench, bench.source.choice([0.05, 0.4]), bench.source.choice([1, 2, 3]))
    bench.play()
    for _ in range(bench.source.randint(4, 7)):
        name = bench.source.choice(list(FAULTS))
        bench.inflict(name, FAULTS[name])
        bench.pass_time(0.0, 2.0)
    bench.send_held()


def late_producer(bench: Bench) -> None:
    """A producer was cut off for hours; what it kept comes among new events, and some of all comes twice."""
    bench.hold_back(HELD_SHARE)
    begin(bench, 0.05, 2)
    bench.play()
    bench.wait_until_sent(0.8)
    bench.send_held()
    bench.inflict("old events among new ones", kill)
    bench.traffic.send(bench.source.sample(bench.traffic.record, 100))


def silent_partitions(bench: Bench) -> None:
    """All partitions but one have nothing for a while: time goes on without them, and then with them."""
    begin(bench, 0.05, 2)
    bench.play()
    bench.wait_until_sent(0.5)
    _pause(bench)
    partitions = [(topic, number) for topic in INPUTS for number in range(bench.partitions.inputs)]
    heard = bench.source.choice([target for target in partitions if target[0] == "page-views"])
    bench.traffic.publisher.silent = frozenset(partitions) - {heard}
    before = bench.count("sessions")
    bench.play()
    time.sleep(SILENCE_S)
    bench.inflict("silent partitions", kill)
    limit = time.monotonic() + 60
    while bench.count("sessions") <= before:
        assert time.monotonic() < limit, f"time stands still\n{bench.crew.logs()}"
        time.sleep(0.5)
    _pause(bench)
    bench.traffic.publisher.silent = frozenset()
    bench.traffic.tell()
    _pause(bench)
    bench.play()
    bench.inflict("silent partitions", kill)


def _pause(bench: Bench) -> None:
    """Send nothing, and let the marks come up to what was sent."""
    bench.traffic.hold()
    bench.pulse.until_read(INPUTS, 120, bench.crew.logs)
    time.sleep(1.5)


SCENARIOS = (
    *(
        Scenario(name, way(name, fault, 1 if name in LONG else 3), traffic)
        for name, fault in FAULTS.items()
        for way, traffic in ((under_backlog, "backlog"), (in_live_traffic, "live"))
    ),
    Scenario("old events among new ones", late_producer, "live"),
    Scenario("silent partitions", silent_partitions, "live"),
)
MIX = Scenario("all of them, by chance", mix, "live")
