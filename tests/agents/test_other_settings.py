"""Other settings: a file over the first ones, what it changes, and what it can't change."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.other_settings import OtherSettings, other_settings
from agents.settings import SettingsError, WorkerSettings, load_settings
from streams.settings import MINUTE_MS, Settings, TemplateRule
from streams.what_if import WITHOUT_EFFECT

DEPLOY = Path(__file__).parents[2] / "deploy"


def other(folder: Path, text: str, first: WorkerSettings | None = None) -> OtherSettings:
    file = folder / "other.toml"
    file.write_text(text)
    return other_settings(first or WorkerSettings(), file)


def test_what_the_file_names_changes_and_all_else_is_as_in_the_first(tmp_path: Path) -> None:
    first = WorkerSettings(streams=Settings(gap_ms=1, max_views=7))
    found = other(tmp_path, '[streams]\ngap = "1h30m"\nserved_templates = ["help"]\n', first)
    assert found.streams == Settings(gap_ms=90 * MINUTE_MS, max_views=7, served_templates=("help",))
    assert found.differing == [
        {"setting": "gap", "before": "1ms", "after": "1h30m"},
        {
            "setting": "served_templates",
            "before": ("help", "account", "order_tracking"),
            "after": ("help",),
        },
    ]
    assert (found.idle, found.lines) == ([], [])


def test_it_wins_over_the_environment(tmp_path: Path) -> None:
    first = load_settings(environment={"CULDESAC_GAP": "20m"})
    assert other(tmp_path, '[streams]\ngap = "10m"\n', first).streams.gap_ms == 10 * MINUTE_MS


def test_rules_are_shown_as_they_are_written(tmp_path: Path) -> None:
    found = other(tmp_path, '[streams]\ntemplate_rules = [{path = "/p/**", template = "product"}]\n')
    assert found.streams.template_rules == (TemplateRule("/p/**", "product"),)
    assert found.differing[0]["after"] == ({"path": "/p/**", "template": "product"},)


@pytest.mark.parametrize("text", ["", "[streams]\n", '[streams]\ngap = "30m"\nsite = "default"\n'])
def test_nothing_differs(tmp_path: Path, text: str) -> None:
    found = other(tmp_path, text)
    assert (found.streams, found.differing, found.lines) == (Settings(), [], [])


def test_settings_of_a_worker_decide_nothing_and_their_values_are_not_told(tmp_path: Path) -> None:
    found = other(tmp_path, '[worker]\nkafka = "a:1"\nsecret = "0123456789abcdefg"\nsession_timeout = "9s"\n')
    assert (found.differing, found.idle) == ([], ["kafka", "secret", "session_timeout"])
    [line] = found.lines
    assert line.endswith("[worker] kafka, secret, session_timeout: decide nothing in a replay.")
    assert "0123" not in line


@pytest.mark.parametrize(
    "line", ['future = "1s"', "pseudonymise = false", "learn_views = 9", 'snapshot_every = "1h"']
)
def test_what_changes_nothing_that_is_compared_is_told_and_left_out(tmp_path: Path, line: str) -> None:
    found = other(tmp_path, f"[streams]\n{line}\n")
    name = line.partition(" ")[0]
    assert (found.streams, found.differing, found.idle) == (Settings(), [], [name])
    assert found.lines[0].partition("[streams] ")[2].startswith(f"{name}: decides nothing here: ")


def test_the_full_file_can_be_the_other_one(tmp_path: Path) -> None:
    found = other_settings(WorkerSettings(), DEPLOY / "settings.full.toml")
    assert [change["setting"] for change in found.differing] == [
        "template_rules",
        "content_groups",
    ]
    assert len(found.lines) == 1 + len(WITHOUT_EFFECT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[streams\n", "is not TOML"),
        ("[streams]\ngap = 3\n", "[streams] gap: 3 has no unit"),
        ("[streams]\ngapp = '3m'\n", "[streams] gapp: unknown setting"),
        ("[worker]\nkafka = 'nowhere'\n", "[worker] kafka: 'nowhere' is no address"),
        ("[streams]\nsite = 'b'\n", "[streams] site: has to be as in the first settings"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        other(tmp_path, text)
    line = str(refused.value)
    assert line.startswith(str(tmp_path / "other.toml"))
    assert said in line
    assert "\n" not in line
