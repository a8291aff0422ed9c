"""Panels: what a dashboard shows, as data that is drawn by Grafana, checked against a run and put into pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

PanelKind: TypeAlias = Literal["timeseries", "stacked", "stat"]
Unit: TypeAlias = Literal["short", "s", "percentunit", "cps", "bytes", "none"]


class Query(msgspec.Struct, frozen=True):
    """What Prometheus is asked, and how each time series of the answer is called.

    Parameters
    ----------
    expr
        PromQL; may use ``$job``, ``$__rate_interval`` and ``$__range``.
    legend
        Text with labels as ``{{label}}``.
    """

    expr: str
    legend: str


class Panel(msgspec.Struct, frozen=True):
    """One picture of a dashboard.

    Parameters
    ----------
    title, description
        The second says how to read it, in a sentence or two.
    queries
        At least one.
    kind
        ``stacked`` where the series are parts of a whole, ``stat`` for one figure.
    unit
        Of the axis, a word of Grafana's.
    width
        Of 24 columns.
    empty_because
        Why it may rightly show nothing while all is well; None where nothing means that something is wrong.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: PanelKind = "timeseries"
    unit: Unit = "short"
    width: int = 8
    empty_because: str | None = None


class Row(msgspec.Struct, frozen=True):
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


class Board(msgspec.Struct, frozen=True):
    """A dashboard: its name in Grafana's addresses, which is also that of its file, and what it shows."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """Give all panels in their order.

        Examples
        --------
        >>> traffic = Panel("Traffic", "Views a second.", (Query("vector(1)", "all"),))
        >>> [panel.title for panel in Board("b", "B", "", (Row("R", (traffic,)),)).panels()]
        ['Traffic']
        """
        for row in self.rows:
            yield from row.panels
