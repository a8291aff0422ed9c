"""A real one-node Kafka 4 (KRaft) by itself, for the demo and the tests: no container, no installation."""

import contextlib
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.guarded_process import GuardedProcess, GuardGoneError
from agents.java import find_java
from agents.kafka_jars import BrokerError, cache_folder, find_jars
from agents.kafka_runtime import KafkaRuntime, failure_in

__all__ = ["BrokerError", "EmbeddedKafka"]

# A short session: a killed broker may register again only when its old registration has run out.
_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
log.dirs=data
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
"""
_LOG = "kafka.log"
_PORT_TRIES = 3
_STOP_SECONDS = 15.0
_FREEZE_SECONDS = 5.0
"""On a busy machine a thread may run on for a moment after the signal."""
_ARCHIVE_SECONDS = 60.0  # the first stop also writes the class data archive
_PROBE_SECONDS = 0.03
# Metadata, version 1, no client id, of no topics: its answer begins with the brokers that take requests.
_METADATA_REQUEST = bytes.fromhex("0000000e 0003 0001 00000001 ffff 00000000")


class EmbeddedKafka:
    """One Kafka broker on the loopback address, ended and cleared away with us, also by a kill -9 of ours.

    Parameters
    ----------
    port
        Where to listen; a free one where None.
    directory
        Where the broker keeps its records, its settings and its log (`kafka.log`), and finds them next time;
        a temporary folder, removed at the end, where None.
    heap_mb
        The JVM's heap.
    ready_seconds
        How long a start may take (1.2 s when warm, some 10 s the first time, fetching apart).
    announce
        Is told in one line, before something that takes long.
    listeners
        Further listeners beside the plain one: ``SSL`` or ``SASL_SSL`` to its settings (Kafka's, such as
        ``ssl.keystore.location``). `address` tells where they are.
    more_settings
        Settings of the broker beside ours, such as an authorizer.

    Notes
    -----
    ``with EmbeddedKafka() as kafka: ...`` gives its address as ``kafka.bootstrap``, such as 127.0.0.1:41287.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        directory: Path | str | None = None,
        heap_mb: int = 256,
        ready_seconds: float = 60.0,
        announce: Callable[[str], None] | None = None,
        listeners: Mapping[str, Mapping[str, str]] | None = None,
        more_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._wanted_port = port
        self._wanted_directory = None if directory is None else Path(directory).absolute()
        self._heap_mb = heap_mb
        self._ready_seconds = ready_seconds
        self._announce = announce
        self._listeners = dict(listeners or {})
        self._more_settings = dict(more_settings or {})
        self._listener_ports: dict[str, int] = {}
        self._port: int | None = None
        self._controller_port: int | None = None
        self._directory: Path | None = None
        self._guarded: GuardedProcess | None = None
        self._runtime: KafkaRuntime | None = None
        self._pid: int | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients; raises `BrokerError` before the first start."""
        if self._port is None:
            raise BrokerError("the broker has no address yet: call start() first")
        return f"127.0.0.1:{self._port}"

    def address(self, listener: str) -> str:
        """Give the address of a further listener; raises `BrokerError` before the first start."""
        if listener not in self._listener_ports:
            raise BrokerError(f"the broker has no listener {listener} yet: call start() first")
        return f"127.0.0.1:{self._listener_ports[listener]}"

    @property
    def directory(self) -> Path:
        """The broker's folder; raises `BrokerError` before the start and after the stop."""
        if self._directory is None:
            raise BrokerError("the broker has no folder now: call start() first")
        return self._directory

    @property
    def pid(self) -> int | None:
        """The JVM's process id; None when it does not run."""
        return self._pid if self.running else None

    @property
    def running(self) -> bool:
        """Whether the JVM lives; a frozen one does."""
        return self._pid is not None and self._guarded is not None and self._guarded.wait(0) is None

    def start(self) -> Self:
        """Start the broker, and return when it lists itself as ready; does nothing when it runs.

        Raises
        ------
        BrokerError
            When there is no Java or no Kafka, the port is taken, or the broker does not get ready in time.
        """
        if self.running:
            return self
        try:
            runtime = KafkaRuntime(find_java(), find_jars(self._announce), cache_folder(), self._heap_mb)
            guarded = self._guarded or self._open(runtime)
            self._start_jvm(runtime, guarded)
        except BlockingIOError as error:
            self._directory = None  # it is the other one's
            raise BrokerError(
                f"another broker runs in {self._wanted_directory}: end it, or choose another folder"
            ) from error
        except OSError as error:
            self.stop()
            raise BrokerError(f"cannot write the broker's files ({error}): choose another folder") from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the broker in an orderly way (0.5 s; killed after 15 s), and remove a temporary folder."""
        self._end_jvm()
        if self._guarded is not None:
            self._guarded.close()
        elif self._wanted_directory is None and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._guarded = self._directory = self._runtime = self._pid = None

    def kill(self) -> None:
        """Kill the JVM (SIGKILL) and return when it is gone; its folder stays for `restart`."""
        self._running().signal(signal.SIGKILL)
        self._running().wait(_STOP_SECONDS)

    def freeze(self) -> None:
        """Hold the JVM (SIGSTOP): connections stay open, and nothing answers."""
        self._running().signal(signal.SIGSTOP)
        until = time.monotonic() + _FREEZE_SECONDS
        while not _is_stopped(self._pid) and time.monotonic() < until:
            time.sleep(0.002)

    def thaw(self) -> None:
        """Let a frozen JVM go on (SIGCONT)."""
        self._running().signal(signal.SIGCONT)

    def restart(self) -> Self:
        """Stop the broker where it runs, and start it on the same port with the same folder."""
        self._end_jvm()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _open(self, runtime: KafkaRuntime) -> GuardedProcess:
        """Make the folder and start the guard: from here on, nothing is left behind."""
        temporary = self._wanted_directory is None
        if self._wanted_directory is None:
            directory = Path(tempfile.mkdtemp(prefix="culdesac-kafka-"))
        else:
            directory = self._wanted_directory
            directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._guarded = GuardedProcess(directory, directory / _LOG, temporary=temporary)
        runtime.format(directory / "data")
        return self._guarded

    def _start_jvm(self, runtime: KafkaRuntime, guarded: GuardedProcess) -> None:
        log = self.directory / _LOG
        if runtime.archive_is_missing and self._announce:
            self._announce("Starting Kafka for the first time; later starts take a second")
        for tries_left in reversed(range(_PORT_TRIES)):
            port, controller_port = self._choose_ports()
            settings = self._settings(port, controller_port)
            (self.directory / "server.properties").write_text(settings, encoding="utf-8")
            log_start = log.stat().st_size
            self._runtime = runtime
            try:
                self._pid = guarded.start(*runtime.command("server.properties"))
            except GuardGoneError as error:
                raise BrokerError(f"{error}: start the broker again") from error
            reason = self._wait_until_ready(port, guarded)
            if reason is None:
                return
            line = failure_in(log, log_start)
            # Another process may take a free port before the JVM does.
            if not (tries_left and self._wanted_port is None and "Address already in use" in line):
                break
            self._port = self._controller_port = None
            self._listener_ports = {}
        kept = shutil.copy(log, cache_folder() / "kafka-failed.log")
        raise BrokerError(f"Kafka {reason}: {line or 'its log is empty'}; see {kept} and culdesac doctor")

    def _settings(self, port: int, controller_port: int) -> str:
        """Give the broker's settings, with ports for the further listeners."""
        for name in self._listeners.keys() - self._listener_ports.keys():
            self._listener_ports[name] = _free_ports()[0]
        ports = {"PLAINTEXT": port} | self._listener_ports
        listeners = ",".join(f"{name}://127.0.0.1:{number}" for name, number in ports.items())
        more = self._more_settings | {
            f"listener.name.{name.lower()}.{key}": value
            for name, settings in self._listeners.items()
            for key, value in settings.items()
        }
        config = _CONFIG.format(listeners=listeners, controller_port=controller_port)
        return config + "".join(f"{key}={value}\n" for key, value in more.items())

    def _choose_ports(self) -> tuple[int, int]:
        """Give the broker's and the controller's port: those of the last start, else wanted or free ones."""
        wanted, (first, second) = self._wanted_port, _free_ports()
        if self._port is None and wanted is not None:
            try:
                with contextlib.closing(socket.socket()) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", wanted))
            except (OSError, OverflowError) as error:
                raise BrokerError(
                    f"port {wanted} is not free ({error}): end what listens there, or choose another port"
                ) from error
        self._port = self._port or wanted or first
        self._controller_port = self._controller_port or second
        return self._port, self._controller_port

    def _wait_until_ready(self, port: int, guarded: GuardedProcess) -> str | None:
        """Give None when the broker is ready, else what happened instead."""
        deadline = time.monotonic() + self._ready_seconds
        while time.monotonic() < deadline:
            if _lists_a_broker(port):
                return None
            if (code := guarded.wait(_PROBE_SECONDS)) is not None:
                return f"ended while it started (exit code {code})"
        return f"was not ready within {self._ready_seconds:g} s"

    def _end_jvm(self) -> None:
        """End the JVM where it runs; one that is frozen, or whose guard was killed, too."""
        if self._guarded is None or self._runtime is None or not self.running:
            return
        with contextlib.suppress(GuardGoneError):
            self._guarded.signal(signal.SIGCONT)
            self._guarded.signal(signal.SIGTERM)
            seconds = _ARCHIVE_SECONDS if self._runtime.archive_is_missing else _STOP_SECONDS
            if self._guarded.wait(seconds) is None:
                self._guarded.signal(signal.SIGKILL)
                self._guarded.wait(_STOP_SECONDS)
            else:
                self._runtime.keep_archive()

    def _running(self) -> GuardedProcess:
        if self._guarded is None or self._pid is None:
            raise BrokerError("the broker does not run: call start() first")
        return self._guarded


def _free_ports() -> tuple[int, int]:
    with contextlib.closing(socket.socket()) as first, contextlib.closing(socket.socket()) as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _lists_a_broker(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(_METADATA_REQUEST)
            answer = b""
            while len(answer) < 12 and (read := connection.recv(4096)):
                answer += read
    except OSError:
        return False
    return len(answer) >= 12 and int.from_bytes(answer[8:12], "big") >= 1


def _is_stopped(pid: int | None) -> bool:
    """Tell whether every thread of a process stands still; also where nobody can tell."""
    try:
        # The state is what comes after the name, which may hold anything but ends with the last bracket.
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)
    except OSError:
        return True
