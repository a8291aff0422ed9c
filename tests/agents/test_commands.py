"""The command line: what each command is told, one line for what the user can mend, and a quick start."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from typer.main import get_command

from agents import commands
from agents.broker import EmbeddedKafka
from schemas.alert_decisions import AlertDecision
from schemas.decoding import decode_input
from schemas.deploys import Deploy
from streams.intake import PROGRESS

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    for name in [name for name in os.environ if name.startswith("CULDESAC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CULDESAC_DATA_DIR", str(tmp_path / "data"))

    def culdesac(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["culdesac", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            commands.main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return culdesac


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["replay", "x"], "Missing option '--out'"),
        (["replay", "x", "--out", "o", "--format", "xml"], "'xml' is not one of"),
        (["replay", "absent", "--out", "o"], "absent: there is no such file or folder"),
        (
            ["replay", "pyproject.toml", "--out", "o", "--settings", "absent.toml"],
            "absent.toml: can't be read",
        ),
        (["replay", "pyproject.toml", "--out", "o"], "is not named after an input topic"),
        (["replay", "absent", "--diff", "absent.toml"], "absent.toml: can't be read"),
        (["replay", "absent", "--diff", "site.toml"], "site.toml: [streams] site: has to be as in the first"),
        (["replay", "absent", "--diff", "bad.toml"], "bad.toml: [streams] gap: 30 has no unit"),
        (["replay", "absent", "--diff", "good.toml"], "absent: there is no such file or folder"),
        (["publish", "tests/data", "--rate", "0"], "0"),
        (["replay", "shop.csv", "--out", "o"], "CSV needs --map: propose one with culdesac map FILE"),
        (["replay", "shop.csv", "--out", "o", "--map", "absent.toml"], "absent.toml: can't be read"),
        (["replay", "shop.csv", "--out", "o", "--map", "site.toml"], "site.toml: Object"),
        (["replay", "shop.csv", "--out", "o", "--format", "ga4", "--map", "x"], "--map is for --format csv"),
        (["map", "absent.csv"], "absent.csv: there is no such file"),
        (["map", "pyproject.toml"], "pyproject.toml: does not look like CSV"),
        (["map", "shop.csv", "--out", "site.toml"], "site.toml: is there already"),
        (["adapt", "--format", "csv", "--from-topic", "x"], "CSV needs --map"),
        (
            ["adapt", "--format", "csv", "--from-topic", "x", "--map", "rows.toml"],
            "group_rows reads files only",
        ),
        (
            ["adapt", "--format", "ga4", "--from-topic", "x", "--kafka", "127.0.0.1:1"],
            "no Kafka answers there",
        ),
        (["adapt", "--format", "otto", "--from-topic", "x"], "'otto' is not one of"),
        (["publish", ".", "--kafka", "nowhere"], "--kafka: 'nowhere' is no address: write host:port"),
        (["shop"], "say where to"),
        (["shop", "--out", "o"], "say how long"),
        (["shop", "--out", "o", "--hours", "1", "--plant", "absent"], "absent: no such file"),
        (["topics", "--check", "--kafka", "127.0.0.1:1"], "no Kafka answers there: start it"),
        (["decide", "a", "snooze", "--by", "Ann"], "'snooze' is not one of 'acknowledge', 'mute'"),
        (["decide", "a", "mute"], "Missing option '--by'"),
        (["decide", "a", "dismiss", "--by", "Ann", "--for", "4h"], "only a mute has an end"),
        (["decide", "a", "mute", "--by", "Ann", "--for", "soon"], "'soon' is no duration"),
        (["decide", "a", "mute", "--by", "Ann", "--for", "99999999d"], "at `$.until`"),
        (["decide", " ", "mute", "--by", "Ann"], "`alert_id` is blank"),
        (["decide", "a", "mute", "--by", "a" * 129], "`$.by`"),
        (["decide", "a", "mute", "--by", "Ann", "--kafka", "127.0.0.1:1"], "no Kafka answers there"),
        (["deploy-marker", "7", "--at", "noon"], "'noon' is no time: write one such as 2026-"),
        (["deploy-marker", "7\n8"], "`version` has a control character"),
        (["deploy-marker", "7", "--kafka", "127.0.0.1:1"], "no Kafka answers there: start it"),
        (["alerts", "--from", "absent"], "name a folder that culdesac replay wrote"),
        (["demo", "--for", "soon"], "'soon' is no duration"),
        (["demo", "--for", "0s"], "more than 0"),
        (["worker", "--settings", "absent.toml"], "absent.toml: can't be read"),
        (["collect"], "name the keys of your sites, such as --sites k1=shop.example"),
        (["collect", "--sites", "shop.example"], "--sites: 'shop.example' is no site: write key=site"),
        (
            ["collect", "--sites", "k=s", "--port", "-1"],
            "--port: -1 can't be used: write a whole number from 0",
        ),
        (["collect", "--sites", "k=s", "--port", "0", "--kafka", "nowhere"], "'nowhere' is no address"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "shop.csv").write_text("time,order_id,total\n2026-03-01 12:00,1,9.50\n")
    (tmp_path / "rows.toml").write_text(
        'columns = ["t", "o"]\nkind = "orders"\ngroup_rows = true\n[fields]\noccurred_at = "t"\norder_id = "o"\n'
    )
    for name, line in (("site", 'site = "x"'), ("bad", "gap = 30"), ("good", 'gap = "1m"')):
        (tmp_path / f"{name}.toml").write_text(f"[streams]\n{line}\n")
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert code == 2
    assert err.startswith("culdesac: ")
    assert err.count("\n") == 1
    assert said in err
    assert out == ""


def test_an_error_of_ours_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("agents.alerts.show_alerts", broken)
    monkeypatch.setattr(sys, "argv", ["culdesac", "alerts"])
    with pytest.raises(KeyError, match="ours"):
        commands.main()


def test_ctrl_c_ends_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.alerts.show_alerts", interrupted)
    assert run("alerts") == (130, "", "")


def test_shop_replay_and_alerts_work_together(run: Run, tmp_path: Path) -> None:
    shop, out = tmp_path / "shop", tmp_path / "out"
    code, _, err = run("shop", "--hours", 1, "--sessions-per-hour", 60, "--pages", 40, "--out", shop)
    assert code == 0
    assert "truth.json" in err
    code, text, err = run("replay", shop, "--out", out, "--json")
    assert code == 0, err
    summary = json.loads(text)
    assert summary["page_views"] == len((shop / "page-views.ndjson").read_bytes().splitlines())
    assert run("alerts", "--from", out) == (0, "No dead-end alerts.\n", "")
    code, text, _ = run("replay", shop, "--out", out)
    assert (code, f"{summary['page_views']:,} page views" in text) == (0, True)


def read_notes(kafka: EmbeddedKafka, topics: list[str]) -> list[Any]:
    """Read what was sent to topics of one partition, progress left out, in the order of the topics."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    found: list[Any] = []
    for topic in topics:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            for records in consumer.poll(timeout_ms=200).values():
                found += [record for record in records if not record.value.startswith(PROGRESS)]
    consumer.close()
    return found


def test_topics_publish_and_doctor_work_on_a_kafka(
    run: Run, kafka: EmbeddedKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CULDESAC_TOPIC_PREFIX", f"c{uuid.uuid4().hex[:8]}.")
    monkeypatch.setenv("CULDESAC_PARTITIONS", "inputs=1,visitors=1,customers=1,outputs=1")
    monkeypatch.setenv("CULDESAC_METRICS_PORT", "0")
    view = {
        "event_id": "e",
        "visitor_id": "v",
        "occurred_at": "2026-03-01T12:00:00Z",
        "url": "https://s.example/",
    }
    (tmp_path / "page-views.ndjson").write_text(json.dumps(view))
    assert run("topics", "--check", "--kafka", kafka.bootstrap)[0] == 1
    code, _, err = run("publish", tmp_path, "--kafka", kafka.bootstrap)
    assert (code, "run culdesac topics --create" in err) == (2, True)
    code, _, err = run("deploy-marker", "7", "--kafka", kafka.bootstrap)
    assert (code, "run culdesac topics --create" in err) == (2, True)
    assert run("topics", "--create", "--kafka", kafka.bootstrap)[0] == 0
    code, text, _ = run("publish", tmp_path, "--kafka", kafka.bootstrap, "--end", "--json")
    assert (code, json.loads(text)["sent"]) == (0, 1)
    assert run("shop", "--hours", 0.2, "--pages", 40, "--kafka", kafka.bootstrap)[0] == 0
    code, text, _ = run("doctor", "--kafka", kafka.bootstrap, "--json")
    assert code == 0, text
    assert run("alerts", "--kafka", kafka.bootstrap, "--json") == (0, "", "")
    said = ["3f2a9c0d", "mute", "--by", "Ann", "--why", "a sale", "--for", "4h", "--site", "shop"]
    assert run("decide", *said, "--kafka", kafka.bootstrap)[:2] == (0, "")
    marker = ["7", "--at", "2026-03-01T12:00:00Z", "--note", "sizes", "--site", "shop"]
    assert run("deploy-marker", *marker, "--kafka", kafka.bootstrap)[:2] == (0, "")
    prefix = os.environ["CULDESAC_TOPIC_PREFIX"]
    notes = read_notes(kafka, [prefix + "alert-decisions", prefix + "deploys"])
    assert [(note.key, note.value) for note in notes] == [
        (b"3f2a9c0d", notes[0].value),
        (b"shop", notes[1].value),
    ]
    decision = decode_input("alert-decisions", notes[0].value)
    assert isinstance(decision, AlertDecision)
    assert (decision.alert_id, decision.action, decision.by, decision.why) == (
        "3f2a9c0d",
        "mute",
        "Ann",
        "a sale",
    )
    assert decision.until == decision.occurred_at + 4 * 3_600_000
    deploy = decode_input("deploys", notes[1].value)
    assert isinstance(deploy, Deploy)
    assert (deploy.version, deploy.note, deploy.occurred_at) == ("7", "sizes", 1_772_366_400_000)


COMMAND = get_command(commands.app)
NAMES = list(getattr(COMMAND, "commands"))  # noqa: B009  # Typer's own type of a group is not public


def test_help_names_every_command() -> None:
    command = [sys.executable, "-m", "agents", "--help"]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert len(NAMES) == 17
    for name in NAMES:
        assert f"  {name} " in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2], "each is said in a line"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_in_the_help_of_each_command_can_be_typed(name: str) -> None:
    command = getattr(COMMAND, "commands")[name]  # noqa: B009
    [example] = re.findall(r"Example: (culdesac .*)", inspect.cleandoc(command.help))
    words = shlex.split(example)
    assert words[:2] == ["culdesac", name]
    # Parses and checks all of it, and runs nothing.
    command.make_context(name, words[2:])


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, f"{version('culdesac')}\n", "")


@pytest.mark.parametrize(
    ("line", "proposed"),
    [
        ("culdesac wo", "worker"),
        ("culdesac decide x ack", "acknowledge"),
        ("culdesac replay --format g", "ga4"),
        ("culdesac topics --ac", "--acls"),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, proposed: str) -> None:
    """As bash does it: by the script that we print, with the words of the line."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    ours = tmp_path / "culdesac"
    ours.write_text(f'#!/bin/sh\nexec {sys.executable} -m agents "$@"\n')
    ours.chmod(0o755)
    script = (
        "source <(culdesac --show-completion); complete -p culdesac >&2; "
        f"COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _culdesac_completion culdesac; "
        'echo "${COMPREPLY[*]}"'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == (proposed, 0), done.stderr


def test_commands_import_nothing_heavy_before_they_run() -> None:
    probe = (
        "import sys, json, agents.commands; print(json.dumps([m for m in sys.modules if m.split('.')[0] in "
        "('faust', 'river', 'kafka', 'aiokafka', 'numpy', 'streams')]))"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    words = f"{sys.executable} -m agents topics --json | head -c 10"
    done = subprocess.run(words, shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
