"""Settings of the board: where it listens, and what people show to come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

TOKEN_CHARACTERS: Final = 16
"""A shorter token can be guessed."""
MOST_TOKEN_CHARACTERS: Final = 4_096


class BoardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the board serves, and to whom.

    Attributes
    ----------
    host, port
        Where it listens; port 0: any free one. Another address than a loopback one needs a token.
    token
        What people show to come in.
    token_file
        File that holds it instead; `token` wins.
    metrics_host, metrics_port
        Where its ``/metrics`` and ``/healthz`` are, if it reads Kafka.
    """

    host: str = "127.0.0.1"
    port: int = 9650
    token: str | None = None
    token_file: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9651


def board_value(field: str, type_: Any, value: object) -> Any:
    """Convert a setting of the board, from a file or from text.

    Raises
    ------
    ValueError
        It can't be used; the message says what to write.

    Examples
    --------
    >>> board_value("port", int, "8080"), board_value("token", str, "")
    (8080, None)
    """
    if field in ("token", "token_file") and value in ("", None):
        return None
    if field == "token":
        if not isinstance(value, str) or not is_token(value):
            raise ValueError(f"write one line of {TOKEN_CHARACTERS} characters or more")
        return value
    if field == "token_file":
        if not isinstance(value, str | Path):
            raise ValueError("write a path, in quotes")
        return Path(value).expanduser()
    if field.endswith("host"):
        if not isinstance(value, str) or not value:
            raise ValueError("write an address, such as 127.0.0.1")
        return value
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or not 0 <= number <= 65_535:
        raise ValueError(f"{value!r} can't be used: write a whole number from 0 to 65535")
    return number


def is_token(text: str) -> bool:
    """Tell whether a text can be a token: one line, long enough.

    Examples
    --------
    >>> is_token("correct horse battery"), is_token("short")
    (True, False)
    """
    return TOKEN_CHARACTERS <= len(text) <= MOST_TOKEN_CHARACTERS and text.isprintable()
