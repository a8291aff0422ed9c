"""The job of the benchmark beside its oracle, and the lock of the peers' environment."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from packaging.requirements import Requirement

from tests.benchmarks.peers.environment import LOCK
from tests.benchmarks.peers.folding import Session, View, closed, fold
from tests.benchmarks.peers.views import Key, make_views


def test_the_job_gives_what_the_oracle_cuts_from_the_whole() -> None:
    views = make_views(5_000)
    open_sessions: dict[str, Session] = {}
    found: dict[Key, dict[str, Any]] = {}
    closings = []
    for number, (key, value) in enumerate(views.records):
        view = msgspec.json.decode(value, type=View)
        before = open_sessions.get(view.visitor_id)
        opened = fold(before, view.occurred_at, view.url)
        if opened is not None:
            open_sessions[view.visitor_id] = opened
            if before is not None:
                closings.append(number)
                found[view.visitor_id, before.started_at] = closed(view.visitor_id, before)
        assert key.decode() == view.visitor_id
    assert found == views.sessions
    assert closings == views.closings
    assert 330 < sum(len(value) for _, value in views.records) / len(views.records) < 390


def test_the_peers_lock_pins_and_hashes_what_their_group_names() -> None:
    lock = LOCK.read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)[^\n]*\\\n    --hash=sha256:", lock, re.M))
    assert len(pinned) == len(re.findall(r"^[\w.-]+==", lock, re.M)), "an entry has no hash"
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    for line in project["dependency-groups"]["peers"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[wanted.name]), f"{wanted} is not what is locked"
