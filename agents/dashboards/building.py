"""Building: a board as the JSON that Grafana imports, by Grafana's own builders."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, StackingMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DashboardLinkType, DataSourceRef

from agents.dashboards.business import BUSINESS
from agents.dashboards.operation import OPERATION
from agents.dashboards.panels import Board, Panel, Query

BOARDS = (BUSINESS, OPERATION)
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Of every panel: whoever imports a board picks it above the board."""
HEIGHT = 8


def board_json(board: Board) -> str:
    """Give what Grafana imports: a dashboard with a choice of data source and job, ending in a newline.

    Examples
    --------
    >>> import json
    >>> json.loads(board_json(OPERATION))["uid"]
    'culdesac-operation'
    """
    made = (
        grafana.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["culdesac"])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            grafana.DashboardLink("Other boards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["culdesac"])
            .keep_time(True)
        )
        .with_variable(grafana.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            grafana.QueryVariable("job")
            .label("Job")
            .datasource(SOURCE)
            .query("label_values(culdesac_healthy, job)")
            .include_all(True)
            .multi(True)
        )
    )
    ids = itertools.count(1)
    for row in board.rows:
        made = made.with_row(grafana.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made = made.with_panel(_built(panel).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(made.build()) + "\n"


def files() -> Mapping[str, str]:
    """Give every board's file in ``deploy/grafana``: name to text."""
    return {f"{board.uid.removeprefix('culdesac-')}.json": board_json(board) for board in BOARDS}


def _built(panel: Panel) -> timeseries.Panel | stat.Panel:
    made: timeseries.Panel | stat.Panel
    if panel.kind == "stat":
        last = common.ReduceDataOptions().calcs(["lastNotNull"])
        made = stat.Panel().color_mode(BigValueColorMode.NONE).reduce_options(last)
    else:
        made = timeseries.Panel().show_points(VisibilityMode.NEVER).min(0)
        if panel.kind == "stacked":
            made = made.fill_opacity(40).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    said = panel.description
    if panel.empty_because is not None:
        said += f" Empty means: {panel.empty_because}."
        made = made.no_value("none")
    made = made.title(panel.title).description(said).unit(panel.unit).datasource(SOURCE)
    made = made.height(HEIGHT).span(panel.width)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        made = made.with_target(_asked(query, letter, is_instant=panel.kind == "stat"))
    return made


def _asked(query: Query, letter: str, is_instant: bool) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).datasource(SOURCE)
    return (asked.instant() if is_instant else asked.range()).ref_id(letter)
