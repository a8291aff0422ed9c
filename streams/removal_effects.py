"""Removal effect: how many purchases the Markov chain of a site's pages would lose without a page.

A second view beside credit, and a weaker one: visitors who are on their way to the checkout pass the same pages,
and the chain can't tell them from those whom a page has won. It is what multi-channel attribution commonly does
(Anderl, Becker, von Wangenheim and Schumann, 2016, *Mapping the Customer Journey*), on pages.

With Q the transition probabilities between pages, N = (I − Q)⁻¹ and v the probability of a purchase from each
page on, sessions that come to page j at all are N_sj/N_jj of all, and those of them that purchase are lost
without it: RE_j = (N_sj/N_jj)·v_j/v_s. The same holds for dead ends (Kemeny and Snell, 1960, *Finite Markov
Chains*).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

_SMALLEST_PIVOT = 1e-9


class Removal(NamedTuple):
    """Share of all purchases, and of all dead ends, that come after a page in the chain: from 0 to 1."""

    purchase: float
    dead_end: float


def removal_effects(counts: Sequence[Mapping[int, float]], purchase: int, dead_end: int) -> list[Removal]:
    """Return the removal effects of the states of a chain; those of its first state, the start, are 1.

    Costs n³ steps in pure Python: 0.1 s for 90 states. NumPy would be faster, and would round otherwise on another
    machine, so that a replay there were not equal.

    Parameters
    ----------
    counts
        Of each state, the start first: successor to how often it came next. Successors ≥ the number of states
        end the session.
    purchase, dead_end
        Successors that stand for these ends.

    Examples
    --------
    Half of the visitors see the size guide (state 1), three of four of those purchase, and of the others one of
    four:

    >>> end, bought = 3, 2
    >>> found = removal_effects([{1: 50, bought: 12.5, end: 37.5}, {bought: 37.5, end: 12.5}], bought, end)
    >>> [round(share, 2) for share in found[1]]
    [0.75, 0.25]
    """
    size = len(counts)
    system = []
    for state, successors in enumerate(counts):
        total = sum(successors.values())
        row = [0.0] * size
        for successor, count in successors.items():
            if successor < size:
                row[successor] = -count / total
        row[state] += 1.0
        system.append(row)
    visits = _inverse(system)
    ends = []
    for end in (purchase, dead_end):
        direct = [_share(successors, end) for successors in counts]
        ends.append([fsum(map(float.__mul__, row, direct)) for row in visits])
    return [
        Removal(
            *(
                visits[0][state] / visits[state][state] * end[state] / end[0] if end[0] > 0.0 else 0.0
                for end in ends
            )
        )
        for state in range(size)
    ]


def _share(successors: Mapping[int, float], end: int) -> float:
    total = sum(successors.values())
    return successors.get(end, 0.0) / total if total > 0.0 else 0.0


def _inverse(matrix: list[list[float]]) -> list[list[float]]:
    """Invert in place by elimination, without exchange of rows.

    I − Q never needs one: no row of it sums to less than 0.
    """
    rows = matrix
    for state in range(len(rows)):
        row = rows[state]
        pivot = row[state]
        if pivot < _SMALLEST_PIVOT:
            # Nobody has ever left a circle of states: their visits can't be counted, and nothing is said of them.
            pivot = 1.0
        scaled = rows[state] = [value / pivot for value in row]
        scaled[state] = 1.0 / pivot
        for other, values in enumerate(rows):
            factor = values[state]
            if other != state and factor != 0.0:
                values[state] = 0.0
                rows[other] = [value - factor * part for value, part in zip(values, scaled, strict=True)]
    return rows
