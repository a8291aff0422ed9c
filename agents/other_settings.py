"""Other settings: what a second file would change, for a replay that is compared with the first.

What the file names counts, even where the environment says otherwise: it is the question. All else is as in the
first settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.durations import format_duration
from agents.settings import SettingsError, WorkerSettings, read_file
from streams.settings import Settings
from streams.what_if import NEVER_DIFFERENT, WITHOUT_EFFECT, comparable


class OtherSettings(NamedTuple):
    """Settings of the second replay.

    Attributes
    ----------
    streams
        What decides its results.
    differing
        [``setting``, ``before``, ``after``] as people write them, in the order of the settings.
    idle
        Names in the file that change nothing that is compared.
    lines
        What to tell about those.
    """

    streams: Settings
    differing: list[dict[str, Any]]
    idle: list[str]
    lines: list[str]


def other_settings(first: WorkerSettings, file: Path) -> OtherSettings:
    """Lay a file over the first settings.

    Parameters
    ----------
    first
        Of the first replay.
    file
        A TOML file as those of settings; of its tables ``[streams]`` counts, and ``[worker]`` is read and checked.

    Raises
    ------
    SettingsError
        The file can't be used, or names another value for what has to be the same.
    """
    worker, streams = read_file(file)
    before = first.streams
    for name, reason in NEVER_DIFFERENT.items():
        if streams.get(name, getattr(before, name)) != getattr(before, name):
            raise SettingsError(
                f"{file}: [streams] {_name(name)}: has to be as in the first settings, since {reason}: "
                "leave it out, or set it there as well"
            )
    after = comparable(before, msgspec.structs.replace(before, **streams))
    lines = []
    if worker:
        verb = "decides" if len(worker) == 1 else "decide"
        lines.append(f"{file}: [worker] {', '.join(map(_name, worker))}: {verb} nothing in a replay.")
    idle = [name for name in streams if name in WITHOUT_EFFECT]
    lines.extend(
        f"{file}: [streams] {_name(name)}: decides nothing here: {WITHOUT_EFFECT[name]}." for name in idle
    )
    differing = [
        {"setting": _name(name), "before": _written(name, one), "after": _written(name, other)}
        for name in Settings.__struct_fields__
        if (one := getattr(before, name)) != (other := getattr(after, name))
    ]
    return OtherSettings(after, differing, [_name(name) for name in (*worker, *idle)], lines)


def _name(field: str) -> str:
    return field.removesuffix("_ms")


def _written(field: str, value: object) -> Any:
    """Value as people write it, in plain JSON."""
    if field.endswith("_ms") and isinstance(value, int):
        return format_duration(value)
    return msgspec.to_builtins(value)
