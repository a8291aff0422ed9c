"""A deployment that ran before there was a customers stage is taken over as it is, and can't be rolled back."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.broker import EmbeddedKafka
from schemas.timestamps import format_ms
from tests.agents.product import COMPARED, Deployment, Record, final, replayed
from tests.streams.made_up_customers import SETTINGS, made_up_events

FORMER = "tests.agents.former_worker"


@pytest.fixture
def deployment(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Deployment]:
    environment = {
        "CULDESAC_SITE": SETTINGS.site, "CULDESAC_BOUGHT_LATER": "2d", "CULDESAC_PSEUDONYMISE": "false",
    }  # fmt: skip
    deployment = Deployment(kafka.bootstrap, tmp_path, environment)
    yield deployment
    deployment.close()


def counts(scores: dict[str, Record]) -> dict[str, tuple[int, int, int]]:
    """Page to views, exits, and exits that are dead ends, excused afterwards or not."""
    return {
        score["page"]: (
            score["views"],
            score["exits"],
            sum(score.get("exit_reasons", {}).get(reason, 0) for reason in ("dead_end", "bought_later")),
        )
        for score in scores.values()
    }


def test_a_deployment_without_customers_is_taken_over_and_can_t_be_rolled_back(
    deployment: Deployment,
) -> None:
    events = made_up_events(4)
    middle = len(events) // 2
    expected = final(replayed(events, SETTINGS))
    former = deployment.worker(module=FORMER)
    deployment.publish(events[:middle])
    deployment.wait_until_done(logs=("visitor-events", "site-events"))
    former.send_signal(signal.SIGTERM)
    assert former.wait(60) == 0, deployment.logs()
    assert deployment.read(["session-revisions"]) == []
    now = deployment.fork()
    deployment.publish(events[middle:])
    deployment.end(SETTINGS)
    deployment.wait_until_done()
    found = final(deployment.read(COMPARED))
    assert found["sessions"] == expected["sessions"]
    assert found["dead-end-alerts"] == expected["dead-end-alerts"]
    assert counts(found["page-scores"]) == counts(expected["page-scores"]), "time at the site went on"
    taken_over_at = format_ms(events[middle].occurred_at or 0)
    since = {
        name for name, record in expected["session-revisions"].items() if record["ended_at"] >= taken_over_at
    }
    assert len(since) > 5
    assert since <= found["session-revisions"].keys() <= expected["session-revisions"].keys()
    for name, record in found["session-revisions"].items():
        assert record == expected["session-revisions"][name]
    now.send_signal(signal.SIGTERM)
    assert now.wait(60) == 0, deployment.logs()
    back = deployment.worker("b", module=FORMER)
    assert back.wait(60) == 74, deployment.logs()
    refused = re.compile(r"the state has format 3, .* up to 2: run the newer version")
    assert refused.search(deployment.logs()), "models refuse"
