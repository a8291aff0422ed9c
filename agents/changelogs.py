"""What the records of a changelog say: up to which offset of the log they hold, in which format, and the fence."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streams.formats import FormatError, StateFormat
from streams.processors import Fence

FENCE_KEY = b"\x00fence"
"""Key of the record that closes a batch; no key of a state begins so."""
_TOP_HEADER, _FORMAT_HEADER = "top", "format"
_FIRST = StateFormat()
_encode = msgspec.json.encode
_decode_fence = msgspec.json.Decoder(Fence).decode


class StoreError(RuntimeError):
    """The state can't be used; the message says what to do."""


def top_header(top: int, form: int = 1) -> list[tuple[str, bytes]]:
    """Headers of a changelog record: the offset of the log up to which its statement holds, and its format.

    >>> read_headers(top_header(17)), read_headers(top_header(18, 2))
    ((17, 1), (18, 2))
    """
    headers = [(_TOP_HEADER, str(top).encode())]
    if form != 1:
        headers.append((_FORMAT_HEADER, str(form).encode()))
    return headers


def read_headers(headers: Iterable[tuple[str, bytes]]) -> tuple[int, int]:
    """Offset of the log and format from the headers of a changelog record.

    Raises
    ------
    StoreError
        Something else wrote this record.
    """
    found = dict(headers)
    try:
        return int(found[_TOP_HEADER]), int(found.get(_FORMAT_HEADER, 1))
    except (KeyError, ValueError):
        raise StoreError(
            "a changelog record without offset: does another program write to this topic?"
        ) from None


def write_fence(fence: Fence) -> bytes:
    """Fence as its row."""
    return _encode(fence)


def read_fence(row: bytes, form: StateFormat = _FIRST) -> Fence:
    """Fence of its row.

    Raises
    ------
    StoreError
        Its format can't be read.
    """
    try:
        fence = _decode_fence(row)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the state's fence can't be read: {error}") from error
    try:
        form.check(fence.format)
    except FormatError as error:
        raise StoreError(str(error)) from None
    return fence
