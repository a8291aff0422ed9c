"""The commands of the first hour: settings, doctor, topics, contracts. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.options import Json, Kafka, SettingsFile, say, settings_of


def init(
    out: Annotated[Path, typer.Option(help="File for the settings.")] = Path("culdesac.toml"),
    site: Annotated[str | None, typer.Option(help="Your shop, such as shop.example.")] = None,
    kafka: Kafka = None,
    notify_file: Annotated[
        Path | None, typer.Option("--notify", help="File for whom to tell of alerts, too.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write them anew if they are there.")] = False,
) -> None:
    """Write a file of settings, each one explained.

    Example: culdesac init --site shop.example --kafka localhost:9092
    """
    from agents.beginnings import write_settings

    for line in write_settings(out, site, kafka, notify_file, force):
        say(line)


def doctor(
    kafka: Kafka = None,
    settings: SettingsFile = None,
    notify_file: Annotated[
        Path | None, typer.Option("--notify", help="File of culdesac notify: who is told can be reached?")
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            help="URL of a Prometheus: does it scrape us, has it our rules, do dashboards show something?"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for what could keep it from working.

    Each finding has its mend; the exit code is 1 if anything is broken.

    Example: culdesac doctor --kafka localhost:9092
    """
    from agents.doctor import examine

    raise typer.Exit(examine(settings, kafka, as_json, notify_file, prometheus))


def topics(
    kafka: Kafka = None,
    create: Annotated[bool, typer.Option("--create", help="Create what is missing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with Kafka; exit code 1 where work can't go on.")
    ] = False,
    acls: Annotated[
        bool, typer.Option("--acls", help="Print what a Kafka with an authorizer has to allow, to whom.")
    ] = False,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Print the topics; create or check them in Kafka.

    Example: culdesac topics --create --kafka localhost:9092
    """
    from agents.grants import show_grants
    from agents.topics_view import show_topics

    if acls:
        raise typer.Exit(show_grants(settings_of(settings, kafka=kafka), as_json))
    raise typer.Exit(show_topics(settings_of(settings, kafka=kafka), create, check, as_json))


def contracts(
    out: Annotated[Path, typer.Option(help="Folder for asyncapi.json and topics.html.")],
    kafka: Kafka = None,
    settings: SettingsFile = None,
) -> None:
    """Write what others build on: AsyncAPI, and a page.

    Example: culdesac contracts --out contracts --kafka localhost:9092
    """
    from agents.contracts import write_contracts

    for file in write_contracts(settings_of(settings, kafka=kafka), out):
        say(f"Wrote {file}.")
