"""The board: one page that a team watches, served from Kafka's topics or from a replay's folder."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from agents import board_metrics, metrics
from agents.board_decisions import Decisions
from agents.board_feed import KafkaFeed, folder_files, read_folder
from agents.board_guard import Seal
from agents.board_hub import Hub
from agents.board_protocol import ImpatientProtocol
from agents.board_server import make_app
from agents.board_settings import MOST_TOKEN_CHARACTERS, TOKEN_CHARACTERS, BoardSettings, is_token
from agents.settings import WorkerSettings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class BoardError(Exception):
    """The board can't be served so; one line that says how to mend it."""


def run_board(settings: WorkerSettings, folder: Path | None) -> None:
    """Serve the board until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Where Kafka is, where the board is served, and what people show to come in; without that, only this machine
        may.
    folder
        What a replay wrote, instead of Kafka; nothing can be decided there.

    Raises
    ------
    BoardError
        Address, port or token can't be used.
    EventFileError
        The folder holds no results of a replay.
    TopicError
        Kafka can't be asked, or has no such topics.
    """
    own = settings.board
    token = token_of(own)
    reading: Callable[[], Coroutine[Any, Any, None]]
    if folder is not None:
        files = folder_files(folder)
        hub = Hub(f"the folder {folder.name or folder}", writable=False)
        reading = partial(read_folder, hub, files)
    else:
        hub = Hub("Kafka", writable=True)
        reading = KafkaFeed(hub, settings).run
    decisions = None if folder is not None else Decisions(settings)
    with ExitStack() as stack:
        listener = stack.enter_context(listening(own.host, own.port))
        if folder is None:
            stack.callback(_measured(own, hub).close)
        names = LOOPBACK | {own.host.casefold()} if token is None else None
        failures: list[Exception] = []

        async def reading_or_end() -> None:
            try:
                await reading()
            except Exception as error:  # noqa: BLE001  # a board that reads no more must not go on as if it did
                failures.append(error)
                server.should_exit = True

        app = make_app(hub, decisions, Seal(token), names, reading_or_end)
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            app,
            http=ImpatientProtocol,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=2,
            limit_concurrency=400,
            ws="none",
        )
        sys.stderr.write(f"Board: {address(listener)}\n")
        sys.stderr.flush()
        # The server ends itself, then raises the signal again for whoever else waits for it: nobody does.
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
        if failures:
            raise failures[0]


def _measured(own: BoardSettings, hub: Hub) -> metrics.Server:
    return metrics.serve_at(
        "board metrics_port",
        own.metrics_host,
        own.metrics_port,
        lambda: (hub.broken is None, hub.broken or ("loading" if hub.loading else "ok")),
        board_metrics.registry,
    )


def token_of(own: BoardSettings) -> str | None:
    """Give what people have to show; None where only this machine may look in.

    Raises
    ------
    BoardError
        Others could look in without a token, or its file can't be used.
    """
    token = own.token if own.token is not None or own.token_file is None else read_token(own.token_file)
    if token is None and not is_loopback(own.host):
        raise BoardError(
            f"--host {own.host}: others could look in: name a --token-file that holds what they have to show"
        )
    return token


def address(listener: socket.socket) -> str:
    """Address that a browser opens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def listening(host: str, port: int) -> socket.socket:
    """Take a port.

    Raises
    ------
    BoardError
        It is taken, or there is no such address.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(family[4][:2], family=family[0], backlog=256)
    except (OSError, OverflowError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        reason = "no such address" if number is None or number < 0 else os.strerror(number).lower()
        raise BoardError(
            f"{host}:{port}: can't be listened on ({reason}): name another by --host and --port, such as --port 0"
        ) from None
    return listener


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(file: Path) -> str:
    """Read the token that a file holds.

    Raises
    ------
    BoardError
        It can't be read, or holds none that is long enough.
    """
    try:
        token = file.read_bytes()[: MOST_TOKEN_CHARACTERS + 1].decode().strip()
    except OSError as error:
        raise BoardError(f"--token-file {file}: {error.strerror}: name one that can be read") from None
    except UnicodeDecodeError:
        raise BoardError(f"--token-file {file}: is no text: write the token into it") from None
    if not is_token(token):
        raise BoardError(
            f"--token-file {file}: write one line of at least {TOKEN_CHARACTERS} characters into it"
        )
    return token
