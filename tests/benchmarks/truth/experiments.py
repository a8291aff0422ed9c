"""All experiments by name."""

from __future__ import annotations

from tests.benchmarks.truth import alarms, causes, credits, rival_alarms, scopes
from tests.benchmarks.truth.verdicts import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    **alarms.EXPERIMENTS,
    **rival_alarms.EXPERIMENTS,
    **scopes.EXPERIMENTS,
    **causes.EXPERIMENTS,
    **credits.EXPERIMENTS,
}
