"""The product's worker as it was before there was a customers stage, for a test of the upgrade.

python -m tests.agents.former_worker worker
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agents import worker
from agents.commands import main
from streams.flow import Flow
from streams.formats import StateFormat, unchanged
from streams.intake import Intake
from streams.models import Models
from streams.pages import Pages
from streams.sessions import Sessions
from streams.settings import Settings
from streams.stages import Context, Output


class FormerSessions(Sessions):
    """Tells customers nothing, and sites of one log only."""

    def step(self, context: Context, record: Any) -> Iterable[Output]:
        """Do what it does, but for customers."""
        return _without_customers(super().step(context, record))

    def due(self, context: Context, key: str, deadline_ms: int) -> Iterable[Output]:
        """Do what it does, but for customers."""
        return _without_customers(super().due(context, key, deadline_ms))

    def advanced(self, context: Context, before_ms: int) -> Iterable[Output]:
        """Do what it does, but for customers."""
        return _without_customers(super().advanced(context, before_ms))


class FormerModels(Models):
    """Has the format before. (Pages keep theirs: their rows are laid out as they are today.)"""

    state_format = StateFormat(2, {1: unchanged})


def _without_customers(outputs: Iterable[Output]) -> list[Output]:
    return [output for output in outputs if output.topic != "customer-events"]


def former_stages(settings: Settings, secret: str, partitions: Mapping[str, int]) -> Flow:
    """Join the stages as they were."""
    sessions = FormerSessions(settings, partitions=partitions["visitor-events"], customers=0)
    return Flow(Intake(settings, secret), (sessions, Pages(settings), FormerModels(settings)))


if __name__ == "__main__":
    vars(worker)["stages"] = former_stages
    main()
