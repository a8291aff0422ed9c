"""Dashboards: write their files, check them on a Prometheus, draw them: ``python -m agents.dashboards --help``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from agents.dashboards.building import BOARDS, files
from agents.dashboards.checking import check, declared
from agents.dashboards.prometheus import JOB, Prometheus

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
HOUR_S = 3600.0
STEP_S = 15.0

app = typer.Typer(help="Culdesac's dashboards for Grafana.", no_args_is_help=True, add_completion=False)


@app.command()
def write() -> None:
    """Write the files that Grafana imports to deploy/grafana."""
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


@app.command("check")
def check_panels(
    url: Annotated[str, typer.Argument(help="Such as http://localhost:9090")],
    job: Annotated[str, typer.Option(help="Under which workers are scraped.")] = JOB,
) -> None:
    """Run every panel's query over the last hour; exit code 1 where one shows nothing and should."""
    prometheus, now = Prometheus(url), time.time()
    try:
        known = prometheus.metrics() | declared()
        found = [
            fault
            for board in BOARDS
            for fault in check(
                board, lambda expr: prometheus.over(expr, now - HOUR_S, now, STEP_S), known, job=job
            )
        ]
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{url}: {error}: give the address of a Prometheus, such as http://localhost:9090\n")
        raise SystemExit(2) from None
    for fault in found:
        sys.stdout.write(f"{fault}\n")
    if found:
        raise SystemExit(1)
    sys.stdout.write("every panel shows something\n")


if __name__ == "__main__":
    app()
