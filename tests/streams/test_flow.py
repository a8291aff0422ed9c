"""The whole flow over files: equal to a plain count, and the same for a shuffled and duplicated copy."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

import schemas
from schemas.timestamps import parse_time
from streams.customers import Customers
from streams.event_files import FileEvent, find_files, read_events
from streams.models import Models
from streams.pages import Pages
from streams.processors import LogProcessor
from streams.sessions import Sessions
from streams.settings import HOUR_MS, Settings
from streams.stages import LogStage
from tests.agents.product import Final, Record, differences, final, replayed, shop_events

SETTINGS = Settings(warm_up_ms=2 * HOUR_MS, pseudonymise=False)


@pytest.fixture(scope="module")
def events() -> list[FileEvent]:
    return shop_events(hours=8, sessions_per_hour=150, seed=11)


@pytest.fixture(scope="module")
def outputs(events: list[FileEvent]) -> list[tuple[str, Record]]:
    return replayed(events, SETTINGS)


EXAMPLES = Path(schemas.__file__).parent / "examples"
STAGES: tuple[LogStage, ...] = (
    Sessions(SETTINGS, 1, 1), Customers(SETTINGS, 1, 1), Pages(SETTINGS), Models(SETTINGS),
)  # fmt: skip


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_reads_whatever_stands_in_its_log(stage: LogStage) -> None:
    """Several stages read one log; what is none of a stage's business must not be refused by it."""
    examples = sorted((EXAMPLES / stage.log).glob("valid-*.json"))
    processor = LogProcessor(stage, 0)
    for offset, example in enumerate(examples):
        processor.apply(offset, 0, example.read_bytes())
    assert len(examples) >= 5
    assert processor.context.counts["rejected", "schema_violation"] == 0


def plain_sessions(events: list[FileEvent]) -> list[tuple[str, str, str, int, int]]:
    """Visitor, first and last time, page views and interactions of sessions, by a sort and a loop."""
    clicks: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for topic, value, _ in events:
        if topic in ("page-views", "interactions"):
            event = json.loads(value or b"")
            clicks[event["visitor_id"]].append((event["occurred_at"], topic))
    found = []
    for visitor, sequence in clicks.items():
        sequence.sort()
        groups = [[sequence[0]]]
        for click in sequence[1:]:
            if click[0] - groups[-1][-1][0] > 30 * 60_000:
                groups.append([])
            groups[-1].append(click)
        for group in groups:
            views = sum(topic == "page-views" for _, topic in group)
            found.append((visitor, str(group[0][0]), str(group[-1][0]), views, len(group) - views))
    return sorted(found)


def test_sessions_equal_a_plain_count(events: list[FileEvent], outputs: list[tuple[str, Record]]) -> None:
    sessions = [
        (
            session["visitor_id"],
            str(parse_time(session["started_at"])),
            str(parse_time(session["ended_at"])),
            session["page_views"],
            session["interactions"],
        )
        for session in final(outputs)["sessions"].values()
    ]
    assert sorted(sessions) == plain_sessions(events)
    assert len(sessions) > 1_000


def test_page_scores_count_what_sessions_say(outputs: list[tuple[str, Record]]) -> None:
    last: Final = final(outputs)
    exits: dict[str, int] = defaultdict(int)
    views: dict[str, int] = defaultdict(int)
    for session in last["sessions"].values():
        if not session.get("is_bot") and session.get("exit_page"):
            exits[session["exit_page"]] += 1
            for page in session["pages"]:
                views[page] += 1
    scores = {score["page"]: score for score in last["page-scores"].values()}
    assert {page: score["exits"] for page, score in scores.items() if score["exits"]} == dict(exits)
    assert {page: score["views"] for page, score in scores.items() if score["views"]} == dict(views)


def test_final_exits_confirm_the_planted_dead_ends(outputs: list[tuple[str, Record]]) -> None:
    alerts = [record for topic, record in outputs if topic == "dead-end-alerts"]
    sessions = final(outputs)["sessions"]
    confirmed = [alert for alert in alerts if alert["status"] == "confirmed"]
    assert len(confirmed) == 2
    for alert in confirmed:
        assert alert["final_exits"] > 2 * alert["expected_final_exits"]
        for path in alert["paths_ended"]:
            # What is shown of a session is what the session itself says.
            session = sessions[path["session_id"]]
            assert session["exit_page"] == path["steps"][-1]["page"] == alert["page"]
            assert [step["page"] for step in path["steps"]] == session["pages"][-12:]
            assert (path["source"], path["device"]) == (session["source"], session["device"])


def test_a_shuffled_and_duplicated_copy_gives_the_same(
    events: list[FileEvent], outputs: list[tuple[str, Record]], tmp_path: Path
) -> None:
    source = random.Random(5)
    lines: dict[str, list[bytes]] = defaultdict(list)
    for topic, value, _ in events:
        lines[topic] += [value or b""] * source.choice([1, 1, 1, 2, 3])
    for topic, copies in lines.items():
        source.shuffle(copies)
        (tmp_path / f"{topic}.ndjson").write_bytes(b"\n".join(copies) + b"\n")
    copied = replayed(read_events(find_files([tmp_path])), SETTINGS, partitions=3)
    assert differences(final(outputs), final(copied)) == {}
