"""Prometheus as dashboards see it: which metrics there are, and what a query gives over a stretch of time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec
import promql_parser

JOB = "culdesac"
"""Under which `deploy/prometheus.yml` scrapes workers."""


class QueryError(Exception):
    """Prometheus refused a query; the text is its own."""


class Series(msgspec.Struct, frozen=True):
    """A time series of an answer: its labels, and (Unix seconds, value) without what is not a number."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    def named(self, legend: str) -> str:
        """Fill labels into a legend.

        Examples
        --------
        >>> Series({"topic": "orders"}, ()).named("{{topic}} a second")
        'orders a second'
        """
        return re.sub(r"{{(\w+)}}", lambda match: self.labels.get(match[1], ""), legend)


class Prometheus:
    """A server's query interface.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:9090``.
    timeout_s
        For an answer.
    """

    def __init__(self, url: str, timeout_s: float = 20.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    def metrics(self) -> set[str]:
        """Names of all metrics that it knows.

        Raises
        ------
        OSError
            It does not answer.
        """
        return set(self._ask("label/__name__/values"))

    def over(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Evaluate a query at each `step` (s) from `start` to `end` (Unix seconds).

        Raises
        ------
        QueryError
            The query makes no sense.
        OSError
            It does not answer.
        """
        answer = self._ask("query_range", query=expr, start=start, end=end, step=step)
        return [
            Series(
                found["metric"],
                tuple((at, value) for at, text in found["values"] if math.isfinite(value := float(text))),
            )
            for found in answer["result"]
        ]

    def _ask(self, path: str, **words: str | float) -> Any:
        try:
            with urlopen(f"{self._url}/api/v1/{path}?{urlencode(words)}", timeout=self._timeout_s) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            if error.code not in (400, 422):
                raise
            with error:
                raise QueryError(error.read().decode(errors="replace")[:300]) from None


def resolved(expr: str, rate_interval: str = "5m", job: str = JOB) -> str:
    """Fill in what Grafana fills in: the job of the workers, and the stretch of a rate.

    Examples
    --------
    >>> resolved('rate(a_total{job=~"$job"}[$__rate_interval])', "1m")
    'rate(a_total{job=~"culdesac"}[1m])'
    """
    return expr.replace("$__rate_interval", rate_interval).replace("$job", job)


def metrics_of(expr: str) -> set[str]:
    """Names of the metrics that a query asks for.

    Raises
    ------
    QueryError
        It is no PromQL.

    Examples
    --------
    >>> sorted(metrics_of("sum(rate(a_total[5m])) / (b > 0)"))
    ['a_total', 'b']
    """
    names: set[str] = set()

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector) and node.name is not None:
            names.add(node.name)
        elif isinstance(node, promql_parser.MatrixSelector) and node.vector_selector.name is not None:
            names.add(node.vector_selector.name)
        return True

    try:
        promql_parser.walk(promql_parser.parse(expr), visit)
    except ValueError as error:
        raise QueryError(str(error)) from None
    return names
