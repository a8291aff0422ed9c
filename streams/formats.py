"""State formats: the layout of a stage's rows has a number, and rows of an earlier layout are brought up to date.

Whoever changes what the records of a state look like (a field added, moved or given another meaning) raises the
number of the stage's format, and says how a row of the number before becomes one of the new. A worker then reads
old rows from the changelog, and writes them again in the new layout when it takes the partition over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

Upgrade: TypeAlias = Callable[[str, int | None, Any], tuple[int | None, Any] | None]
"""State key, deadline (ms) and record, as plain JSON values, of one format; the deadline and record of the next,
or None where nothing is to be kept. A pure function of them: it is done again after a crash, and on each worker."""

_decode = msgspec.json.Decoder(tuple[int | None, Any]).decode
_encode = msgspec.json.encode


def unchanged(_: str, deadline_ms: int | None, record: Any) -> tuple[int | None, Any]:
    """Upgrade to a format in which another part of the state is laid out anew, or only means something else.

    >>> unchanged("vann", 500, ["as it is"])
    (500, ['as it is'])
    """
    return deadline_ms, record


class FormatError(ValueError):
    """Rows of a format that can't be read; the message says what to do."""


@dataclass(frozen=True)
class StateFormat:
    """Layout of a stage's state.

    Parameters
    ----------
    number
        Of the present layout, from 1. Never goes down, and is never given to another layout.
    upgrades
        Number of a format to how its rows become rows of the next one. An upgrade may go when no changelog holds
        rows of its format any more; a worker that finds some refuses to start.

    Examples
    --------
    >>> form = StateFormat(2, {1: lambda key, deadline_ms, record: (deadline_ms, [*record, "new"])})
    >>> form.upgrade(b"vann", b'[500,["old"]]', 1), form.upgrade(b"vann", b'[500,["as it is"]]', 2)
    (b'[500,["old","new"]]', b'[500,["as it is"]]')
    """

    number: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)

    def check(self, found: int) -> None:
        """Refuse a format that can't be read.

        Raises
        ------
        FormatError
            It is newer than ours, or too old.
        """
        if found > self.number:
            raise FormatError(
                f"the state has format {found}, and this version reads up to {self.number}: run the newer version "
                "that wrote it, or start anew under another app_id and topic_prefix"
            )
        if any(number not in self.upgrades for number in range(found, self.number)):
            raise FormatError(
                f"the state has format {found}, which is too old for this version (it writes {self.number}): run a "
                "version between them first, or start anew under another app_id and topic_prefix"
            )

    def upgrade(self, key: bytes, row: bytes, found: int) -> bytes | None:
        """Row in the present layout; None where nothing is to be kept of it.

        Raises
        ------
        FormatError
            See `check`; or the row is not laid out as its format says.
        """
        if found == self.number:
            return row
        self.check(found)
        try:
            deadline_ms, record = _decode(row)
            for number in range(found, self.number):
                result = self.upgrades[number](key.decode(), deadline_ms, record)
                if result is None:
                    return None
                deadline_ms, record = result
        except (ValueError, TypeError, LookupError) as error:
            raise FormatError(
                f"a row of format {found} can't be brought to {self.number} ({error!r}): run the version that "
                "wrote it"
            ) from error
        return _encode((deadline_ms, record))
