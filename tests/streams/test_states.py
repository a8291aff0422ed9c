"""Keyed state: deadlines in order, and no row lost or read stale however flushes and evictions fall."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.memory_states import MemoryState
from streams.states import LEAST_HEAP, KeyedState

KEYS = ["aann", "abob", "bann", "bété"]


class Apple(msgspec.Struct):
    n: int


class Berry(msgspec.Struct, array_like=True):
    n: int
    words: list[str] = []


TYPES: dict[str, type] = {"a": Apple, "b": Berry}
Row = tuple[Any, int | None]


def record(key: str, n: int) -> Any:
    return Apple(n) if key[0] == "a" else Berry(n, ["w"] * (n % 3))


class Rows(dict[bytes, bytes]):
    """Where flushed rows are; takes what `drain` gives."""

    def take(self, rows: list[tuple[bytes, bytes | None]]) -> None:
        for key, row in rows:
            if row is None:
                self.pop(key, None)
            else:
                self[key] = row


def copy(model: dict[str, Row]) -> dict[str, Row]:
    return {key: (msgspec.convert(msgspec.to_builtins(r), type(r)), at) for key, (r, at) in model.items()}


class Flushed:
    """A state whose rows are flushed as the runner does it, beside a plain dict that says what must be there."""

    def __init__(self, capacity: int | None) -> None:
        self.capacity = capacity
        self.rows = Rows()
        self.state = KeyedState(TYPES, self.rows, capacity)
        self.model: dict[str, Row] = {}
        self.flushed: dict[str, Row] = {}
        self.flying: tuple[list[tuple[bytes, bytes | None]], dict[str, Row]] | None = None

    def put(self, key: str, n: int, deadline_ms: int | None) -> None:
        self.state.put(key, record(key, n), deadline_ms)
        self.model[key] = (record(key, n), deadline_ms)

    def delete(self, key: str) -> None:
        self.state.delete(key)
        self.model.pop(key, None)

    def touch(self, key: str) -> None:
        self.state.touch([key])

    def change(self, key: str) -> None:
        """Get a record, change it and put it again, as a stage does."""
        found = self.state.get(key)
        if found is not None:
            known, deadline_ms = self.model[key]
            found.n += 1
            known.n += 1
            self.state.put(key, found, deadline_ms)

    def pop_due(self, watermark: int) -> None:
        due = [(at, key) for key, (_, at) in self.model.items() if at is not None and at < watermark]
        assert list(self.state.pop_due(watermark)) == [(key, at) for at, key in sorted(due)]
        for _, key in due:
            self.model[key] = (self.model[key][0], None)

    def drain(self) -> None:
        if self.flying is None:
            self.flying = (self.state.drain(), copy(self.model))

    def settle(self) -> None:
        if self.flying is not None:
            rows, self.flushed = self.flying
            self.rows.take(rows)
            self.state.settle()
            self.flying = None

    def flush(self) -> None:
        self.settle()
        self.drain()
        self.settle()

    def crash(self) -> None:
        """Go on in a state that knows only what was flushed."""
        self.state = KeyedState(TYPES, self.rows, self.capacity)
        self.state.restore(self.rows.items())
        self.model = copy(self.flushed)
        self.flying = None

    def check(self) -> None:
        for key in KEYS:
            assert self.state.get(key) == self.model.get(key, (None, None))[0], key
        assert len(self.state) == sum(at is not None for _, at in self.model.values())


keys = st.sampled_from(KEYS)
deadlines = st.none() | st.integers(0, 20)
steps = st.one_of(
    st.tuples(st.just("put"), keys, st.integers(0, 99), deadlines),
    st.tuples(st.just("put"), keys, st.integers(0, 99), deadlines),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("change"), keys),
    st.tuples(st.just("touch"), keys),
    st.tuples(st.just("pop_due"), st.integers(0, 22)),
    st.tuples(st.sampled_from(["drain", "settle", "flush", "crash", "check"])),
    st.tuples(st.sampled_from(["drain", "settle", "flush", "crash", "check"])),
)


@settings(max_examples=200)
@given(st.sampled_from([None, 0, 1, 3]), st.lists(steps, min_size=10, max_size=40))
def test_it_is_a_dict_whatever_is_flushed_evicted_and_restored(
    capacity: int | None, what: list[tuple[Any, ...]]
) -> None:
    flushed = Flushed(capacity)
    for name, *arguments in what:
        getattr(flushed, name)(*arguments)
    flushed.flush()
    flushed.check()
    assert {key.decode() for key in flushed.rows} == set(flushed.model)
    flushed.crash()
    flushed.check()
    flushed.pop_due(100)


@given(st.lists(st.tuples(keys, deadlines), max_size=30), st.lists(st.integers(-1, 22), max_size=6))
def test_deadlines_come_once_in_order_of_time_then_key(
    puts: list[tuple[str, int | None]], watermarks: list[int]
) -> None:
    state = KeyedState(TYPES)
    last: dict[str, int | None] = {}
    for key, deadline_ms in puts:
        state.put(key, record(key, 1), deadline_ms)
        last[key] = deadline_ms
    came = [(at, key) for watermark in [*sorted(watermarks), 23] for key, at in state.pop_due(watermark)]
    assert came == sorted((at, key) for key, at in last.items() if at is not None)


def test_a_deadline_is_due_when_the_watermark_is_greater() -> None:
    state = KeyedState(TYPES)
    state.put("ann", Apple(1), deadline_ms=500)
    assert list(state.pop_due(500)) == []
    assert list(state.pop_due(501)) == [("ann", 500)]
    assert list(state.pop_due(10**9)) == []


def test_a_deadline_set_while_deadlines_are_taken_takes_part() -> None:
    state = KeyedState(TYPES)
    state.put("ann", Apple(1), deadline_ms=10)
    state.put("abe", Apple(1), deadline_ms=30)
    taken = []
    for key, at in state.pop_due(31):
        taken.append((key, at))
        if key == "ann":
            state.put("ann", Apple(2), deadline_ms=at + 10)
    assert taken == [("ann", 10), ("ann", 20), ("abe", 30), ("ann", 30)]


def test_the_last_deadline_of_a_key_holds() -> None:
    state = KeyedState(TYPES)
    for at in (5, 7, 5, 9, 5):
        state.put("ann", Apple(at), deadline_ms=at)
    assert list(state.pop_due(100)) == [("ann", 5)]
    state.put("ann", Apple(1), deadline_ms=5)
    state.put("ann", Apple(1))
    assert (list(state.pop_due(100)), len(state)) == ([], 0)


def test_a_row_in_flight_is_read_from_memory_until_it_is_in_the_backing() -> None:
    rows = Rows()
    state = KeyedState(TYPES, rows, capacity=0)
    state.put("ann", Apple(1))
    first = state.drain()
    state.put("ann", Apple(2))
    rows.take(first)
    state.settle()
    assert (state.get("ann"), rows[b"ann"]) == (Apple(2), b'[null,{"n":1}]')
    rows.take(state.drain())
    state.settle()
    assert "ann" not in state._records, "evicted"
    assert state.get("ann") == Apple(2)


def test_a_deleted_row_stays_deleted_while_its_deletion_is_in_flight() -> None:
    rows = Rows({b"ann": b'[7,{"n":1}]'})
    state = KeyedState(TYPES, rows, capacity=0)
    state.restore(rows.items())
    state.delete("ann")
    assert (state.drain(), state.get("ann"), len(state)) == ([(b"ann", None)], None, 0)
    state.put("ann", Apple(3))
    rows.take([(b"ann", None)])
    state.settle()
    assert state.get("ann") == Apple(3)


def test_taking_a_deadline_does_not_lose_a_record_that_nobody_asks_for() -> None:
    rows = Rows({b"ann": b'[7,{"n":1}]'})
    state = KeyedState(TYPES, rows)
    state.restore(rows.items())
    assert list(state.pop_due(8)) == [("ann", 7)]
    assert state.drain() == [(b"ann", b'[null,{"n":1}]')]


def test_a_touched_key_is_written_again_with_its_deadline_and_a_missing_one_as_deleted() -> None:
    rows = Rows({b"ann": b'[7,{"n":1}]'})
    state = KeyedState(TYPES, rows)
    state.restore(rows.items())
    state.touch(["ann", "abe"])
    assert state.is_dirty
    assert state.drain() == [(b"ann", b'[7,{"n":1}]'), (b"abe", None)]


@pytest.mark.parametrize("capacity", [1, 4, 100])
def test_memory_holds_no_more_than_the_capacity_after_a_flush(capacity: int) -> None:
    rows = Rows()
    state = KeyedState(TYPES, rows, capacity)
    for n in range(1000):
        state.put(f"a{n}", Apple(n))
        if n % 50 == 49:
            rows.take(state.drain())
            state.settle()
            assert len(state._records) <= capacity
    assert len(rows) == 1000
    assert [state.get(f"a{n}").n for n in range(1000)] == list(range(1000))


def test_deleted_keys_leave_nothing_behind() -> None:
    rows = Rows()
    state = KeyedState(TYPES, rows)
    for n in range(100):
        state.put(f"a{n}", Apple(n), deadline_ms=n)
        state.delete(f"a{n}")
    rows.take(state.drain())
    state.settle()
    assert (rows, state._records, state._deadlines, state.is_dirty) == ({}, {}, {}, False)
    assert list(state.pop_due(1000)) == []
    assert state._heap == []


@pytest.mark.parametrize("kind", [KeyedState, MemoryState])
def test_deadlines_that_are_moved_again_and_again_leave_no_heap_behind(kind: type[KeyedState]) -> None:
    state = kind({"v": int})
    for moved in range(20_000):
        state.put(f"v{moved % 3}", 1, deadline_ms=moved)
        assert len(state._heap) <= LEAST_HEAP + 1
    assert list(state.pop_due(20_000)) == [("v2", 19_997), ("v0", 19_998), ("v1", 19_999)]
    assert len(state) == 0


def test_a_heap_that_is_rebuilt_while_deadlines_fall_due_forgets_none() -> None:
    state = KeyedState({"v": int})
    for number in range(2_000):
        state.put(f"v{number:04d}", 1, deadline_ms=number)
    due = []
    for key, deadline in state.pop_due(10_000):
        due.append(key)
        if deadline < 2_000:
            for _ in range(3):
                state.put(key, 1, deadline_ms=5_000 + deadline + len(due) % 2)
    assert sorted(due) == sorted([f"v{number:04d}" for number in range(2_000)] * 2)


@pytest.mark.parametrize("kind", [KeyedState, MemoryState])
def test_what_is_taken_together_is_what_would_have_come_next(kind: type[KeyedState]) -> None:
    state = kind({"v": int})
    for key in ("va4", "va1", "va3", "va2", "vb1", "va5"):
        state.put(key, 1, deadline_ms=5 if key < "va5" else 6)
    state.put("va3", 1, deadline_ms=9)  # its former entry is still in the heap
    due = state.pop_due(10)
    assert next(due) == ("va1", 5)
    assert state.pop_beside("va", 5, most=1) == ["va2"]
    assert state.pop_beside("va", 5, most=9) == ["va4"], "of no other deadline"
    assert next(due) == ("va5", 6)
    assert state.pop_beside("va", 6, most=9) == [], "of no other prefix"
    assert state.popped == 4
    assert list(due) == [("vb1", 6), ("va3", 9)]
    assert (state.popped, len(state)) == (6, 0)


def test_deadlines_that_are_taken_together_are_taken_from_their_rows() -> None:
    state, rows = KeyedState(TYPES), Rows()
    for key in ("abe", "ann", "art"):
        state.put(key, Apple(1), deadline_ms=5)
    state.drain()
    state.settle()
    due = state.pop_due(6)
    next(due)
    assert state.pop_beside("a", 5, most=9) == ["ann", "art"]
    rows.take(state.drain())
    assert rows == dict.fromkeys([b"abe", b"ann", b"art"], b'[null,{"n":1}]')
    assert state.take("ann") == Apple(1)
    assert state.take("ann") is None
    rows.take(state.drain())
    assert b"ann" not in rows
