"""Checking: whether every panel of a board shows something on a Prometheus that scrapes workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from agents import board_metrics, collect_metrics, metrics, notify_metrics
from agents.dashboards.panels import Board
from agents.dashboards.prometheus import JOB, QueryError, Series, metrics_of, resolved

Ask = Callable[[str], Sequence[Series]]
"""Evaluates a query over the time that is looked at; raises QueryError."""


class Fault(msgspec.Struct, frozen=True):
    """A panel that does not do its work: ``syntax``, ``unknown metric`` or ``empty``, and more about it."""

    panel: str
    kind: str
    detail: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.panel}: {self.kind}: {self.detail}"


def check(
    board: Board, ask: Ask, known: set[str], rate_interval: str = "5m", job: str = JOB
) -> Iterator[Fault]:
    """Run every query of a board, and give what is wrong.

    Parameters
    ----------
    board
        What is checked. Panels that say why they may be empty are taken empty, but not misspelt.
    ask, known
        Of Prometheus: how it answers, and the names of its metrics, or of all that are `declared`.
    rate_interval
        Stands for ``$__rate_interval``.
    job
        Under which workers are scraped.

    Examples
    --------
    >>> from agents.dashboards.panels import Panel, Query, Row
    >>> panel = Panel("Traffic", "Views a second.", (Query("rate(view_total[5m])", "all"),))
    >>> board = Board("b", "B", "", (Row("R", (panel,)),))
    >>> [str(fault) for fault in check(board, lambda expr: [], {"views_total"})]
    ['Traffic: unknown metric: view_total']
    """
    for panel in board.panels():
        shown = 0
        for query in panel.queries:
            expr = resolved(query.expr, rate_interval, job)
            try:
                missing = metrics_of(expr) - known
                shown += sum(bool(series.points) for series in ask(expr))
            except QueryError as error:
                yield Fault(panel.title, "syntax", str(error))
                break
            if missing:
                yield Fault(panel.title, "unknown metric", ", ".join(sorted(missing)))
                break
        else:
            if not shown and panel.empty_because is None:
                yield Fault(panel.title, "empty", " and ".join(query.expr for query in panel.queries))


def declared() -> set[str]:
    """Names of the time series that our processes may show, also of those that have no figure yet.

    Examples
    --------
    >>> sorted(name for name in declared() if name.startswith("culdesac_enriched"))
    ['culdesac_enriched_seconds_bucket', 'culdesac_enriched_seconds_count', 'culdesac_enriched_seconds_sum']
    """
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}
    return {
        family.name + ending
        for shown in (metrics, board_metrics, collect_metrics, notify_metrics)
        for family in shown.registry.collect()
        for ending in endings.get(family.type, ("",))
    }
