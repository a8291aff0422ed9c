"""Keyed state of one partition of a stage: records, their deadlines, and what has changed since the last flush."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import msgspec

STALE = 4
"""The heap of deadlines is rebuilt when it is so many times larger than what is still due, for a deadline that is
moved leaves its former entry behind until then;"""
LEAST_HEAP = 1_024
"""but not while it is small."""

_encode = msgspec.json.encode
_decode_deadlines = msgspec.json.Decoder(list[int]).decode


class Backing(Protocol):
    """Where records are that are not in memory."""

    def get(self, key: bytes, /) -> bytes | None:
        """Row of a key, or None."""
        ...


class KeyedState:
    """Records of a partition by key, with one deadline a key.

    A record belongs to the state once it has been put: change it, then `put` it again, or the change is lost.
    The first character of a key tells the record's type.

    Parameters
    ----------
    types
        First character of a key to the type of its record.
    backing
        Rows that were flushed before; read when a key is not in memory.
    capacity
        How many records to hold in memory beyond those not yet flushed; None: all.

    Attributes
    ----------
    popped
        How many deadlines have been taken so far.

    Examples
    --------
    >>> class Visits(msgspec.Struct):
    ...     n: int
    >>> state = KeyedState({"v": Visits})
    >>> state.put("vann", Visits(1), deadline_ms=500)
    >>> list(state.pop_due(500)), list(state.pop_due(501))
    ([], [('vann', 500)])
    >>> state.drain()
    [(b'vann', b'[null,{"n":1}]')]
    """

    def __init__(
        self, types: Mapping[str, type], backing: Backing | None = None, capacity: int | None = None
    ) -> None:
        self._decoders: dict[str, Any] = {
            kind: msgspec.json.Decoder(tuple[int | None, type_]).decode  # type: ignore[valid-type]  # built at run time
            for kind, type_ in types.items()
        }
        self._backing: Backing = {} if backing is None else backing
        self._capacity = capacity
        self._records: dict[str, Any] = {}
        self._deadlines: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._is_ordered = True
        self._dirty: dict[str, None] = {}
        self._in_flight: dict[str, None] = {}
        self.popped = 0

    def __len__(self) -> int:
        """Count the keys that have a deadline: the open ones."""
        return len(self._deadlines)

    @property
    def is_dirty(self) -> bool:
        """Whether anything changed since the last `drain`."""
        return bool(self._dirty)

    def get(self, key: str) -> Any:
        """Record of a key, or None."""
        if key in self._records:
            return self._records[key]
        row = self._backing.get(key.encode())
        if row is None:
            return None
        record = self._decoders[key[0]](row)[1]
        self._records[key] = record
        return record

    def put(self, key: str, record: Any, deadline_ms: int | None = None) -> None:
        """Keep a record, and be told when the watermark is greater than `deadline_ms` (None: never)."""
        self._records[key] = record
        self._dirty[key] = None
        if deadline_ms is None:
            self._deadlines.pop(key, None)
        elif self._deadlines.get(key) != deadline_ms:
            self._push(key, deadline_ms)

    def _push(self, key: str, deadline_ms: int) -> None:
        heap, deadlines = self._heap, self._deadlines
        deadlines[key] = deadline_ms
        heapq.heappush(heap, (deadline_ms, key))
        if len(heap) > LEAST_HEAP and len(heap) > STALE * len(deadlines):
            # In place: `pop_due` may be in the middle of it.
            heap[:] = [(deadline, key) for key, deadline in deadlines.items()]
            heapq.heapify(heap)

    def delete(self, key: str) -> None:
        """Forget a key and its deadline."""
        self._records[key] = None
        self._dirty[key] = None
        self._deadlines.pop(key, None)

    def take(self, key: str) -> Any:
        """Record of a key, or None; the key and its deadline are forgotten."""
        record = self.get(key)
        self.delete(key)
        return record

    def pop_due(self, watermark: int) -> Iterator[tuple[str, int]]:
        """Take (key, deadline) in order of deadline, then key, while deadline < watermark; also new ones."""
        heap, deadlines = self._heap, self._deadlines
        if not self._is_ordered:
            heapq.heapify(heap)
            self._is_ordered = True
        while heap and heap[0][0] < watermark:
            deadline, key = heapq.heappop(heap)
            if deadlines.get(key) == deadline:
                del deadlines[key]
                self._dirty[key] = None
                self.popped += 1
                yield key, deadline

    def pop_beside(self, prefix: str, deadline_ms: int, most: int) -> list[str]:
        """Take the keys that `pop_due` would take next, while they have this deadline and this prefix.

        For a stage that acts on them together. It takes no more than `most`: the rest comes from `pop_due`.

        Examples
        --------
        >>> state = KeyedState({"v": int})
        >>> for key in ("va1", "va2", "va3", "vb1"):
        ...     state.put(key, 1, deadline_ms=5)
        >>> due = state.pop_due(6)
        >>> next(due), state.pop_beside("va", 5, most=10), list(due)
        (('va1', 5), ['va2', 'va3'], [('vb1', 5)])
        """
        heap, deadlines = self._heap, self._deadlines
        keys: list[str] = []
        while len(keys) < most and heap and heap[0][0] == deadline_ms and heap[0][1].startswith(prefix):
            key = heapq.heappop(heap)[1]
            if deadlines.get(key) == deadline_ms:
                del deadlines[key]
                keys.append(key)
        self.popped += len(keys)
        self._dirty.update(dict.fromkeys(keys))
        return keys

    def touch(self, keys: Iterable[str]) -> None:
        """Mark keys as changed although they are not: their rows are written again at the next flush."""
        for key in keys:
            self.get(key)
            self._records.setdefault(key, None)
            self._dirty[key] = None

    def drain(self) -> list[tuple[bytes, bytes | None]]:
        """Rows that changed since the last call (None: deleted). They count as in flight until `settle`."""
        records, deadlines = self._records, self._deadlines
        rows: list[tuple[bytes, bytes | None]] = []
        for key in self._dirty:
            # A deadline may have been taken from a key whose record was never asked for.
            record = records[key] if key in records else self.get(key)
            row = None if record is None else _encode((deadlines.get(key), record))
            rows.append((key.encode(), row))
        self._in_flight, self._dirty = self._dirty, {}
        return rows

    def settle(self) -> None:
        """Say that what was drained is in the backing now; evict the oldest records beyond the capacity."""
        records, dirty = self._records, self._dirty
        for key in self._in_flight:
            if records.get(key, key) is None and key not in dirty:
                del records[key]
        self._in_flight = {}
        if self._capacity is not None and len(records) > self._capacity:
            surplus = len(records) - self._capacity * 3 // 4
            for key in list(islice(records, surplus)):
                if key not in dirty:
                    del records[key]

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Rebuild the deadlines from flushed rows, without keeping the records in memory."""
        names, texts = [], []
        for name, row in rows:
            # Up to the first comma stands the deadline; the record behind it need not be looked at.
            text = row[1 : row.index(b",")]
            if text != b"null":
                names.append(name)
                texts.append(text)
        # All at once, for a call a row costs more than what it does.
        restored = _decode_deadlines(b"[" + b",".join(texts) + b"]")
        keys = list(map(bytes.decode, names))
        self._deadlines.update(zip(keys, restored, strict=True))
        self._heap.extend(zip(restored, keys, strict=True))
        self._is_ordered = False
