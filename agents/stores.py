"""Where the state of one stage and partition is: a local RocksDB, and a changelog on Kafka that can rebuild it.

Because a stage is a function of its log, every changelog row is a truthful statement: "after applying the log up
to offset `top`, this key has this value". Nothing that a crashed or a frozen worker left there is ever wrong; it
may only be too new, or come late. So recovery needs one rule: take the newest fence there is, and of each key the
statement with the greatest `top` that is not beyond that fence. Where the last record of a key is another one, the
key is written again, lest compaction keep the wrong one.

A statement also tells its format (see `StateFormat`). One of an earlier format is brought to the present one as
it is read, and its key is written again; after the first statement of the present format, those of an earlier one
do not count: they come from a worker of the version before that did not notice that it was replaced, and who
replaced it has read the log itself. A local copy of an earlier format is put aside and rebuilt.

The local copy also remembers up to where it has the changelog (`persisted`). That never passes a statement beyond
its own fence, for a fence that comes later may make it count, nor one whose key has not been written again yet.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import rocksdict

from agents.statements import RANK_BITS, Fetched, Standing, Statement
from streams.formats import FormatError, StateFormat
from streams.processors import Fence

FENCE_KEY = b"\x00fence"
BLOCK_BYTES = 16 << 10
_PERSISTED_KEY = b"\x00changelog"
_FIRST_KEY = b"\x01"
_TOP_HEADER, _FORMAT_HEADER = "top", "format"
_FIRST = StateFormat()
_encode = msgspec.json.encode
_decode_fence = msgspec.json.Decoder(Fence).decode


class StoreError(RuntimeError):
    """The state can't be used; the message says what to do."""


class LostFenceError(StoreError):
    """A fence that was seen at the end of the changelog does not count, or is not there."""


class ForeignWriterError(StoreError):
    """Someone else has written to the changelog: what it wrote must be read before anything else is written."""


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


class Store:
    """Local copy of the state of one stage and partition.

    Parameters
    ----------
    directory
        Made where it is missing. A copy in an earlier format is put aside: it is rebuilt from the changelog.
    form
        Of the stage's state.

    Attributes
    ----------
    fence
        Newest fence in the local copy; None: there is no state yet.
    persisted
        Changelog offset from which on the next recovery does not need to read again.
    holds
        While it is set, `persisted` does not move: keys that must be written again are not yet.

    Raises
    ------
    StoreError
        Another process has it open, or its format can't be read.
    """

    def __init__(self, directory: Path, form: StateFormat = _FIRST) -> None:
        self.directory = directory
        self.form = form
        self.holds = False
        directory.parent.mkdir(parents=True, exist_ok=True)
        for aside in directory.parent.glob(f"{directory.name}.aside*"):
            shutil.rmtree(aside, ignore_errors=True)
        self._open()
        if self.fence is not None and self.fence.format != form.number:
            self.start_over()

    def start_over(self) -> None:
        """Throw the local copy away: all is read from the changelog."""
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
        self._read_to = self.persisted
        self._open_top = -1
        self._begin()

    def _begin(self) -> None:
        """Forget what recovery remembers."""
        base = -1 if self.fence is None else self.fence.offset
        self._standing = Standing(base, self.get)
        self._last_fence = base, -1  # and its changelog offset
        self._format = 1 if self.fence is None else self.fence.format  # the latest that was read

    def get(self, key: bytes, /) -> bytes | None:
        """Row of a key, or None."""
        row: bytes | None = self._db.get(key)
        return row

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows of the state."""
        return cast(Iterator[tuple[bytes, bytes]], self._db.items(from_key=_FIRST_KEY))

    # ---- while the partition is ours

    def write(
        self, rows: Sequence[tuple[bytes, bytes | None]], fence: bytes, top: int, first: int, last: int
    ) -> None:
        """Take in rows and fence in one atomic step.

        Parameters
        ----------
        rows, fence, top
            As they stand in the changelog.
        first, last
            Changelog offsets of the first of them and of the fence.

        Raises
        ------
        ForeignWriterError
            They do not follow what was known of the changelog; nothing has been written.
        """
        if first != self._read_to + 1 or last != first + len(rows):
            raise ForeignWriterError(
                f"another worker wrote to the changelog of {self.directory.parent.name}/{self.directory.name} "
                f"(offsets {self._read_to + 1} to {last}); a restart takes it in"
            )
        self._read_to = last
        moves = top >= self._open_top and not self.holds
        self._put(rows, fence, last if moves else self.persisted)

    def _put(self, rows: Iterable[tuple[bytes, bytes | None]], fence: bytes, persisted: int) -> None:
        """Write rows and fence in one atomic step."""
        batch = _batch(rows)
        batch.put(FENCE_KEY, fence)
        batch.put(_PERSISTED_KEY, str(persisted).encode())
        self.persisted = persisted
        self._db.write(batch)

    # ---- recovery

    def hint(self, fence: Fence) -> None:
        """Learn early of a fence that stands further on in the changelog: so less has to be kept in memory."""
        self._standing.newest = max(self._standing.newest, fence.offset)

    def recover(self, statement: Statement) -> None:
        """Take in a changelog record, in the order of the changelog. Nothing counts before `end_recovery`."""
        offset, key, row, top, form = statement
        self._read_to = offset
        fence = None
        if key == FENCE_KEY:
            fence = read_fence(row or b"", self.form)
            form = fence.format
        is_void = form < self._format
        self._format = max(self._format, form)
        if fence is not None:
            self._last_fence = fence.offset if form == self.form.number else -2, offset
            if not is_void and (self.fence is None or fence.offset > self.fence.offset):
                self.fence = fence
                self._standing.newest = max(self._standing.newest, fence.offset)
            return
        standing = self._standing
        if form < self.form.number:
            standing.outdated[key] = offset
        else:
            standing.outdated.pop(key, None)
        if is_void:
            standing.behind[key] = offset
            return
        if form != self.form.number and (row is not None or form > self.form.number):
            statement = Statement(offset, key, self._upgraded(key, row or b"", form), top, form)
        standing.weigh(statement)
        if standing.is_full:
            self._settle()

    def recover_all(self, records: Sequence[Fetched]) -> None:
        """Take in changelog records, as `recover` does one by one; about a microsecond each.

        Parameters
        ----------
        records
            In the order of the changelog.

        Raises
        ------
        StoreError
            A record is not ours.
        """
        standing, number = self._standing, self.form.number
        counting, fresh, behind = standing.counting, standing.fresh, standing.behind
        shared: Any = None  # records of one batch have the same headers
        top, form, is_plain = 0, 0, False
        for record in records:
            key, headers = record.key, record.headers
            if headers != shared:
                top, form = read_headers(headers)
                shared = headers
                is_plain = form == number == self._format and standing.base < top <= standing.newest
            if is_plain and key != FENCE_KEY:
                rank = (top << RANK_BITS) + record.offset
                if counting.get(key, -1) < rank:
                    counting[key] = rank
                    fresh[key] = record.value
                    if behind:
                        behind.pop(key, None)
                    if standing.outdated:
                        standing.outdated.pop(key, None)
                    continue
            self.recover(Statement(record.offset, key, record.value, top, form))
            shared = None  # a fence changes what is plain
        if records:
            self._read_to = records[-1].offset
        if standing.is_full:
            self._settle()

    def _upgraded(self, key: bytes, row: bytes, form: int) -> bytes | None:
        try:
            return self.form.upgrade(key, row, form)
        except FormatError as error:
            raise StoreError(f"{self.directory.parent.name}: {error}") from None

    def _settle(self) -> None:
        """Write the rows that count by the newest fence there is; keep what is beyond it.

        What is written here is of use only with the fence that `end_recovery` writes; until then `persisted` stays
        where it was, and a recovery that is broken off begins there again.
        """
        standing = self._standing
        standing.settle()
        # Without the log of writes it costs half; the fence is written after all of it is on disk.
        self._db.write(_batch(standing.fresh.items()), self._unlogged)
        standing.fresh.clear()

    def end_recovery(self, read_to: int = -1) -> list[bytes]:
        """Make what was read the state.

        Parameters
        ----------
        read_to
            Changelog offset that has been reached, although compaction may have left no record there.

        Returns
        -------
        list
            Keys that must be written again, for their last record is not what counts; `FENCE_KEY` among them
            means that the last fence is not the newest.
        """
        self._read_to = max(self._read_to, read_to)
        self._settle()
        standing = self._standing
        beyond = standing.beyond
        self._open_top = max((statement.top for statement in beyond), default=-1)
        last = standing.behind | standing.outdated
        heal = list(last)
        unsettled = [*last.values(), *(statement.offset for statement in beyond[:1])]
        if self.fence is not None:
            if standing.newest > self.fence.offset:
                raise LostFenceError(
                    "a fence that was in the changelog is gone: does something delete from it?"
                )
            if self._last_fence[0] < self.fence.offset:
                heal.append(FENCE_KEY)
                unsettled.append(self._last_fence[1])
            self.fence.format = self.form.number
            row = write_fence(self.fence)
            self._db.flush()
            self._put((), row, min(unsettled) - 1 if unsettled else self._read_to)
        self._begin()
        return heal

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
