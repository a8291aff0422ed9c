"""Whether others can go on building on our topics: ``python -m tests.contracts.compatibility [--against TAG]``.

The AsyncAPI document of now is compared with that of the last tag. What others read may only become narrower:
each record of now has to be one of then. What others write may only become wider: each record of then has to be
taken, where it has none but the fields of then (others were always ignored). Schemas are compared by
jsonsubschema, which knows draft 4: they are translated, and what it can't decide counts as a break. Compared
here are formats, which it leaves out, patterns, beside which it leaves out lengths, and conditions between
fields, which it does not take.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.asyncapi import document

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its sources have escapes that newer Pythons warn of
    from jsonsubschema import isSubschema

ROOT = Path(__file__).parents[2]
FILE = "deploy/asyncapi.json"
_CONDITION = ("if", "then", "else")
_LEFT_OUT = frozenset({"title", "description", "default", "examples", "format", "pattern", "contentEncoding"})


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Tell what would break others, a line each.

    Parameters
    ----------
    old, new
        AsyncAPI documents of ours.
    """
    for name, before in old["channels"].items():
        after = new["channels"].get(name)
        if after is None:
            yield f"{name}: the topic is gone"
            continue
        yield from _channel_breaks(name, before, after)
        message, changed = old["components"]["messages"][name], new["components"]["messages"][name]
        if message["x-identity"] != changed["x-identity"]:
            yield f"{name}: told apart by {changed['x-identity']}, was {message['x-identity']}"
        if message["bindings"]["kafka"]["key"] != changed["bindings"]["kafka"]["key"]:
            yield f"{name}: has another key"
        then, now = inlined(message["payload"], old), inlined(changed["payload"], new)
        if f"read-{name}" in old["operations"]:
            version, other = (one["properties"].get("schema", {}).get("enum") for one in (then, now))
            if version != other:
                # Who declares another version tells its readers: they look at it first.
                yield f"{name}: schema {version}, now {other}: readers have to change"
                continue
            yield from schema_breaks(name, now, then, "may now be what it was not")
            yield from schema_breaks(
                f"{name} headers", changed["headers"], message["headers"], "may now be what they were not"
            )
        else:
            yield from schema_breaks(name, granted(then, now), now, "takes no more what it took")


def _channel_breaks(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    if before["address"] != after["address"]:
        yield f"{name}: is called {after['address']}, was {before['address']}"
    kafka, other = before["bindings"]["kafka"], after["bindings"]["kafka"]
    if kafka["partitions"] != other["partitions"]:
        yield f"{name}: has {other['partitions']} partitions, had {kafka['partitions']}"
    kept, now = kafka["topicConfiguration"], other["topicConfiguration"]
    if kept["cleanup.policy"] != now["cleanup.policy"]:
        yield f"{name}: cleanup.policy is {now['cleanup.policy']}, was {kept['cleanup.policy']}"
    for setting in ("retention.ms", "max.message.bytes"):
        if now.get(setting, 0) < kept.get(setting, 0):
            yield f"{name}: {setting} is {now.get(setting, 0)}, was {kept[setting]}"


def schema_breaks(place: str, sub: Any, whole: Any, says: str) -> Iterator[str]:
    """Name the innermost places at which `sub` is no subschema of `whole`."""
    yield from _text_breaks(place, sub, whole, says)
    if _conditions(sub) != _conditions(whole) and _conditions(whole):
        yield f"{place}: can't be decided: fields depend on each other in another way"
        return
    try:
        if isSubschema(in_draft_4(sub), in_draft_4(whole)):
            return
    except Exception as error:  # noqa: BLE001  # whatever it stumbles over, it has not decided
        yield f"{place}: can't be decided ({type(error).__name__}: {str(error).splitlines()[0]})"
        return
    inner = [
        found for name, one, other in _inside(sub, whole) for found in schema_breaks(name, one, other, says)
    ]
    yield from (f"{place}.{found}" for found in inner)
    if not inner:
        missing = sorted(set(whole.get("required", ())) - set(sub.get("required", ())))
        yield f"{place}: {says}" + (f" ({', '.join(missing)})" if missing else "")


def _conditions(schema: Mapping[str, Any]) -> list[Any]:
    """What holds of one field if something holds of another: the same on both sides, or nobody can tell."""
    own = {name: schema[name] for name in _CONDITION if name in schema}
    return ([own] if own else []) + [one for one in schema.get("allOf", ()) if "if" in one]


def _text_breaks(place: str, sub: Any, whole: Any, says: str) -> Iterator[str]:
    for name in ("format", "pattern"):
        # A constant needs no pattern.
        if name in whole and sub.get(name) != whole[name] and "enum" not in sub:
            yield f"{place}: {name} {whole[name]}: {says}"
    for name, one, other in _inside(sub, whole):
        yield from _text_breaks(f"{place}.{name}", one, other, says)


def _inside(sub: Any, whole: Any) -> Iterator[tuple[str, Any, Any]]:
    for name, one in sub.get("properties", {}).items():
        if name in whole.get("properties", {}):
            yield name, one, whole["properties"][name]
    if isinstance(sub.get("items"), dict) and isinstance(whole.get("items"), dict):
        yield "[]", sub["items"], whole["items"]
    alternatives = [_not_null(one) for one in (sub, whole)]
    if None not in alternatives:
        yield "?", alternatives[0], alternatives[1]


def _not_null(schema: Any) -> Any:
    found = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return found[0] if len(found) == 1 else None


def granted(sub: Any, whole: Any) -> Any:
    """Let `sub` have the fields that only `whole` knows, as that takes them: nobody meant them before."""
    if not isinstance(sub, dict) or not isinstance(whole, dict):
        return sub
    found = dict(sub)
    if "properties" in sub and "properties" in whole:
        fields = {
            name: granted(one, whole["properties"].get(name)) for name, one in sub["properties"].items()
        }
        found["properties"] = whole["properties"] | fields
    if "items" in sub:
        found["items"] = granted(sub["items"], whole.get("items"))
    if "anyOf" in sub and len(sub["anyOf"]) == len(whole.get("anyOf", ())):
        found["anyOf"] = [
            granted(one, other) for one, other in zip(sub["anyOf"], whole["anyOf"], strict=True)
        ]
    return found


def inlined(schema: Any, made: Mapping[str, Any]) -> Any:
    """Put what is referred to in the place of references; our types never hold themselves."""
    if isinstance(schema, list):
        return [inlined(one, made) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(made["components"]["schemas"][schema["$ref"].rpartition("/")[2]], made)
    return {name: inlined(one, made) for name, one in schema.items()}


def in_draft_4(schema: Any) -> Any:
    """Say in draft 4 what was said in draft 7, without conditions and what does not restrict."""
    if schema is True or schema is False:
        return {} if schema else {"not": {}}
    found: dict[str, Any] = {}
    for name, value in schema.items():
        match name:
            case "const":
                found["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":
                found[name.replace("exclusiveM", "m")] = value
                found[name] = True
            case "properties" | "patternProperties":
                found[name] = {field: in_draft_4(one) for field, one in value.items()}
            case "allOf" if all("if" in one for one in value):
                continue
            case "anyOf" | "allOf" | "oneOf":
                found[name] = [in_draft_4(one) for one in value if "if" not in one]
            case "items" if isinstance(value, list):
                found[name] = [in_draft_4(one) for one in value]
            case "items" | "not":
                found[name] = in_draft_4(value)
            case "additionalProperties" | "additionalItems":
                found[name] = value if isinstance(value, bool) else in_draft_4(value)
            case _ if name in _CONDITION:
                continue
            case "required" if not value:
                continue
            case _ if name not in _LEFT_OUT:
                found[name] = value
    return found


def last_tag(run: Callable[..., subprocess.CompletedProcess[str]]) -> str | None:
    """Give the last tag before now; None where there is none."""
    told = run("describe", "--tags", "--abbrev=0")
    return told.stdout.strip() if told.returncode == 0 else None


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Print what breaks; 1 if anything does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", metavar="TAG", help="default: the last one")
    wanted = parser.parse_args(arguments).against

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)

    tag = wanted or last_tag(git)
    if tag is None:
        print("there is no tag yet: nobody builds on a release")  # noqa: T201
        return 0
    shown = git("show", f"{tag}:{FILE}")
    if shown.returncode:
        print(f"{tag}: has no {FILE} ({shown.stderr.strip()}): name another by --against")  # noqa: T201
        return 2
    found = list(breaks(json.loads(shown.stdout), document()))
    for line in found:
        print(line)  # noqa: T201
    print(f"{len(found)} breaks since {tag}")  # noqa: T201
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
