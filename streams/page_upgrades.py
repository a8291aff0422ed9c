"""How rows of the pages stage that earlier versions wrote are brought up to date, a format after the other."""

from __future__ import annotations

from typing import Any

from streams.calibrations import PACE_MS
from streams.settings import DAY_MS


def with_expected_purchases(key: str, deadline_ms: int | None, record: Any) -> tuple[int | None, Any] | None:
    """Upgrade a row of format 3: credits have the sum of what was expected, and sizes are counted by other places.

    Of what was expected the variance tells: g(1 − g) is little less than g where few visitors purchase. Sizes come
    anew with each page that changes.

    >>> page = ["help", 1, 0, 0, {}, [], [], [9, -0.5, 0.4, 0.5], [], None, 3, [0.1, 0.2, 7]]
    >>> with_expected_purchases("pshop", 5, page)[1][7:]
    [[9, -0.5, 0.4, 0.5, 0.5], [], None, 3, [0.1, 0.2, None]]
    """
    if key[0] == "z":
        return None
    if key[0] == "p":
        credit, measured = record[7], record[11]
        record = [
            *record[:7], [*credit, credit[3]], *record[8:11], [*measured[:2], None], *record[12:]
        ]  # fmt: skip
    return deadline_ms, record


def with_levels(key: str, deadline_ms: int | None, record: Any) -> tuple[int | None, Any]:
    """Upgrade a row of format 5: calibrations count excursions to each level, and not those between two.

    >>> with_levels("sshop", 5, [0, 1, 2, 3, 4, 5, 6, 7, [9.0, 2.0, 14.0, 3, 8.0, 1.0]])[1][8]
    [[11.0, 2.0, 0.0, 0.0, 0.0], 14.0, 12, 8.0, 1.0]
    """
    place = {"s": 8, "h": 7}.get(key[0])
    if place is not None and len(record) > place:
        low, high, days, day, *rest = record[place]
        reached = [low + high, high, 0.0, 0.0, 0.0]
        period = None if day is None else day * DAY_MS // PACE_MS
        record = [*record[:place], [reached, days, period, *rest], *record[place + 1 :]]
    return deadline_ms, record


def with_excess(key: str, deadline_ms: int | None, record: Any) -> tuple[int | None, Any]:
    """Upgrade a row of format 6: of great excursions it is known by how much they rise, and no more to which level.

    >>> row = [0, 1, 2, 3, 4, 5, 6, 7, [[9.0, 5.0, 3.0, 1.0, 0.0], 14.0, 55, 8.0, 1.0]]
    >>> with_excess("sshop", 5, row)[1][8]
    [[9.0, 5.0, 3.0], 8.5, 14.0, 55, 8.0, 1.0]
    """
    place = {"s": 8, "h": 7}.get(key[0])
    if place is not None and len(record) > place:
        reached, *rest = record[place]
        low, high, highest = reached[2] - reached[3], reached[3] - reached[4], reached[4]
        # Somewhere in the middle between two levels: 8, 12 and 16 they were.
        excess = 1.5 * low + 5.5 * high + 10.0 * highest
        record = [*record[:place], [reached[:3], excess, *rest], *record[place + 1 :]]
    return deadline_ms, record


def with_other_margins(key: str, deadline_ms: int | None, record: Any) -> tuple[int | None, Any]:
    """Upgrade a row of format 7: margins are smaller since; what excursions of pages told of a threshold is void.

    >>> row = [0, 1, 2, 3, 4, 5, 6, 7, [[9.0, 5.0, 3.0], 8.5, 14.0, 55, 8.0, 1.0]]
    >>> with_other_margins("sshop", 5, row)[1][8]
    [[0.0, 0.0, 0.0], 0.0, 0.0, None, 0.0, 1.0]
    """
    if key[0] == "s" and len(record) > 8:
        record = [*record[:8], [[0.0, 0.0, 0.0], 0.0, 0.0, None, 0.0, 1.0], *record[9:]]
    return deadline_ms, record
