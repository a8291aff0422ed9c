"""Keyed state that lives in memory alone: nothing is flushed, so nothing has to be kept for a flush."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from streams.states import KeyedState


class MemoryState(KeyedState):
    """A `KeyedState` without a backing that does not remember what has changed, for a replay.

    Examples
    --------
    >>> state = MemoryState({"v": int})
    >>> state.put("va", 1, deadline_ms=5)
    >>> state.is_dirty, list(state.pop_due(6))
    (False, [('va', 5)])
    >>> state.delete("va")
    >>> state.get("va") is None, state.records
    (True, 0)
    """

    @property
    def records(self) -> int:
        """How many records it holds."""
        return len(self._records)

    def get(self, key: str) -> Any:
        """Record of a key, or None."""
        return self._records.get(key)

    def put(self, key: str, record: Any, deadline_ms: int | None = None) -> None:
        """Keep a record, and be told when the watermark is greater than `deadline_ms` (None: never)."""
        self._records[key] = record
        if deadline_ms is None:
            self._deadlines.pop(key, None)
        elif self._deadlines.get(key) != deadline_ms:
            self._push(key, deadline_ms)

    def delete(self, key: str) -> None:
        """Forget a key and its deadline."""
        self._records.pop(key, None)
        self._deadlines.pop(key, None)

    def take(self, key: str) -> Any:
        """Record of a key, or None; the key and its deadline are forgotten."""
        self._deadlines.pop(key, None)
        return self._records.pop(key, None)

    def pop_due(self, watermark: int) -> Iterator[tuple[str, int]]:
        """Take (key, deadline) in order of deadline, then key, while deadline < watermark; also new ones."""
        heap, deadlines = self._heap, self._deadlines
        while heap and heap[0][0] < watermark:
            deadline, key = heapq.heappop(heap)
            if deadlines.get(key) == deadline:
                del deadlines[key]
                self.popped += 1
                yield key, deadline

    def pop_beside(self, prefix: str, deadline_ms: int, most: int) -> list[str]:
        """Take the keys that `pop_due` would take next, while they have this deadline and this prefix."""
        keys = super().pop_beside(prefix, deadline_ms, most)
        self._dirty.clear()
        return keys
