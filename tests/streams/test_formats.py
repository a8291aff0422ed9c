"""State formats: upgrades one after the other, what can't be read, and no layout changes without a new number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec
import msgspec.inspect as inspect
import pytest

from streams.flow import stages
from streams.formats import FormatError, StateFormat
from streams.processors import Fence
from streams.settings import Settings

STAGES = {
    stage.name: stage for stage in stages(Settings(), "a secret of the tests", {"visitor-events": 1}).stages
}

LAYOUTS: Mapping[str, tuple[int, str]] = {
    "sessions": (6, "67acbd16aad9"),
    "customers": (1, "4e19ebadcd78"),
    "pages": (8, "aae4c66f18d2"),
    "models": (3, "5bfc70ddffe5"),
}
"""Stage to the number of its format and a digest of its layout."""


def layout(found: inspect.Type, inside: tuple[type, ...] = ()) -> Any:
    """What of a type decides how its rows are written, as JSON: kinds, names, order, tags, what may be left out."""
    if isinstance(found, inspect.StructType):
        if found.cls in inside:
            return f"{found.cls.__name__} again"
        fields = [
            [field.encode_name, layout(field.type, (*inside, found.cls)), field.required]
            for field in found.fields
        ]
        return ["array" if found.array_like else "object", found.tag, fields]
    if isinstance(found, inspect.UnionType):
        return ["or", sorted((layout(part, inside) for part in found.types), key=json.dumps)]
    parts = [getattr(found, name) for name in ("item_type", "key_type", "value_type") if hasattr(found, name)]
    parts += getattr(found, "item_types", ())
    return [type(found).__name__, *(layout(part, inside) for part in parts)]


def digest(types: Mapping[str, Any]) -> str:
    """Digest of the layouts of a state's records, and of the fence that is written with them."""
    described = {kind: layout(inspect.type_info(type_)) for kind, type_ in sorted(types.items())}
    described["fence"] = layout(inspect.type_info(Fence))
    return hashlib.blake2b(json.dumps(described).encode(), digest_size=6).hexdigest()


@pytest.mark.parametrize("name", STAGES)
def test_a_layout_changes_with_its_number_only(name: str) -> None:
    stage = STAGES[name]
    number, known = LAYOUTS[name]
    found = stage.state_format.number, digest(stage.state_types)
    assert found == (number, known), (
        f"rows of {name} are laid out in another way. Workers would misread, or refuse, what stands in their "
        f"changelogs: raise the number of its state_format to {number + 1}, give it an upgrade from {number} (and "
        f"test it on the state in tests/data), then write {found[1]!r} here."
    )


def test_every_kind_of_change_changes_the_digest() -> None:
    class Plain(msgspec.Struct, array_like=True):
        one: int
        two: str

    def fresh(**fields: Any) -> str:
        made = msgspec.defstruct("Plain", [*fields.items()], array_like=True)
        return digest({"p": made})

    same = digest({"p": Plain})
    assert fresh(one=int, two=str) == same
    changed = [
        fresh(two=str, one=int),
        fresh(one=int),
        fresh(one=int, two=bytes),
        fresh(one=int, two=str, three=int),
        fresh(one=int, two=list[str]),
        fresh(one=int, two=str | None),
        digest({"q": Plain}),
        digest({"p": msgspec.defstruct("Plain", [("one", int), ("two", str)])}),
        digest({"p": msgspec.defstruct("Plain", [("one", int), ("two", str, "")], array_like=True)}),
        digest({"p": msgspec.defstruct("Plain", [("one", int), ("two", str)], array_like=True, tag=True)}),
    ]
    assert len({same, *changed}) == len(changed) + 1


THIRD = StateFormat(
    3,
    {
        1: lambda _, deadline_ms, record: (deadline_ms, [record, 0]),
        2: lambda key, deadline_ms, record: None if key == "vgone" else ((deadline_ms or 0) + 1, record[:1]),
    },
)


def test_upgrades_follow_each_other() -> None:
    assert THIRD.upgrade(b"va", b'[5,"x"]', 1) == b'[6,["x"]]'
    assert THIRD.upgrade(b"va", b'[5,["x",9]]', 2) == b'[6,["x"]]'
    assert THIRD.upgrade(b"va", b"as it is", 3) == b"as it is"
    assert THIRD.upgrade(b"vgone", b'[5,"x"]', 1) is None


@pytest.mark.parametrize(
    ("form", "found", "said"),
    [
        (StateFormat(2), 3, "has format 3, and this version reads up to 2: run the newer version"),
        (StateFormat(3, {2: THIRD.upgrades[2]}), 1, "format 1, which is too old for this version"),
        (StateFormat(2), 1, "too old"),
    ],
)
def test_what_can_t_be_read_is_refused_with_what_to_do(form: StateFormat, found: int, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        form.upgrade(b"va", b"[null,1]", found)


@pytest.mark.parametrize("row", [b"", b"\xff", b"[1]", b'{"a":1}', b"[null,5]"])
def test_a_row_that_is_not_of_its_format_is_refused(row: bytes) -> None:
    with pytest.raises(FormatError, match="can't be brought to 3"):
        StateFormat(3, {1: lambda _, d, record: (d, record["x"]), 2: THIRD.upgrades[2]}).upgrade(
            b"va", row, 1
        )
