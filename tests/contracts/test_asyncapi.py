"""The AsyncAPI document: the specification's own parser reads it, examples and real records fit it."""

from __future__ import annotations

import copy
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from agents.contracts import ASYNCAPI, PAGE, write_contracts
from agents.settings import WorkerSettings, load_settings
from schemas.asyncapi import document
from schemas.topics import TOPICS, PartitionCounts
from streams.settings import Settings
from tests.agents.board_bench import chromium, needs_chromium, open_page, serious
from tests.agents.product import replayed, shop_events
from tests.npm import NODE, installed

DEPLOY = Path(__file__).parents[2] / "deploy"
NOW = document()
NAMES = list(NOW["channels"])
Read = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Read a document with the parser: its channels, and what is wrong with it."""
    folder = installed(Path(__file__).parent, tmp_path_factory.mktemp("npm") / "contracts")

    def parsed(made: dict[str, Any]) -> dict[str, Any]:
        (folder / "made.json").write_text(json.dumps(made))
        done = subprocess.run(
            [*NODE, "check.mjs", "made.json"], cwd=folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return parsed


def validator(part: str, topic: str, made: dict[str, Any] = NOW) -> jsonschema_rs.Validator:
    schema = made["components"]["messages"][topic][part]
    return jsonschema_rs.Draft7Validator({"allOf": [schema], "components": made["components"]})


def test_the_committed_files_are_those_of_the_types(tmp_path: Path) -> None:
    for file in write_contracts(WorkerSettings(kafka="localhost:9092"), tmp_path):
        assert (DEPLOY / file.name).read_text() == file.read_text(), "run: culdesac contracts --out deploy"


def test_the_parser_finds_nothing_wrong_and_sees_what_is(read: Read) -> None:
    found = read(NOW)
    assert found == {"channels": NAMES, "found": []}
    broken = copy.deepcopy(NOW)
    broken["channels"]["sessions"]["bindings"]["kafka"]["partitions"] = -1
    broken["components"]["messages"]["sessions"]["examples"][0]["payload"]["page_views"] = "many"
    del broken["operations"]["read-sessions"]["action"]
    paths = " ".join(one["path"] for one in read(broken)["found"])
    for place in ("channels.sessions.bindings", "operations.read-sessions"):
        assert place in paths


def test_it_holds_every_public_topic_and_no_internal_one() -> None:
    assert set(NAMES) == {name for name, topic in TOPICS.items() if not topic.internal}
    assert {name.partition("-")[2] for name in NOW["operations"]} == set(NAMES)


@pytest.mark.parametrize("topic", NAMES)
def test_examples_fit_their_schemas(topic: str) -> None:
    message = NOW["components"]["messages"][topic]
    assert message["examples"]
    for example in message["examples"]:
        validator("payload", topic).validate(example["payload"])
        if "headers" in message:
            validator("headers", topic).validate(example["headers"])
    with pytest.raises(jsonschema_rs.ValidationError):
        validator("payload", topic).validate({})


def test_what_a_replay_writes_fits() -> None:
    seen: Counter[str] = Counter()
    validators = {topic: validator("payload", topic) for topic in NAMES}
    for topic, record in replayed(shop_events(14.0, 60.0), Settings(warm_up_ms=3_600_000)):
        if topic in validators:
            validators[topic].validate(record)
            seen[topic] += 1
    assert seen.keys() >= {"sessions", "enriched-page-views", "page-scores", "model-reports"}


def test_it_is_that_of_the_installation() -> None:
    made = document("eu.", PartitionCounts(outputs=7), "a:1,b:2")
    assert [server["host"] for server in made["servers"].values()] == ["a:1", "b:2"]
    channel = made["channels"]["sessions"]
    assert (channel["address"], channel["bindings"]["kafka"]["partitions"]) == ("eu.sessions", 7)


@needs_chromium
def test_the_page_is_readable_for_all() -> None:
    text = (DEPLOY / PAGE).read_text()
    with chromium() as browser:
        for scheme, width in (("light", 1440), ("dark", 390)):
            page = open_page(browser, viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.set_content(text)
            page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
            assert page.locator("section").count() == len(NAMES)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert serious(page) == []


def test_a_folder_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    from agents.contracts import ContractError

    (tmp_path / "file").write_text("")
    with pytest.raises(ContractError, match=r"file: can't be written .*: name another by --out"):
        write_contracts(load_settings(None, {}), tmp_path / "file")
    assert not (tmp_path / ASYNCAPI).exists()
