"""Mapping as a command: a map proposed for a CSV file, and what would come of the file by it."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from agents.replaying import OutputError
from streams.adapters import Adaptation
from streams.csv_maps import MapError
from streams.csv_proposals import SAMPLE_ROWS, propose_map, show_map
from streams.csv_rows import CsvRows
from streams.event_files import EventFileError, read_lines

SHOWN = 3
"""Of each topic so many records are shown."""
SHOWN_REJECTS = 5
"""So many rejects are shown, with their lines' numbers."""


def map_file(path: Path, existing: Path | None, rows: int) -> tuple[str, dict[str, Any]]:
    """Propose a map for a file, or take one, and try it.

    Parameters
    ----------
    path
        The file.
    existing
        A map to try instead of a proposal.
    rows
        So many lines are tried.

    Returns
    -------
    tuple
        The map's TOML, and a report as plain JSON values.

    Raises
    ------
    EventFileError
        The file can't be read, or nothing can be proposed.
    """
    if not path.is_file():
        raise EventFileError(f"{path}: there is no such file")
    if existing is None:
        with closing(read_lines(path)) as lines:
            sample = list(islice(lines, SAMPLE_ROWS))
        try:
            proposal = propose_map(sample)
        except MapError as error:
            raise MapError(f"{path}: {error}") from None
        toml = show_map(
            proposal, [f"Proposed by culdesac map for {path.name}; read it, and check what says so."]
        )
        adapter, checks = CsvRows(proposal.map), proposal.checks
    else:
        from agents.foreign_files import load_map

        toml, adapter, checks = existing.read_text(encoding="utf-8"), load_map(existing), {}
    adaptation = Adaptation(adapter)
    samples: dict[str, list[Any]] = {}
    rejects: list[str] = []
    with closing(read_lines(path)) as lines:
        for topic, value, _ in adaptation.of_file(islice(lines, rows)):
            if topic == "rejected-events":
                if len(rejects) < SHOWN_REJECTS:
                    rejects.append(f"{json.loads(value)['reason']}: {json.loads(value)['detail']}")
            elif len(samples.setdefault(topic, [])) < SHOWN:
                samples[topic].append(json.loads(value))
        whole = next(lines, None) is None
    report = adaptation.report() | {
        "whole_file": whole,
        "samples": samples,
        "first_rejects": rejects,
        "unknown_columns": adapter.unknown_columns,
        "unused_columns": [name for name in adapter.map.columns if name not in adapter.map.used()],
        "check": checks,
    }
    return toml, report


def write_map(toml: str, out: Path, force: bool) -> None:
    """Write a map to a file.

    Raises
    ------
    OutputError
        The file is there already, or can't be written.
    """
    if out.exists() and not force:
        raise OutputError(f"{out}: is there already: name another, or --force to write it anew")
    try:
        out.write_text(toml, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: can't be written ({error.strerror}): name another") from None


def show_report(report: dict[str, Any]) -> str:
    """Give a report's lines for people."""
    out = [
        f"{report['records']:,} records tried{'' if report['whole_file'] else ' (the first of the file)'}."
    ]
    for topic, number in report["written"].items():
        out.append(f"  {number:,} {topic}, such as")
        out += [
            f"    {json.dumps(sample, ensure_ascii=False)}" for sample in report["samples"].get(topic, [])
        ]
    out += [f"  {number:,} passed over: {reason}" for reason, number in report["skipped"].items()]
    out += [f"  {number:,} rejected: {reason}" for reason, number in report["rejected"].items()]
    out += [f"    {line}" for line in report["first_rejects"]]
    if report["unused_columns"]:
        out.append(f"Columns not used: {', '.join(report['unused_columns'])}.")
    if report["unknown_columns"]:
        out.append(f"Columns that the map does not know: {', '.join(report['unknown_columns'])}.")
    out += [f"Check {name}: {what}." for name, what in report["check"].items()]
    out += [f"Not in it: {sentence}." for sentence in report["cannot_know"]]
    return "\n".join(out)
