"""What the collector takes: requests a second, how long they wait, and CPU, beside a server that does nothing.

    python -m tests.benchmarks.collecting [--connections 8 64] [--seconds 10]

Browsers that post one page view after the other (Plausible's form) over connections that stay open, against a real
Kafka on the same machine; and the same against an empty application on the same server, which is its peer. Both
share the machine with the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from agents.broker import EmbeddedKafka
from tests.agents.collecting import CHROME, SITE, Collecting
from tests.benchmarks.figures import cpu_seconds, quantile, rss_mb, say, say_machine

EMPTY = """
import sys, socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def event(request):
    await request.body()
    return PlainTextResponse("ok", 202)

listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(listening.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/api/event", event, methods=["POST"])])
config = uvicorn.Config(app, http="httptools", loop="uvloop", access_log=False, log_level="error")
uvicorn.Server(config).run(sockets=[listening])
"""


@contextmanager
def empty() -> Iterator[tuple[int, int]]:
    """Port and process id of a server that only says ok."""
    process = subprocess.Popen([sys.executable, "-c", EMPTY], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


async def browse(port: int, until: float, number: int, waits: list[float], refused: list[int]) -> None:
    """Post page views one after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"n": "pageview", "u": f"https://{SITE}/product/{number}", "d": SITE, "v": 36}).encode()
    head = f"POST /api/event HTTP/1.1\r\nHost: x\r\nUser-Agent: {CHROME}\r\nContent-Type: text/plain\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    while (began := time.perf_counter()) < until:
        writer.write(request)
        headers = await reader.readuntil(b"\r\n\r\n")
        length = int(headers.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        waits.append(time.perf_counter() - began)
        if not headers.startswith(b"HTTP/1.1 202"):
            refused.append(int(headers[9:12]))
    writer.close()


def load(port: int, pid: int, connections: int, seconds: float, of: str) -> dict[str, float]:
    """Measure one server under so many browsers."""
    waits: list[float] = []
    refused: list[int] = []

    async def all_of_them() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(browse(port, until, number, waits, refused) for number in range(connections)))

    before = cpu_seconds(pid)
    uvloop.run(all_of_them())
    ordered = sorted(waits)
    found = {
        "requests_per_s": len(waits) / seconds,
        "cpu_s_per_10_000_requests": (cpu_seconds(pid) - before) * 10_000 / len(waits),
        "p50_ms": quantile(ordered, 0.5) * 1000,
        "p99_ms": quantile(ordered, 0.99) * 1000,
        "refused": len(refused),
        "rss_mb": rss_mb(pid),
    }
    for figure, value in found.items():
        say(figure, value, of=of, connections=connections, seconds=seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    say_machine()
    rates = {f"{of}_{what}": "1000000" for of in ("client", "site") for what in ("rate", "burst")}
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
        for connections in options.connections:
            with empty() as (port, pid):
                peer = load(port, pid, connections, options.seconds, "an empty application")
            with Collecting(kafka.bootstrap, Path(folder), create=True, **rates) as collector:
                collector.wait_until_healthy()
                port = urlsplit(collector.url).port or 0
                ours = load(port, collector.process.pid, connections, options.seconds, "the collector")
                stands = len(collector.records("page-views"))
            say("page_views_in_kafka", stands, connections=connections)
            for name in ("requests_per_s", "cpu_s_per_10_000_requests", "p50_ms", "p99_ms"):
                say(f"{name}_ratio", ours[name] / peer[name], connections=connections)
    say_machine()


if __name__ == "__main__":
    main()
