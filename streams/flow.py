"""The whole flow on one screen: which stage reads what, and writes what.

::

    page-views  interactions  orders  identities  consents  feedback
         └───────────┴──────────┴─────────┴──────────┴─────────┘
                                intake ────────────────────────────► rejected-events
                        ┌─────────┴─────────┐
                 visitor-events       customer-events
                  │    ▲    ▲
                  │    │    └ marks: how far the inputs have come
                  │    └───── weights of models ──────────┐
               sessions ──► sessions, enriched-page-views │ ──────► rejected-events
                  │                                       │
             site-events  (minutes, closed sessions,      │
              │       │    marks of the visitors' log)    │
            pages   models ──► model-snapshots, model-reports
              │
         page-scores, dead-end-alerts

Visitors are spread over the partitions of ``visitor-events``; a site is in one partition of ``site-events``,
so that sums over its pages are plain sums. Three hops lead from a click to an alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.intake import Intake
from streams.models import Models
from streams.pages import Pages
from streams.sessions import Sessions
from streams.settings import Settings
from streams.stages import LogStage, SourceStage


@dataclass(frozen=True)
class Flow:
    """The stages in the order of the data.

    Attributes
    ----------
    intake
        Reads the input topics; keeps no state.
    stages
        Each reads one log, and keeps state.
    """

    intake: SourceStage
    stages: tuple[LogStage, ...]

    @property
    def logs(self) -> frozenset[str]:
        """Topics through which the stages feed each other."""
        return frozenset(stage.log for stage in self.stages)


def stages(settings: Settings, secret: str, partitions: Mapping[str, int]) -> Flow:
    """Join the stages.

    Parameters
    ----------
    settings
        What decides results.
    secret
        Key of the pseudonyms, at least 16 characters.
    partitions
        Topic to its number of partitions; of ``visitor-events`` the sessions stage has to know it, for time
        at a site is the least time over all of them.
    """
    return Flow(
        Intake(settings, secret),
        (
            Sessions(settings, partitions=partitions["visitor-events"]),
            Pages(settings),
            Models(settings),
        ),
    )
