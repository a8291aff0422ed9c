"""What the commands share: options, and how they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from agents.settings import WorkerSettings

Kafka = Annotated[str | None, typer.Option(help="host:port of a Kafka; several separated by commas.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="TOML file of settings.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def settings_of(file: Path | None, **overrides: object) -> WorkerSettings:
    """Read the settings, when a command needs them; see `agents.settings.load_settings`."""
    from agents.settings import load_settings

    return load_settings(file, None, **overrides)


def print_json(value: Any) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say(line: str) -> None:
    """Tell whoever sits there, beside the results."""
    sys.stderr.write(line + "\n")
