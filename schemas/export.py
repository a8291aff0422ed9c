"""JSON Schemas of all topics, made from their types: ``python -m schemas.export``."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.events import Event
from schemas.topics import TOPICS, Topic

FOLDER: Final = Path(__file__).parent / "json"


def json_schema(topic: Topic) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a topic's records.

    Parameters
    ----------
    topic
        One that has a type.

    Examples
    --------
    >>> json_schema(TOPICS["sessions"])["title"]
    'sessions'
    """
    type_ = topic.type
    (root,), definitions = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = definition["description"].partition("\n\n")[0].replace("\n", " ")
    if isinstance(type_, type) and issubclass(type_, Event):
        definitions[type_.__name__] |= type_.JSON_RULES
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:culdesac:{topic.name}",
        "title": topic.name,
        **root,
        "$defs": definitions,
    }


def documents() -> dict[str, str]:
    """File name to text of the schema of every topic whose module is there."""
    return {
        f"{topic.name}.json": json.dumps(json_schema(topic), indent=2, ensure_ascii=False) + "\n"
        for topic in TOPICS.values()
        if topic.type_path is not None and find_spec(topic.type_path.partition(":")[0]) is not None
    }


def main() -> None:
    """Write the schemas, and remove those of topics that are no more."""
    FOLDER.mkdir(exist_ok=True)
    texts = documents()
    for path in FOLDER.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
