"""The whole flow on one screen: which stage reads what, and writes what.

::

    page-views  interactions  orders  identities  consents  feedback  alert-decisions  deploys
         └───────────┴──────────┴─────────┴──────────┴─────────┴─────────────┴────────────┘
                                intake ────────────────────────────► rejected-events
                        ┌─────────┴─────────┐
                 visitor-events       customer-events
                  │    ▲    ▲           ▲     │
                  │    │    └ marks: how far the inputs have come
                  │    └── learned by   │     └─► customers ──► session-revisions
                  │  pages, models ─────┼─────┐      │
               sessions ────────────────┘     │      │ corrections, marks
                  │   └──► sessions, enriched-page-views ──────────► rejected-events
                  │                           │      │
             site-events  (minutes, closed sessions, │
              │       │    decisions, deploys,       │
              │       │    marks of both logs) ◄─────┘
            pages   models ──► model-snapshots, model-reports
              │
         page-scores, dead-end-alerts ─────────────────────────────► rejected-events

Visitors are spread over the partitions of ``visitor-events``, customers over those of ``customer-events``; a site
is in one partition of ``site-events``, so that sums over its pages are plain sums. Marks go the way of the data:
from intake to sessions, from there to customers and sites, from customers to sites. What sessions have been told,
intake has written down for customers before. Decisions about alerts and deploys go by way of sessions, so that a
site has one log of all that is to be known of it. So three hops lead from a click to an alert; time takes a fourth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.customers import Customers
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
        Topic to its number of partitions; those of ``visitor-events`` and ``customer-events`` (1, where it names
        none) decide, for time at a site is the least time over all of them.
    """
    visitors, customers = partitions["visitor-events"], partitions.get("customer-events", 1)
    return Flow(
        Intake(settings, secret),
        (
            Sessions(settings, partitions=visitors, customers=customers),
            Customers(settings, partitions=customers, visitors=visitors),
            Pages(settings),
            Models(settings),
        ),
    )
