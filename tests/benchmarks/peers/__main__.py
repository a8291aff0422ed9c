"""``python -m tests.benchmarks.peers``: the same job by our runner and its peers, one after another in one run.

Prints one JSON line a figure, and at the end a table. CPU is user and system of the peer's process, from its start
to 1.5 s after its last output, less that of a start that finds an empty topic; a figure counts only if every
session equals a plain oracle's. Starts its own Kafka; brings the peers into an environment of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from agents.broker import EmbeddedKafka
from agents.sending import Record, Sender
from schemas.topics import partition
from tests.benchmarks.figures import say, say_machine
from tests.benchmarks.peers.environment import MissingError, java_command, python
from tests.benchmarks.peers.measuring import PARTITIONS, Figures, Peer, StoppedError, Topics
from tests.benchmarks.peers.views import Views, make_views

JOBS = "tests.benchmarks.peers"
CHUNK = 20_000


def make_peers(wanted: Sequence[str]) -> list[Peer]:
    """All that can be run here, of those that are wanted (all if none is)."""

    def ours(module: str) -> list[str]:
        return [sys.executable, "-m", f"{JOBS}.{module}"]

    def theirs(module: str) -> list[str]:
        return [python(), "-m", f"{JOBS}.{module}"]

    makers: dict[str, Callable[[], Peer]] = {
        "plain": lambda: Peer("plain confluent-kafka loop, dict", theirs("plain_job"), durable="no"),
        "one-hop": lambda: Peer("Culdesac's runner, one hop", ours("culdesac_job"), "one-hop"),
        "two-hops": lambda: Peer(
            "Culdesac's runner, two hops, marks, deadlines", ours("culdesac_job"), "two-hops"
        ),
        "kafka-streams": lambda: Peer("Kafka Streams 4.1, RocksDB, 1 thread", java_command()),
        "quix": lambda: Peer("Quix Streams, RocksDB", theirs("quix_job")),
        "bytewax": lambda: Peer("Bytewax, in memory", theirs("bytewax_job"), durable="no"),
        "bytewax-recovery": lambda: Peer(
            "Bytewax, with recovery", theirs("bytewax_job"), "recovery", "disk only"
        ),
        "faust": lambda: Peer("stock Faust, dict", ours("faust_job"), "dict", durable="no"),
        "faust-table": lambda: Peer("stock Faust, RocksDB Table", ours("faust_job"), "table"),
    }
    peers = []
    for name, make in makers.items():
        if wanted and name not in wanted:
            continue
        try:
            peers.append(make())
        except MissingError as error:
            say_left_out(name, str(error))
    return peers


def say_left_out(peer: str, reason: str) -> None:
    """Say why there is no figure."""
    sys.stdout.write(json.dumps({"figure": "peer_left_out", "peer": peer, "reason": reason}) + "\n")
    sys.stdout.flush()


async def publish(kafka: str, topic: str, views: Views) -> None:
    """Write the input."""
    sender = Sender(kafka)
    await sender.start()
    for begin in range(0, len(views.records), CHUNK):
        batches: dict[tuple[str, int], list[Record]] = {(topic, p): [] for p in range(PARTITIONS)}
        for key, value in views.records[begin : begin + CHUNK]:
            batches[topic, partition(key, PARTITIONS)].append(Record(key, value, []))
        await sender.send({target: batch for target, batch in batches.items() if batch})
    await sender.stop()


def measure(peer: Peer, topics: Topics, topic: str, views: Views, round_: int) -> Figures | None:
    """Measure a peer once and print its figures."""
    try:
        got = peer.measure(topics, topic, views, limit_s=300)
    except StoppedError as error:
        say_left_out(peer.name, str(error))
        return None
    number = len(views.records)
    about: dict[str, Any] = {"peer": peer.name, "durable": peer.durable, "views": number, "round": round_}
    say(
        "sessions_not_as_they_should_be",
        got.missing + got.wrong + got.extra,
        duplicates=got.duplicates,
        **about,
    )
    if got.missing + got.wrong + got.extra:
        return got
    say("cpu_s_per_100k_views", got.cpu_s / number * 1e5, **about)
    say("views_per_second", got.views_per_s, **about)
    say("rss_mb", got.rss_mb, **about)
    say("start_cpu_s", got.start_cpu_s, **about)
    return got


def table(rows: dict[str, tuple[Peer, int, list[Figures]]]) -> str:
    """Figures as Markdown: the median of the rounds, and the least and greatest CPU."""
    lines = [
        "| | state is on | CPU s per 100k views (least–most) | views/s | RSS MB | result |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (peer, number, rounds) in rows.items():
        bad = next((r for r in rounds if r.missing + r.wrong + r.extra), None)
        if not rounds or bad is not None:
            why = f"{bad.missing} missing, {bad.wrong} wrong, {bad.extra} extra" if bad else "did not finish"
            lines.append(f"| {name} | {peer.durable} | – | – | – | {why} |")
            continue
        cpu = sorted(r.cpu_s / number * 1e5 for r in rounds)
        speed = median(r.views_per_s for r in rounds)
        memory = median(r.rss_mb for r in rounds)
        views = f" ({number:,} views)"
        lines.append(
            f"| {name}{views} | {peer.durable} | {median(cpu):.2f} ({cpu[0]:.2f}–{cpu[-1]:.2f}) | {speed:,.0f} "
            f"| {memory:.0f} | exact |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("peers", nargs="*", help="which (all)")
    arguments.add_argument("--views", type=int, default=600_000)
    arguments.add_argument("--slow-views", type=int, default=60_000, help="for stock Faust")
    arguments.add_argument("--rounds", type=int, default=2)
    given = arguments.parse_args()
    peers = make_peers(given.peers)
    inputs = {"peers-views": make_views(given.views)}
    if any("Faust" in peer.name for peer in peers):
        inputs["peers-few-views"] = make_views(given.slow_views)
    say_machine()
    rows: dict[str, tuple[Peer, int, list[Figures]]] = {}
    with EmbeddedKafka() as kafka:
        topics = Topics(kafka.bootstrap)
        for topic, views in inputs.items():
            topics.renew([topic])
            asyncio.run(publish(kafka.bootstrap, topic, views))
        for round_ in range(1, given.rounds + 1):
            for peer in peers:
                topic = "peers-few-views" if "Faust" in peer.name else "peers-views"
                views = inputs[topic]
                row = rows.setdefault(peer.name, (peer, len(views.records), []))
                got = measure(peer, topics, topic, views, round_)
                if got is not None:
                    row[2].append(got)
        topics.close()
    say_machine()
    sys.stdout.write("\n" + table(rows))


if __name__ == "__main__":
    main()
