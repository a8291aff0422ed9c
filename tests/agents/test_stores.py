"""Stores: whatever crashes, zombies and compaction leave in a changelog, recovery finds the truth at its fence."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
import rocksdict
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agents import stores
from agents.stores import (
    FENCE_KEY,
    ForeignWriterError,
    Statement,
    Store,
    StoreError,
    lock_folder,
    read_fence,
    read_top,
    top_header,
    write_fence,
)
from streams.processors import Fence

KEYS = [b"va", b"vb", b"vc"]
Row = tuple[bytes, bytes | None]


class Memory:
    """Stands in for RocksDB, so that copies of a moment are cheap."""

    def __init__(self, *_: object) -> None:
        self.held: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.held.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.held.items())

    def write(self, batch: Batch) -> None:
        for key, row in batch.rows:
            if row is None:
                self.held.pop(key, None)
            else:
                self.held[key] = row

    def close(self) -> None: ...


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

    The log of the stage is a list of (key, row): record number t sets that key. So the truth at t is known.
    """

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.fake = SimpleNamespace(Rdict=Memory, WriteBatch=Batch, Options=rocksdict.Options)
        self.patch.setattr("agents.stores.rocksdict", self.fake)
        self.patch.setattr(stores, "CHUNK", 3)
        self.log: list[Row] = []
        self.changelog: list[Statement] = []
        self.end = 0  # of the changelog
        self.owner: Store | None = None
        self.at = -1  # how far the owner has applied the log
        self.heal: list[bytes] = []
        self.copies: list[dict[bytes, bytes]] = [{}]  # local copies that a worker may come back with
        # What zombies have not sent yet, and where their groups begin. No record is compacted away before
        # `min.compaction.lag.ms`, which is longer than a zombie lives: so nothing that is younger than its group.
        self.frozen: list[tuple[int, list[tuple[bytes, bytes | None, int]]]] = []
        self.clean = 0  # up to here nothing is left to heal, so compaction may have been
        self.newest = -1  # fence

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def truth(self, at: int) -> dict[bytes, bytes]:
        held: dict[bytes, bytes] = {}
        for key, row in self.log[: at + 1]:
            held.pop(key, None)
            if row is not None:
                held[key] = row
        return held

    def append(self, records: Iterable[tuple[bytes, bytes | None, int]]) -> None:
        for key, row, top in records:
            self.changelog.append(Statement(self.end, key, row, top))
            self.end += 1
            if key == FENCE_KEY:
                self.newest = max(self.newest, read_fence(row or b"").offset)

    def open(self, copy: int) -> Store:
        memory = Memory()
        memory.held = dict(self.copies[copy % len(self.copies)])
        self.fake.Rdict = lambda *_: memory
        return Store(Path("0"))  # the fake writes nothing there

    def local(self, store: Store) -> dict[bytes, bytes]:
        return dict(store._db.held)

    @rule(copy=COPIES, hinted=st.booleans())
    def recover(self, copy: int, hinted: bool) -> None:
        store = self.open(copy)
        unread = [statement for statement in self.changelog if statement.offset > store.persisted]
        if hinted:
            for statement in unread[-4:]:
                if statement.key == FENCE_KEY:
                    store.hint(read_fence(statement.row or b""))
        known, base = store.persisted, -1 if store.fence is None else store.fence.offset
        for statement in unread:
            store.recover(statement)
        heal = store.end_recovery(self.end - 1)
        reached = -1 if store.fence is None else store.fence.offset
        assert reached == self.newest
        assert dict(store.rows()) == self.truth(reached)
        self.check_heal(set(heal), known, base, reached)
        self.owner, self.at, self.heal = store, reached, heal
        self.copies.append(self.local(store))

    def check_heal(self, heal: set[bytes], known: int, base: int, reached: int) -> None:
        truth = self.truth(reached)
        for key in KEYS:
            records = [s for s in self.changelog if s.key == key and s.offset > known]
            if not records:
                assert key not in heal
                continue
            last = records[-1]
            if last.row != truth.get(key):
                assert key in heal, "compaction would keep a wrong row"
            eligible = [s for s in records if base < s.top <= reached]
            counts = max(eligible, key=lambda s: (s.top, s.offset), default=None)
            if last is counts or (counts is None and last.top <= base and last.row == truth.get(key)):
                assert key not in heal, "written again for nothing"
        fences = [s for s in self.changelog if s.key == FENCE_KEY and s.offset > known]
        if fences:
            assert (FENCE_KEY in heal) == (read_fence(fences[-1].row or b"").offset < reached)

    @rule(copy=COPIES, share=SHARES)
    def crash_in_recovery(self, copy: int, share: float) -> None:
        store = self.open(copy)
        unread = [statement for statement in self.changelog if statement.offset > store.persisted]
        for statement in unread[: round(share * len(unread))]:
            store.recover(statement)
        self.copies.append(self.local(store))
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
            self.log.append((key, None if deleted else b"%s@%d" % (key, len(self.log))))
        truth = self.truth(top)
        dirty = {key for key, _ in self.log[before + 1 : top + 1]} | set(self.heal) - {FENCE_KEY}
        rows: list[Row] = [(key, truth.get(key)) for key in sorted(dirty)]
        order.shuffle(rows)
        fence = write_fence(Fence(offset=top))
        group = [*((key, row, top) for key, row in rows), (FENCE_KEY, fence, top)]
        if fate in ("cut off", "frozen"):
            sent = round(share * (len(group) - 1))
            self.append(group[:sent])
            if fate == "frozen":
                self.frozen.append((self.end - sent, group[sent:]))
            self.owner = None
            return
        first = self.end
        self.append(group)
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

    @precondition(lambda self: bool(self.frozen))
    @rule(which=st.integers(0, 99), share=SHARES)
    def zombie_wakes(self, which: int, share: float) -> None:
        begin, rest = self.frozen.pop(which % len(self.frozen))
        sent = max(1, round(share * len(rest)))
        self.append(rest[:sent])
        self.clean = min(self.clean, begin)
        if rest[sent:]:
            self.frozen.append((begin, rest[sent:]))

    @precondition(lambda self: self.clean > 0)
    @rule(share=SHARES)
    def compact(self, share: float) -> None:
        limit = round(share * min([self.clean, *(begin for begin, _ in self.frozen)]))
        last = {statement.key: statement.offset for statement in self.changelog if statement.offset < limit}
        self.changelog = [s for s in self.changelog if s.offset >= limit or last[s.key] == s.offset]


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=200, stateful_step_count=40)


@pytest.fixture
def history() -> Iterator[Histories]:
    history = Histories()
    history.begin()
    yield history
    history.teardown()


A, B = (b"va", False), (b"vb", False)
ORDER = random.Random(0)


def test_a_row_that_compaction_would_keep_wrongly_is_healed_also_after_a_crash_before_it_was(
    history: Histories,
) -> None:
    history.recover(0, False)
    history.flush([A], "frozen", 0.0, ORDER)
    history.recover(0, False)
    history.flush([A, A], "written", 0.0, ORDER)
    warm = len(history.copies) - 1
    history.zombie_wakes(0, 1.0)
    history.recover(0, False)
    assert set(history.heal) == {b"va", FENCE_KEY}
    history.recover(warm, False)
    assert set(history.heal) == {b"va", FENCE_KEY}
    history.recover(-1, False)  # what was to be healed was in memory only
    history.flush([], "written", 0.0, ORDER)
    history.compact(1.0)
    history.recover(0, False)


def test_rows_of_a_group_that_was_cut_off_do_not_count_until_their_fence_is_reached(
    history: Histories,
) -> None:
    history.recover(0, False)
    history.flush([A], "written", 0.0, ORDER)
    history.flush([A, B], "cut off", 1.0, ORDER)
    history.recover(0, False)
    assert set(history.heal) == {b"va", b"vb"}
    history.flush([], "written", 0.0, ORDER)
    history.compact(1.0)
    history.recover(0, False)
    history.recover(1, False)


def test_a_copy_does_not_pass_what_a_zombie_may_yet_make_count(history: Histories) -> None:
    history.recover(0, False)
    history.flush([A, B], "frozen", 0.5, ORDER)  # one row is there, its fence is not
    history.recover(0, False)
    history.flush([], "written", 0.0, ORDER)
    held = len(history.copies) - 1
    history.zombie_wakes(0, 1.0)  # now it is
    history.recover(held, False)  # asserts that both rows count


def test_a_zombie_between_two_groups_is_noticed_before_the_local_copy_is_changed(history: Histories) -> None:
    history.recover(0, False)
    history.flush([A], "frozen", 0.0, ORDER)
    history.recover(0, False)
    history.flush([A], "written", 0.0, ORDER)
    store = history.owner
    assert store is not None
    before = history.local(store)
    history.zombie_wakes(0, 1.0)
    history.flush([B], "written", 0.0, ORDER)
    assert history.owner is None
    assert history.local(store) == before
    history.recover(-1, False)


def fence_row(offset: int) -> bytes:
    return write_fence(Fence(offset=offset))


def test_real_rocksdb_keeps_rows_fence_and_position_over_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "sessions" / "0")
    assert store.fence is None
    store.end_recovery()
    store.write([(b"va", b"1"), (b"vb", b"2")], fence_row(4), 4, 0, 2)
    store.write([(b"va", None), (b"vc", b"3")], fence_row(6), 6, 3, 5)
    store.close()
    store = Store(tmp_path / "sessions" / "0")
    assert store.fence is not None
    assert (store.fence.offset, store.persisted) == (6, 5)
    assert dict(store.rows()) == {b"vb": b"2", b"vc": b"3"}
    store.recover(Statement(6, b"vb", b"9", 8))
    store.recover(Statement(7, FENCE_KEY, fence_row(8), 8))
    assert store.end_recovery() == []
    assert store.get(b"vb") == b"9"
    assert store.persisted == 7
    store.close()


def test_a_compacted_changelog_is_recovered_without_holding_it_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "CHUNK", 10)
    store = Store(tmp_path / "0")
    store.hint(Fence(offset=999))
    most = 0
    for number in range(500):
        store.recover(Statement(number, b"v%d" % number, b"1", number))
        most = max(most, len(store._pending))
    store.recover(Statement(500, FENCE_KEY, fence_row(999), 999))
    assert store.end_recovery() == []
    assert most <= 10
    assert len(list(store.rows())) == 500
    store.close()


def test_a_recovery_that_was_broken_off_begins_again_where_it_began(tmp_path: Path) -> None:
    store = Store(tmp_path / "0")
    store.recover(Statement(0, b"va", b"1", 3))
    store.recover(Statement(1, FENCE_KEY, fence_row(3), 3))
    store.close()
    store = Store(tmp_path / "0")
    assert (store.fence, store.persisted) == (None, -1)
    store.close()


def test_positions_without_records_count_as_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "0")
    store.recover(Statement(7, b"va", b"1", 3))
    store.recover(Statement(8, FENCE_KEY, fence_row(3), 3))
    store.end_recovery(20)
    store.write([], fence_row(3), 3, 21, 21)
    assert store.persisted == 21
    store.close()


@pytest.mark.parametrize(
    ("first", "last"), [(9, 10), (11, 12), (10, 12)], ids=["before", "after a gap", "with a gap inside"]
)
def test_a_group_that_does_not_follow_is_refused(tmp_path: Path, first: int, last: int) -> None:
    store = Store(tmp_path / "0")
    store.end_recovery(9)
    with pytest.raises(ForeignWriterError, match="another worker wrote"):
        store.write([(b"va", b"1")], fence_row(1), 1, first, last)
    assert store.get(b"va") is None
    store.write([(b"va", b"1")], fence_row(1), 1, 10, 11)
    store.close()


def test_a_fence_of_another_format_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "0")
    with pytest.raises(StoreError, match="format 99, this version reads 1"):
        store.recover(Statement(0, FENCE_KEY, write_fence(Fence(format=99)), 0))
    with pytest.raises(StoreError, match="can't be read"):
        store.recover(Statement(0, FENCE_KEY, None, 0))
    store.close()


def test_a_record_of_someone_else_in_the_changelog_is_refused() -> None:
    assert read_top(top_header(-1)) == -1
    with pytest.raises(StoreError, match="another program"):
        read_top([("x", b"1")])


def test_two_workers_cannot_share_a_folder(tmp_path: Path) -> None:
    descriptor = lock_folder(tmp_path / "data")
    with pytest.raises(StoreError, match="give each worker a folder of its own"):
        lock_folder(tmp_path / "data")
    os.close(descriptor)
    os.close(lock_folder(tmp_path / "data"))


def test_two_stores_cannot_share_a_folder(tmp_path: Path) -> None:
    store = Store(tmp_path / "0")
    with pytest.raises(StoreError, match="in use"):
        Store(tmp_path / "0")
    store.close()
