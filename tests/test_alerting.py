"""What operators import: dashboards are what the code makes, rules fire when they should, routes reach teams."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agents.dashboards.building import BOARDS, files
from agents.dashboards.checking import declared
from agents.dashboards.panels import Board, Panel
from agents.dashboards.prometheus import metrics_of, resolved
from tests.agents.product import ROOT

DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "culdesac.rules.yml").read_text())
RULE_TESTS = DEPLOY / "prometheus" / "culdesac.tests.yml"
ALERTMANAGER = DEPLOY / "alertmanager.yml"
SCRAPED = {"up", "process_start_time_seconds"}
"""Metrics that Prometheus or its client library adds."""


def rules(kind: str) -> Iterator[dict[str, Any]]:
    """Give all rules of a kind: alert or record."""
    for group in RULES["groups"]:
        yield from (rule for rule in group["rules"] if kind in rule)


ALERTS = list(rules("alert"))


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        shutil.which(program) is None, reason=f"{program} is not installed here; .ci/run installs it"
    )


def run(*words: object) -> str:
    """Give what a program says; it has to end well."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


# ---- dashboards


@pytest.mark.parametrize("name", files())
def test_the_dashboards_are_what_the_code_makes(name: str) -> None:
    text = (DEPLOY / "grafana" / name).read_text(encoding="utf-8")
    assert text == files()[name], "python -m agents.dashboards write"


def test_no_dashboard_is_left_that_the_code_does_not_make() -> None:
    assert {file.name for file in (DEPLOY / "grafana").glob("*.json")} == files().keys()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_says_how_to_read_it_and_has_a_place_of_its_own(board: Board) -> None:
    panels = list(board.panels())
    assert len({panel.title for panel in panels}) == len(panels)
    for panel in panels:
        assert len(panel.description.split()) > 10, panel.title
        assert panel.description.endswith("."), panel.title
    made = json.loads(files()[board.uid.removeprefix("culdesac-") + ".json"])
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in made["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels cover each other"
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize(
    "panel", [panel for board in BOARDS for panel in board.panels()], ids=lambda panel: panel.title
)
def test_every_query_asks_for_what_workers_show(panel: Panel) -> None:
    for query in panel.queries:
        assert metrics_of(resolved(query.expr)) <= declared() | SCRAPED | {
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
        }
        assert "$job" in query.expr, "an installation has to be told from another"


@pytest.mark.parametrize("name", files())
def test_the_readme_shows_a_picture_of_each_board(name: str) -> None:
    picture = DEPLOY / "pictures" / f"{name.removesuffix('.json')}.png"
    assert picture.stat().st_size < 150_000
    assert f"](deploy/pictures/{picture.name})" in (ROOT / "README.md").read_text(encoding="utf-8")


# ---- rules


@needs("promtool")
def test_promtool_finds_the_rules_in_order_and_their_tests_pass() -> None:
    run("promtool", "check", "rules", "--lint-fatal", DEPLOY / "prometheus" / "culdesac.rules.yml")
    assert "SUCCESS" in run("promtool", "test", "rules", RULE_TESTS)


def test_every_alert_is_seen_firing_in_a_test_and_silent_in_one() -> None:
    cases = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    fired = {
        case["alertname"] for test in cases for case in test.get("alert_rule_test", ()) if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in ALERTS}
    assert any("count(ALERTS)" in case["expr"] for case in cases[0]["promql_expr_test"])


def test_rules_ask_for_what_workers_show_or_rules_record() -> None:
    recorded = {rule["record"] for rule in rules("record")}
    for rule in (*rules("alert"), *rules("record")):
        assert metrics_of(rule["expr"]) <= declared() | SCRAPED | recorded, rule


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_every_alert_leads_to_a_place_of_the_runbook(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---- routes


@needs("amtool")
def test_amtool_takes_the_configuration() -> None:
    run("amtool", "check-config", ALERTMANAGER)


@needs("amtool")
@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_an_alert_reaches_its_team_and_a_page_whoever_is_on_call(rule: dict[str, Any]) -> None:
    team = {"operators": "operators", "web": "web-team", "data": "data-team"}[rule["labels"]["team"]]
    expected = f"on-call,{team}" if rule["labels"]["severity"] == "page" else team
    labels = {"alertname": rule["alert"], **rule["labels"]}
    words = [f"{name}={value}" for name, value in labels.items()]
    test = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert run(*test, *words) == expected


@needs("amtool")
def test_what_no_route_knows_reaches_the_operators() -> None:
    test = ("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}")
    assert run(*test, "alertname=SomethingElse", "severity=info") == "operators"


def test_inhibitions_name_alerts_that_exist() -> None:
    names = {rule["alert"] for rule in ALERTS}
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            pattern = re.fullmatch(r'alertname=~?"(.+)"', matcher)
            assert pattern is not None
            assert any(re.fullmatch(pattern[1], name) for name in names), matcher
