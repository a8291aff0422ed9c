"""Adapters: raw records of other people's formats, each read into records of our input topics or refused.

An adapter is a value with a name. It reads one raw record (a line, a row, a visit) at a time and keeps nothing
between them but counts, so that the same adapter serves files and a Kafka topic, and reading a record again
gives the same events under the same ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from schemas.decoding import RejectedError, decode_input
from schemas.rejected_events import Reason
from streams.malformed_lines import refused_record

MAX_RAW_BYTES = 4 * 1024 * 1024
"""A raw record that is as long, or longer, is ``too_large``: it is not looked at."""
MAX_COPIES_REMEMBERED = 200_000
"""Distinct records remembered to number identical ones, where a format has no ids of its own."""

Adapted = list[tuple[str, dict[str, Any]]]
"""Input topics and records that a raw record became."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class RawError(ValueError):
    """A raw record can't be read.

    Attributes
    ----------
    reason
        One of the typed reasons of ``rejected-events``.
    detail
        What was wrong, never the value, which may be personal.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class Raw(NamedTuple):
    """One raw record of a file; `number` is its first line's, from 0."""

    number: int
    value: bytes


class Adapter:
    """What every format's adapter has; each gives `read`.

    Attributes
    ----------
    name
        As ``--format`` takes it.
    cannot_know
        Sentences on what the format does not tell, for whoever reads the results.
    has_ids
        Whether records carry ids; where they don't, `read` needs the mark.
    skipped
        Well-formed records that say nothing we use, by reason.
    """

    name = ""
    cannot_know: tuple[str, ...] = ()
    has_ids = True

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()

    def split(self, lines: Iterable[bytes]) -> Iterator[Raw | tuple[Raw, RawError]]:
        """Cut one file's lines into raw records; by default each line that is not blank is one.

        Yields
        ------
        Raw or tuple
            A record; or what is none, and why.
        """
        for number, line in enumerate(lines):
            if line.strip():
                yield Raw(number, line)

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one raw record.

        Parameters
        ----------
        raw
            Its bytes.
        mark
            Tells identical records apart where the format has no ids: their number, or their place.

        Raises
        ------
        RawError
            It can't be read.
        """
        raise NotImplementedError


class Adaptation:
    r"""Runs an adapter over records, checks what comes out as the door does, and counts.

    Attributes
    ----------
    records
        Raw records read.
    written
        Events that came of them, by topic.
    rejected
        Raw records of which something was refused, by reason.

    Examples
    --------
    >>> class Urls(Adapter):
    ...     name, has_ids = "urls", False
    ...     def read(self, raw, mark):
    ...         url = raw.decode()
    ...         return [("page-views", {"event_id": mark, "visitor_id": "v", "occurred_at": 5, "url": url})]
    >>> adaptation = Adaptation(Urls())
    >>> [topic for topic, _, _ in adaptation.of_file([b"https://shop.example/", b"", b"/\x07"])]
    ['page-views', 'rejected-events']
    >>> dict(adaptation.rejected)
    {'schema_violation': 1}
    """

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.records = 0
        self.written: Counter[str] = Counter()
        self.rejected: Counter[Reason] = Counter()
        self._files = 0
        self._copies: dict[bytes, int] = {}

    def of_file(self, lines: Iterable[bytes]) -> Iterator[tuple[str, bytes, int | None]]:
        """Read the lines of one more file.

        Yields
        ------
        tuple
            Topic, record and event time (ms); what is refused is a ``rejected-events`` record without a time.
        """
        number, self._files = self._files, self._files + 1
        name = self.adapter.name
        for item in self.adapter.split(lines):
            if isinstance(item, Raw):
                mark = "" if self.adapter.has_ids else self._copy(item.value)
                yield from self._read(
                    item.value, mark, name, number, item.number, f"line {item.number + 1}: "
                )
            else:
                raw, error = item
                self.records += 1
                detail = f"line {raw.number + 1}: {error.detail}"
                yield self._refuse(raw.value, error.reason, detail, name, number, raw.number)

    def of_record(
        self, value: bytes | None, topic: str, partition: int, offset: int
    ) -> list[tuple[str, bytes, int | None]]:
        """Read one record of a Kafka topic; its place is its mark, so that a second reading gives the same ids."""
        if value is None or not value.strip():
            self.adapter.skipped["empty"] += 1
            return []
        mark = f"{topic}-{partition}-{offset}"
        return list(self._read(value, mark, topic, partition, offset, ""))

    def report(self) -> dict[str, Any]:
        """Give counts, and what the format can't know, as plain JSON values."""
        return {
            "format": self.adapter.name,
            "records": self.records,
            "written": dict(self.written),
            "skipped": dict(self.adapter.skipped),
            "rejected": dict(self.rejected),
            "cannot_know": list(self.adapter.cannot_know),
        }

    def _read(
        self, raw: bytes, mark: str, topic: str, partition: int, offset: int, where: str
    ) -> Iterator[tuple[str, bytes, int | None]]:
        self.records += 1
        problem: RawError | RejectedError | None = None
        try:
            if len(raw) >= MAX_RAW_BYTES:
                raise RawError("too_large", f"{len(raw)} bytes or more, less than {MAX_RAW_BYTES} are read")
            for target, record in self.adapter.read(raw, mark):
                try:
                    value = _encode(record)
                    time_ms = decode_input(target, value).occurred_at
                except RejectedError as error:
                    # The others of the same record are good; one line says that one of them was not.
                    problem = problem or error
                else:
                    self.written[target] += 1
                    yield target, value, time_ms
        except RawError as error:
            problem = error
        except RecursionError:
            problem = RawError("not_json", "nested too deep")
        except (UnicodeError, OverflowError):
            problem = RawError("not_json", "half a character, or a number that is too long")
        if problem is not None:
            yield self._refuse(raw, problem.reason, where + problem.detail, topic, partition, offset)

    def _refuse(
        self, raw: bytes, reason: Reason, detail: str, topic: str, partition: int, offset: int
    ) -> tuple[str, bytes, None]:
        self.rejected[reason] += 1
        target, record = refused_record(topic, partition, offset, raw, reason, detail)
        return target, _encode(record), None

    def _copy(self, raw: bytes) -> str:
        """Count identical records: two hits in one second are two, in every reading."""
        digest = blake2b(raw, digest_size=12).digest()
        count = self._copies.pop(digest, 0)
        self._copies[digest] = count + 1
        if len(self._copies) > MAX_COPIES_REMEMBERED:
            del self._copies[next(iter(self._copies))]
        return str(count)
