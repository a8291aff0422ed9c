"""Formats of files: which one is meant, found where it is not said, and the adapter that reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

from streams.access_log_lines import AccessLogLines
from streams.adapters import Adaptation, Adapter
from streams.csv_maps import MapError, read_map
from streams.csv_rows import CsvRows
from streams.event_files import Format, detect_files
from streams.ga4_exports import Ga4Export
from streams.matomo_visits import MatomoVisits
from streams.segment_archives import SegmentArchive
from streams.snowplow_events import SnowplowEvents

RawFormat = Literal["access-log", "ga4", "snowplow", "segment", "matomo", "csv"]
"""Formats whose records a Kafka topic can hold, one a record."""
MADE_WITHOUT_SETTINGS: dict[str, Callable[[], Adapter]] = {
    "ga4": Ga4Export,
    "snowplow": SnowplowEvents,
    "segment": SegmentArchive,
    "matomo": MatomoVisits,
}


def load_map(path: Path) -> CsvRows:
    """Adapter for CSV by the map in a file.

    Raises
    ------
    MapError
        The file can't be read, or is no map.
    """
    try:
        return CsvRows(read_map(path.read_bytes()))
    except OSError as error:
        raise MapError(f"{path}: can't be read ({error.strerror})") from None
    except MapError as error:
        raise MapError(f"{path}: {error}") from None


def adapter_of(name: str, map_file: Path | None, site: str, secret: str = "") -> Adapter:
    """Adapter of a format.

    Parameters
    ----------
    name
        One of `RawFormat`.
    map_file
        For CSV.
    site, secret
        For access logs: whose log it is, and the key of its visitors' hashes.

    Raises
    ------
    MapError
        CSV without a map, or a map for something else.
    """
    if map_file is not None and name != "csv":
        raise MapError(f"--map is for --format csv, not for {name}")
    if name == "csv":
        if map_file is None:
            raise MapError("CSV needs --map: propose one with culdesac map FILE --out map.toml, and check it")
        return load_map(map_file)
    return AccessLogLines(site, secret) if name == "access-log" else MADE_WITHOUT_SETTINGS[name]()


def topic_adapter_of(name: str, map_file: Path | None, site: str, secret: str = "") -> Adapter:
    """Adapter of a format whose records stand in a topic; see `adapter_of`.

    Raises
    ------
    MapError
        Also where the map gathers rows: records of a topic stand for themselves.
    """
    adapter = adapter_of(name, map_file, site, secret)
    if isinstance(adapter, CsvRows) and adapter.map.group_rows:
        raise MapError(
            f"{map_file}: group_rows reads files only: publish the file by this map, or write whole orders"
        )
    return adapter


def choose_form(
    name: str | None, map_file: Path | None, paths: Sequence[Path], say: Callable[[str], None]
) -> Format | Adaptation:
    """Format of files, or the adapter for it; found by their first lines where `name` is None.

    Raises
    ------
    EventFileError
        A path can't be read, or CSV has no map.
    """
    found = name or ("csv" if map_file is not None else detect_files(paths))
    if found in get_args(Format):
        if map_file is not None:
            raise MapError(f"--map is for --format csv, not for {found}")
        form: Format | Adaptation = cast(Format, found)
    else:
        form = Adaptation(adapter_of(found, map_file, ""))
    if name is None and map_file is None and found != "ndjson":
        say(f"Read as --format {found}, by the first lines.")
    return form


def tell(form: Format | Adaptation, say: Callable[[str], None]) -> dict[str, Any]:
    """Say what was passed over and refused of a foreign format and what it can't know; the same for a summary."""
    if not isinstance(form, Adaptation):
        return {}
    report = form.report()
    adapter = form.adapter
    say(f"{adapter.name}: {form.records:,} records; {_counts(report['written']) or 'nothing came of them'}.")
    for what, counts in (("Passed over", report["skipped"]), ("Rejected", report["rejected"])):
        if counts:
            say(f"{what}: {_counts(counts)}.")
    for sentence in adapter.cannot_know:
        say(f"Not in it: {sentence}.")
    if isinstance(adapter, CsvRows) and adapter.unknown_columns:
        report["unknown_columns"] = adapter.unknown_columns
        say(f"Columns that the map does not know: {', '.join(adapter.unknown_columns)}.")
    return {"adapter": report}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())
