"""Private names of other people's code: in one module, each held by a test, so that an upgrade is found out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.pump import PumpApp, PumpConsumer
from tests.agents import test_pump

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("agents", "streams", "schemas")
HOME = "agents/pump.py"
OWN = ("self", "cls", "super()")
ELSEWHERE = {
    # Ends a process without asking anyone; documented for all its underscore.
    ("agents/runner.py", "os._exit"),
    # River's own `_weights`, held by tests/streams/test_propensities.py.
    ("streams/propensities.py", "self._model._weights"),
    ("streams/propensities.py", "self._weights"),
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined(tree: ast.AST) -> set[str]:
    """Private names that a module makes itself: functions, classes, attributes of self, names."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if ast.unparse(node.value) in ("self", "cls"):
                names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def foreign(tree: ast.AST) -> Iterator[str]:
    """Give the private names in `tree` that belong to something else."""
    own = defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = ast.unparse(node.value)
            # A name that only others define is inherited: private all the same.
            if node.attr not in own or not (owner in OWN or owner.startswith("_")):
                yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            if any(is_private(part) for part in parts):
                yield f"from {node.module} import {', '.join(alias.name for alias in node.names)}"
        elif isinstance(node, ast.Import):
            yield from (
                alias.name for alias in node.names if any(is_private(part) for part in alias.name.split("."))
            )
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func)
            in (
                "getattr",
                "setattr",
                "hasattr",
                "delattr",
            )
            and (
                len(node.args) > 1
                and isinstance(node.args[1], ast.Constant)
                and is_private(str(node.args[1].value))
            )
        ):
            yield ast.unparse(node)


def test_private_names_of_others_stand_in_one_module() -> None:
    paths = [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]
    trees = {str(path.relative_to(REPOSITORY)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    # A class of ours may have its parent in another module of ours.
    inherited = {f"{owner}.{name}" for tree in trees.values() for name in defined(tree) for owner in OWN}
    stray = set()
    for where, tree in trees.items():
        if where != HOME:
            stray |= {(where, name) for name in foreign(tree) if name not in inherited}
    assert not stray - ELSEWHERE, f"they belong into {HOME}, each with a test: {sorted(stray - ELSEWHERE)}"
    assert list(foreign(trees[HOME])), "the check sees nothing"


@pytest.mark.parametrize(
    "code",
    [
        "consumer._thread",
        "import aiokafka._private",
        "from faust._x import y",
        "from faust import _y",
        "getattr(app, '_fetcher')",
        "class A(B):\n def f(self): return self._inherited",
        "super()._build()",
    ],
)
def test_the_check_sees_them(code: str) -> None:
    assert list(foreign(ast.parse(code)))


def test_it_lets_ones_own_pass() -> None:
    code = "class _A:\n _x = 1\n def __init__(self): self._a = 1\n def f(self): return self._a + _A._x"
    assert list(foreign(ast.parse(code))) == []


def test_each_of_them_is_held_by_a_test_of_the_pump() -> None:
    names = {name.rpartition(".")[2] for name in foreign(ast.parse((REPOSITORY / HOME).read_text()))}
    names |= {
        name
        for kind in (PumpConsumer, PumpApp)
        for name in vars(kind)
        if is_private(name) and name != "_abc_impl" and overrides(kind, name)
    }
    held = {name for _, name, _, _ in test_pump.METHODS} | set(test_pump.ATTRIBUTES)
    text = Path(test_pump.__file__).read_text(encoding="utf-8")
    missing = {name for name in names - held if f'"{name}"' not in text and f'"self.{name}' not in text}
    assert not missing, f"no test of tests/agents/test_pump.py says what breaks without {sorted(missing)}"


def overrides(kind: type, name: str) -> bool:
    return any(name in vars(parent) for parent in kind.__mro__[1:])
