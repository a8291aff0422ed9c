"""A Kafka that trusts nobody: who gets in, with which rights, and what is said to those who do not."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from kafka import KafkaConsumer, TopicPartition

from agents import doctor
from agents.adapting import AdaptError, TopicAdapter, check_rights
from agents.alerts import AlertReader
from agents.broker import EmbeddedKafka
from agents.changelogs import FENCE_KEY, top_header, write_fence
from agents.collect import check_kafka
from agents.collect_sender import CollectSender
from agents.grants import (
    LOG_STAGES,
    ROLES,
    Grant,
    RawTopic,
    Role,
    commands,
    grants,
    missing_grants,
    show_grants,
)
from agents.progress import Bars
from agents.publisher import Publisher
from agents.publishing import publish_files
from agents.recovery import recover
from agents.security import Security, security_of
from agents.sending import Record, Sender
from agents.settings import SettingsError, WorkerSettings, load_settings
from agents.stores import Store
from agents.topics import TopicError, check_topics, ensure_topics
from agents.worker import make_deployment
from schemas.topics import TOPICS
from streams.adapters import Adaptation
from streams.collected import CollectedRecord
from streams.event_files import find_files, read_events
from streams.flow import stages
from streams.ga4_exports import Ga4Export
from streams.intake import Intake
from streams.models import Models
from streams.processors import Fence
from streams.settings import Settings
from tests.agents.board_bench import served
from tests.agents.product import ROOT, SECRET, replayed
from tests.agents.secure_kafka import CERTIFIED_USER, PASSWORD, PLAIN_USER, SecureKafka

FORMAT = Models.state_format


@pytest.fixture(scope="module")
def secure(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """Give a Kafka with a user a role, each with the rights that we print, topics made by the administrator."""
    assert kafka.running  # where there is no Kafka this skips
    secure = SecureKafka(tmp_path_factory.mktemp("secure"))
    try:
        secure.start()
        for role in ROLES:
            secure.add_user(role)
            secure.grant(role, grants(WorkerSettings(), role))
        ensure_topics(secure.settings("administrator"))
        yield secure
    finally:
        secure.close()


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | environment | {"CULDESAC_SECRET": SECRET, "CULDESAC_METRICS_PORT": "0"}
    return subprocess.run(
        [sys.executable, "-m", "agents", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def sessions(kafka: str) -> dict[str, int]:
    """Last revision of each session that is not retracted."""
    consumer = KafkaConsumer(bootstrap_servers=kafka)
    tps = [TopicPartition("sessions", number) for number in consumer.partitions_for_topic("sessions") or ()]
    consumer.assign(tps)
    ends = consumer.end_offsets(tps)
    consumer.seek_to_beginning(*tps)
    last: dict[str, dict[str, Any]] = {}
    while any(consumer.position(tp) < ends[tp] for tp in tps):
        for records in consumer.poll(timeout_ms=200).values():
            last |= {session["id"]: session for session in (json.loads(record.value) for record in records)}
    consumer.close()
    return {name: session["page_views"] for name, session in last.items() if session["status"] != "retracted"}


def test_a_worker_with_exactly_these_rights_carries_events_to_sessions(
    secure: SecureKafka, tmp_path: Path
) -> None:
    shop = ROOT / "tests" / "data" / "shop"
    with Bars() as bars:
        publish_files([shop], secure.settings("publisher"), "ndjson", None, True, bars)
    events = read_events(find_files([shop], "ndjson"), "ndjson", Settings().site)
    last = {record["id"]: record for topic, record in replayed(events, Settings()) if topic == "sessions"}
    expected = {name: last[name]["page_views"] for name in last if last[name]["status"] != "retracted"}
    assert len(expected) > 40
    environment = secure.environment(
        "worker", secret=SECRET, metrics_port="0", data_dir=str(tmp_path / "data")
    )
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "agents", "worker"],
            cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        limit = time.monotonic() + 90
        while (found := sessions(secure.broker.bootstrap)) != expected:
            assert worker.poll() is None, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() < limit, (
                f"{len(found)} sessions\n{(tmp_path / 'log').read_text()[-3000:]}"
            )
            time.sleep(0.5)
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            code = worker.wait(100)
        finally:
            worker.kill()
            worker.wait()
    text = (tmp_path / "log").read_text()
    assert code == 0, text[-3000:]
    assert PASSWORD not in text
    with AlertReader(secure.settings("reader")) as reader:
        assert reader.poll(0.1) == []
    with served(**secure.environment("board")) as address:
        limit = time.monotonic() + 60
        while urlopen(f"{address}/healthz").read() != b"ok\n":
            assert time.monotonic() < limit
            time.sleep(0.1)


def test_doctor_names_every_right_that_is_missing(
    secure: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = "poor-worker"
    secure.add_user(user)
    settings = secure.settings(user)
    wanted = grants(settings, "worker")
    secure.grant(user, wanted)
    assert missing_grants(settings) == []
    for grant in {(grant.resource, grant.operations): grant for grant in wanted}.values():
        for operation in grant.operations:
            one = Grant(grant.resource, grant.name, (operation,))
            secure.revoke(user, one)
            # Who may not see a topic is not told what else is allowed on it.
            assert missing_grants(settings) in ([one], [grant])
            secure.grant(user, [one])
    lost = Grant("group", "culdesac", ("Read",))
    secure.revoke(user, lost)
    for name, value in secure.environment(user).items():
        monkeypatch.setenv(name, value)
    [finding] = [finding for finding in doctor.find(None, None) if finding.name == "rights"]
    assert finding.state == "broken"
    assert "Read on group culdesac" in finding.text
    assert finding.mend == commands([lost], f"User:{user}", settings.kafka)[0]
    with pytest.raises(TopicError, match="this user lacks Read on group culdesac: culdesac doctor prints"):
        make_deployment(settings)


def test_who_may_do_nothing_is_told_that_topics_may_be_there_unseen(secure: SecureKafka) -> None:
    stranger = "stranger"
    secure.add_user(stranger)
    states = check_topics(secure.settings(stranger))
    assert {state.state for state in states} == {"hidden"}
    assert "culdesac topics --acls" in states[0].mend
    with pytest.raises(TopicError, match="this user may not"):
        ensure_topics(secure.settings(stranger))


@pytest.mark.parametrize("user", [PLAIN_USER, CERTIFIED_USER])
def test_every_client_gets_in_by_plain_and_by_certificate(
    secure: SecureKafka, tmp_path: Path, user: str
) -> None:
    environment = (
        secure.certified() if user == CERTIFIED_USER else secure.environment(user, sasl_mechanism="PLAIN")
    )
    settings = load_settings(environment=environment)
    roles: tuple[Role, ...] = ("worker", "publisher", "reader")
    for role in roles:
        secure.grant(user, grants(settings, role))
    assert missing_grants(settings) == []
    assert {state.state for state in check_topics(settings)} == {"ok"}
    security = security_of(settings)
    with Publisher(settings.kafka, security=security) as publisher:
        publisher.send("feedback", b"{}")
    with AlertReader(settings) as reader:
        assert reader.poll(0.1) == []

    async def write_and_recover() -> int:
        sender = Sender(settings.kafka, security=security)
        await sender.start()
        changelog = "culdesac-models-changelog"
        fence = Record(FENCE_KEY, write_fence(Fence(format=FORMAT.number)), top_header(0, FORMAT.number))
        await sender.send({(changelog, 0): [fence]})
        await sender.stop()
        store = Store(tmp_path / "store", FORMAT)
        try:
            return (await recover(settings.kafka, {(changelog, 0): store}, security=security)).records
        finally:
            store.close()

    assert asyncio.run(write_and_recover()) >= 1


def test_a_collector_needs_no_more_than_its_rights(secure: SecureKafka) -> None:
    settings = secure.settings("collector")
    check_kafka(settings)
    lost = Grant("topic", "orders", ("Write",))
    secure.revoke("collector", lost)
    with pytest.raises(TopicError, match="orders"):
        check_kafka(settings)
    secure.grant("collector", [lost])

    async def deliver() -> bool:
        sender = CollectSender(settings.kafka, "", 1_000_000, security_of(settings))
        sender.start()
        while not sender.connected:
            await asyncio.sleep(0.05)
        taken = await sender.deliver([CollectedRecord("interactions", "ann", b"{}")])
        assert await sender.stop(30)
        return taken

    assert asyncio.run(deliver())


def test_an_adapter_needs_no_more_than_its_rights(secure: SecureKafka) -> None:
    settings, raw = secure.settings("adapter"), RawTopic("feedback", "adapters")
    with pytest.raises(AdaptError, match="Read on topic feedback, Read on group adapters"):
        check_rights(settings, raw)
    secure.grant("adapter", grants(settings, "adapter", raw))
    check_rights(settings, raw)
    adaptation = Adaptation(Ga4Export())
    adapter = TopicAdapter(settings.kafka, raw.topic, adaptation, raw.group, security=security_of(settings))
    adapter.step()
    adapter.close()
    secure.revoke("adapter", Grant("topic", "orders", ("Write",)))
    with pytest.raises(AdaptError, match="lacks Write on topic orders: culdesac topics --acls"):
        check_rights(settings, raw)


REFUSALS = [
    ({"sasl_password": "a wrong one"}, "lets nobody in by these credentials"),
    ({"ssl_ca_file": ""}, "its certificate is not to be trusted"),
    ({"security_protocol": "PLAINTEXT", "sasl_mechanism": "", "sasl_username": "", "sasl_password": "",
      "ssl_ca_file": ""}, "is no Kafka, or one that wants TLS: see security_protocol"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), REFUSALS, ids=[said for _, said in REFUSALS])
def test_who_does_not_get_in_is_told_why(
    secure: SecureKafka, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    monkeypatch.setattr("agents.topics.ADMISSION_MS", 1_000)
    with pytest.raises(TopicError, match=said) as refused:
        check_topics(secure.settings("worker", **settings))
    assert "\n" not in str(refused.value)
    assert "a wrong one" not in str(refused.value)


def test_a_command_ends_with_one_line_and_code_2_where_kafka_lets_nobody_in(secure: SecureKafka) -> None:
    refused = run(secure.environment("reader", sasl_password="a wrong one"), "alerts")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "see sasl_username" in refused.stderr
    assert "a wrong one" not in refused.stderr


def test_a_plain_listener_is_not_taken_for_one_with_tls(secure: SecureKafka) -> None:
    settings = secure.settings("worker", kafka=secure.broker.bootstrap)
    with pytest.raises(TopicError, match="does not speak TLS there"):
        check_topics(settings)


def test_a_listener_that_wants_a_certificate_says_so(secure: SecureKafka) -> None:
    settings = load_settings(environment=secure.certified(ssl_certificate_file=""))
    with pytest.raises(TopicError, match="lets nobody in without a certificate"):
        check_topics(settings)


# ---- without a broker


def test_rights_are_printed_for_every_role_and_name_only_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_grants(WorkerSettings(topic_prefix="shop."), as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("#")]
    named = set()
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["kafka-acls.sh", "--bootstrap-server", "127.0.0.1:9092"]
        named |= {name for option, name in pairwise(words) if option == "--topic"}
    assert named == {f"shop.{name}" for name in TOPICS} | {"RAW_TOPIC"}
    show_grants(WorkerSettings(), as_json=True)
    assert list(json.loads(capsys.readouterr().out)) == list(ROLES)


def test_rights_are_asked_for_by_every_stage_of_the_flow() -> None:
    flow = stages(Settings(), SECRET, WorkerSettings().topic_partitions())
    assert tuple(type(stage) for stage in (flow.intake, *flow.stages)) == (Intake, *LOG_STAGES)


def test_a_worker_of_some_stages_needs_less() -> None:
    names = {
        grant.name
        for grant in grants(WorkerSettings(stages=("models",)), "worker")
        if "Read" in grant.operations
    }
    assert names == {"site-events", "culdesac-models-changelog", "culdesac"}


def test_a_password_is_in_no_text_of_the_security(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush hush\n")
    settings = load_settings(
        environment={
            "CULDESAC_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "CULDESAC_SASL_MECHANISM": "PLAIN",
            "CULDESAC_SASL_USERNAME": "ann",
            "CULDESAC_SASL_PASSWORD_FILE": str(file),
        }
    )
    security = security_of(settings)
    assert security.arguments()["sasl_plain_password"] == "hush hush"
    assert "hush" not in repr(security)
    assert "hush" not in repr(security.credentials())
    assert security_of(WorkerSettings()) == Security()


BAD = [
    ({"sasl_username": "ann"}, "sasl_username: security_protocol PLAINTEXT has no use for it"),
    ({"ssl_ca_file": "ca.pem"}, "ssl_ca_file: security_protocol PLAINTEXT has no use for it"),
    ({"security_protocol": "SSL", "sasl_password": "hush"}, "sasl_password: security_protocol SSL has no use"),
    ({"security_protocol": "SASL_SSL"}, "sasl_mechanism: SASL_SSL needs one"),
    ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "sasl_username: SASL_SSL needs one"),
    ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "ann"}, "sasl_password: "),
    ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "ann",
      "sasl_password_file": "absent"}, "sasl_password_file: absent: No such file"),
    ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "ann",
      "sasl_password_file": "two-lines"}, "as one line"),
    ({"security_protocol": "SSL", "ssl_ca_file": "absent"}, "ssl_ca_file: absent: No such file"),
    ({"security_protocol": "SSL", "ssl_ca_file": "two-lines"}, "holds no certificate"),
    ({"security_protocol": "SSL", "ssl_key_file": "two-lines"}, "without an ssl_certificate_file"),
    ({"security_protocol": "SSL", "ssl_certificate_file": "two-lines"}, "are no certificate (PEM)"),
    ({"security_protocol": "TLS"}, "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
    ({"sasl_mechanism": "GSSAPI"}, "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), BAD, ids=[said for _, said in BAD])
def test_what_does_not_go_together_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two-lines").write_text("one\ntwo\n")
    with pytest.raises(SettingsError) as refused:
        security_of(load_settings(environment={f"CULDESAC_{n.upper()}": v for n, v in settings.items()}))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hush" not in str(refused.value)
