"""Every published example is a case: it is read, or refused for the reason in its name."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

import schemas
from schemas.decoding import INPUT_TYPES, RejectedError, decode_input
from schemas.export import FOLDER as SCHEMA_FOLDER
from schemas.topics import TOPICS

FOLDER = Path(schemas.__file__).parent / "examples"
VALID = sorted(FOLDER.glob("*/valid-*.json"))
INVALID = sorted(FOLDER.glob("*/invalid-*.json"))

BEYOND_JSON_SCHEMA = {
    "invalid-schema_violation-control-character",
    "invalid-schema_violation-no-offset",  # formats are not asserted unless a validator is told to
    "invalid-schema_violation-no-such-day",
    "invalid-schema_violation-before-year-1",
    "invalid-schema_violation-fraction-of-millisecond",
    "invalid-schema_violation-mute-ends-before-it-begins",
    "invalid-schema_violation-total-of-16-digits",
}


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _read(topic: str, value: bytes) -> object:
    return (
        decode_input(topic, value)
        if topic in INPUT_TYPES
        else msgspec.json.decode(value, type=TOPICS[topic].type)
    )


def _schema_accepts(topic: str, value: bytes) -> bool:
    schema = json.loads((SCHEMA_FOLDER / f"{topic}.json").read_text())
    return jsonschema_rs.validator_for(schema).is_valid(json.loads(value))


@pytest.mark.parametrize("path", VALID, ids=_name)
def test_a_valid_example_is_read_and_its_schema_accepts_it(path: Path) -> None:
    value = path.read_bytes()
    _read(path.parent.name, value)
    assert _schema_accepts(path.parent.name, value)


@pytest.mark.parametrize("path", INVALID, ids=_name)
def test_an_invalid_example_is_refused_for_the_reason_in_its_name(path: Path) -> None:
    topic, reason = path.parent.name, path.stem.split("-")[1]
    if topic in INPUT_TYPES:
        with pytest.raises(RejectedError) as refused:
            decode_input(topic, path.read_bytes())
        assert refused.value.reason == reason
    else:
        assert reason == "schema_violation"
        with pytest.raises(msgspec.ValidationError):
            _read(topic, path.read_bytes())


@pytest.mark.parametrize("path", [path for path in INVALID if "not_json" not in path.stem], ids=_name)
def test_the_json_schema_refuses_it_too_where_it_can_say_why(path: Path) -> None:
    assert _schema_accepts(path.parent.name, path.read_bytes()) == (path.stem in BEYOND_JSON_SCHEMA)


@pytest.mark.parametrize("name", [t.name for t in TOPICS.values() if not t.internal])
def test_every_public_topic_has_valid_and_invalid_examples(name: str) -> None:
    assert list((FOLDER / name).glob("valid-*.json"))
    assert list((FOLDER / name).glob("invalid-*.json"))


def test_no_example_is_of_a_topic_that_does_not_exist() -> None:
    assert {path.name for path in FOLDER.iterdir()} <= set(TOPICS)


@pytest.mark.parametrize("path", [path for path in VALID if path.parent.name in INPUT_TYPES], ids=_name)
def test_an_event_written_and_read_again_is_the_same(path: Path) -> None:
    event = decode_input(path.parent.name, path.read_bytes())
    assert decode_input(path.parent.name, msgspec.json.encode(event)) == event
