"""Where the state of one stage and partition is: a local RocksDB, and a changelog on Kafka that can rebuild it.

Because a stage is a function of its log, every changelog row is a truthful statement: "after applying the log up
to offset `top`, this key has this value". Nothing that a crashed or a frozen worker left there is ever wrong; it
may only be too new. So recovery needs one rule: take the newest fence there is, and of each key the statement
with the greatest `top` that is not beyond that fence. Statements beyond it are left out, and their keys written
again, lest compaction keep the wrong one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import rocksdict

from streams.processors import STATE_FORMAT, Fence

FENCE_KEY = b"\x00fence"
_PERSISTED_KEY = b"\x00changelog"
_TOP_HEADER = "top"
_encode = msgspec.json.encode
_decode_fence = msgspec.json.Decoder(Fence).decode

ChangelogRow = tuple[bytes, bytes | None, int]
"""Key, row (None: deleted), and the offset of the log up to which the statement holds."""


class StoreError(RuntimeError):
    """The state can't be used; the message says what to do."""


def top_header(top: int) -> list[tuple[str, bytes]]:
    """Headers of a changelog record: the offset of the log up to which its statement holds.

    >>> read_top(top_header(17))
    17
    """
    return [(_TOP_HEADER, str(top).encode())]


def read_top(headers: Iterable[tuple[str, bytes]]) -> int:
    """Offset from the headers of a changelog record.

    Raises
    ------
    StoreError
        Something else wrote this record.
    """
    for name, value in headers:
        if name == _TOP_HEADER:
            return int(value)
    raise StoreError("a changelog record without offset: does another program write to this topic?")


class Store:
    """Local copy of the state of one stage and partition.

    Parameters
    ----------
    directory
        Made where it is missing. A copy in a format that is not ours is refused.

    Raises
    ------
    StoreError
        Another process has it open, or its format is unknown.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16 << 20)
        options.set_max_open_files(128)
        options.set_keep_log_file_num(2)
        try:
            self._db: Any = rocksdict.Rdict(str(directory), options)  # its types do not know raw mode
        except Exception as error:
            if "lock" in str(error).lower():
                raise StoreError(
                    f"{directory} is in use: another worker runs with this data directory; give each its own"
                ) from error
            raise StoreError(f"{directory} can't be opened ({error}); remove it, it is rebuilt") from error
        self._pending: list[ChangelogRow] = []
        row = self._db.get(FENCE_KEY)
        self.fence: Fence | None = None if row is None else read_fence(row)
        row = self._db.get(_PERSISTED_KEY)
        self.persisted = -1 if row is None else int(row)

    def get(self, key: bytes, /) -> bytes | None:
        """Row of a key, or None."""
        row: bytes | None = self._db.get(key)
        return row

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows of the state."""
        for key, row in self._db.items():
            if not key.startswith(b"\x00"):
                yield key, row

    def write(self, rows: Sequence[tuple[bytes, bytes | None]], fence: bytes, persisted: int) -> None:
        """Write rows and fence in one atomic step; `persisted` is the changelog offset that they include."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, row in rows:
            if row is None:
                batch.delete(key)
            else:
                batch.put(key, row)
        batch.put(FENCE_KEY, fence)
        batch.put(_PERSISTED_KEY, str(persisted).encode())
        self._db.write(batch)
        self.persisted = persisted

    def recover(self, offset: int, key: bytes, row: bytes | None, top: int) -> None:
        """Take in the changelog record at `offset`, in the order of the changelog."""
        reached = -1 if self.fence is None else self.fence.offset
        if top <= reached:
            return
        if key != FENCE_KEY:
            self._pending.append((key, row, top))
            return
        fence = read_fence(row or b"")
        newest: dict[bytes, tuple[int, bytes | None]] = {}
        beyond = []
        for pending in self._pending:
            if pending[2] > fence.offset:
                beyond.append(pending)
            elif pending[2] >= newest.get(pending[0], (-1, None))[0]:
                newest[pending[0]] = (pending[2], pending[1])
        self.write([(k, value) for k, (_, value) in newest.items()], row or b"", offset)
        self.fence, self._pending = fence, beyond

    def end_recovery(self) -> list[bytes]:
        """Keys whose last statement in the changelog lies beyond the fence: their rows must be written again."""
        keys = list(dict.fromkeys(key for key, _, _ in self._pending))
        self._pending = []
        return keys

    def close(self) -> None:
        """Give the folder back."""
        self._db.close()

    def destroy(self) -> None:
        """Close and remove the local copy; the changelog can rebuild it."""
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def write_fence(fence: Fence) -> bytes:
    """Fence as its row."""
    return _encode(fence)


def read_fence(row: bytes) -> Fence:
    """Fence of its row.

    Raises
    ------
    StoreError
        Its format is not ours.
    """
    try:
        fence = _decode_fence(row)
    except msgspec.MsgspecError as error:
        raise StoreError(f"the state's fence can't be read: {error}") from error
    if fence.format != STATE_FORMAT:
        raise StoreError(
            f"the state has format {fence.format}, this version reads {STATE_FORMAT}: "
            "run the version that wrote it, or start anew under another app id"
        )
    return fence
