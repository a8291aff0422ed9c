"""Stores: whatever crashes, zombies and compaction leave in a changelog, recovery finds the truth at its fence."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import statements
from agents.changelogs import FENCE_KEY, StoreError, read_headers, top_header, write_fence
from agents.local_copies import lock_folder
from agents.statements import Statement
from agents.stores import ForeignWriterError, Store
from streams.processors import Fence
from tests.agents.histories import KEYS, Histories

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


RECORDS = st.tuples(st.sampled_from([*KEYS, FENCE_KEY]), st.integers(0, 9), st.booleans(), st.booleans())
"""Key, top, whether it is of the first format, whether it is a deletion."""


@settings(max_examples=300)
@given(
    records=st.lists(RECORDS, max_size=12),
    known=st.integers(-1, 5),
    hinted=st.sampled_from([0, 1, 12]),
    at_once=st.sampled_from([1, 3, 12]),
    is_mixed=st.booleans(),
)
def test_whatever_stands_in_a_changelog_it_may_be_read_many_records_at_once(
    records: list[tuple[bytes, int, bool, bool]], known: int, hinted: int, at_once: int, is_mixed: bool
) -> None:
    history = Histories()
    history.begin()
    history.version = 2
    if known >= 0:
        history.copies = [{FENCE_KEY: write_fence(Fence(2, known)), b"va": b'[null,["va@3"]]'}]
    for offset, (key, top, is_first, is_deleted) in enumerate(records):
        form = 1 if is_first and is_mixed else 2
        row: bytes | None = b'[null,"%b@%d"]' % (key, top) if form == 1 else b'[null,["%b@%d"]]' % (key, top)
        if key == FENCE_KEY:
            row = write_fence(Fence(form, top))
        elif is_deleted:
            row = None
        history.changelog.append(Statement(offset, key, row, top, form))
    history.end = len(records)
    history.recover_at_once(0, hinted, at_once)
    history.teardown()


def test_a_row_that_compaction_would_keep_wrongly_is_healed_also_after_a_crash_before_it_was(
    history: Histories,
) -> None:
    history.recover(0, 0)
    history.flush([A], "frozen", 0.0, ORDER)
    history.recover(0, 0)
    history.flush([A, A], "written", 0.0, ORDER)
    warm = len(history.copies) - 1
    history.zombie_wakes(0, 1.0)
    history.recover(0, 0)
    assert set(history.heal) == {b"va", FENCE_KEY}
    history.recover(warm, 0)
    assert set(history.heal) == {b"va", FENCE_KEY}
    history.recover(-1, 0)  # what was to be healed was in memory only
    history.flush([], "written", 0.0, ORDER)
    history.compact(1.0)
    history.recover(0, 0)


def test_a_row_that_counts_only_by_a_later_fence_is_written_again_if_an_older_one_came_behind_it(
    history: Histories,
) -> None:
    history.recover(0, False)
    history.flush([A], "written", 0.0, ORDER)
    history.flush([A], "frozen", 1.0, ORDER)
    history.recover(0, False)
    history.flush([], "written", 0.0, ORDER)  # writes again what it was before
    history.zombie_wakes(0, 1.0)  # the fence
    history.recover(0, False)
    assert set(history.heal) == {b"va"}


def test_rows_of_a_group_that_was_cut_off_do_not_count_until_their_fence_is_reached(
    history: Histories,
) -> None:
    history.recover(0, 0)
    history.flush([A], "written", 0.0, ORDER)
    history.flush([A, B], "cut off", 1.0, ORDER)
    history.recover(0, 0)
    assert set(history.heal) == {b"va", b"vb"}
    history.flush([], "written", 0.0, ORDER)
    history.compact(1.0)
    history.recover(0, 0)
    history.recover(1, 0)


def test_a_copy_does_not_pass_what_a_zombie_may_yet_make_count(history: Histories) -> None:
    history.recover(0, 0)
    history.flush([A, B], "frozen", 0.5, ORDER)  # one row is there, its fence is not
    history.recover(0, 0)
    history.flush([], "written", 0.0, ORDER)
    held = len(history.copies) - 1
    history.zombie_wakes(0, 1.0)  # now it is
    history.recover(held, 0)  # asserts that both rows count


@pytest.mark.parametrize("hinted", [0, 1])
def test_a_zombie_of_the_version_before_changes_nothing(history: Histories, hinted: int) -> None:
    """Its rows would be brought to the new layout, but not be what the new version makes of the same log."""
    history.recover(0, 0)
    history.flush([A, B, A], "frozen", 0.0, ORDER)
    history.upgrade()
    history.recover(0, 0)
    history.flush([A], "written", 1.0, ORDER)
    history.flush([B], "written", 1.0, ORDER)
    history.zombie_wakes(0, 1.0)
    history.recover(0, hinted)  # the hint is the zombie's fence
    history.flush([A], "written", 1.0, ORDER)
    history.recover(0, 0)
    history.roll_back(0)


def test_a_zombie_between_two_groups_is_noticed_before_the_local_copy_is_changed(history: Histories) -> None:
    history.recover(0, 0)
    history.flush([A], "frozen", 0.0, ORDER)
    history.recover(0, 0)
    history.flush([A], "written", 0.0, ORDER)
    store = history.owner
    assert store is not None
    before = history.local(store)
    history.zombie_wakes(0, 1.0)
    history.flush([B], "written", 0.0, ORDER)
    assert history.owner is None
    assert history.local(store) == before
    history.recover(-1, 0)


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
    monkeypatch.setattr(statements, "CHUNK", 10)
    store = Store(tmp_path / "0")
    store.hint(Fence(offset=999))
    most = 0
    for number in range(500):
        store.recover(Statement(number, b"v%d" % number, b"1", number))
        most = max(most, len(store._standing.beyond) + len(store._standing.fresh))
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


def test_what_the_local_copy_knew_before_does_not_let_an_older_row_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two late rows of zombies: the first says the same as the newest, the second is older than that."""
    monkeypatch.setattr(statements, "CHUNK", 1)
    store = Store(tmp_path / "0")
    store.end_recovery()
    store.write([], fence_row(5), 5, 0, 0)
    store.close()
    store = Store(tmp_path / "0")
    store.hint(Fence(offset=10))
    store.recover(Statement(1, b"va", None, 10))
    store.recover(Statement(2, b"va", None, 3))
    store.recover(Statement(3, b"va", b"old", 7))
    store.recover(Statement(4, FENCE_KEY, fence_row(10), 10))
    assert store.end_recovery() == [b"va"]
    assert store.get(b"va") is None
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
    with pytest.raises(StoreError, match="format 99, and this version reads up to 1: run the newer version"):
        store.recover(Statement(0, FENCE_KEY, write_fence(Fence(format=99)), 0))
    with pytest.raises(StoreError, match="can't be read"):
        store.recover(Statement(0, FENCE_KEY, None, 0))
    store.close()


def test_a_record_of_someone_else_in_the_changelog_is_refused() -> None:
    assert read_headers(top_header(-1)) == (-1, 1)
    with pytest.raises(StoreError, match="another program"):
        read_headers([("x", b"1")])


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
