"""Event files: NDJSON named after topics, topic logs and foreign logs, read as one sequence of input records.

Events of several files are merged by their own time. Of equal times, topic and content decide, so that the
order is a function of the set of lines: a shuffled copy, cut into other files, reads the same. Lines whose
time can't be read come last, where the latest time of all is known. The merge sorts runs of bounded size in
temporary files, so memory does not grow with the input. A topic log is an arrival order already and is left
as it is.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast, get_args

import msgspec

from schemas.timestamps import parse_time
from schemas.topics import TOPICS
from streams.access_logs import AccessLog
from streams.adapters import Adaptation
from streams.format_detection import LOOKED_AT, detect_format
from streams.otto_logs import OttoLog
from streams.sorted_runs import MAX_RUN_BYTES, sort_events

INPUTS = tuple(name for name, topic in TOPICS.items() if topic.partitions_of == "inputs")
"""Topics of what comes in, in the order in which events of one instant are taken in."""

Format = Literal["ndjson", "topic-log", "access-log", "otto"]
FORMATS: tuple[Format, ...] = get_args(Format)
OnBytes = Callable[[int], None]
"""Told now and then how many bytes more of the files have been read, as they lie on the disk."""

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A longer line comes in pieces, each of which is refused: it can't fill the memory."""
UNKNOWN = "unknown"
"""Topic of a line of a topic log that names none."""
REJECTED = "rejected-events"
"""Topic of a line that its format's adapter can't read: a finished record, not an input."""
_SUFFIXES = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")


class EventFileError(Exception):
    """A file can't be read as events; the message is one line that names it and says what to do."""


class FileEvent(NamedTuple):
    """One input record of a file; `occurred_at` is its event time (ms), or None where it has none."""

    topic: str
    value: bytes | None
    occurred_at: int | None


class _Timed(msgspec.Struct):
    occurred_at: int | datetime | float | None = None


class _Logged(msgspec.Struct):
    topic: str = UNKNOWN
    value: msgspec.Raw = msgspec.Raw()
    base64: str | None = None


_SORTED = (*INPUTS, REJECTED)
_RANKS = {topic: rank for rank, topic in enumerate(_SORTED)}
_timed = msgspec.json.Decoder(_Timed).decode
_logged = msgspec.json.Decoder(_Logged).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def occurred_at(value: bytes) -> int | None:
    """Event time (ms) of an input record, or None if it tells none that can be read.

    Examples
    --------
    >>> occurred_at(b'{"occurred_at": "1970-01-01T00:00:01Z"}'), occurred_at(b"not json")
    (1000, None)
    """
    try:
        return parse_time(_timed(value).occurred_at)
    except (ValueError, RecursionError):
        return None


def find_files(paths: Iterable[Path], form: Format | Adaptation = "ndjson") -> list[Path]:
    """Files behind `paths`, in order; of a folder those whose name tells that they are meant.

    Parameters
    ----------
    paths
        Files, and folders (which are not searched deeper).
    form
        A format, or an adapter for one. For NDJSON a file's name, up to the first dot, must be an input topic;
        in a folder, others are left out.

    Raises
    ------
    EventFileError
        A path does not exist, a file is not named after a topic, or there is nothing to read.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (file for file in sorted(path.iterdir()) if file.is_file())
            found = [file for file in inside if form != "ndjson" or _topic_of(file) is not None]
            if not found:
                raise EventFileError(f"{path}: holds no {_expected(form)}")
            files += found
        elif not path.exists():
            raise EventFileError(f"{path}: there is no such file or folder")
        elif form == "ndjson" and _topic_of(path) is None:
            raise EventFileError(
                f"{path}: is not named after an input topic ({', '.join(INPUTS)}): "
                "rename it, or choose a --format"
            )
        else:
            files.append(path)
    if not files:
        raise EventFileError("no files to read: name some")
    return files


def detect_files(paths: Iterable[Path]) -> str:
    """Tell the format of files by the first lines of the first: ``ndjson`` where their names say so.

    Raises
    ------
    EventFileError
        A path does not exist or can't be read.
    """
    for path in paths:
        if path.is_dir():
            inside = [file for file in sorted(path.iterdir()) if file.is_file()]
            if any(_topic_of(file) for file in inside):
                return "ndjson"
        else:
            inside = [path] if path.exists() and _topic_of(path) is None else []
        for file in inside:
            with closing(_lines(file, None)) as lines:
                found = detect_format([line for line in islice(lines, 2 * LOOKED_AT) if line])
            if found is not None:
                return found
    return "ndjson"


def read_lines(file: Path, on_bytes: OnBytes | None = None) -> Generator[bytes, None, None]:
    """Lines of a file without their ends, in UTF-8 where it begins with the byte order mark of UTF-16.

    ``.gz`` is unpacked, and a line of many megabytes comes in pieces.

    Raises
    ------
    EventFileError
        It can't be read, or is packed and damaged.
    """
    return _lines(file, on_bytes)


def read_events(
    files: Sequence[Path],
    form: Format | Adaptation = "ndjson",
    site: str = "default",
    on_bytes: OnBytes | None = None,
    on_total: Callable[[int], None] | None = None,
    run_bytes: int = MAX_RUN_BYTES,
) -> Iterator[FileEvent]:
    """Input records of files, in the order in which they are to be taken in.

    Parameters
    ----------
    files
        As `find_files` gives them; ``.gz`` is unpacked.
    form
        Topic logs keep their order; all else is sorted by (time, topic, content), lines without a time last.
    site
        Host of the site that an access log is of.
    on_bytes
        For a progress bar of the reading.
    on_total
        Told the number of events when all is read and sorted, before the first one comes; not for topic logs,
        which are not read ahead.
    run_bytes
        So much content is sorted in memory at a time.

    Raises
    ------
    EventFileError
        A file can't be read, or is packed and damaged.
    """
    if form == "topic-log":
        for file in files:
            yield from (_read_logged(line) for line in _lines(file, on_bytes) if line)
        return
    total = 0

    def keyed() -> Iterator[tuple[int | None, int, bytes]]:
        nonlocal total
        for topic, value, time_ms in _read(files, form, site, on_bytes):
            total += 1
            yield time_ms, _RANKS[topic], value

    for number, (time_ms, rank, value) in enumerate(sort_events(keyed(), run_bytes)):
        if number == 0 and on_total is not None:
            on_total(total)
        yield FileEvent(_SORTED[rank], value, time_ms)


def _read(
    files: Sequence[Path], form: Format | Adaptation, site: str, on_bytes: OnBytes | None
) -> Iterator[tuple[str, bytes, int | None]]:
    if isinstance(form, Adaptation):
        return chain.from_iterable(form.of_file(_lines(file, on_bytes)) for file in files)
    if form == "access-log":
        return _read_foreign(AccessLog(site), files, on_bytes)
    if form == "otto":
        return _read_foreign(OttoLog(), files, on_bytes)
    return _read_ndjson(files, on_bytes)


def _read_ndjson(files: Sequence[Path], on_bytes: OnBytes | None) -> Iterator[tuple[str, bytes, int | None]]:
    for file in files:
        topic = cast(str, _topic_of(file))
        for line in _lines(file, on_bytes):
            if line:
                yield topic, line, occurred_at(line)


def _read_foreign(
    log: AccessLog | OttoLog, files: Sequence[Path], on_bytes: OnBytes | None
) -> Iterator[tuple[str, bytes, int | None]]:
    for file in files:
        lines = (line.decode("utf-8", "replace") for line in _lines(file, on_bytes))
        for topic, event in log.read(lines):
            value = _encode(event)
            yield topic, value, occurred_at(value)


def _read_logged(line: bytes) -> FileEvent:
    try:
        logged = _logged(line)
        if logged.base64 is not None:
            value: bytes | None = base64.b64decode(logged.base64, validate=True)
        else:
            raw = bytes(logged.value)
            value = None if raw == b"null" else raw
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, binascii.Error):
        return FileEvent(UNKNOWN, line, None)
    return FileEvent(logged.topic, value, occurred_at(value or b""))


def _topic_of(file: Path) -> str | None:
    topic, dot, suffix = file.name.partition(".")
    return topic if topic in INPUTS and dot + suffix in _SUFFIXES else None


def _expected(form: Format | Adaptation) -> str:
    return (
        "file that is named after an input topic, such as page-views.ndjson" if form == "ndjson" else "file"
    )


def _as_utf8(plain: io.BufferedReader | gzip.GzipFile, stack: ExitStack) -> Callable[[int], bytes]:
    """Read lines; those of a file in UTF-16, as spreadsheet programs save "Unicode text", as UTF-8."""
    start = plain.peek(64)[:64]
    # The mark alone may also begin a line of rubbish, which is refused as it came.
    if not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" not in start:
        return plain.readline
    text = io.TextIOWrapper(cast(IO[bytes], plain), encoding="utf-16", errors="replace", newline="\n")
    stack.callback(text.detach)  # else it would close the file as soon as nobody reads from it
    return lambda size: text.readline(size).encode()


def _lines(file: Path, on_bytes: OnBytes | None) -> Generator[bytes, None, None]:
    """Lines without their ends, blank ones too: they count."""
    try:
        with ExitStack() as stack:
            packed = stack.enter_context(file.open("rb"))
            plain = stack.enter_context(gzip.GzipFile(fileobj=packed)) if file.suffix == ".gz" else packed
            told = 0
            for number, line in enumerate(iter(partial(_as_utf8(plain, stack), MAX_LINE_BYTES), b"")):
                if on_bytes is not None and not number % 2000:
                    on_bytes(packed.tell() - told)
                    told = packed.tell()
                yield line.rstrip(b"\r\n")
            if on_bytes is not None:
                on_bytes(packed.tell() - told)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise EventFileError(f"{file}: is damaged or not packed by gzip: pack it anew") from None
    except OSError as error:
        raise EventFileError(f"{file}: can't be read ({error.strerror})") from None
