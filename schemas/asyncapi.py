"""AsyncAPI 3 document of the public topics, made from their types: what others build on.

The document describes Culdesac: it receives what you write, and sends what you read. Payloads are AsyncAPI schema
objects, a superset of JSON Schema draft 7; the schemas of `schemas/json` say the same in draft 2020-12.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from schemas.cloud_events import CONTENT_TYPE, envelope, header_schema, type_of
from schemas.export import json_schema
from schemas.topics import TOPICS, PartitionCounts, Topic

EXAMPLES: Final = Path(__file__).parent / "examples"
BINDING: Final = "0.5.0"
"""Version of AsyncAPI's Kafka bindings."""
_SOURCES: Final = {
    "rejected-events": "/culdesac/intake",
    "sessions": "/culdesac/sessions",
    "enriched-page-views": "/culdesac/sessions",
    "session-revisions": "/culdesac/customers",
    "undelivered-notices": "/culdesac/notify",
    "model-snapshots": "/culdesac/models",
    "model-reports": "/culdesac/models",
}
"""Who writes in the examples; where none is named, pages does."""
_TIME_MS: Final = 1_767_794_880_000
_DESCRIPTION: Final = (
    "Clicks and orders in, sessions and dead ends out. Keys and partitioners of what you write are not trusted: it "
    "is keyed anew. Every record that you read carries `id`, `revision` where it can change, and travels as a "
    "CloudEvent in binary mode. **Keep the last revision of an id, and drop what is retracted**: then you see each "
    "thing exactly once. Fields may be added to a record at any time: ignore those that you don't know."
)


def document(
    prefix: str = "", counts: PartitionCounts | None = None, kafka: str = "localhost:9092"
) -> dict[str, Any]:
    """Make the document of an installation.

    Parameters
    ----------
    prefix
        Before the name of every topic.
    counts
        How many partitions each kind of topic has; None: the usual ones.
    kafka
        ``host:port`` of some brokers, separated by commas.

    Returns
    -------
    dict
        Plain JSON values.

    Examples
    --------
    >>> made = document(prefix="shop.")
    >>> made["asyncapi"], made["channels"]["sessions"]["address"]
    ('3.1.0', 'shop.sessions')
    >>> made["operations"]["read-sessions"]["action"]
    'send'
    """
    topics = [topic for topic in TOPICS.values() if topic.type_path is not None and not topic.internal]
    schemas: dict[str, Any] = {}
    messages = {topic.name: _message(topic, schemas) for topic in topics}
    return {
        "asyncapi": "3.1.0",
        "id": "urn:culdesac",
        "info": {
            "title": "Culdesac",
            "version": version("culdesac"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            f"kafka-{number}" if number else "kafka": {"host": host.strip(), "protocol": "kafka"}
            for number, host in enumerate(kafka.split(","))
        },
        "channels": {topic.name: _channel(topic, prefix, counts or PartitionCounts()) for topic in topics},
        "operations": dict(_operation(topic) for topic in topics),
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def is_written_by_others(topic: Topic) -> bool:
    """Tell whether a topic is one of those that come in."""
    return topic.partitions_of == "inputs"


def identity(topic: Topic) -> dict[str, Any]:
    """Say how to tell records of a topic apart, as their type says it.

    Returns
    -------
    dict
        ``id``, the field that names the thing; ``revisions``, whether it comes again changed, then the highest
        `revision` holds; ``retracted``, the status with which it never was, or None.

    Examples
    --------
    >>> identity(TOPICS["sessions"])
    {'id': 'id', 'revisions': True, 'retracted': 'retracted'}
    >>> identity(TOPICS["page-views"])
    {'id': 'event_id', 'revisions': False, 'retracted': None}
    """
    root = _root(json_schema(topic))
    fields = root["properties"]
    statuses = fields.get("status", {}).get("enum", [])
    ours = not is_written_by_others(topic)
    return {
        "id": "id" if ours else "event_id",
        "revisions": ours and "revision" in fields,
        "retracted": "retracted" if ours and "retracted" in statuses else None,
    }


def examples(topic: str) -> dict[str, Any]:
    """Give valid records of a topic by name, the fullest first."""
    files = sorted(
        (EXAMPLES / topic).glob("valid-*.json"), key=lambda file: (-file.stat().st_size, file.name)
    )
    return {file.stem.removeprefix("valid-"): json.loads(file.read_bytes()) for file in files}


def _channel(topic: Topic, prefix: str, counts: PartitionCounts) -> dict[str, Any]:
    config = topic.config()
    kept: dict[str, Any] = {"cleanup.policy": [config["cleanup.policy"]]}
    kept |= {name: int(config[name]) for name in ("retention.ms", "max.message.bytes") if name in config}
    return {
        "address": prefix + topic.name,
        "title": topic.name,
        "description": f"{_root(json_schema(topic))['description']} Key: {topic.key}.",
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": prefix + topic.name,
                "partitions": topic.partitions(counts),
                "topicConfiguration": kept,
                "bindingVersion": BINDING,
            }
        },
    }


def _operation(topic: Topic) -> tuple[str, dict[str, Any]]:
    ours = not is_written_by_others(topic)
    operation = {
        "action": "send" if ours else "receive",
        "title": f"{'Read' if ours else 'Write'} {topic.name}",
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.name}"}],
    }
    return f"{'read' if ours else 'write'}-{topic.name}", operation


def _message(topic: Topic, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = json_schema(topic)
    for name, definition in schema["$defs"].items():
        schemas[name] = _translated(definition)
    ours = not is_written_by_others(topic)
    message = {
        "name": type_of(topic.name) if ours else topic.name,
        "title": topic.name,
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": schema["$ref"].replace("#/$defs/", "#/components/schemas/")},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": BINDING}
        },
        "examples": [
            {"name": name, "payload": value, **({"headers": _headers(topic.name, value)} if ours else {})}
            for name, value in examples(topic.name).items()
        ],
        "x-identity": identity(topic),
    }
    if ours:
        message["headers"] = header_schema(topic.name)
    return message


def _headers(topic: str, value: Mapping[str, Any]) -> dict[str, str]:
    found = envelope(
        topic, _SOURCES.get(topic, "/culdesac/pages"), value["id"], value.get("revision", 1), _TIME_MS
    )
    return {name: text.decode() for name, text in found}


def _root(schema: Mapping[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    return root


def _translated(schema: Any) -> Any:
    """Say in draft 7 what was said in draft 2020-12."""
    if isinstance(schema, list):
        return [_translated(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for name, value in schema.items():
        if name == "$ref":
            found[name] = value.replace("#/$defs/", "#/components/schemas/")
        elif name == "properties":
            found[name] = {field: _translated(one) for field, one in value.items()}
        elif name in ("const", "default", "enum", "examples"):
            found[name] = value
        elif name == "prefixItems":
            found["items"] = _translated(value)
            found["additionalItems"] = _translated(schema.get("items", True))
        elif not (name == "items" and "prefixItems" in schema):
            found[name] = _translated(value)
    return found
