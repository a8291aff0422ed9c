"""Statements: the records of a changelog, and which of them counts of each key.

The rule stands in `agents.stores`: of each key the statement with the greatest `top` that is not beyond the newest
fence; of several with that top, the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

CHUNK = 20_000
"""Rows written at once while recovering; bounds memory."""
RANK_BITS = 64
"""A rank is the top of a statement and, behind it, its changelog offset: one number, for there is one a key."""
OFFSET_MASK = (1 << RANK_BITS) - 1
"""The part of a rank that is the offset."""


class Statement(NamedTuple):
    """A changelog record: at `offset`, after applying the log up to `top`, `key` has `row` (None: none).

    `format` is that of the row; a fence holds its own.
    """

    offset: int
    key: bytes
    row: bytes | None
    top: int
    format: int = 1


class Fetched(Protocol):
    """What a changelog record must tell; the client library's has these names."""

    offset: int
    key: Any
    value: Any
    headers: Any


class Standing:
    """Which statement of each key counts, of those that were read so far.

    Parameters
    ----------
    base
        Offset of the log up to which the local copy has all; -1: it is empty.
    get
        Row of a key in the local copy, or None.

    Attributes
    ----------
    newest
        Offset of the newest fence known.
    beyond
        Statements beyond it, in the order of the changelog.
    fresh
        Rows that count, and are not yet in the local copy.
    counting
        Key to the rank of what counts.
    behind, outdated
        Key to the changelog offset of its last record, if that is not what counts; if it is of an earlier format.

    Examples
    --------
    >>> standing = Standing(-1, {}.get)
    >>> standing.newest = 8
    >>> for statement in Statement(0, b"va", b"new", 7), Statement(1, b"va", b"late", 5):
    ...     standing.weigh(statement)
    >>> standing.fresh, standing.behind
    ({b'va': b'new'}, {b'va': 1})
    """

    def __init__(self, base: int, get: Callable[[bytes], bytes | None]) -> None:
        self.base = self.newest = base
        self.beyond: list[Statement] = []
        self.fresh: dict[bytes, bytes | None] = {}
        self.counting: dict[bytes, int] = {}
        self.behind: dict[bytes, int] = {}
        self.outdated: dict[bytes, int] = {}
        self._get = get
        self._settle_at = CHUNK

    @property
    def is_full(self) -> bool:
        """Whether it is time to `settle`, lest memory grow."""
        return len(self.fresh) >= CHUNK or len(self.beyond) >= self._settle_at

    def weigh(self, statement: Statement) -> None:
        """Take in the next statement of the changelog."""
        offset, key, row, top, _ = statement
        if top > self.newest:
            self.behind[key] = offset
            self.beyond.append(statement)
        elif top > self.base:
            self._rank(statement)
        else:
            # The local copy has it, or something newer.
            counting = self.counting.get(key)
            if (counting is None or counting >> RANK_BITS <= self.base) and row == self._get(key):
                self.counting[key] = (top << RANK_BITS) + offset
                self.behind.pop(key, None)
            else:
                self.behind[key] = offset

    def settle(self) -> None:
        """Look again at those that were beyond a fence that is no longer the newest."""
        reach, waited = self.newest, self.beyond
        self.beyond = [statement for statement in waited if statement.top > reach]
        if len(self.beyond) < len(waited):
            for statement in waited:
                if statement.top <= reach:
                    self._rank(statement)
        self._settle_at = len(self.beyond) + CHUNK

    def _rank(self, statement: Statement) -> None:
        """Let a statement count, if none of its key with a greater rank does."""
        offset, key, row, top, _ = statement
        rank, counting = (top << RANK_BITS) + offset, self.counting.get(key)
        # It may have waited while later ones of its key came.
        last = max(offset, self.behind.get(key, -1))
        if counting is not None:
            last = max(last, counting & OFFSET_MASK)
        if counting is None or counting < rank:
            self.counting[key] = counting = rank
            self.fresh[key] = row
        if counting & OFFSET_MASK == last:
            self.behind.pop(key, None)
        else:
            self.behind[key] = last
