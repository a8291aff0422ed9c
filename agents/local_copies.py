"""The local copy of a state: rows in a RocksDB of its own, each batch of them with its fence in one atomic step."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import rocksdict

from agents.changelogs import FENCE_KEY, StoreError, read_fence
from streams.formats import StateFormat
from streams.processors import Fence

BLOCK_BYTES = 16 << 10
_PERSISTED_KEY = b"\x00changelog"
_FIRST_KEY = b"\x01"


def lock_folder(directory: Path) -> int:
    """Make a data folder and keep it for this process, until it ends; return the lock's file descriptor.

    Raises
    ------
    StoreError
        Another process has it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(
            f"{directory} is in use by another worker: give each worker a folder of its own"
        ) from None
    return descriptor


class LocalCopy:
    """Rows on disk.

    Parameters
    ----------
    directory
        Made where it is missing. A copy in an earlier format is put aside: it is rebuilt from the changelog.
    form
        Of the stage's state.

    Attributes
    ----------
    fence
        Newest fence in it; None: there is no state yet.
    persisted
        Changelog offset from which on the next recovery does not need to read again.

    Raises
    ------
    StoreError
        Another process has it open, or its format can't be read.
    """

    def __init__(self, directory: Path, form: StateFormat) -> None:
        self.directory = directory
        self.form = form
        directory.parent.mkdir(parents=True, exist_ok=True)
        for aside in directory.parent.glob(f"{directory.name}.aside*"):
            shutil.rmtree(aside, ignore_errors=True)
        self._open()
        if self.fence is not None and self.fence.format != form.number:
            self.start_over()

    def start_over(self) -> None:
        """Throw it away: all is read from the changelog."""
        self.close()
        # A folder that is half removed could not be opened; so it gets out of the way in one step first.
        aside = self.directory.with_name(f"{self.directory.name}.aside")
        if self.directory.exists():
            self.directory.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        self._open()

    def _open(self) -> None:
        directory = self.directory
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(16 << 20)
        options.set_max_open_files(128)
        options.set_keep_log_file_num(2)
        # A takeover reads all rows: so it costs half of what it does with RocksDB's own choices.
        options.set_compression_type(rocksdict.DBCompressionType.lz4())
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_block_size(BLOCK_BYTES)
        options.set_block_based_table_factory(blocks)
        try:
            self._db: Any = rocksdict.Rdict(str(directory), options)  # its types do not know raw mode
        except Exception as error:
            if "lock" in str(error).lower():
                raise StoreError(
                    f"{directory} is in use: another worker runs with this data directory; give each its own"
                ) from error
            raise StoreError(f"{directory} can't be opened ({error}); remove it, it is rebuilt") from error
        self._unlogged = cast(Any, rocksdict).WriteOptions()  # its types take a property for a method
        self._unlogged.disable_wal = True
        row = self._db.get(FENCE_KEY)
        self.fence: Fence | None = None if row is None else read_fence(row, self.form)
        row = self._db.get(_PERSISTED_KEY)
        self.persisted = -1 if row is None else int(row)

    def get(self, key: bytes, /) -> bytes | None:
        """Row of a key, or None."""
        row: bytes | None = self._db.get(key)
        return row

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows of the state."""
        return cast(Iterator[tuple[bytes, bytes]], self._db.items(from_key=_FIRST_KEY))

    def put(self, rows: Iterable[tuple[bytes, bytes | None]], fence: bytes, persisted: int) -> None:
        """Write rows and fence in one atomic step."""
        batch = _batch(rows)
        batch.put(FENCE_KEY, fence)
        batch.put(_PERSISTED_KEY, str(persisted).encode())
        self.persisted = persisted
        self._db.write(batch)

    def put_early(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write rows that are of use only with a fence that comes later, after `flush`."""
        # Without the log of writes it costs half.
        self._db.write(_batch(rows), self._unlogged)

    def flush(self) -> None:
        """Have all of it on disk."""
        self._db.flush()

    def close(self) -> None:
        """Give the folder back."""
        self._db.close()


def _batch(rows: Iterable[tuple[bytes, bytes | None]]) -> Any:
    batch = rocksdict.WriteBatch(raw_mode=True)
    for key, row in rows:
        if row is None:
            batch.delete(key)
        else:
            batch.put(key, row)
    return batch
