"""All experiments by name."""

from __future__ import annotations

from tests.benchmarks.truth import (
    alarms,
    causes,
    credits,
    deliveries,
    feeds,
    intervals,
    newborns,
    rankings,
    rival_alarms,
    scopes,
    unusual,
    upstream,
)
from tests.benchmarks.truth.verdicts import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    **alarms.EXPERIMENTS,
    **rival_alarms.EXPERIMENTS,
    **scopes.EXPERIMENTS,
    **causes.EXPERIMENTS,
    **feeds.EXPERIMENTS,
    **newborns.EXPERIMENTS,
    **unusual.EXPERIMENTS,
    **intervals.EXPERIMENTS,
    **rankings.EXPERIMENTS,
    **credits.EXPERIMENTS,
    **upstream.EXPERIMENTS,
    **deliveries.EXPERIMENTS,
}
