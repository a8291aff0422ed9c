"""Switches of the test's worker, by their names in the environment; the worker's own settings do not see them."""

from __future__ import annotations

from collections.abc import Mapping

CRASH = "FAULTS_CRASH"
"""``stage:step:count:delay_ms``: kill -9 when the stage has done the step for the so-manieth time, and so long
after: a short delay hits what follows in the midst of it, sending outputs or state, the local write, the commit."""
HELD_MS = 100
"""With a delay that is longer the batch stays where it is until then, while all else goes on: such as commits."""
STRETCH_S = "FAULTS_STRETCH_S"
"""Stay up to so long between the writes of a batch: what is right by luck alone gets time to go wrong."""
FILE_BYTES = "FAULTS_FILE_BYTES"
"""No file may grow beyond this: to RocksDB, a disk that is full."""
CLOCK = "FAULTS_CLOCK"
"""File with the seconds by which the wall clock is wrong; looked at ten times a second."""
UNITS = "FAULTS_UNITS"
"""Constants of units to set, as ``SLICE=7,FOLD_AHEAD=50``: other batches, other pace of writing state."""
MUTANT = "FAULTS_MUTANT"
"""A way to break the product, see `tests.faults.mutants`: the suite has to see it."""


def live(environment: Mapping[str, str], log_path: str) -> None:
    """Be a worker; in a function of its own, for who starts one need not import what a worker imports."""
    from tests.faults.worker import run

    run(environment, log_path)
