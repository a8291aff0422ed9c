"""Pictures: what a board shows, drawn from its panels' queries where there is no Grafana to take a picture of."""

from __future__ import annotations

import io
import textwrap
import time
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, PercentFormatter
from PIL import Image

from agents.dashboards.checking import Ask
from agents.dashboards.panels import Board, Panel, Unit
from agents.dashboards.prometheus import Series, resolved

WIDTH = 14.4
"""Inches, at 100 pixels each; so are the following."""
ROW_HEIGHT = 2.2
MARGIN = 0.5
COLUMNS = 24
MOST_LINES = 9
"""More lines than these are drawn, but not named: the legend would hide them."""


def draw(board: Board, ask: Ask, file: Path, note: str, rate_interval: str = "5m") -> None:
    """Draw a board as Grafana arranges it, and write it as PNG.

    Parameters
    ----------
    board, ask
        What to draw, and what evaluates a query over the time to be shown.
    file
        What is written; its folder has to be there.
    note
        Stands at the bottom: what the picture was drawn from.
    rate_interval
        Stands for ``$__rate_interval``.
    """
    lines = [line for row in board.rows for line in _lines(row.panels)]
    mpl.rcParams["font.size"] = 8
    height = ROW_HEIGHT * len(lines) + 2 * MARGIN
    figure = Figure(figsize=(WIDTH, height), dpi=100)
    figure.text(0.01, 1 - 0.2 / height, board.title, fontsize=14, fontweight="bold", va="top")
    figure.text(0.01, 0.1 / height, note, color="dimgray")
    for number, line in enumerate(lines):
        column = 0
        bottom = height - MARGIN - ROW_HEIGHT * (number + 1) + 0.3
        for panel in line:
            left, width = column / COLUMNS * WIDTH + 0.62, panel.width / COLUMNS * WIDTH - 0.75
            place = (left / WIDTH, bottom / height, width / WIDTH, (ROW_HEIGHT - 0.65) / height)
            _draw_panel(figure.add_axes(place), panel, _answers(panel, ask, rate_interval))
            column += panel.width
    drawn = io.BytesIO()
    figure.savefig(drawn)
    # 96 colours are all that lines and letters need, and a third of the bytes.
    Image.open(drawn).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)


def _lines(panels: tuple[Panel, ...]) -> list[list[Panel]]:
    """Break a row's panels where Grafana does."""
    lines: list[list[Panel]] = [[]]
    for panel in panels:
        if sum(other.width for other in lines[-1]) + panel.width > COLUMNS:
            lines.append([])
        lines[-1].append(panel)
    return lines


def _answers(panel: Panel, ask: Ask, rate_interval: str) -> list[tuple[str, Series]]:
    found = [
        (series.named(query.legend), series)
        for query in panel.queries
        for series in ask(resolved(query.expr, rate_interval))
        if series.points
    ]
    found.sort(key=lambda named: -max(value for _, value in named[1].points))
    # What is 0 all the time says nothing beside what is not.
    return [named for named in found if any(value for _, value in named[1].points)] or found[:1]


def _draw_panel(axes: Axes, panel: Panel, answers: list[tuple[str, Series]]) -> None:
    axes.set_title(panel.title, loc="left", fontsize=9, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    if panel.kind == "stat" or not answers:
        axes.set_axis_off()
        text = "\n".join(f"{series.points[-1][1]:,.6g} {name}" for name, series in answers) or "none"
        axes.text(0.5, 0.5, textwrap.fill(text, 24), ha="center", va="center", fontsize=18)
        return
    if panel.kind == "stacked":
        times = sorted({at for _, series in answers for at, _ in series.points})
        heights = [[dict(series.points).get(at, 0.0) for at in times] for _, series in answers]
        axes.stackplot(times, heights, labels=[name for name, _ in answers], alpha=0.75)
    else:
        for name, series in answers:
            axes.plot(*zip(*series.points, strict=True), label=name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    _format_axes(axes, panel.unit)
    if len(answers) <= MOST_LINES:
        columns = 2 if len(answers) > 4 else 1
        axes.legend(fontsize=6.5, loc="upper left", framealpha=0.7, edgecolor="none", ncols=columns)


def _format_axes(axes: Axes, unit: Unit) -> None:
    axes.grid(alpha=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 3, 6]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: time.strftime("%H:%M:%S", time.gmtime(at))))
    if unit == "percentunit":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif unit == "none":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.yaxis.set_major_formatter(EngFormatter({"s": "s", "bytes": "B", "cps": "/s"}.get(unit, "")))
