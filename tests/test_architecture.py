"""The house: which room may import what, how long a file may be, and what no file may say."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("agents", "schemas", "streams")
OUTSIDE_WORLD = {"aiokafka", "faust", "jinja2", "kafka", "prometheus_client", "starlette", "uvicorn"}
FORBIDDEN_MODULES = {
    "agents": frozenset[str](),
    "schemas": frozenset({"agents", "streams"} | OUTSIDE_WORLD),
    "streams": frozenset({"agents", "secrets", "time"} | OUTSIDE_WORLD),
}
# What gives another answer each time that it is asked; streams/ is handed such things as data.
FORBIDDEN_CALLS = re.compile(
    r"(.*\.)?(datetime\.(now|utcnow|today)|date\.today|os\.(environ|getenv|urandom)(\..*)?|uuid\.uuid[14]"
    r"|random\.[a-z]\w*|random\.SystemRandom)"
)
SEEDED = re.compile(r"(.*\.)?(Random|default_rng|RandomState)")
TOP_LEVEL = {
    ".ci",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DISCUSSION.md",
    "LICENSE",
    "README.md",
    "agents",
    "deploy",
    "docs",
    "pyproject.toml",
    "schemas",
    "streams",
    "tests",
}
# In pieces, or this file would name them itself.
REGISTRIES = [
    r"\.".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("crates", "io"),
        ("npmjs", "(org|com)"),
        ("repo1?", "maven"),
        ("maven", "apache", "org", "maven2"),
        ("deb", "debian", "org"),
        ("proxy", "golang", "org"),
    )
]
PLACES_OF_ONE_MACHINE = r"(?<![\w.])/(work|root|Users)/\w"


def files() -> list[Path]:
    """Give every file that is, or is about to be, under version control."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here to tell which files are the repository's")
    return [REPOSITORY / name for name in listed if name and (REPOSITORY / name).is_file()]


def modules(package: str) -> list[Path]:
    return sorted((REPOSITORY / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def unseeded(tree: ast.AST) -> Iterator[str]:
    """Give the names of clock, environment and chance that `tree` uses, imported under any name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, dot, rest = ast.unparse(node).partition(".")
            name = names.get(first, first) + dot + rest
            if FORBIDDEN_CALLS.fullmatch(name) and not SEEDED.fullmatch(name):
                yield name
        elif isinstance(node, ast.Call) and not (node.args or node.keywords):
            name = ast.unparse(node.func)
            if SEEDED.fullmatch(names.get(name, name)):
                yield f"{name}() without a seed"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_from_agents_to_streams_to_schemas(package: str) -> None:
    paths = modules(package)
    assert paths
    for path in paths:
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.relative_to(REPOSITORY)} imports {name}"
            assert name.partition(".")[0] not in FORBIDDEN_MODULES[package], where
            assert not name.startswith("."), f"{where}: name the module whole"


def test_streams_asks_neither_clock_nor_chance_nor_environment() -> None:
    for path in modules("streams"):
        found = sorted(set(unseeded(ast.parse(path.read_text(encoding="utf-8")))))
        assert not found, f"{path.relative_to(REPOSITORY)} uses {', '.join(found)}: hand it in as data"


@pytest.mark.parametrize(
    "code",
    [
        "from datetime import datetime\ndatetime.now()",
        "import datetime as d\nd.datetime.now(d.UTC)",
        "import random\nrandom.random()",
        "from random import shuffle as mix\nmix([1])",
        "import random\nrandom.Random()",
        "import numpy as np\nnp.random.rand(3)",
        "from numpy.random import default_rng\ndefault_rng()",
        "from uuid import uuid4\nuuid4()",
        "import os\nos.environ.get('A')",
    ],
)
def test_the_check_sees_clock_and_chance_under_any_name(code: str) -> None:
    assert list(unseeded(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import random\nrandom.Random(3).random()",
        "from random import Random\ndef f(random: Random) -> float: return Random('a').uniform(0, 1)",
        "import numpy as np\nnp.random.default_rng(7)",
        "from datetime import datetime\ndatetime.fromtimestamp(0, tz=None)",
    ],
)
def test_the_check_lets_seeded_chance_and_given_times_pass(code: str) -> None:
    assert list(unseeded(ast.parse(code))) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_is_one_idea(package: str) -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(package)}
    too_long = {path.name: length for path, length in lengths.items() if length > 400}
    assert not too_long, f"split them, a file is at most 400 lines: {too_long}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_modules_is_a_package_that_says_what_it_is(package: str) -> None:
    for folder in {path.parent for path in modules(package)}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder


def test_the_top_level_holds_what_belongs_there() -> None:
    there = {path.relative_to(REPOSITORY).parts[0] for path in files()}
    assert there <= TOP_LEVEL, f"unexpected: {sorted(there - TOP_LEVEL)}"
    assert there >= {"LICENSE", "agents", "deploy", "pyproject.toml", "schemas", "streams", "tests"}


def test_no_file_names_a_registry_or_a_place_of_one_machine() -> None:
    forbidden = re.compile("|".join([*REGISTRIES, PLACES_OF_ONE_MACHINE]))
    for path in files():
        if path.is_relative_to(REPOSITORY / "tests" / "data"):  # other people's logs
            continue
        text = path.read_bytes().decode(errors="replace")
        match = forbidden.search(text)
        assert match is None, f"{path.relative_to(REPOSITORY)} says {match and match[0]!r}"


def test_the_lock_pins_and_hashes_every_dependency() -> None:
    lock = (REPOSITORY / "deploy" / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(
        r"^([\w.-]+)==(\S+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)+)", lock, re.M
    )
    pinned = {canonicalize_name(name): version for name, version, _ in entries}
    assert len(re.findall(r"^[\w.-]+==", lock, re.M)) == len(entries), "an entry has no hash"
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    for line in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        wanted = Requirement(line)
        version = pinned.get(canonicalize_name(wanted.name))
        assert version is not None, f"{wanted} is not locked: compile deploy/requirements.lock again"
        assert wanted.specifier.contains(version, prereleases=True), f"{wanted}, but {version} is locked"
