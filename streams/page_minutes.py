"""Page minutes: labelled views of a page by minute, sent once its labels are complete, then corrected."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter

import msgspec

from schemas.site_events import Cell, PageMinute
from streams.settings import MINUTE_MS
from streams.stages import Context, Output
from streams.stalls import CellName, Counts
from streams.visitors import SEPARATOR

_CONTEXT = attrgetter("source", "device", "first_view")


class OpenCell(msgspec.Struct, array_like=True, gc=False):
    """A cell that is still being counted; see `Cell`."""

    source: str
    device: str
    first_view: bool
    views: int
    stalls: int
    idle: int = 0
    orphans: int = 0
    orders: int = 0


class OpenMinute(msgspec.Struct, array_like=True):
    """Cells of a page's minute, until it is sent. At most sources × devices × 2 of them."""

    site: str
    page: str
    template: str
    minute_ms: int
    cells: list[OpenCell]


def add_view(
    context: Context,
    site: str,
    minute_ms: int,
    page: str,
    template: str,
    source: str,
    device: str,
    first_view: bool,
    counts: Counts,
    stall_after_ms: int,
) -> list[Output]:
    """Add to one cell (differences may be negative): silently while its minute is open, else as a correction.

    A minute is sent when the watermark is greater than its end + `stall_after_ms`. Arguments one by one: a cell
    name for each view would cost as much as the rest.
    """
    due_ms = minute_ms + MINUTE_MS + stall_after_ms
    if context.watermark > due_ms:
        cell = CellName(minute_ms, page, template, source, device, first_view)
        return [_correction(context, site, due_ms, [(cell, counts)])]
    key = f"m{site}{SEPARATOR}{minute_ms}{SEPARATOR}{page}"
    minute: OpenMinute | None = context.state.get(key)
    if minute is None:
        minute = OpenMinute(site, page, template, minute_ms, [])
    elif not minute.template:
        minute.template = template
    views, stalls, idle, orphans, orders = counts
    for known in minute.cells:
        if known.source == source and known.device == device and known.first_view == first_view:
            known.views += views
            known.stalls += stalls
            known.idle += idle
            known.orphans += orphans
            known.orders += orders
            break
    else:
        minute.cells.append(OpenCell(source, device, first_view, views, stalls, idle, orphans, orders))
    context.state.put(key, minute, due_ms)
    return []


def add_differences(
    context: Context, site: str, changed: Mapping[CellName, Counts], stall_after_ms: int
) -> list[Output]:
    """Add differences, sorted by cell: one correction for each page and minute that was sent before."""
    outputs: list[Output] = []
    for (minute_ms, _, _), group in groupby(changed.items(), key=lambda item: item[0][:3]):
        due_ms = minute_ms + MINUTE_MS + stall_after_ms
        if context.watermark > due_ms:
            outputs.append(_correction(context, site, due_ms, list(group)))
        else:
            for cell, counts in group:
                add_view(context, site, *cell, counts, stall_after_ms)
    return outputs


def send_minute(context: Context, key: str, deadline_ms: int) -> list[Output]:
    """Send a minute whose labels are complete, cells in canonical order, and forget it."""
    minute: OpenMinute = context.state.get(key)
    context.state.delete(key)
    known = minute.cells
    if len(known) > 1:
        known.sort(key=_CONTEXT)
    cells = tuple(
        [
            Cell(
                cell.source,
                cell.device,
                cell.first_view,
                cell.views,
                cell.stalls,
                cell.idle,
                cell.orphans,
                cell.orders,
            )
            for cell in known
            if cell.views or cell.stalls or cell.orphans
        ]
    )
    if not cells:
        return []
    page_minute = PageMinute(
        context.origin(), minute.site, minute.page, minute.template, minute.minute_ms, deadline_ms, cells
    )
    return [to_site(page_minute)]


def to_site(record: PageMinute) -> Output:
    """Address a record to its site; its origin names it."""
    upstream, offset, number = record.origin
    return Output("site-events", record.site, record, f"{upstream}/{offset}/{number}", record.due_ms)


def _correction(context: Context, site: str, due_ms: int, changed: list[tuple[CellName, Counts]]) -> Output:
    """One page's minute as differences. It is due when it was: only the counts have changed."""
    name = changed[0][0]
    context.count("corrected_minutes")
    cells = tuple(Cell(cell.source, cell.device, cell.first_view, *counts) for cell, counts in changed)
    return to_site(
        PageMinute(
            context.origin(), site, name.page, name.template, name.minute_ms, due_ms, cells, correction=True
        )
    )
