"""OpenAPI document of the collector, made from the types that it reads: ``python -m agents.collect_openapi``."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from typing import Any, Final

import msgspec

from streams.plausible_events import PlausibleEvent
from streams.posted_records import Posted, PostedBody
from streams.segment_events import SegmentBatch, SegmentMessage

_TYPES: Final = (SegmentMessage, SegmentBatch, PlausibleEvent, Posted, PostedBody)
_REFUSALS: Final = {
    "400": "No HTTP, no JSON in UTF-8, or nothing in it that can be used",
    "401": "No key of a site",
    "403": "Its origin may not send",
    "408": "The body came too slowly",
    "413": "The body is too large",
    "415": "Another type or encoding than JSON in UTF-8, or compressed",
    "429": "Too much at once; Retry-After says when to come again",
    "503": "Kafka does not take it now; Retry-After says when to come again",
}
_PATHS: Final = {
    "/v1/page": ("SegmentMessage", "A page view, as Segment's libraries send it; also /v1/p"),
    "/v1/track": ("SegmentMessage", "Something done, an order or a registration; also /v1/t"),
    "/v1/identify": ("SegmentMessage", "Who a visitor is; also /v1/i"),
    "/v1/batch": ("SegmentBatch", "Several such messages; also /v1/b and /v1/import"),
    "/api/event": ("PlausibleEvent", "An event of Plausible's tracker"),
    "/v1/events": ("PostedBody", "Our own records"),
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Make the document (OpenAPI 3.1).

    Examples
    --------
    >>> sorted(document()["paths"])[0], document()["openapi"]
    ('/api/event', '3.1.0')
    """
    _, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    for component in components.values():
        if "description" in component:
            component["description"] = component["description"].partition("\n\n")[0].replace("\n", " ")
    # What is left for a second reading is a message each, and anything else is rejected by itself.
    components["PostedBody"]["properties"]["events"]["items"] = {"$ref": "#/components/schemas/Posted"}
    components["SegmentBatch"]["properties"]["batch"]["items"] = {
        "$ref": "#/components/schemas/SegmentMessage"
    }
    components["Refusal"] = {
        "type": "object",
        "required": ["error", "detail"],
        "properties": {"error": {"type": "string"}, "detail": {"type": "string"}},
    }
    paths: dict[str, Any] = {path: {"post": _post(path, *said)} for path, said in _PATHS.items()}
    paths["/health"] = {
        "get": {
            "operationId": "health",
            "summary": "Whether Kafka takes what is collected",
            "responses": {code: _answer(text) for code, text in (("200", "It does"), ("503", "It does not"))},
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Culdesac collector",
            "version": "1",
            "description": "Takes events of web trackers, and answers when Kafka has them.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The user is a site's key."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "A site's key."},
                "query": {"type": "apiKey", "in": "query", "name": "key", "description": "A site's key."},
            },
        },
    }


def _post(path: str, type_: str, summary: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": f"#/components/schemas/{type_}"}}
    # What a browser sends without asking first: the same JSON under another name.
    beacon = {
        "schema": {
            "type": "string",
            "description": f"A {type_} as JSON",
            "contentMediaType": "application/json",
        }
    }
    plausible = path == "/api/event"
    taken = {"description": "Kafka has it"} | (
        {"content": {"text/plain": {"schema": {"type": "string"}}}}
        if plausible
        else {"content": {"application/json": {"schema": {"type": "object"}}}}
    )
    operation: dict[str, Any] = {
        "operationId": path.strip("/").replace("/", "_"),
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": schema, "text/plain": beacon}},
        "responses": {"202" if plausible else "200": taken}
        | {code: _answer(text, "Refusal") for code, text in _REFUSALS.items()},
    }
    if not plausible:
        operation["security"] = [{"basic": []}, {"bearer": []}, {"query": []}]
    return operation


def _answer(text: str, type_: str | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{type_}"} if type_ else {"type": "object"}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def text() -> str:
    """Write the document as it stands in the repository."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
