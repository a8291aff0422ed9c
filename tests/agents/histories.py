"""Histories of one changelog: an owner, crashes within a group, zombies, compaction, recoveries, an upgrade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
import rocksdict
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agents import statements
from agents.changelogs import FENCE_KEY, StoreError, read_fence, top_header, write_fence
from agents.statements import Statement
from agents.stores import ForeignWriterError, LostFenceError, Store
from streams.formats import StateFormat
from streams.processors import Fence

KEYS = [b"va", b"vb", b"vc"]
FORMATS = {1: StateFormat(1), 2: StateFormat(2, {1: lambda _, deadline_ms, record: (deadline_ms, [record])})}
"""By version of the program: the second wraps each record into a list, and adds to new ones."""
Row = tuple[bytes, bytes | None]


class Memory:
    """Stands in for RocksDB, so that copies of a moment are cheap."""

    def __init__(self, *_: object) -> None:
        self.held: dict[bytes, bytes] = {}
        self.safe: dict[bytes, bytes] = {}  # what a crash leaves

    def get(self, key: bytes) -> bytes | None:
        return self.held.get(key)

    def items(self, from_key: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([(key, row) for key, row in sorted(self.held.items()) if key >= from_key])

    def write(self, batch: Batch, options: Unlogged | None = None) -> None:
        for held in (self.held,) if options is not None and options.disable_wal else (self.held, self.safe):
            for key, row in batch.rows:
                if row is None:
                    held.pop(key, None)
                else:
                    held[key] = row

    def flush(self) -> None:
        self.safe = dict(self.held)

    def close(self) -> None: ...


class Unlogged:
    """Stands in for RocksDB's options of a write."""

    disable_wal = False


class Batch:
    """Stands in for RocksDB's batch."""

    def __init__(self, **_: object) -> None:
        self.rows: list[Row] = []

    def put(self, key: bytes, row: bytes) -> None:
        self.rows.append((key, row))

    def delete(self, key: bytes) -> None:
        self.rows.append((key, None))


COPIES = st.sampled_from([0, -1, -1, -2, -3]) | st.integers(0, 99)
"""Which local copy a worker comes back with: none, one of the last, any."""
SHARES = st.sampled_from([0.0, 1.0]) | st.floats(0, 1)
"""How much of something happens: nothing, all, a part."""


class Histories(RuleBasedStateMachine):
    """One partition of one stage, its changelog, and owners that come, crash, freeze and wake up.

    The log of the stage is a list of (key, whether it is deleted): record number t sets that key. So the truth at
    t is known, in the layout of each version.
    """

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.fake = SimpleNamespace(
            Rdict=Memory,
            WriteBatch=Batch,
            WriteOptions=Unlogged,
            Options=rocksdict.Options,
            BlockBasedOptions=rocksdict.BlockBasedOptions,
            DBCompressionType=rocksdict.DBCompressionType,
        )
        self.patch.setattr("agents.local_copies.rocksdict", self.fake)
        self.patch.setattr(statements, "CHUNK", 3)
        self.log: list[tuple[bytes, bool]] = []
        self.changelog: list[Statement] = []
        self.end = 0  # of the changelog
        self.owner: Store | None = None
        self.at = -1  # how far the owner has applied the log
        self.heal: list[bytes] = []
        self.copies: list[dict[bytes, bytes]] = [{}]  # local copies that a worker may come back with
        # What zombies have not sent yet, and where their groups begin. No record is compacted away before
        # `min.compaction.lag.ms`, which is longer than a zombie lives: so nothing that is younger than its group.
        self.frozen: list[tuple[int, list[tuple[bytes, bytes | None, int]], int]] = []
        self.clean = 0  # up to here nothing is left to heal, so compaction may have been
        self.newest = -1  # fence
        self.version = 1
        self.seen = 1  # greatest format in the changelog
        self.left_at = -1  # where the second version goes on

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def layout(self, key: bytes, at: int) -> bytes:
        """Row of a key, as the present version writes it."""
        record = f"{key.decode()}@{at}"
        if self.version == 1:
            return msgspec.json.encode((None, record))
        return msgspec.json.encode((None, [record] if at <= self.left_at else [record, "new"]))

    def truth(self, at: int) -> dict[bytes, bytes]:
        held: dict[bytes, bytes] = {}
        for number, (key, is_deleted) in enumerate(self.log[: at + 1]):
            held.pop(key, None)
            if not is_deleted:
                held[key] = self.layout(key, number)
        return held

    def append(self, records: Iterable[tuple[bytes, bytes | None, int]], form: int) -> None:
        for key, row, top in records:
            self.changelog.append(Statement(self.end, key, row, top, form))
            self.end += 1
            self.seen = max(self.seen, form)
            if key == FENCE_KEY and form == self.seen:
                self.newest = max(self.newest, self.fence_of(row).offset)
                if form == 1:
                    self.left_at = self.newest

    def fence_of(self, row: bytes | None) -> Fence:
        return read_fence(row or b"", FORMATS[2])

    def open(self, copy: int) -> Store:
        memory = Memory()
        memory.held = dict(self.copies[copy % len(self.copies)])
        memory.flush()
        folders = [memory]
        self.fake.Rdict = lambda *_: folders.pop() if folders else Memory()
        return Store(Path("0"), FORMATS[self.version])  # the fake writes nothing there

    def local(self, store: Store, crash: bool = True) -> dict[bytes, bytes]:
        return dict(store._db.safe if crash else store._db.held)

    def fetched(self, unread: Iterable[Statement], at_once: int) -> Iterator[list[Any]]:
        """Statements as the client library hands them over, so many at once."""
        records = [
            SimpleNamespace(offset=s.offset, key=s.key, value=s.row, headers=top_header(s.top, s.format))
            for s in unread
        ]
        for begin in range(0, len(records), at_once):
            yield records[begin : begin + at_once]

    @rule(copy=COPIES, hinted=st.sampled_from([0, 1, 2, 4]), at_once=st.sampled_from([1, 2, 5, 99]))
    def recover_at_once(self, copy: int, hinted: int, at_once: int) -> None:
        """Reading many records at once is the same as reading one by one."""
        found = []
        for is_plain in (True, False):
            store = self.open(copy)
            unread = [statement for statement in self.changelog if statement.offset > store.persisted]
            for statement in unread[-hinted:] if hinted else ():
                if statement.key == FENCE_KEY:
                    store.hint(self.fence_of(statement.row))
            if is_plain:
                for statement in unread:
                    store.recover(statement)
            else:
                for records in self.fetched(unread, at_once):
                    store.recover_all(records)
            heal: object
            try:
                heal = set(store.end_recovery(self.end - 1))
            except LostFenceError:
                heal = "lost"
            found.append((heal, self.local(store), store.fence, store.persisted, store._open_top))
        assert found[0] == found[1]

    @rule(copy=COPIES, hinted=st.sampled_from([0, 1, 2, 4]))
    def recover(self, copy: int, hinted: int) -> None:
        store = self.open(copy)
        unread = [statement for statement in self.changelog if statement.offset > store.persisted]
        if hinted:
            for statement in unread[-hinted:]:
                if statement.key == FENCE_KEY:
                    store.hint(self.fence_of(statement.row))
        known, base = store.persisted, -1 if store.fence is None else store.fence.offset
        began_with = 1 if store.fence is None else self.version
        for statement in unread:
            store.recover(statement)
        try:
            heal = store.end_recovery(self.end - 1)
        except LostFenceError:
            assert hinted
            assert self.version == 2
            store.start_over()
            known, base, began_with = -1, -1, 1
            for statement in self.changelog:
                store.recover(statement)
            heal = store.end_recovery(self.end - 1)
        reached = -1 if store.fence is None else store.fence.offset
        assert reached == self.newest
        assert dict(store.rows()) == self.truth(reached)
        self.check_heal(set(heal), known, base, reached, began_with)
        self.owner, self.at, self.heal = store, reached, heal
        self.copies.append(self.local(store))

    def check_heal(self, heal: set[bytes], known: int, base: int, reached: int, form: int) -> None:
        truth = self.truth(reached)
        void = set()
        for statement in self.changelog:
            if statement.offset > known:
                if statement.format < form:
                    void.add(statement.offset)
                form = max(form, statement.format)
        for key in KEYS:
            records = [s for s in self.changelog if s.key == key and s.offset > known]
            if not records:
                assert key not in heal
                continue
            last = records[-1]
            if last.format < self.version:
                assert key in heal, "the changelog would keep an old layout"
                continue
            if last.row != truth.get(key):
                assert key in heal, "compaction would keep a wrong row"
            eligible = [s for s in records if base < s.top <= reached and s.offset not in void]
            counts = max(eligible, key=lambda s: (s.top, s.offset), default=None)
            if last is counts or (counts is None and last.top <= base and last.row == truth.get(key)):
                assert key not in heal, "written again for nothing"
        fences = [s for s in self.changelog if s.key == FENCE_KEY and s.offset > known]
        if fences:
            last_fence = self.fence_of(fences[-1].row)
            is_old = last_fence.format < self.version
            assert (FENCE_KEY in heal) == (last_fence.offset < reached or is_old)

    @rule(copy=COPIES, share=SHARES)
    def crash_in_recovery(self, copy: int, share: float) -> None:
        store = self.open(copy)
        unread = [statement for statement in self.changelog if statement.offset > store.persisted]
        for statement in unread[: round(share * len(unread))]:
            store.recover(statement)
        self.copies += [self.local(store), self.local(store, crash=False)]
        self.owner = None

    @precondition(lambda self: self.owner is not None)
    @rule(
        records=st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=3),
        fate=st.sampled_from(["written", "written", "written", "acknowledged", "cut off", "frozen"]),
        share=SHARES,
        order=st.randoms(use_true_random=False),
    )
    def flush(self, records: Sequence[tuple[bytes, bool]], fate: str, share: float, order: Any) -> None:
        store = self.owner
        assert store is not None
        before, top = self.at, self.at + len(records)
        while len(self.log) <= top:
            key, deleted = records[len(self.log) - before - 1]
            self.log.append((key, deleted))
        truth = self.truth(top)
        dirty = {key for key, _ in self.log[before + 1 : top + 1]} | set(self.heal) - {FENCE_KEY}
        rows: list[Row] = [(key, truth.get(key)) for key in sorted(dirty)]
        order.shuffle(rows)
        fence = write_fence(Fence(self.version, top))
        group = [*((key, row, top) for key, row in rows), (FENCE_KEY, fence, top)]
        if fate in ("cut off", "frozen"):
            sent = round(share * (len(group) - 1))
            self.append(group[:sent], self.version)
            if fate == "frozen":
                self.frozen.append((self.end - sent, group[sent:], self.version))
            self.owner = None
            return
        first = self.end
        self.append(group, self.version)
        if fate == "acknowledged":
            self.owner = None
            return
        try:
            store.write(rows, fence, top, first, self.end - 1)
        except ForeignWriterError:
            self.owner = None
            return
        self.at, self.heal, self.clean = top, [], self.end
        assert dict(store.rows()) == truth
        self.copies.append(self.local(store))

    @precondition(lambda self: self.version == 1 and self.end > 0)
    @rule()
    def upgrade(self) -> None:
        """From now on whoever comes is of the second version; what is on its way is of the first."""
        self.version, self.owner = 2, None

    @precondition(lambda self: self.seen == 2)
    @rule(copy=COPIES)
    def roll_back(self, copy: int) -> None:
        """Let a worker of the first version come: it must not take what it can't read for its own."""
        self.version = 1
        with pytest.raises(StoreError, match="format 2, and this version reads up to 1"):
            self.read_all(copy)
        self.version = 2

    def read_all(self, copy: int) -> None:
        store = self.open(copy)
        for statement in self.changelog:
            store.recover(statement)

    @precondition(lambda self: bool(self.frozen))
    @rule(which=st.integers(0, 99), share=SHARES)
    def zombie_wakes(self, which: int, share: float) -> None:
        begin, rest, version = self.frozen.pop(which % len(self.frozen))
        sent = max(1, round(share * len(rest)))
        self.append(rest[:sent], version)
        self.clean = min(self.clean, begin)
        if rest[sent:]:
            self.frozen.append((begin, rest[sent:], version))

    @precondition(lambda self: self.clean > 0)
    @rule(share=SHARES)
    def compact(self, share: float) -> None:
        limit = round(share * min([self.clean, *(begin for begin, _, _ in self.frozen)]))
        last = {statement.key: statement.offset for statement in self.changelog if statement.offset < limit}
        self.changelog = [s for s in self.changelog if s.offset >= limit or last[s.key] == s.offset]
