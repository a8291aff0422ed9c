"""The collector's process: a server, a sender and a metrics port, ended by SIGTERM with code 0.

A broker that is not there is no end: requests are told to come again until it is.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
import uvloop

from agents import collect_metrics, metrics
from agents.collect_app import CollectApp
from agents.collect_connections import CollectConnection
from agents.collect_requests import Gate
from agents.collect_sender import CollectSender
from agents.grants import lacking, missing_grants
from agents.secret import load_secret
from agents.security import security_of
from agents.settings import SettingsError, WorkerSettings
from agents.topics import NoKafkaError, TopicError, partition_counts
from streams.collected import REJECTED, TOPICS

STOP_S = 10.0
"""Beside `hold`: how long a stop may take until what was accepted is acknowledged."""
KEEP_ALIVE_S = 15
_FRAMING = 8
"""A body in small chunks is so many times as long on the wire."""


class _Server(uvicorn.Server):
    """A server that leaves signals to us: its own handlers would raise them again, and the code would not be 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def run_collector(settings: WorkerSettings) -> None:
    """Collect until SIGTERM or SIGINT.

    Raises
    ------
    SettingsError
        There is no site, a port is taken, or the secret can't be used.
    TopicError
        Kafka is there and has no such topic, or does not let us write.
    """
    own = settings.collect
    if not own.sites:
        raise SettingsError(
            "collect sites: there is none: name the keys of your sites, such as --sites k1=shop.example"
        )
    check_kafka(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    secret, news = load_secret(settings)
    if news is not None:
        sys.stderr.write(news + "\n")
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    listening = _listen("collect port", own.host, own.port)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, secret, listening))
    finally:
        listening.close()


def check_kafka(settings: WorkerSettings) -> None:
    """Look whether Kafka has the topics and lets us write; one that is not there yet is waited for.

    Raises
    ------
    TopicError
        It has not, or does not.
    """
    names = [settings.topic_prefix + topic for topic in (*TOPICS, REJECTED)]
    try:
        partition_counts(settings.kafka, names, security_of(settings))
        missing = missing_grants(settings, "collector")
    except NoKafkaError as error:
        sys.stderr.write(f"culdesac: {error}; waiting for it, and answering 503 until then\n")
        return
    if missing:
        raise TopicError(
            f"{settings.kafka}: this user lacks {lacking(missing)}: culdesac topics --acls prints the commands"
        )


def _listen(setting: str, host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1_024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "can't be used"
        raise SettingsError(f"{setting}: {host}:{port}: {reason}: choose another one") from None


async def _serve(settings: WorkerSettings, secret: str, listening: socket.socket) -> None:
    own = settings.collect
    sender = CollectSender(
        settings.kafka, settings.topic_prefix, own.in_flight_mb * 1024 * 1024, security_of(settings)
    )
    gate = Gate(settings, secret)
    config = uvicorn.Config(
        CollectApp(settings, gate, sender).asgi(),
        http=partial(  # type: ignore[arg-type]  # called as a class would be
            CollectConnection,
            most=own.max_connections,
            max_request_bytes=own.max_body_kb * 1024 * _FRAMING + 64 * 1024,
            header_s=own.body_timeout_ms / 1000,
        ),
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(own.proxies),
        forwarded_allow_ips=list(own.proxies),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(own.hold_ms / 1000 + own.body_timeout_ms / 1000) + 1,
    )
    # It would write out the errors that `CollectApp` has named already, with whatever they hold.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, partial(setattr, server, "should_exit", True))
    shown = metrics.serve_at(
        "collect metrics_port",
        own.metrics_host,
        own.metrics_port,
        lambda: (sender.connected, sender.trouble or "collects"),
        collect_metrics.registry,
    )
    try:
        sender.start()
        host, port = listening.getsockname()[:2]
        sys.stderr.write(
            f"collecting on http://{host}:{port}, metrics on http://{own.metrics_host}:{shown.port}\n"
        )
        sys.stderr.flush()
        await server.serve(sockets=[listening])
    finally:
        if not await sender.stop(STOP_S):
            sys.stderr.write("culdesac: Kafka did not take all in time; none of it was answered with 2xx\n")
        shown.close()
