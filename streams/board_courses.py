"""The board's lines: observed against expected, by time, with the interval in which counts usually lie."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from schemas.dead_end_alerts import AlertCourse
from schemas.timestamps import parse_time
from streams.board_histories import HistoryPoint

INTERVAL_QUANTILE = 1.645
"""Of the normal distribution: nine counts of ten lie within, where nothing is wrong."""


class Lines(NamedTuple):
    """Columns of one length: when a stretch begins (s), exits, and how many of them were to be expected."""

    at_s: list[float]
    observed: list[int]
    expected: list[float]
    low: list[float]
    high: list[float]


def course_lines(course: Iterable[AlertCourse]) -> Lines:
    """Give the lines of an alert's course; the interval counts binomial variance only.

    Examples
    --------
    >>> stretch = AlertCourse(at="2026-01-07T12:00:00.000Z", views=100, exits=80, expected_exits=50.0)
    >>> course_lines([stretch])
    Lines(at_s=[1767787200.0], observed=[80], expected=[50.0], low=[41.8], high=[58.2])
    """
    return _lines(
        (parse_time(stretch.at) / 1000, stretch.views, stretch.exits, stretch.expected_exits)
        for stretch in course
    )


def history_lines(points: Iterable[HistoryPoint]) -> Lines:
    """Give the lines of a page's history."""
    return _lines((point.at_ms / 1000, point.views, point.exits, point.expected_exits) for point in points)


def _lines(rows: Iterable[tuple[float, int, int, float]]) -> Lines:
    lines = Lines([], [], [], [], [])
    for at_s, views, exits, expected in rows:
        part = min(1.0, expected / views) if views else 0.0
        reach = INTERVAL_QUANTILE * sqrt(expected * (1.0 - part))
        lines.at_s.append(at_s)
        lines.observed.append(exits)
        lines.expected.append(round(expected, 1))
        lines.low.append(round(max(0.0, expected - reach), 1))
        lines.high.append(round(min(float(max(views, exits)), expected + reach), 1))
    return lines
