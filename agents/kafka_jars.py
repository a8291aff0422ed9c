"""Kafka's jars for the embedded broker: found where they are, else brought by the ordinary clients."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

KAFKA_VERSION = "4.3.0"
_LIST = Path(__file__).with_name("kafka_jars.sha256")
_MVN_SECONDS = 300


class BrokerError(Exception):
    """The embedded Kafka cannot be had; the message is one line that says why, and how to mend it."""


@dataclass(frozen=True)
class PinnedJar:
    """One line of the checked-in list: a jar's place in a Maven repository and its SHA-256 (hex)."""

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's name.

        >>> PinnedJar("org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar", "").name
        'slf4j-api-1.7.36.jar'
        """
        return self.path.rpartition("/")[2]

    @property
    def coordinate(self) -> tuple[str, str, str]:
        """Maven's group, artifact and version.

        >>> PinnedJar("org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar", "").coordinate
        ('org.slf4j', 'slf4j-api', '1.7.36')
        """
        *group, artifact, version, _ = self.path.split("/")
        return ".".join(group), artifact, version


def cache_folder() -> Path:
    """Give the folder for what is fetched once: `CULDESAC_CACHE`, else `culdesac` in the user's cache."""
    if own := os.environ.get("CULDESAC_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "culdesac"


def pinned_jars() -> tuple[PinnedJar, ...]:
    """Read the list of jars that Kafka needs (a fixed order: class data archives depend on it).

    >>> sum(jar.name == f"kafka_2.13-{KAFKA_VERSION}.jar" for jar in pinned_jars())
    1
    """
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return tuple(PinnedJar(path, sha256) for sha256, path in (line.split() for line in lines))


def find_jars(announce: Callable[[str], None] | None = None) -> tuple[Path, ...]:
    """Give the class path of Kafka, fetching what is missing.

    `KAFKA_LIBS` (a folder of jars) and `KAFKA_HOME` (an unpacked Kafka 4) are the user's own, and taken as
    they are. Else the jars come from the cache, from Maven, or from `jgo` (pure Python), in this order; every
    jar, also a cached one, must have the SHA-256 of the checked-in list: 44 MB, checked in 0.05 s.

    Parameters
    ----------
    announce
        Is told in one line, before something that takes long.

    Raises
    ------
    BrokerError
        When the user's folder holds no Kafka 4, or a jar cannot be fetched, or is not the listed one.
    """
    own = _own_jars()
    if own:
        return own
    folder = cache_folder() / f"kafka-{KAFKA_VERSION}"
    pinned = pinned_jars()
    missing = _unlike(folder, pinned)
    if missing:
        if announce:
            announce(f"Fetching Kafka {KAFKA_VERSION} (once): {len(missing)} jars into {folder}")
        _fetch(missing, folder)
    return tuple(folder / jar.name for jar in pinned)


def jars_are_cached() -> bool:
    """Tell whether `find_jars` would need to fetch nothing (no network is used)."""
    return bool(_own_jars()) or not _unlike(cache_folder() / f"kafka-{KAFKA_VERSION}", pinned_jars())


def _own_jars() -> tuple[Path, ...]:
    for setting, folder in (("KAFKA_LIBS", ""), ("KAFKA_HOME", "libs")):
        if not (value := os.environ.get(setting)):
            continue
        jars = tuple(sorted(Path(value, folder).absolute().glob("*.jar")))
        if not any(re.fullmatch(r"kafka_2\.\d+-4\.[\d.]+.*\.jar", jar.name) for jar in jars):
            raise BrokerError(f"{setting}={value} holds no Kafka 4 (no kafka_2.13-4.*.jar): mend or unset it")
        return jars
    return ()


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _unlike(folder: Path, jars: Iterable[PinnedJar]) -> tuple[PinnedJar, ...]:
    """Give the jars that `folder` lacks, or holds with another content."""
    return tuple(jar for jar in jars if _sha256(folder / jar.name) != jar.sha256)


def _fetch(jars: Sequence[PinnedJar], folder: Path) -> None:
    """Fetch `jars` into `folder`: whole and checked, file by file, so two processes may do it at once."""
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder.parent) as name:
            for way in (_by_maven, _by_jgo):
                target = Path(name, way.__name__)
                target.mkdir()
                failure = way(jars, target)
                wrong = _unlike(target, jars)
                if not wrong:
                    for jar in jars:
                        (target / jar.name).replace(folder / jar.name)
                    return
                if failure is None:
                    failure = f"{wrong[0].name} is not the file whose SHA-256 is listed"
                failures.append(failure)
    except OSError as error:
        raise BrokerError(f"cannot write {folder} ({error}): set CULDESAC_CACHE to another folder") from error
    raise BrokerError(
        f"cannot fetch Kafka's jars ({'; '.join(failures)}): try again with a network, "
        "or set KAFKA_HOME to an unpacked Kafka 4"
    )


def _by_maven(jars: Sequence[PinnedJar], target: Path) -> str | None:
    """Let Maven copy `jars` to `target`; gives the reason where it cannot."""
    mvn = shutil.which("mvn")
    if mvn is None:
        return "no mvn"
    pom = target.with_suffix(".xml")
    pom.write_text(_pom(jars), encoding="utf-8")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    try:
        answer = subprocess.run(
            [mvn, "-q", "-B", "-ntp", "-f", str(pom), *goal],
            capture_output=True,
            text=True,
            timeout=_MVN_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"mvn: {error}"
    if answer.returncode == 0:
        return None
    lines = [line for line in (answer.stdout + answer.stderr).splitlines() if "ERROR" in line]
    return f"mvn: {lines[0] if lines else f'exit code {answer.returncode}'}"


def _pom(jars: Iterable[PinnedJar]) -> str:
    """Write a Maven project that depends on exactly `jars`: the list is the lock."""
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>\n"
        for group, artifact, version in (jar.coordinate for jar in jars)
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>culdesac</groupId><artifactId>kafka</artifactId>"
        f"<version>1</version><packaging>pom</packaging>\n<dependencies>\n{dependencies}</dependencies></project>\n"
    )


def _by_jgo(jars: Sequence[PinnedJar], target: Path) -> str | None:
    """Fetch `jars` with the pure-Python resolver, eight at a time; gives the reason where it cannot."""
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=target.with_suffix(".repository"))

    def fetch(jar: PinnedJar) -> None:
        group, artifact, version = jar.coordinate
        fetched = context.project(group, artifact).at_version(version).artifact().resolve()
        fetched.replace(target / jar.name)

    try:
        with ThreadPoolExecutor(8, "jgo") as threads:
            list(threads.map(fetch, jars))
    except (OSError, RuntimeError, AssertionError) as error:  # what jgo and requests raise
        return f"jgo: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    return None
