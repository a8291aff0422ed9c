"""What the peers need and we do not: an environment of their own from a lock, and a Java program built by Maven."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from agents.kafka_jars import cache_folder

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
STREAMS = HERE / "kafka_streams"


class MissingError(RuntimeError):
    """A peer can't be run here; the message says why."""


def python() -> str:
    """Interpreter of the peers' environment, made in the cache folder where it is missing.

    Raises
    ------
    MissingError
        It can't be made.
    """
    key = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_folder() / f"peers-{key}"
    interpreter, stamp = folder / "bin" / "python", folder / "ready"
    if stamp.exists():
        return str(interpreter)
    sys.stderr.write(f"Setting up the peers' environment (once): {folder}\n")
    if uv := shutil.which("uv"):
        steps = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                str(interpreter),
                "--require-hashes",
                "-r",
                str(LOCK),
            ],
        ]
    else:
        install = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--requirement", str(LOCK)]
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(interpreter), "-m", "pip", "install", *install],
        ]
    for step in steps:
        _run(step)
    stamp.touch()
    return str(interpreter)


def java_command() -> list[str]:
    """Command of the Kafka Streams program, built where it is missing.

    Raises
    ------
    MissingError
        There is no Maven or no JDK, or the build fails.
    """
    sources = [STREAMS / "pom.xml", *sorted(STREAMS.rglob("*.java"))]
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folder = cache_folder() / f"peers-kafka-streams-{key}"
    if not (folder / "ready").exists():
        mvn = shutil.which("mvn")
        if mvn is None or shutil.which("javac") is None:
            raise MissingError("no Maven or no JDK here")
        sys.stderr.write(f"Building the Kafka Streams program (once): {folder}\n")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(STREAMS, folder)
        _run([mvn, "-q", "-B", "-ntp", "-f", str(folder / "pom.xml"), "package"])
        (folder / "ready").touch()
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    classes = os.pathsep.join(
        [str(folder / "target" / "classes"), str(folder / "target" / "dependency" / "*")]
    )
    return [java, "-Xmx512m", "-XX:+UseSerialGC", "-cp", classes, "peers.Sessionise"]


def _run(command: list[str]) -> None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{Path(command[0]).name}: {error}") from error
    if answer.returncode:
        lines = (answer.stderr + answer.stdout).strip().splitlines()
        raise MissingError(f"{' '.join(command[:3])}: {lines[-1] if lines else answer.returncode}")
