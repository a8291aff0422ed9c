"""Each sort of change to a contract is told from each other: what breaks others, and what does not."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.asyncapi import document
from tests.contracts.compatibility import FILE, breaks, main

NOW = document()
Change = Callable[[dict[str, Any]], Any]


def schema(made: dict[str, Any], name: str) -> Any:
    return made["components"]["schemas"][name]


def field(made: dict[str, Any], name: str, of: str) -> Any:
    return schema(made, name)["properties"][of]


def topic(made: dict[str, Any], name: str) -> Any:
    return made["channels"][name]["bindings"]["kafka"]


HARMLESS: dict[str, Change] = {
    "nothing": lambda made: None,
    "an output has one more field": lambda made: schema(made, "Session")["properties"].update(
        mood={"type": "string"}
    ),
    "an output always has what it had at times": lambda made: schema(made, "Session")["required"].append(
        "site"
    ),
    "an output has fewer words": lambda made: field(made, "Session", "status")["enum"].remove("revised"),
    "an output is shorter": lambda made: field(made, "Session", "id").update(maxLength=64),
    "an input may have one more field": lambda made: schema(made, "PageView")["properties"].update(
        mood={"type": "string"}
    ),
    "an input need not have what it needed": lambda made: schema(made, "PageView")["required"].remove("url"),
    "an input takes one more word": lambda made: field(made, "AlertDecision", "action")["enum"].append(
        "snooze"
    ),
    "a topic is new": lambda made: made["channels"].update(new=made["channels"]["sessions"]),
    "a topic is kept for longer": lambda made: topic(made, "sessions")["topicConfiguration"].update(
        {"retention.ms": 10**12}
    ),
    "a description": lambda made: field(made, "Session", "id").update(description="Another."),
}
BREAKING: dict[str, tuple[Change, str]] = {
    "a topic is gone": (lambda made: made["channels"].pop("sessions"), "sessions: the topic is gone"),
    "a topic is renamed": (
        lambda made: made["channels"]["sessions"].update(address="visits"),
        "sessions: is called visits, was sessions",
    ),
    "partitions": (lambda made: topic(made, "sessions").update(partitions=8), "has 8 partitions, had 4"),
    "retention": (
        lambda made: topic(made, "sessions")["topicConfiguration"].update({"retention.ms": 1}),
        "sessions: retention.ms is 1, was 604800000",
    ),
    "policy": (
        lambda made: topic(made, "sessions")["topicConfiguration"].update({"cleanup.policy": ["compact"]}),
        "sessions: cleanup.policy is ['compact']",
    ),
    "key": (
        lambda made: made["components"]["messages"]["sessions"]["bindings"]["kafka"]["key"].update(
            description="site"
        ),
        "sessions: has another key",
    ),
    "identity": (
        lambda made: made["components"]["messages"]["sessions"]["x-identity"].update(id="session_id"),
        "sessions: told apart by",
    ),
    "an output lacks what it always had": (
        lambda made: schema(made, "Session")["required"].remove("visitor_id"),
        "sessions: may now be what it was not (visitor_id)",
    ),
    "an output has another type": (
        lambda made: field(made, "Session", "page_views").update(type="string"),
        "sessions.page_views: may now be what it was not",
    ),
    "an output has one more word": (
        lambda made: field(made, "Session", "status")["enum"].append("guessed"),
        "sessions.status: may now be what it was not",
    ),
    "an output's times are no times": (
        lambda made: field(made, "Session", "started_at").pop("format"),
        "sessions.started_at: format date-time",
    ),
    "an output may hold other text": (
        lambda made: field(made, "Session", "id").pop("pattern"),
        r"sessions.id: pattern \S: may now be what it was not",
    ),
    "deep inside": (
        lambda made: field(made, "AlertCourse", "views").update(type="number"),
        "dead-end-alerts.course.",
    ),
    "another version": (
        lambda made: field(made, "Session", "schema").update(enum=["sessions/2"]),
        "sessions: schema ['sessions/1'], now ['sessions/2']: readers have to change",
    ),
    "headers": (
        lambda made: made["components"]["messages"]["sessions"]["headers"]["required"].remove("ce_id"),
        "sessions headers: may now be what they were not (ce_id)",
    ),
    "an input needs more": (
        lambda made: schema(made, "PageView")["required"].append("title"),
        "page-views: takes no more what it took (title)",
    ),
    "an input is shorter": (
        lambda made: field(made, "PageView", "event_id").update(maxLength=10),
        "page-views.event_id: takes no more what it took",
    ),
    "an input takes a word less": (
        lambda made: field(made, "AlertDecision", "action")["enum"].remove("mute"),
        "alert-decisions.action: takes no more what it took",
    ),
    "an input has other conditions": (
        lambda made: schema(made, "AlertDecision").update({"if": {}, "then": {"required": ["why"]}}),
        "alert-decisions: can't be decided",
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=list(HARMLESS))
def test_what_harms_nobody_is_none(change: Change) -> None:
    new = changed(change)
    assert list(breaks(only_changed(NOW, new), only_changed(new, NOW))) == []


@pytest.mark.parametrize(("change", "line"), BREAKING.values(), ids=list(BREAKING))
def test_what_breaks_others_is_named_with_its_place(change: Change, line: str) -> None:
    new = changed(change)
    found = list(breaks(only_changed(NOW, new), only_changed(new, NOW)))
    assert len(found) == 1
    assert line in found[0]


def test_all_topics_are_compatible_with_themselves() -> None:
    assert list(breaks(NOW, NOW)) == []


def changed(change: Change) -> dict[str, Any]:
    new = copy.deepcopy(NOW)
    change(new)
    return new


def only_changed(made: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Leave out topics that are the same on both sides, to be quick."""
    names: tuple[str, ...] = ("sessions", "page-views", "alert-decisions")
    if made["components"]["schemas"]["AlertCourse"] != other["components"]["schemas"]["AlertCourse"]:
        names = ("dead-end-alerts",)
    kept = {name: channel for name, channel in made["channels"].items() if name in (*names, "new")}
    return made | {"channels": kept}


def test_the_command_compares_with_the_last_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=Ann", "-c", "user.email=ann@shop.example", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    assert main([], tmp_path) == 0
    assert "there is no tag yet" in capsys.readouterr().out
    file = tmp_path / FILE
    file.parent.mkdir()
    for name, old in {"v1": changed(HARMLESS["a topic is new"]), "v2": NOW}.items():
        file.write_text(json.dumps(only_changed(old, NOW)))
        git("add", ".")
        git("commit", "-m", name)
        git("tag", name)
    assert main([], tmp_path) == 0
    assert capsys.readouterr().out == "0 breaks since v2\n"
    assert main(["--against", "v1"], tmp_path) == 1
    assert capsys.readouterr().out == "new: the topic is gone\n1 breaks since v1\n"
    assert main(["--against", "v3"], tmp_path) == 2
    assert "v3: has no deploy/asyncapi.json" in capsys.readouterr().out


def test_nothing_that_was_released_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out
