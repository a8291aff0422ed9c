"""Replay under two settings as a command: what it writes, counts, shows, and says of settings without effect."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from agents import commands
from agents.differences_view import show_differences
from agents.replay_differences import FILES
from schemas.dead_end_alerts import DeadEndAlert
from schemas.sessions import Session
from streams.alert_differences import alert_difference
from streams.session_differences import SESSION_KINDS, SessionDifference
from tests.streams.test_alert_differences import alert

DATA = Path(__file__).parents[1] / "data"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    for name in [name for name in os.environ if name.startswith("CULDESAC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CULDESAC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CULDESAC_SECRET", "not a secret, this is a test")

    def replay(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["culdesac", "replay", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            commands.main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return replay


def other(folder: Path, text: str) -> Path:
    file = folder / "other.toml"
    file.write_text(text)
    return file


def test_the_shop_of_the_readme_under_two_settings(run: Run, tmp_path: Path) -> None:
    code, text, err = run(DATA / "shop", "--diff", DATA / "what_if.toml", "--out", tmp_path / "o", "--json")
    assert (code, err) == (0, "")
    summary = json.loads(text)
    assert summary["replayed"] is True
    assert [change["setting"] for change in summary["settings"]] == ["gap", "served_templates"]
    assert summary["events"] == 403
    # Each side equals a replay of its own.
    for side, words in (("before", []), ("after", ["--settings", DATA / "what_if.toml"])):
        code, text, _ = run(DATA / "shop", "--out", tmp_path / side, "--json", *words)
        alone = json.loads(text)["sessions"]
        assert summary["sessions"][side] == alone["closed"]
        assert summary["sessions"]["page_views"][side] == alone["page_views"]
        reasons = dict.fromkeys(alone["by_exit_reason"], 0)
        for pair in summary["exit_reasons"]:
            if pair[side] is not None:
                reasons[pair[side]] += pair["sessions"]
        assert reasons == alone["by_exit_reason"]
    lines = (tmp_path / "o" / FILES[SessionDifference]).read_bytes().splitlines()
    written = [msgspec.json.decode(line, type=SessionDifference) for line in lines]
    assert len(written) == sum(summary["sessions"][kind] for kind in SESSION_KINDS) > 5
    for side in ("before", "after"):
        final: dict[str, Session] = {}
        for line in (tmp_path / side / "sessions.ndjson").read_bytes().splitlines():
            session = msgspec.json.decode(line, type=Session)
            final[session.id] = session
        assert all(session == final[session.id] for one in written for session in getattr(one, side))
    raw = {json.loads(line)["visitor_id"] for line in page_views()}
    assert not any(visitor.encode() in line for line in lines for visitor in raw)
    assert sorted(file.name for file in (tmp_path / "o").iterdir()) == sorted(FILES.values())


def page_views() -> list[bytes]:
    return gzip.decompress((DATA / "shop" / "page-views.ndjson.gz").read_bytes()).splitlines()


def test_people_see_settings_kinds_reasons_and_pages_without_a_folder(run: Run, tmp_path: Path) -> None:
    code, text, err = run(DATA / "shop", "--diff", DATA / "what_if.toml")
    assert (code, err) == (0, "")
    for said in (
        "gap: 30m → 5m",
        "help, account, order_tracking → help, account, order_tracking, content",
        "4 split",
        "split into 2",
        "nobody left then",
        "exit_reason dead_end",
        "exit_reason served",
        "Alerts: 0",
        "Pages whose rank score changes most",
    ):
        assert said in text
    assert "v_" not in text, "no visitor is named"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "file"), [("access-log", "apache_access.log"), ("otto", "otto_sessions.jsonl")]
)
def test_other_formats_are_compared_alike(run: Run, tmp_path: Path, form: str, file: str) -> None:
    diff = other(tmp_path, '[streams]\ngap = "1s"\n')
    code, text, _ = run(DATA / file, "--format", form, "--diff", diff, "--json")
    sessions = json.loads(text)["sessions"]
    assert code == 0
    assert sessions["split"] > 0
    assert sessions["after"] > sessions["before"]


def test_equal_settings_say_so_and_replay_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CULDESAC_SECRET")
    file = other(tmp_path, '[streams]\ngap = "30m"\nfuture = "1s"\n[worker]\nkafka = "a:1"\n')
    code, text, err = run(DATA / "shop", "--diff", file, "--out", tmp_path / "o")
    assert code == 0
    assert text == "No setting differs that decides anything in a replay: all would be the same.\n"
    assert [line.partition(": ")[2] for line in err.splitlines()] == [
        "[worker] kafka: decides nothing in a replay.",
        "[streams] future: decides nothing here: in files nothing is ahead of its time of arrival.",
    ]
    assert {file.stat().st_size for file in (tmp_path / "o").iterdir()} == {0}
    code, text, _ = run(DATA / "shop", "--diff", file, "--json")
    summary = json.loads(text)
    assert (code, summary["replayed"], summary["settings"], summary["events"]) == (0, False, [], 0)
    assert summary["idle"] == ["kafka", "future"]
    assert not (tmp_path / "data").exists(), "no secret was needed"


def test_a_folder_that_cannot_be_made_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, text, err = run(DATA / "shop", "--diff", DATA / "what_if.toml", "--out", tmp_path / "file" / "o")
    assert (code, text, err.count("\n")) == (2, "", 1)
    assert "can't be written" in err


def test_alerts_are_shown_with_what_has_become_of_them() -> None:
    def pair(before: DeadEndAlert | None, after: DeadEndAlert | None) -> Any:
        return msgspec.to_builtins(alert_difference(before, after))

    sides = {"before": 1_200, "after": 1_200}
    empty: dict[str, Any] = {
        **sides,
        "same": 1_200,
        **dict.fromkeys(SESSION_KINDS, 0),
        "page_views": sides,
        "outcomes": {},
        "revenue": {},
        "fields": {},
        "examples": {kind: [] for kind in SESSION_KINDS},
    }
    examples: dict[str, list[Any]] = {
        "changed": [pair(alert(30, 90), alert(0, 90, status="withdrawn", cause="tag_broke"))],
        "figures": [pair(alert(0), alert(0, views=7))],
        "only_before": [pair(alert(0, scope="device", value="mobile", page=""), None)],
        "only_after": [pair(None, alert(0, page="[bold]page"))],
    }
    summary = {
        "replayed": True,
        "settings": [{"setting": "pseudo", "before": True, "after": [{"path": "/a", "template": "b"}]}],
        "events": 1_200,
        "sessions": empty,
        "exit_reasons": [],
        "alerts": {"before": 3, "after": 3, "same": 0, **dict.fromkeys(examples, 1), "examples": examples},
        "pages": {"before": 0, "after": 0, "changed": 0, "top": []},
        "rejected": {"too_late": {"before": 0, "after": 4}},
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "out": None,
    }
    screen = io.StringIO()
    show_differences(summary, Console(file=screen, width=160))
    text = screen.getvalue()
    for said in (
        "pseudo: true → /a b",
        "1,200 events. Sessions: 1,200, 1,200 the same",
        "Rejected: too_late 0 → 4",
        "Alerts: 3, 1 only before, 1 only after, 1 changed, 1 other figures",
        "30 min earlier",
        "resolved → withdrawn",
        "unknown → tag_broke",
        "device mobile",
        "[bold]page",
        "at the same time",
    ):
        assert said in text
