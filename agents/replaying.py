"""Replay as a command: files in, one NDJSON file a topic out, and a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol

from agents import garbage
from agents.progress import Bars
from agents.secret import load_secret
from agents.settings import WorkerSettings
from schemas.topics import TOPICS
from streams.adapters import Adaptation
from streams.event_files import Format, find_files, read_events
from streams.flow import stages
from streams.replay import Replay
from streams.stages import Output
from streams.summaries import Summary

OUTPUTS = tuple(
    name
    for name, topic in TOPICS.items()
    if topic.partitions_of == "outputs" and name != "undelivered-notices"  # a replay tells nobody
)
"""Topics whose records a replay writes, each into a file of that name."""


class OutputError(Exception):
    """The results can't be written; one line that says what to do."""


class OutputFiles:
    """Files of results, one a topic, ``sessions.ndjson`` and so on, made anew and complete when closed.

    Raises
    ------
    OutputError
        The folder can't be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._files: dict[str, IO[bytes]] = {
                topic: self._stack.enter_context((folder / f"{topic}.ndjson").open("wb")) for topic in OUTPUTS
            }
        except OSError as error:
            self._stack.close()
            raise OutputError(f"{folder}: can't be written ({error.strerror}): name another folder") from None

    def __enter__(self) -> OutputFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, topic: str, value: bytes) -> None:
        """Add a line; topics that no file is for are passed over."""
        file = self._files.get(topic)
        if file is not None:
            file.write(value)
            file.write(b"\n")


def replay_files(
    paths: Sequence[Path],
    out: Path,
    settings: WorkerSettings,
    form: Format | Adaptation,
    bars: Bars,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Carry the stages over files.

    Parameters
    ----------
    paths, form
        See `find_files`.
    out
        Folder for the results.
    settings
        What decides results, and the secret of the pseudonyms.
    bars
        Shows how far it is.
    say
        Takes a line for people.

    Returns
    -------
    dict
        The summary, as plain JSON values.

    Raises
    ------
    EventFileError, OutputError, SettingsError
        With one line that says what to do.
    """
    files = find_files(paths, form)
    secret, line = load_secret(settings)
    if line is not None:
        say(line)
    summary = Summary(settings.streams)
    partitions = dict.fromkeys(TOPICS, 1)
    flow = stages(settings.streams, secret, partitions)
    began, cpu_began = time.monotonic(), time.process_time()
    with OutputFiles(out) as results:

        def write(output: Output, value: bytes) -> None:
            results.write(output.topic, value)
            summary.add(output)

        garbage.look_seldom()
        runner = Replay(flow, settings.streams, partitions, write)
        feed_files(files, form, settings.streams.site, bars, runner)
    cpu_s = time.process_time() - cpu_began
    figures = summary.figures(runner.counts())
    views = summary.page_views
    return {
        "events": runner.fed,
        **figures,
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(cpu_s, 2),
        "cpu_seconds_per_100k_page_views": round(cpu_s / views * 100_000, 2) if views else None,
        "out": str(out),
    }


class Fed(Protocol):
    """What takes input records in, and lets time run on at the end."""

    def feed(self, topic: str, value: bytes | None, occurred_at: int | None = None) -> None:
        """Take one input record in."""

    def finish(self) -> None:
        """Let time run on until everything is closed."""


def feed_files(files: Sequence[Path], form: Format | Adaptation, site: str, bars: Bars, runner: Fed) -> None:
    """Hand the records of files to a replay, to the end, and show how far it is.

    Parameters
    ----------
    files, form, site
        See `read_events`.
    bars
        Shows it.
    runner
        Takes the records.

    Raises
    ------
    EventFileError
        A file can't be read.
    """
    reading = bars.start("Reading", sum(file.stat().st_size for file in files), "bytes")
    replaying = None if form == "topic-log" else bars.start("Replaying", None, "events")
    events = read_events(
        files, form, site, reading.advance, None if replaying is None else replaying.set_total
    )
    feed, fed = runner.feed, 0
    for topic, value, occurred_at in events:
        feed(topic, value, occurred_at)
        fed += 1
        if replaying is not None and not fed % 500:
            replaying.reach(fed)
    runner.finish()
    if replaying is not None:
        replaying.reach(fed)
