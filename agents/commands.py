"""The commands: what a terminal is told, handed on. Each imports what it needs when it runs."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from agents.adapter_commands import Map, adapt, map_columns
from agents.options import Json, Kafka, SettingsFile, print_json, say, settings_of
from agents.service_commands import board, collect, notify
from agents.setup_commands import contracts, doctor, init, topics

app = typer.Typer(
    name="culdesac",
    help="Finds the pages where visitors give up, from clickstreams on Kafka or in files.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Action = Literal["acknowledge", "mute", "unmute", "dismiss", "reopen"]
FileFormat = Literal[
    "ndjson", "topic-log", "access-log", "otto", "ga4", "snowplow", "segment", "matomo", "csv"
]
Paths = Annotated[
    list[Path],
    typer.Argument(help="Files named after topics, such as page-views.ndjson(.gz), or folders of them."),
]
Form = Annotated[
    FileFormat | None,
    typer.Option("--format", help="What the files hold; by default found by names and first lines."),
]
Site = Annotated[str | None, typer.Option(help="Shop that it belongs to; by default that of the settings.")]
Seed = Annotated[int, typer.Option(help="Another seed, another shop.")]


def demo(
    duration: Annotated[
        str, typer.Option("--for", help="How long traffic runs, such as 60s or 5m.")
    ] = "120s",
    speed: Annotated[
        float | None, typer.Option(help="Hours of the shop an hour of yours; by default the last ten fit in.")
    ] = None,
    sessions_per_hour: Annotated[float, typer.Option(help="Sessions an hour in the shop.")] = 300.0,
    seed: Seed = 7,
) -> None:
    """Show it at work on a made-up shop with pages that break.

    It starts a real Kafka, a worker and the board by itself, and clears everything away.

    Example: culdesac demo --for 120s
    """
    from agents.demo import run_demo

    raise typer.Exit(run_demo(_duration("--for", duration), speed, sessions_per_hour, seed))


def worker(settings: SettingsFile = None, kafka: Kafka = None) -> None:
    """Run the stages on your Kafka, until SIGTERM.

    Example: culdesac worker --settings culdesac.toml
    """
    from agents.worker import run_worker

    logging.getLogger("aiokafka").setLevel(logging.NOTSET)
    run_worker(settings_of(settings, kafka=kafka))


def alerts(
    follow: Annotated[bool, typer.Option(help="Go on, and show alerts as they open and change.")] = False,
    kafka: Kafka = None,
    folder: Annotated[Path | None, typer.Option("--from", help="Folder that replay wrote.")] = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """List dead-end alerts, from Kafka or a replay's folder.

    Example: culdesac alerts --follow --kafka localhost:9092
    """
    from agents.alerts import show_alerts

    show_alerts(settings_of(settings, kafka=kafka), folder, follow, as_json)


def decide(
    alert_id: Annotated[str, typer.Argument(help="Id of the alert, as culdesac alerts shows it.")],
    action: Annotated[
        Action,
        typer.Argument(
            help="acknowledge: somebody looks into it. mute, unmute: no updates for a while. dismiss: it is no "
            "dead end, but usual from now on. reopen: it is not over."
        ),
    ],
    by: Annotated[str, typer.Option(help="Who says so: a name or a role.")],
    why: Annotated[str | None, typer.Option(help="Why.")] = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", help="How long a mute holds, such as 4h; by default until it is over."),
    ] = None,
    site: Site = None,
    kafka: Kafka = None,
    settings: SettingsFile = None,
) -> None:
    """Answer an alert: say what is to become of it.

    Example: culdesac decide 3f2a9c0d1b4e5f60 mute --for 4h --by Ann
    """
    from agents.notes import decision_of, send_note

    if duration is not None and action != "mute":
        raise typer.BadParameter("only a mute has an end", param_hint="--for")
    mute_ms = None if duration is None else int(_duration("--for", duration) * 1000)
    loaded = settings_of(settings, kafka=kafka)
    note = decision_of(alert_id, action, by, why, mute_ms, site or loaded.streams.site)
    send_note(loaded, "alert-decisions", alert_id, note)
    say(f"Sent: {action} {alert_id}. If it can't be acted on, rejected-events says why.")


def deploy_marker(
    version: Annotated[str, typer.Argument(help="What was deployed.")],
    at: Annotated[str | None, typer.Option(help="When, as 2026-03-01T12:00:00Z; by default now.")] = None,
    by: Annotated[str | None, typer.Option(help="Who deployed it: a name or a role.")] = None,
    note: Annotated[str | None, typer.Option(help="What is new.")] = None,
    url: Annotated[str | None, typer.Option(help="Where more is said of it.")] = None,
    site: Site = None,
    kafka: Kafka = None,
    settings: SettingsFile = None,
) -> None:
    """Say that a version of the shop was deployed.

    Alerts show it beside what broke then.

    Example: culdesac deploy-marker 2026.3.1 --note "new size table"
    """
    from agents.notes import deploy_of, send_note

    at_ms = None if at is None else _time("--at", at)
    loaded = settings_of(settings, kafka=kafka)
    shop = site or loaded.streams.site
    send_note(loaded, "deploys", shop, deploy_of(version, at_ms, by, note, url, shop))
    say(f"Sent: deploy {version} of {shop}.")


def replay(
    paths: Paths,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results, one NDJSON file a topic; with --diff, for the differences."
        ),
    ] = None,
    form: Form = None,
    map_file: Map = None,
    settings: SettingsFile = None,
    diff: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of other settings: show what they would change. What it names wins over --settings "
            "and the environment; all else is as there. Without --out, nothing is written."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Carry the same stages over files, without Kafka.

    Example: culdesac replay access.log --out culdesac-out
    """
    from agents.foreign_files import choose_form, tell
    from agents.progress import Bars

    first = settings_of(settings)
    if diff is not None:
        from agents.differences_view import show_differences
        from agents.replay_differences import compare_files

        chosen = choose_form(form, map_file, paths, say)
        with Bars() as bars:
            differences = compare_files(paths, diff, out, first, chosen, bars, say)
        differences |= tell(chosen, say)
        if as_json:
            print_json(differences)
        else:
            show_differences(differences)
        return
    from agents.replaying import OutputError, replay_files
    from agents.summary_view import show_summary

    if out is None:
        raise OutputError("Missing option '--out': name a folder for the results; only --diff needs none")
    chosen = choose_form(form, map_file, paths, say)
    with Bars() as bars:
        summary = replay_files(paths, out, first, chosen, bars, say)
    summary |= tell(chosen, say)
    if as_json:
        print_json(summary)
    else:
        show_summary(summary)


def publish(
    paths: Paths,
    kafka: Kafka = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; default: all that goes.")
    ] = None,
    end: Annotated[
        bool, typer.Option("--end", help="Say that nothing follows: everything is closed.")
    ] = False,
    form: Form = None,
    map_file: Map = None,
    settings: SettingsFile = None,
    as_json: Json = False,
) -> None:
    """Send files of events to Kafka, by their times.

    Example: culdesac publish events/ --end --kafka localhost:9092
    """
    from agents.foreign_files import choose_form, tell
    from agents.progress import Bars
    from agents.publishing import publish_files

    loaded = settings_of(settings, kafka=kafka)
    chosen = choose_form(form, map_file, paths, say)
    with Bars() as bars:
        report = publish_files(paths, loaded, chosen, rate, end, bars)
    report |= tell(chosen, say)
    if as_json:
        print_json(report)
    else:
        say(
            f"Sent {report['sent']:,} events in {report['seconds']:.1f} s; {report['refused']:,} could not be."
        )


def shop(
    seed: Seed = 7,
    sessions_per_hour: Annotated[float, typer.Option(help="Sessions an hour.")] = 600.0,
    pages: Annotated[int, typer.Option(help="Pages of the shop.")] = 200,
    hours: Annotated[float | None, typer.Option(help="How long; on Kafka, default: until stopped.")] = None,
    plant: Annotated[
        str | None, typer.Option(help="File with a plan of faults (JSON or TOML), or: demo.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for NDJSON files and the truth.")] = None,
    kafka: Kafka = None,
    start: Annotated[
        str, typer.Option(help="When it begins: a time, or a while ago (72h); default: fixed.")
    ] = "",
    speed: Annotated[
        float | None,
        typer.Option(help="To Kafka: hours of the shop an hour of yours; default: as fast as it goes."),
    ] = None,
    quick_hours: Annotated[
        float, typer.Option(help="To Kafka: the first hours go as fast as they can.")
    ] = 0.0,
    settings: SettingsFile = None,
) -> None:
    """Make up the traffic of a shop, as files or to Kafka.

    The truth about its faults is written beside it.

    Example: culdesac shop --hours 24 --plant demo --out shop
    """
    from agents.shop_traffic import run_shop, shop_config

    config = shop_config(seed, sessions_per_hour, pages, hours, plant, start)
    if out is None and kafka is None:
        raise typer.BadParameter("say where to: --out FOLDER or --kafka HOST:PORT", param_hint="--out")
    run_shop(config, out, settings_of(settings, kafka=kafka) if kafka else None, speed, quick_hours, say)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("culdesac"))
        raise typer.Exit


@app.callback()
def _culdesac(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


for _command in (
    demo, init, doctor, topics,
    replay, map_columns, alerts, board,
    worker, publish, adapt, collect, decide, deploy_marker, notify,
    shop, contracts,
):  # fmt: skip
    app.command(name="map" if _command is map_columns else None)(_command)


def _duration(option: str, text: str) -> float:
    """Seconds of a duration on the command line."""
    from agents.durations import parse_duration

    try:
        duration_ms = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if not duration_ms:
        raise typer.BadParameter("write more than 0", param_hint=option)
    return duration_ms / 1000


def _time(option: str, text: str) -> int:
    """Epoch milliseconds of a time on the command line."""
    from schemas.timestamps import parse_time

    try:
        return parse_time(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write one such as 2026-03-01T12:00:00Z", param_hint=option
        ) from None


def main() -> NoReturn:
    """Run the command line: errors that the user can mend are one line on stderr, exit code 2."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    code: object = 0
    try:
        code = app(sys.argv[1:] or ["--help"], prog_name="culdesac", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Who read our output (head, less) has seen enough; what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except typer.Abort:
        code = 130
    except Exception as error:
        line = _line(error)
        if line is None:
            raise
        say(f"culdesac: {line}")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _line(error: Exception) -> str | None:
    """Give the line for an error that the user can mend; None where it is ours."""
    if hasattr(error, "format_message"):
        message = " ".join(str(error.format_message()).split())
        return f"{message} (culdesac --help and culdesac COMMAND --help tell more)"
    from agents.errors import sentence

    return sentence(error)
