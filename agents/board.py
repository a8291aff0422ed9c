"""The board: one page that a team watches, served from Kafka's topics or from a replay's folder."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from agents.board_decisions import Decisions
from agents.board_feed import KafkaFeed, folder_files, read_folder
from agents.board_guard import Seal
from agents.board_hub import Hub
from agents.board_protocol import ImpatientProtocol
from agents.board_server import make_app
from agents.settings import WorkerSettings

TOKEN_CHARACTERS = 16
"""A shorter token can be guessed."""
MOST_TOKEN_BYTES = 4_096
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class BoardError(Exception):
    """The board can't be served so; one line that says how to mend it."""


def run_board(
    settings: WorkerSettings, folder: Path | None, host: str, port: int, token_file: Path | None
) -> None:
    """Serve the board until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Where Kafka is.
    folder
        What a replay wrote, instead of Kafka; nothing can be decided there.
    host, port
        Where it is served; port 0: any free one.
    token_file
        File that holds what people show to come in. Without it, only this machine may.

    Raises
    ------
    BoardError
        Address, port or token can't be used.
    EventFileError
        The folder holds no results of a replay.
    TopicError
        Kafka can't be asked, or has no such topics.
    """
    token = None if token_file is None else read_token(token_file)
    if token is None and not is_loopback(host):
        raise BoardError(
            f"--host {host}: others could look in: name a --token-file that holds what they have to show"
        )
    reading: Callable[[], Coroutine[Any, Any, None]]
    if folder is not None:
        files = folder_files(folder)
        hub = Hub(f"the folder {folder.name or folder}", writable=False)
        reading = partial(read_folder, hub, files)
    else:
        hub = Hub("Kafka", writable=True)
        reading = KafkaFeed(hub, settings).run
    decisions = None if folder is not None else Decisions(settings)
    with listening(host, port) as listener:
        names = LOOPBACK | {host.casefold()} if token is None else None
        app = make_app(hub, decisions, Seal(token), names, reading)
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
        uvicorn.Server(config).run(sockets=[listener])


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
        token = file.read_bytes()[: MOST_TOKEN_BYTES + 1].decode().strip()
    except OSError as error:
        raise BoardError(f"--token-file {file}: {error.strerror}: name one that can be read") from None
    except UnicodeDecodeError:
        raise BoardError(f"--token-file {file}: is no text: write the token into it") from None
    if not TOKEN_CHARACTERS <= len(token) <= MOST_TOKEN_BYTES or not token.isprintable():
        raise BoardError(
            f"--token-file {file}: write one line of at least {TOKEN_CHARACTERS} characters into it"
        )
    return token
