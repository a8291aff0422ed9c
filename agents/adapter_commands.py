"""The commands for other formats: a map for CSV, and raw topics. Each imports what it needs when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from agents.options import Json, Kafka, SettingsFile, print_json, say, settings_of

RawFormat = Literal["access-log", "ga4", "snowplow", "segment", "matomo", "csv"]
Map = Annotated[
    Path | None, typer.Option("--map", help="For CSV: which column is what; culdesac map proposes one.")
]


def map_columns(
    path: Annotated[Path, typer.Argument(help="CSV file, packed (.gz) or not.")],
    out: Annotated[Path | None, typer.Option(help="File for the map; by default it is printed.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="Try this map instead of proposing one.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="So many lines are tried.")] = 100_000,
    force: Annotated[bool, typer.Option("--force", help="Write --out anew if it is there.")] = False,
    as_json: Json = False,
) -> None:
    """Propose a map for a CSV file: which column is what.

    It shows what would come of it.

    Read the map, mend it, then replay by it: culdesac replay FILE --map MAP.

    Example: culdesac map orders.csv --out map.toml
    """
    from agents.mapping import map_file as try_map
    from agents.mapping import show_report, write_map

    toml, report = try_map(path, map_file, rows)
    if out is not None:
        write_map(toml, out, force)
    if as_json:
        print_json(report)
        return
    if out is None and map_file is None:
        sys.stdout.write(toml)
    say(show_report(report))


def adapt(
    from_topic: Annotated[str, typer.Option(help="Topic of raw records; its whole name.")],
    form: Annotated[RawFormat, typer.Option("--format", help="What its records hold, one each.")],
    map_file: Map = None,
    group: Annotated[
        str | None, typer.Option(help="Consumer group; by default named after topic and format.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Show /metrics there; default: not at all.")
    ] = None,
    kafka: Kafka = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Turn raw records of a topic into ours, until SIGTERM.

    Another format is read from a topic of yours, and written to the input topics.

    Example: culdesac adapt --format snowplow --from-topic enriched-good --kafka localhost:9092
    """
    from agents.adapt_metrics import Adapting
    from agents.adapting import TopicAdapter, adapt_topic, check_rights
    from agents.foreign_files import topic_adapter_of
    from agents.grants import RawTopic
    from agents.metrics import serve_at
    from agents.secret import load_secret
    from agents.security import security_of
    from streams.adapters import Adaptation

    loaded = settings_of(settings, kafka=kafka)
    secret = load_secret(loaded)[0] if form == "access-log" else ""
    adaptation = Adaptation(topic_adapter_of(form, map_file, loaded.streams.site, secret))
    raw = RawTopic(from_topic, group or f"culdesac-adapt-{form}-{from_topic}")
    check_rights(loaded, raw)
    adapter = TopicAdapter(
        loaded.kafka,
        raw.topic,
        adaptation,
        raw.group,
        loaded.topic_prefix,
        security_of(loaded),
        loaded.session_timeout_ms,
    )
    for sentence in adaptation.adapter.cannot_know:
        say(f"Not in it: {sentence}.")
    shown = Adapting(adaptation)
    if metrics_port is not None:
        serve_at("--metrics-port", loaded.metrics_host, metrics_port, shown.health, shown.registry)
    report = adapt_topic(adapter, say, on_step=shown.stepped)
    if as_json:
        print_json(report)
