"""Jars are exactly the listed ones, however they came; whatever else is there is refused or fetched again."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agents import kafka_jars
from agents.kafka_jars import BrokerError, PinnedJar, find_jars, jars_are_cached, pinned_jars

GOOD, ALTERED = b"a jar", b"another jar"
JARS = tuple(
    PinnedJar(f"org/apache/kafka/{name}/4.3.0/{name}-4.3.0.jar", hashlib.sha256(GOOD).hexdigest())
    for name in ("kafka_2.13", "kafka-clients")
)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give an empty cache of a Kafka with two small jars."""
    for setting in ("KAFKA_LIBS", "KAFKA_HOME"):
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setenv("CULDESAC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kafka_jars, "pinned_jars", lambda: JARS)
    return tmp_path / "cache"


class Source:
    """Stands for Maven or jgo: writes `content`, or gives a reason; counts what it was asked for."""

    def __init__(self, name: str, content: bytes | None) -> None:
        self.__name__ = name
        self.content = content
        self.asked: list[str] = []

    def __call__(self, jars: Sequence[PinnedJar], target: Path) -> str | None:
        self.asked += [jar.name for jar in jars]
        if self.content is None:
            return f"{self.__name__} is not there"
        for jar in jars:
            (target / jar.name).write_bytes(self.content)
        return None


def use(monkeypatch: pytest.MonkeyPatch, maven: bytes | None, jgo: bytes | None) -> tuple[Source, Source]:
    sources = Source("maven", maven), Source("jgo", jgo)
    for source, name in zip(sources, ("_by_maven", "_by_jgo"), strict=True):
        monkeypatch.setattr(kafka_jars, name, source)
    return sources


def test_the_list_names_46_different_files_of_one_kafka() -> None:
    jars = pinned_jars()
    assert len({jar.name for jar in jars}) == len(jars) == 46
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert {jar.coordinate[2] for jar in jars if jar.coordinate[0] == "org.apache.kafka"} == {"4.3.0"}
    for jar in jars:
        _, artifact, version = jar.coordinate
        assert jar.name == f"{artifact}-{version}.jar"


def test_what_is_cached_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    maven, jgo = use(monkeypatch, GOOD, GOOD)
    announced: list[str] = []
    assert not jars_are_cached()
    first = find_jars(announced.append)
    assert jars_are_cached()
    assert find_jars(announced.append) == first == tuple(cache / "kafka-4.3.0" / jar.name for jar in JARS)
    assert len(maven.asked) == 2
    assert jgo.asked == []
    assert len(announced) == 1
    assert "2 jars" in announced[0]


def test_only_an_altered_jar_is_fetched_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    use(monkeypatch, GOOD, GOOD)
    altered = find_jars()[1]
    altered.write_bytes(ALTERED)
    maven, _ = use(monkeypatch, GOOD, GOOD)
    find_jars()
    assert maven.asked == [altered.name]
    assert altered.read_bytes() == GOOD


@pytest.mark.parametrize("maven", [None, ALTERED], ids=["absent", "altered"])
def test_jgo_takes_over_where_maven_fails(
    monkeypatch: pytest.MonkeyPatch, cache: Path, maven: bytes | None
) -> None:
    use(monkeypatch, maven, GOOD)
    assert all(jar.read_bytes() == GOOD for jar in find_jars())


def test_an_altered_jar_never_gets_in(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    use(monkeypatch, ALTERED, ALTERED)
    with pytest.raises(BrokerError, match="is not the file whose SHA-256 is listed"):
        find_jars()
    assert list(cache.rglob("*.jar")) == []


def test_no_way_to_fetch_is_one_line_with_every_reason(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    use(monkeypatch, None, None)
    with pytest.raises(BrokerError, match=r"maven is not there; jgo is not there\): .* set KAFKA_HOME .*$"):
        find_jars()


def test_a_cache_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    use(monkeypatch, GOOD, GOOD)
    cache.write_text("a file in the way")
    with pytest.raises(BrokerError, match=r"set CULDESAC_CACHE to another folder$"):
        find_jars()


@pytest.mark.parametrize(("setting", "folder"), [("KAFKA_LIBS", ""), ("KAFKA_HOME", "libs")])
def test_ones_own_kafka_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path, setting: str, folder: str
) -> None:
    use(monkeypatch, None, None)
    own = tmp_path / "own" / folder
    own.mkdir(parents=True)
    monkeypatch.setenv(setting, str(tmp_path / "own"))
    (own / "kafka_2.13-3.9.0.jar").touch()
    with pytest.raises(BrokerError, match=rf"^{setting}=.* holds no Kafka 4"):
        find_jars()
    (own / "kafka_2.13-4.1.1.jar").touch()
    assert own / "kafka_2.13-4.1.1.jar" in find_jars()


def test_maven_is_told_each_jar_and_to_resolve_nothing_else() -> None:
    dependencies = ElementTree.fromstring(kafka_jars._pom(JARS)).findall("dependencies/dependency")
    assert [dependency.findtext("artifactId") for dependency in dependencies] == [
        "kafka_2.13",
        "kafka-clients",
    ]
    assert {dependency.findtext("exclusions/exclusion/artifactId") for dependency in dependencies} == {"*"}


def test_mavens_own_words_are_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho '[ERROR] Unknown host'\nexit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setattr("agents.kafka_jars.shutil.which", lambda _name: str(mvn))
    (tmp_path / "target").mkdir()
    assert kafka_jars._by_maven(JARS, tmp_path / "target") == "mvn: [ERROR] Unknown host"


def test_a_maven_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hang(*_arguments: object, **_settings: object) -> None:
        raise subprocess.TimeoutExpired("mvn", 300)

    monkeypatch.setattr("agents.kafka_jars.shutil.which", lambda _name: "mvn")
    monkeypatch.setattr(subprocess, "run", hang)
    assert "timed out" in (kafka_jars._by_maven(JARS, tmp_path / "target") or "")
