"""What makes the embedded broker start in a second: a class data archive, and a formatted folder to copy."""

import base64
import contextlib
import hashlib
import os
import re
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agents.java import Java
from agents.kafka_jars import BrokerError

_KEPT_ARCHIVES = 4
_TOOL_SECONDS = 120


@dataclass(frozen=True)
class KafkaRuntime:
    """A Java with a class path, and what is cached for just this pair.

    Attributes
    ----------
    java
        The Java to run.
    jars
        The class path, in a fixed order: an archive fits one order only.
    cache
        Where archives and templates are kept.
    heap_mb
        The JVM's heap.
    """

    java: Java
    jars: tuple[Path, ...]
    cache: Path
    heap_mb: int = 256

    @cached_property
    def key(self) -> str:
        """Names this pair: an archive is void as soon as a jar or the Java is another file."""
        modules = self.java.path.resolve().parent.parent / "lib" / "modules"
        state = [str(self.java.major)]
        for file in (*self.jars, *([modules] if modules.exists() else [])):
            stat = file.stat()
            state.append(f"{file.name} {stat.st_size} {int(stat.st_mtime)}")
        state.extend(str(jar.parent) for jar in self.jars[:1])
        return hashlib.sha256("\n".join(state).encode()).hexdigest()[:12]

    @property
    def archive_is_missing(self) -> bool:
        """Whether the next run writes the class data archive when it ends (it halves the time of a start)."""
        return not self._archive.exists()

    def command(self, settings: str) -> list[str]:
        """Give the command that runs the broker with the file `settings`."""
        if self.archive_is_missing:
            archive = [*self._base_archive(), f"-XX:ArchiveClassesAtExit={self._unfinished_archive}"]
        else:
            archive = [f"-XX:SharedArchiveFile={self._archive}"]
        return [*self._java(), *archive, *self._class_path(), "kafka.Kafka", settings]

    def keep_archive(self) -> None:
        """Put the archive of an orderly finished run in its place; older ones beyond the newest four go."""
        with contextlib.suppress(OSError):
            if self._unfinished_archive.stat().st_size:
                self._unfinished_archive.replace(self._archive)
                archives = sorted(self.cache.glob("classes-*.jsa"), key=lambda file: -file.stat().st_mtime)
                for old in archives[2 * _KEPT_ARCHIVES :]:  # some have a base archive beside them
                    old.unlink()

    def format(self, data: Path) -> None:
        """Make the broker's empty data folder, with ids of its own; leaves a formatted one as it is.

        Kafka's own tool is asked once; after that its result is copied, which spares a start of the JVM.
        """
        if (data / "meta.properties").exists():
            return
        template = self.cache / f"format-{self.key}"
        if not template.exists():
            self._make_template(template)
        data.mkdir(parents=True, exist_ok=True)
        for file in sorted(template.iterdir()):
            content = file.read_bytes()
            if file.name == "meta.properties":
                continue
            (data / file.name).write_bytes(content)
        meta = (template / "meta.properties").read_text(encoding="utf-8")
        meta = re.sub(r"(?m)^(cluster|directory)\.id=.*", lambda line: f"{line[1]}.id={_kafka_id()}", meta)
        # Last, since it says that the folder is whole.
        (data / "meta.properties").write_text(meta, encoding="utf-8")

    def _make_template(self, template: Path) -> None:
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="format-", dir=self.cache) as name:
            folder = Path(name)
            (folder / "format.properties").write_text(
                "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n"
                "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
                "controller.listener.names=CONTROLLER\nlog.dirs=data\n",
                encoding="utf-8",
            )
            tool = [*self._java(), *self._class_path(), "kafka.tools.StorageTool", "format"]
            self._run([*tool, "-t", _kafka_id(), "-c", "format.properties"], folder)
            with contextlib.suppress(OSError):  # another process was faster: its template is as good
                (folder / "data").rename(template)

    def _base_archive(self) -> list[str]:
        """Give the option for the JVM's own archive: a Java that comes as a wheel lacks one."""
        if any((self.java.path.resolve().parent.parent / "lib" / "server").glob("classes*.jsa")):
            return []
        base = self.cache / f"classes-{self.key}-base.jsa"
        if not base.exists():
            unfinished = base.with_suffix(f".{os.getpid()}.part")
            self._run([*self._java(), "-Xshare:dump", f"-XX:SharedArchiveFile={unfinished}"], self.cache)
            unfinished.replace(base)
        return [f"-XX:SharedArchiveFile={base}"]

    def _run(self, command: list[str], folder: Path) -> None:
        try:
            answer = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_TOOL_SECONDS, errors="replace"
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BrokerError(
                f"{self.java.path} does not run ({error}): set JAVA_HOME to one that does"
            ) from error
        if answer.returncode:
            line = _first_failure(answer.stderr + answer.stdout)
            raise BrokerError(
                f"{self.java.path} failed ({line or f'exit code {answer.returncode}'}): "
                "set JAVA_HOME to a Java 17 or newer that works"
            )

    def _java(self) -> list[str]:
        # The first compiler and the serial collector start fastest; a demo's load needs no more.
        fast_start = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
        log = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
        return [str(self.java.path), f"-Xmx{self.heap_mb}m", *fast_start, *log]

    def _class_path(self) -> list[str]:
        return ["-cp", os.pathsep.join(map(str, self.jars))]

    @property
    def _archive(self) -> Path:
        return self.cache / f"classes-{self.key}.jsa"

    @property
    def _unfinished_archive(self) -> Path:
        return self.cache / f"classes-{self.key}.{os.getpid()}.part"


def failure_in(log: Path, start: int) -> str:
    """Give the line of `log`, from the byte `start` on, that names a failure; empty where none does."""
    with log.open("rb") as file:
        file.seek(start)
        return _first_failure(file.read().decode(errors="replace"))


def _first_failure(text: str) -> str:
    r"""Give the line that names the cause: the first one with an exception or an error.

    >>> _first_failure("[main] WARN slow\njava.net.BindException: Address in use\n  at java.net")
    'java.net.BindException: Address in use'
    """
    lines = [line.strip() for line in text.splitlines()]
    for pattern in (r"\w(Exception|Error)\b", r"ERROR|[Ee]rror", r"."):
        for line in lines:
            if re.search(pattern, line):
                return line
    return ""


def _kafka_id() -> str:
    """Give a random id as Kafka writes them: 22 letters, not beginning with a dash."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
