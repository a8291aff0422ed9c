"""Garbage: how often Python looks for cycles, which a worker hardly makes.

Python looks after every 700 new containers, and goes through all that lives whenever that has grown by a quarter:
with the state of many visitors that took 10 % of a replay's CPU, a third of a recovery's, and stopped a worker for
a tenth of a second now and then. Nearly all garbage here is freed at once by its count of references; cycles come
from exceptions and from the client library, a few a second.
"""

from __future__ import annotations

import gc

CONTAINERS = 20_000
"""New containers (those freed meanwhile left out) between two looks; some megabytes."""
GENERATIONS = 20


def look_seldom() -> None:
    """Let Python look for cycles after 20,000 new containers, not 700; for the whole process.

    Examples
    --------
    >>> before = gc.get_threshold()
    >>> look_seldom()
    >>> gc.get_threshold()
    (20000, 20, 20)
    >>> gc.set_threshold(*before)
    """
    gc.set_threshold(CONTAINERS, GENERATIONS, GENERATIONS)
