"""Contracts: what others build on, written to a folder: the AsyncAPI document, and a page of the topics to read.

Those of an installation with the usual settings are in `deploy/`: ``culdesac contracts --out deploy``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agents.durations import format_duration
from agents.settings import WorkerSettings
from schemas.asyncapi import document

FILES: Final = Path(__file__).parent / "contract_files"
ASYNCAPI, PAGE = "asyncapi.json", "topics.html"
_SHOWN = 2
"""So many examples of a topic are on the page."""


class ContractError(Exception):
    """The contracts can't be written; one line that says how to mend it."""


class Field(NamedTuple):
    """A line of the table of fields."""

    name: str
    type: str
    required: bool
    meaning: str


class Part(NamedTuple):
    """An object within a record."""

    name: str
    fields: list[Field]


def write_contracts(settings: WorkerSettings, folder: Path) -> list[Path]:
    """Write the contracts of an installation, and give the files.

    Parameters
    ----------
    settings
        Names, partitions and address are from there.
    folder
        Made where it is not there.

    Raises
    ------
    ContractError
        It can't be written.
    """
    made = document(settings.topic_prefix, settings.partitions, settings.kafka)
    texts = {ASYNCAPI: json.dumps(made, indent=2, ensure_ascii=False) + "\n", PAGE: page(made)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ContractError(f"{folder}: can't be written ({error.strerror}): name another by --out") from None
    return [folder / name for name in texts]


def page(made: Mapping[str, Any]) -> str:
    """Render an AsyncAPI document of ours as HTML, which asks nothing of another host."""
    templates = Environment(
        loader=FileSystemLoader(FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    groups = [
        (
            "You write",
            [_topic(made, name) for name in made["channels"] if f"write-{name}" in made["operations"]],
        ),
        (
            "You read",
            [_topic(made, name) for name in made["channels"] if f"read-{name}" in made["operations"]],
        ),
    ]
    return templates.get_template(PAGE).render(info=made["info"], groups=groups)


def _topic(made: Mapping[str, Any], name: str) -> dict[str, Any]:
    channel, message = made["channels"][name], made["components"]["messages"][name]
    schemas = made["components"]["schemas"]
    kafka = channel["bindings"]["kafka"]
    kept = kafka["topicConfiguration"]
    parts = _parts(message["payload"]["$ref"], schemas)
    return {
        "name": name,
        "address": channel["address"],
        "description": channel["description"],
        "partitions": kafka["partitions"],
        "kept": format_duration(kept["retention.ms"])
        if "retention.ms" in kept
        else "the last of each key, for ever",
        "identity": message["x-identity"],
        "fields": parts[0].fields,
        "parts": parts[1:],
        "headers": message["examples"][0].get("headers", {}),
        "examples": [
            (example["name"].replace("-", " "), json.dumps(example["payload"], indent=2, ensure_ascii=False))
            for example in message["examples"][:_SHOWN]
        ],
    }


def _parts(reference: str, schemas: Mapping[str, Any]) -> list[Part]:
    """Give the record, then the objects within it, each once, in the order in which they are named."""
    waiting, found = [_name(reference)], dict[str, Part]()
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        schema = schemas[name]
        required = schema.get("required", [])
        fields = [
            Field(
                field,
                type_text(one),
                field in required,
                one.get("description", "Name and version of this schema."),
            )
            for field, one in schema["properties"].items()
        ]
        found[name] = Part(name, fields)
        waiting += [_name(inner) for inner in _references(schema)]
    return list(found.values())


def type_text(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a value may be.

    Examples
    --------
    >>> type_text({"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]})
    'string'
    >>> type_text({"type": "array", "items": {"$ref": "#/components/schemas/Line"}})
    'list of Line'
    >>> type_text({"enum": ["a", "b"]}), type_text({})
    ('a | b', 'any JSON')
    """
    if "$ref" in schema:
        return _name(schema["$ref"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"] if value is not None)
    if "anyOf" in schema:
        texts = [type_text(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(texts))
    kind = schema.get("type", "any JSON")
    if isinstance(kind, list):
        kind = " or ".join(one for one in kind if one != "null")
    if kind == "array":
        items = schema.get("items", {})
        if isinstance(items, list):
            return f"[{', '.join(type_text(one) for one in items)}]"
        return f"list of {type_text(items)}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {type_text(inner)}"
    return "time" if schema.get("format") == "date-time" else str(kind)


def _references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [found for one in schema for found in _references(one)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if "$ref" in schema else []
    return own + [found for one in schema.values() for found in _references(one)]


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
