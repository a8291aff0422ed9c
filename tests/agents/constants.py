"""Other constants for the units of a test's worker: other batches, another pace of writing state."""

from __future__ import annotations

from agents import log_units, pump, units


def set_constants(patches: str) -> None:
    """Set constants given as ``SLICE=7,STORE_EVERY_S=0.5``, wherever their names stand."""
    for patch in filter(None, patches.split(",")):
        name, _, value = patch.partition("=")
        modules = [module for module in (units, log_units, pump) if name in vars(module)]
        assert modules, name
        for module in modules:
            vars(module)[name] = type(vars(module)[name])(value)
