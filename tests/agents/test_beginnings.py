"""Files to begin with: what is written is read back, holds what was given, and explains every setting."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from agents.beginnings import FILES, NOTIFY, SETTINGS, beginning, write_settings
from agents.settings import SettingsError, WorkerSettings, load_settings, setting_names

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_what_is_written_holds_what_was_given_and_nothing_else(tmp_path: Path) -> None:
    file, told = tmp_path / "culdesac.toml", tmp_path / "notify.toml"
    lines = write_settings(file, 'a "shop"', "k1:9092,k2:9092", told, force=False)
    settings = load_settings(file, {})
    assert (settings.kafka, settings.streams.site) == ("k1:9092,k2:9092", 'a "shop"')
    assert tomllib.loads(file.read_text()) == {
        "worker": {"kafka": "k1:9092,k2:9092"}, "streams": {"site": 'a "shop"'}, "collect": {}, "board": {},
    }  # fmt: skip
    assert f"  culdesac doctor --settings {file}" in lines
    assert told.read_bytes() == (FILES / NOTIFY).read_bytes()


def test_every_setting_is_there_and_a_comment_explains_it() -> None:
    lines = beginning({}).splitlines()
    for table in ("worker", "streams", "collect", "board"):
        for name in setting_names(table):
            [place] = [
                n
                for n, line in enumerate(lines)
                if line.startswith(f"#{name} = ") and _table(lines, n) == table
            ]
            before = [line for line in lines[:place] if not line.startswith("#") or line.startswith("# ")]
            assert before[-1].startswith("# "), name


def _table(lines: list[str], place: int) -> str:
    return next(line[1:-1] for line in reversed(lines[:place]) if line.startswith("["))


def test_nothing_given_is_as_without_a_file(tmp_path: Path) -> None:
    write_settings(tmp_path / "c.toml", None, None, None, force=False)
    assert load_settings(tmp_path / "c.toml", {}) == WorkerSettings()


@pytest.mark.parametrize(
    ("kafka", "said"), [("nowhere", "'nowhere' is no address"), (None, "is there already: name another")]
)
def test_what_can_not_be_is_one_line_and_changes_nothing(
    tmp_path: Path, kafka: str | None, said: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text("mine")
    with pytest.raises(SettingsError, match=said):
        write_settings(file, None, kafka, None, force=kafka is not None)
    assert file.read_text() == "mine"
    with pytest.raises(SettingsError, match="can't be written"):
        write_settings(tmp_path / "no" / "c.toml", None, None, None, force=False)


@pytest.mark.parametrize("name", [SETTINGS, NOTIFY])
def test_the_files_of_deploy_are_the_same(name: str) -> None:
    assert (DEPLOY / name).read_bytes() == (FILES / name).read_bytes(), "run: python -m agents.beginnings"
