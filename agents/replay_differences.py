"""Replay under two settings as a command: files in, what would differ out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec

from agents import garbage
from agents.other_settings import other_settings
from agents.progress import Bars
from agents.replaying import OutputError, feed_files
from agents.secret import load_secret
from agents.settings import WorkerSettings
from streams.adapters import Adaptation
from streams.alert_differences import AlertDifference
from streams.differences import Difference, Differences
from streams.event_files import Format, find_files
from streams.session_differences import SessionDifference
from streams.settled_sessions import settle_ms
from streams.what_if import WhatIf

FILES: dict[type, str] = {
    SessionDifference: "session-differences.ndjson",
    AlertDifference: "alert-differences.ndjson",
}
"""Type of a difference to the file that it goes to, one a line."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class DifferenceFiles:
    """Files of differences, made anew and complete when closed; none without a folder.

    Raises
    ------
    OutputError
        The folder can't be made or written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._stack = ExitStack()
        self._files: dict[type, IO[bytes]] = {}
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for kind, name in FILES.items():
                self._files[kind] = self._stack.enter_context((folder / name).open("wb"))
        except OSError as error:
            self._stack.close()
            raise OutputError(f"{folder}: can't be written ({error.strerror}): name another folder") from None

    def __enter__(self) -> DifferenceFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, difference: Difference) -> None:
        """Add a line."""
        file = self._files.get(difference.__class__)
        if file is not None:
            file.write(_encode(difference))
            file.write(b"\n")


def compare_files(
    paths: Sequence[Path],
    other: Path,
    out: Path | None,
    settings: WorkerSettings,
    form: Format | Adaptation,
    bars: Bars,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Carry the stages over files under two settings, and compare.

    Parameters
    ----------
    paths, form
        See `find_files`.
    other
        File of the second settings, laid over the first.
    out
        Folder for the differences; None: they are only counted.
    settings
        The first, and the secret of the pseudonyms of both.
    bars
        Shows how far it is.
    say
        Takes a line for people.

    Returns
    -------
    dict
        As plain JSON values: ``replayed`` (false where no setting differs: then nothing is compared, and all counts
        are 0), ``settings`` [``setting``, ``before``, ``after``], ``idle`` [names in the file that change nothing
        here], ``events``, what `streams.differences.Differences.figures` says, ``seconds``, ``cpu_seconds``,
        ``out``.

    Raises
    ------
    EventFileError, OutputError, SettingsError
        With one line that says what to do.
    """
    second = other_settings(settings, other)
    files = find_files(paths, form)
    for line in second.lines:
        say(line)
    began, cpu_began = time.monotonic(), time.process_time()
    fed = 0
    with DifferenceFiles(out) as files_of_differences:
        differences = Differences(settle_ms(settings.streams, second.streams), files_of_differences.write)
        if second.differing:
            secret, made = load_secret(settings)
            if made is not None:
                say(made)
            garbage.look_seldom()
            what_if = WhatIf(settings.streams, second.streams, secret, differences)
            feed_files(files, form, settings.streams.site, bars, what_if)
            fed = what_if.fed
    return {
        "replayed": bool(second.differing),
        "settings": second.differing,
        "idle": second.idle,
        "events": fed,
        **differences.figures(),
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - cpu_began, 2),
        "out": None if out is None else str(out),
    }
