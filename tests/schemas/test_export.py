"""The published JSON Schemas are those of the types."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from schemas.export import FOLDER, documents, json_schema
from schemas.topics import TOPICS, Topic

TYPED = [topic for topic in TOPICS.values() if topic.type_path is not None]
PUBLIC = [topic for topic in TYPED if not topic.internal]


def test_schemas_have_not_drifted_from_the_types() -> None:
    published = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert published == documents(), "run: python -m schemas.export"


@pytest.mark.parametrize("topic", TYPED, ids=lambda topic: topic.name)
def test_each_schema_is_valid_itself(topic: Topic) -> None:
    schema = json.loads((FOLDER / f"{topic.name}.json").read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert jsonschema_rs.meta.is_valid(schema)


@pytest.mark.parametrize("topic", PUBLIC, ids=lambda topic: topic.name)
def test_every_field_of_a_public_topic_is_described(topic: Topic) -> None:
    for definition in json_schema(topic)["$defs"].values():
        for name, field in definition["properties"].items():
            assert name == "schema" or field.get("description"), name
