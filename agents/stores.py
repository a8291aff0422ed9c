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

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.changelogs import FENCE_KEY, StoreError, read_fence, read_headers, write_fence
from agents.local_copies import LocalCopy
from agents.statements import RANK_BITS, Fetched, Standing, Statement
from streams.formats import FormatError, StateFormat
from streams.processors import Fence

_FIRST = StateFormat()


class LostFenceError(StoreError):
    """A fence that was seen at the end of the changelog does not count, or is not there."""


class ForeignWriterError(StoreError):
    """Someone else has written to the changelog: what it wrote must be read before anything else is written."""


class Store(LocalCopy):
    """The local copy of the state of one stage and partition, kept in step with its changelog.

    Parameters
    ----------
    directory, form
        See `LocalCopy`.

    Attributes
    ----------
    holds
        While it is set, `persisted` does not move: keys that must be written again are not yet.
    """

    def __init__(self, directory: Path, form: StateFormat = _FIRST) -> None:
        self.holds = False
        super().__init__(directory, form)

    def _open(self) -> None:
        super()._open()
        self._read_to = self.persisted
        self._open_top = -1
        self._begin()

    def _begin(self) -> None:
        """Forget what recovery remembers."""
        base = -1 if self.fence is None else self.fence.offset
        self._standing = Standing(base, self.get)
        self._last_fence = base, -1  # and its changelog offset
        self._format = 1 if self.fence is None else self.fence.format  # the latest that was read

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
        self.put(rows, fence, last if moves else self.persisted)

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
        self.put_early(standing.fresh.items())
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
            self.flush()
            self.put((), row, min(unsettled) - 1 if unsettled else self._read_to)
        self._begin()
        return heal
