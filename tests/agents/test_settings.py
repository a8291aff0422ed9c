"""Settings: file and environment, what wins, and what is refused in one line."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.durations import format_duration, parse_duration
from agents.secret import load_secret
from agents.settings import SettingsError, WorkerSettings, load_settings, setting_names
from schemas.topics import PartitionCounts
from streams.settings import ContentGroup, Settings, TemplateRule

DEPLOY = Path(__file__).parents[2] / "deploy"
NO_ENVIRONMENT: dict[str, str] = {}


def settings_file(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def test_without_file_and_environment_all_have_defaults() -> None:
    settings = load_settings(environment=NO_ENVIRONMENT)
    assert settings == WorkerSettings()
    assert settings.streams == Settings()
    assert settings.metrics_host == "127.0.0.1"


def test_the_minimal_file_loads() -> None:
    settings = load_settings(DEPLOY / "settings.minimal.toml", NO_ENVIRONMENT)
    assert settings.streams.site == "shop.example"


def test_the_full_file_loads_and_lists_every_setting() -> None:
    file = DEPLOY / "settings.full.toml"
    load_settings(file, NO_ENVIRONMENT)
    document = tomllib.loads(file.read_text())
    for table in ("worker", "streams", "collect", "board"):
        assert list(document[table]) == list(setting_names(table)), "same settings, in the same order"


def test_the_full_file_shows_the_defaults_of_what_decides_results() -> None:
    streams = load_settings(DEPLOY / "settings.full.toml", NO_ENVIRONMENT).streams
    examples = ("template_rules", "content_groups")
    shown = {name: getattr(streams, name) for name in streams.__struct_fields__ if name not in examples}
    assert shown == {name: getattr(Settings(), name) for name in shown}


def test_a_file_is_read_with_durations_and_rules(tmp_path: Path) -> None:
    text = '[streams]\ngap = "1h30m"\ntemplate_rules = [{path = "/p/**", template = "product"}]\n'
    streams = load_settings(settings_file(tmp_path, text), NO_ENVIRONMENT).streams
    assert streams.gap_ms == 5_400_000
    assert streams.template_rules == (TemplateRule("/p/**", "product"),)


def test_the_environment_names_the_file_and_wins_over_it(tmp_path: Path) -> None:
    file = settings_file(tmp_path, '[worker]\napp_id = "a"\nmetrics_port = 1\n[streams]\ngap = "10m"\n')
    settings = load_settings(
        environment={"CULDESAC_SETTINGS": str(file), "CULDESAC_APP_ID": "b", "CULDESAC_GAP": "20m"}
    )
    assert (settings.app_id, settings.metrics_port, settings.streams.gap_ms) == ("b", 1, 1_200_000)


def test_the_command_line_wins_over_the_environment() -> None:
    settings = load_settings(
        None, {"CULDESAC_KAFKA": "a:1", "CULDESAC_APP_ID": "b"}, kafka="c:2", app_id=None
    )
    assert (settings.kafka, settings.app_id) == ("c:2", "b")


def test_lists_and_pairs_are_read_from_the_environment() -> None:
    settings = load_settings(
        environment={
            "CULDESAC_STAGES": "intake, sessions",
            "CULDESAC_PARTITIONS": "visitors=8, inputs=2",
            "CULDESAC_PSEUDONYMISE": "false",
            "CULDESAC_TEMPLATE_RULES": "/a=b/**=odd",
            "CULDESAC_CONTENT_GROUPS": "/guides/**=guides, /sizes=guides",
            "CULDESAC_KEEP_QUERY": "",
        }
    )
    assert settings.stages == ("intake", "sessions")
    assert settings.partitions == PartitionCounts(visitors=8, inputs=2)
    assert settings.topic_partitions()["culdesac-sessions-changelog"] == 8
    assert settings.streams.pseudonymise is False
    assert settings.streams.template_rules == (TemplateRule("/a=b/**", "odd"),)
    assert settings.streams.content_groups == (
        ContentGroup("/guides/**", "guides"),
        ContentGroup("/sizes", "guides"),
    )
    assert settings.streams.keep_query == ()


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("GAP", "3 parsecs", "10s"),
        ("GAP", "30", "such as 10s"),
        ("GAP_MS", "1800000", 'write gap = "…"'),
        ("GAPP", "30m", "unknown setting"),
        ("METRICS_PORT", "http", "a whole number"),
        ("METRICS_PORT", "70000", "from 0 to 65535"),
        ("REPLICATION_FACTOR", "0", "from 1"),
        ("MAX_VIEWS", "-5", "from 1"),
        ("PARTITIONS", "visitors", "name=value"),
        ("PARTITIONS", "visitors=many", "counts of inputs, visitors"),
        ("PARTITIONS", "visitor-events=4", "counts of inputs, visitors"),
        ("PARTITIONS", "visitors=0", "from 1"),
        ("STAGES", "intake,magic", "out of intake, sessions, customers, pages, models"),
        ("LOG_LEVEL", "loud", "one of DEBUG"),
        ("PSEUDONYMISE", "perhaps", "true or false"),
        ("KAFKA", "localhost", "host:port"),
        ("APP_ID", "a b", "letters, digits"),
        ("SECRET", "short", "16 characters"),
        ("DATA_DIR", "", "a path"),
        ("SESSION_TIMEOUT", "2m", "from 1s to 60s"),
        ("GROUP_INSTANCE_ID", "a/b", "letters, digits"),
    ],
)
def test_a_bad_value_is_one_line_with_its_name_and_its_mend(variable: str, value: str, mend: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(environment={f"CULDESAC_{variable}": value})
    line = str(refused.value)
    assert line.startswith(f"CULDESAC_{variable}: ")
    assert mend in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[worker\n", "is not TOML"),
        ("[wurker]\n", "tables [worker], [streams], [collect] and [board]"),
        ("gap = 3\n", "tables [worker], [streams], [collect] and [board]"),
        ("[streams]\ngap = 30\n", "[streams] gap: 30 has no unit"),
        ("[worker]\ngap = '30m'\n", "[worker] gap: unknown setting"),
        ("[streams]\nkeep_query = 'a'\n", None),
        ("[streams]\nkeep_query = [1]\n", "a list of texts"),
        ("[streams]\ntemplate_rules = [{path = '/'}]\n", "rules with path and template"),
        ("[streams]\ntemplate_rules = [{path = 'p', template = 't'}]\n", "a glob begins with '/'"),
        ("[streams]\ncontent_groups = [{path = '/'}]\n", "rules with path and group"),
        (
            "[streams]\ncontent_groups = [{path = 're:(', group = 'g'}]\n",
            "content group 're:(': not a regular",
        ),
    ],
)
def test_a_bad_file_is_one_line_with_its_place(tmp_path: Path, text: str, said: str | None) -> None:
    file = settings_file(tmp_path, text)
    if said is None:
        assert load_settings(file, NO_ENVIRONMENT).streams.keep_query == ("a",)
        return
    with pytest.raises(SettingsError) as refused:
        load_settings(file, NO_ENVIRONMENT)
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: can't be read"):
        load_settings(tmp_path / "absent.toml", NO_ENVIRONMENT)


@given(st.integers(0, 10**10))
def test_a_duration_reads_back_as_it_was_written(duration_ms: int) -> None:
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1y", "1h x", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 10s"):
        parse_duration(text)


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = WorkerSettings(data_dir=tmp_path / "data")
    secret, line = load_secret(settings)
    file = tmp_path / "data" / "secret"
    assert len(secret) >= 32
    assert line is not None
    assert str(file) in line
    assert secret not in line
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_secret(settings) == (secret, None)
    assert [path.name for path in file.parent.iterdir()] == ["secret"]


def test_a_given_secret_makes_no_file(tmp_path: Path) -> None:
    settings = WorkerSettings(data_dir=tmp_path / "data", secret="0123456789abcdef")
    assert load_secret(settings) == ("0123456789abcdef", None)
    assert not (tmp_path / "data").exists()


def test_a_secret_file_is_read_and_one_that_is_too_short_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0123456789abcdef\n")
    assert load_secret(WorkerSettings(secret_file=file)) == ("0123456789abcdef", None)
    file.write_text("0123")
    with pytest.raises(SettingsError, match="16 characters"):
        load_secret(WorkerSettings(secret_file=file))
    with pytest.raises(SettingsError, match="secret_file"):
        load_secret(WorkerSettings(secret_file=tmp_path / "absent"))
