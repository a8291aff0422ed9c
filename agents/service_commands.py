"""The commands of what runs beside workers: collector, board, notices. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.options import Kafka, SettingsFile, settings_of


def collect(
    sites: Annotated[
        list[str] | None,
        typer.Option(help="key=site: a key that trackers send, and whose events these are; several times."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Where to listen; by default 9647.")] = None,
    settings: SettingsFile = None,
    kafka: Kafka = None,
) -> None:
    """Take events of web trackers to Kafka, until SIGTERM.

    Those of Segment's and Plausible's trackers, and JSON of your own.

    Example: culdesac collect --sites k1=shop.example --kafka localhost:9092
    """
    from agents.collect import run_collector

    run_collector(settings_of(settings, kafka=kafka, collect_sites=sites, collect_port=port))


def board(
    folder: Annotated[
        Path | None, typer.Option("--from", help="Folder that replay wrote, not Kafka.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one; by default 9650.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; others than this machine's need a token. By default 127.0.0.1."
        ),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File that holds what people have to show to come in.")
    ] = None,
    kafka: Kafka = None,
    settings: SettingsFile = None,
) -> None:
    """Serve the page that a team watches.

    Open alerts and their evidence, traffic, pages.

    Example: culdesac board --from culdesac-out --port 9650
    """
    from agents.board import run_board

    own = {"board_host": host, "board_port": port, "board_token_file": token_file}
    run_board(settings_of(settings, kafka=kafka, **own), folder)


def notify(
    file: Annotated[
        Path, typer.Argument(help="TOML file of receivers and routes.", envvar="CULDESAC_NOTIFY")
    ],
    trial: Annotated[
        bool, typer.Option("--trial", help="Tell every receiver of a made-up alert once, without Kafka.")
    ] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="A new route also tells of all alerts that are there.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Show /metrics there; default: not at all.",
            envvar="CULDESAC_NOTIFY_METRICS_PORT",
        ),
    ] = None,
    kafka: Kafka = None,
    settings: SettingsFile = None,
) -> None:
    """Tell people and programs of alerts, until SIGTERM.

    By webhooks, Slack, e-mail and Alertmanager.

    Example: culdesac notify notify.toml --trial
    """
    from agents.notify import run_notify, show_trial
    from agents.notify_settings import load_notify_settings

    wanted = load_notify_settings(file)
    if trial:
        raise typer.Exit(show_trial(wanted))
    raise typer.Exit(run_notify(settings_of(settings, kafka=kafka), wanted, from_beginning, metrics_port))
