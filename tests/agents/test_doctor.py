"""Doctor: each check can fail, and says what to do."""

from __future__ import annotations

import json
import socket
import tomllib
import uuid
from pathlib import Path

import pytest

from agents import doctor
from agents.broker import EmbeddedKafka
from agents.doctor_findings import Finding
from agents.kafka_jars import BrokerError
from agents.publisher import Publisher
from agents.settings import WorkerSettings
from agents.topics import check_topics, ensure_topics
from schemas.topics import PartitionCounts

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KAFKA", "SETTINGS", "METRICS_PORT", "PARTITIONS", "TOPIC_PREFIX"):
        monkeypatch.delenv(f"CULDESAC_{name}", raising=False)
    monkeypatch.setenv("CULDESAC_DATA_DIR", str(tmp_path / "data"))


def found(file: Path | None = None, kafka: str | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in doctor.find(file, kafka)}


def test_a_kafka_that_nobody_named_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.topics._knock", lambda server, tls: "")
    findings = found()
    assert findings["Python"].state == findings["packages"].state == findings["data folder"].state == "ok"
    assert findings["broker"].state == "note"
    assert "the demo brings its own" in findings["broker"].mend


def test_a_kafka_that_was_named_may_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert found(kafka="127.0.0.1:1")["broker"].state == "broken"
    assert doctor.examine(None, "127.0.0.1:1", as_json=True) == 1
    states = {finding["name"]: finding["state"] for finding in json.loads(capsys.readouterr().out)}
    assert states["broker"] == "broken"


def test_a_bad_setting_is_a_finding_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CULDESAC_METRICS_PORT", "http")
    finding = found()["settings"]
    assert finding.state == "broken"
    assert "CULDESAC_METRICS_PORT" in finding.text


def test_no_java_another_version_and_a_taken_port_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_java() -> None:
        raise BrokerError("no Java 17 or newer: run deploy/setup")

    monkeypatch.setattr(doctor, "find_java", no_java)
    monkeypatch.setattr(doctor, "EXACT", {"aiokafka": "0.0.1"})
    monkeypatch.setattr(doctor, "PYTHONS", ((2, 7), (3, 1)))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("CULDESAC_METRICS_PORT", str(taken.getsockname()[1]))
        findings = found(kafka="127.0.0.1:1")
    for name in ("Java", "packages", "Python"):
        assert findings[name].state == "broken"
        assert "deploy/setup" in findings[name].mend
    assert findings["metrics port"].state == "note"


def test_a_data_folder_under_a_file_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CULDESAC_DATA_DIR", str(tmp_path / "file" / "data"))
    assert found(kafka="127.0.0.1:1")["data folder"].state == "broken"


def test_the_exact_packages_are_those_of_the_project() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert dict(line.split("==") for line in wanted if "==" in line) == doctor.EXACT


def test_topics_and_clock_are_looked_at_where_kafka_is(
    kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"d{uuid.uuid4().hex[:8]}."
    monkeypatch.setenv("CULDESAC_TOPIC_PREFIX", prefix)
    assert found(kafka=kafka.bootstrap)["topics"].state == "note"
    counts = PartitionCounts(inputs=1, visitors=1, customers=1, outputs=1)
    settings = WorkerSettings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=counts)
    ensure_topics(settings)
    assert found(kafka=kafka.bootstrap)["topics"].state == "broken", "the default is four partitions"
    monkeypatch.setenv("CULDESAC_PARTITIONS", "inputs=1,visitors=1,customers=1,outputs=1")
    assert "collect port" not in found(kafka=kafka.bootstrap), "nobody asked for a collector"
    monkeypatch.setenv("CULDESAC_COLLECT_SITES", "k1=shop.example")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("CULDESAC_COLLECT_PORT", str(taken.getsockname()[1]))
        assert found(kafka=kafka.bootstrap)["collect port"].state == "note"
    findings = found(kafka=kafka.bootstrap)
    assert (findings["topics"].state, findings["clock"].state) == ("ok", "ok")
    assert (findings["collect port"].state, findings["collect rights"].state) == ("ok", "ok")
    assert doctor.examine(None, kafka.bootstrap, as_json=False) == 0
    assert "ok broker" in capsys.readouterr().out


def test_a_clock_that_is_behind_the_brokers_is_broken(kafka: EmbeddedKafka) -> None:
    prefix = f"d{uuid.uuid4().hex[:8]}."
    counts = PartitionCounts(inputs=1, visitors=1, customers=1, outputs=1)
    settings = WorkerSettings(kafka=kafka.bootstrap, topic_prefix=prefix, partitions=counts)
    ensure_topics(settings)
    with Publisher(settings.kafka, prefix) as publisher:
        publisher.send("page-views", b"{}")
    states = check_topics(settings)
    finding = doctor._clock(settings, states, lambda: 1_000_000.0)
    assert finding.state == "broken"
    assert "ahead of this machine's" in finding.text
