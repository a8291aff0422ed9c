"""The files for operators about what runs beside workers: board, collector, notify."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from typer.main import get_command

from agents import commands
from agents.collect import STOP_S
from agents.notify_settings import load_notify_settings
from agents.settings import FILE_VARIABLE, PREFIX, load_settings
from tests.test_deploy import (
    BESIDE,
    CONTAINER,
    DEPLOY,
    KINDS,
    OTHERS,
    POD,
    PODS,
    SCHEMAS,
    SERVICES,
    WORKERS,
    container_environment,
    pod_environment,
    unit,
)


def metrics_port(service: dict[str, Any]) -> int:
    """Port at which a service shows its health."""
    [port] = re.findall(r":(\d+)/healthz", service["healthcheck"]["test"][-1])
    return int(port)


def test_what_compose_runs_beside_the_workers_can_be_reached_and_shares_their_settings() -> None:
    common = load_settings(environment=next(iter(WORKERS.values()))["environment"])
    for name, service in BESIDE.items():
        environment = {key: value for key, value in service["environment"].items() if key.startswith(PREFIX)}
        settings = load_settings(environment=container_environment() | environment)
        assert (settings.kafka, settings.secret_file) == (common.kafka, common.secret_file)
        if name == "notify":
            assert metrics_port(service) == int(environment["CULDESAC_NOTIFY_METRICS_PORT"])
            [volume] = service["volumes"]
            file, place, _ = volume.split(":")
            assert place == environment["CULDESAC_NOTIFY"]
            load_notify_settings(DEPLOY / file)
            continue
        own = settings.board if name == "board" else settings.collect
        assert service["ports"] == [f"127.0.0.1:{own.port}:{own.port}"]
        assert (own.host, own.metrics_host) == ("0.0.0.0", "0.0.0.0"), "a container's own address"
        assert metrics_port(service) == own.metrics_port
    board = load_settings(environment=BESIDE["board"]["environment"]).board
    assert str(board.token_file) == f"/run/secrets/{BESIDE['board']['secrets'][-1]}"


@pytest.mark.parametrize("name", BESIDE)
def test_each_command_of_a_unit_can_be_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the words of compose and of Kubernetes, and the variables of both and of the systemd unit."""
    lines = dict(line.split("=", 1) for line in unit()["Service"]["Environment"])
    for words, environment in (
        (SERVICES[name]["command"], SERVICES[name]["environment"]),
        (PODS[name]["containers"][0]["args"], pod_environment(name)),
        ([name], lines),
    ):
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        command = getattr(get_command(commands.app), "commands")[words[0]]  # noqa: B009  # of no public type
        context = command.make_context(words[0], list(words[1:]))
        if name == "notify":
            assert str(context.params["file"]) == "/etc/culdesac/notify.toml" or "services" in str(
                context.params
            )
            assert context.params["metrics_port"] == 9652


@pytest.mark.parametrize("manifest", OTHERS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_what_runs_beside_the_workers_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    schema = json.loads((SCHEMAS / "kubernetes-1.37.json").read_text())
    wanted = {"$defs": schema["$defs"], "$ref": f"#/$defs/{schema['kinds'][manifest['kind']]}"}
    errors = jsonschema_rs.validator_for(wanted).iter_errors(manifest)
    assert [f"{error.instance_path}: {error.message}" for error in errors] == []
    labels = {"app.kubernetes.io/name": manifest["metadata"]["name"]}
    selector = manifest["spec"]["selector"]
    assert selector.get("matchLabels", selector) == labels


@pytest.mark.parametrize("name", BESIDE)
def test_a_pod_beside_the_workers_is_probed_where_it_shows_its_health(name: str, tmp_path: Path) -> None:
    [container] = PODS[name]["containers"]
    file = tmp_path / "settings.toml"
    file.write_text(KINDS["ConfigMap"]["data"]["settings.toml"])
    environment = pod_environment(name)
    assert environment[FILE_VARIABLE] in {mount["mountPath"] for mount in container["volumeMounts"]}
    settings = load_settings(file, container_environment() | environment | {FILE_VARIABLE: str(file)})
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if name == "notify":
        assert ports == {"metrics": int(environment["CULDESAC_NOTIFY_METRICS_PORT"])}
        assert settings.metrics_host == "0.0.0.0"
    else:
        own = settings.board if name == "board" else settings.collect
        assert ports == {"http": own.port, "metrics": own.metrics_port}
        assert own.host == own.metrics_host == "0.0.0.0"
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    [service] = [
        one for one in OTHERS if one["kind"] == "Service" and one["metadata"]["name"] == f"culdesac-{name}"
    ]
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports
    context = {name: value for name, value in POD["securityContext"].items() if name != "fsGroupChangePolicy"}
    assert PODS[name]["securityContext"] == context
    assert PODS[name]["automountServiceAccountToken"] is False
    assert container["securityContext"] == CONTAINER["securityContext"]
    assert PODS[name]["terminationGracePeriodSeconds"] > settings.collect.hold_ms / 1000 + STOP_S


def test_prometheus_scrapes_what_runs_beside_the_workers() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert config["scrape_configs"][1:] == [
        {"job_name": f"culdesac-{name}", "static_configs": [{"targets": [f"{name}:{metrics_port(service)}"]}]}
        for name, service in BESIDE.items()
    ]
