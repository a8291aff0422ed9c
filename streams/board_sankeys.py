"""Sankey diagrams of a page and its neighbours: from counts to the places of bands, as plain figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streams.board_visits import Neighbour, Neighbours

WIDTH, NODE_WIDTH, GAP, TOP = 960.0, 12.0, 10.0, 8.0
"""Units of the drawing."""
FLOW_HEIGHT = 260.0
"""All views of the page together are so high."""
LEAST_HEIGHT = 14.0
"""A line of text has room beside the smallest node."""
SIDE = 300.0
"""Room for the names on each side."""


class Band(NamedTuple):
    """A neighbour's node and the band that joins it to the page; `path` is the band's outline in SVG."""

    neighbour: Neighbour
    x: float
    y: float
    height: float
    path: str


class Sankey(NamedTuple):
    """A drawing of `WIDTH` × `height` units; the page's own node is at `x`, `y`."""

    height: float
    x: float
    y: float
    node_height: float
    before: list[Band]
    after: list[Band]


def sankey_of(neighbours: Neighbours) -> Sankey | None:
    """Lay a page's neighbours out: those before on the left, those after on the right; None without views.

    Examples
    --------
    >>> drawn = sankey_of(Neighbours(4, [Neighbour("a", 3), Neighbour("b", 1)], [Neighbour("c", 4)]))
    >>> [(band.y, band.height) for band in drawn.before]
    [(8.0, 195.0), (213.0, 65.0)]
    >>> sankey_of(Neighbours(0, [], [])) is None
    True
    """
    if not neighbours.views:
        return None
    middle = (WIDTH - NODE_WIDTH) / 2
    top = TOP + GAP
    before = _bands(neighbours.before, neighbours.views, SIDE - NODE_WIDTH, SIDE, middle, top)
    after = _bands(neighbours.after, neighbours.views, WIDTH - SIDE, WIDTH - SIDE, middle + NODE_WIDTH, top)
    lowest = max(band.y + band.height for band in (*before, *after))
    height = max(lowest, top + FLOW_HEIGHT) + TOP
    return Sankey(round(height, 1), middle, top, FLOW_HEIGHT, before, after)


def _bands(
    neighbours: Sequence[Neighbour], views: int, x: float, outer: float, inner: float, top: float
) -> list[Band]:
    """Stack nodes at `x`; bands run from `outer`, at the node, to `inner`, at the page."""
    bands = []
    y, at = TOP, top
    bend = (outer + inner) / 2
    for neighbour in neighbours:
        flow = FLOW_HEIGHT * neighbour.number / views
        height = max(LEAST_HEIGHT, flow)
        start = y + (height - flow) / 2
        path = (
            f"M{outer:.1f} {start:.1f}C{bend:.1f} {start:.1f} {bend:.1f} {at:.1f} {inner:.1f} {at:.1f}"
            f"V{at + flow:.1f}C{bend:.1f} {at + flow:.1f} {bend:.1f} {start + flow:.1f} "
            f"{outer:.1f} {start + flow:.1f}Z"
        )
        bands.append(Band(neighbour, x, round(y, 1), round(height, 1), path))
        y += height + GAP
        at += flow
    return bands
