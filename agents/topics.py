"""Topics in Kafka: made as the table of `schemas.topics` says, or compared with it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import (
    AuthorizationError,
    InvalidReplicationFactorError,
    KafkaError,
    KafkaTimeoutError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from agents.security import OPEN, Security, security_of
from agents.settings import WorkerSettings
from schemas.topics import TOPICS, Topic

WAIT_S = 30.0
"""How long leaders may take to be elected."""
CONNECT_S = 3.0
ANSWER_S = 5.0
ADMISSION_MS = 5_000
"""Who has not been let in by then is taken to be refused: the client tells no reason."""
_HIDDEN = "is not there, or this user may not see it: culdesac topics --acls prints what to allow"
# Which versions of its requests does it know? Even who is not let in may ask.
_VERSIONS_REQUEST = bytes.fromhex("0000000a 0012 0000 00000001 ffff")
_STATELESS = ("inputs", "outputs")


class TopicError(Exception):
    """The topics are not what the stages need, or Kafka can't be asked; one line that says what to do."""


class NoKafkaError(TopicError):
    """Nothing answers at that address, now: it may be there later."""


class TopicState(msgspec.Struct, frozen=True):
    """How one topic is.

    Attributes
    ----------
    topic
        Its name in Kafka, with the prefix.
    state
        ``ok``; ``created`` just now; ``missing``; ``hidden``: it may not be seen; ``differs``: usable, but not as
        it should be; ``wrong``: it can't be used.
    partitions, wanted_partitions
        What it has (0: it does not exist) and what it should have.
    config
        Its settings that matter, as they should be.
    mend
        What differs, and what to do about it; empty where all is well.
    """

    topic: str
    state: Literal["ok", "created", "missing", "hidden", "differs", "wrong"]
    partitions: int
    wanted_partitions: int
    config: dict[str, str]
    mend: str = ""


@contextmanager
def admin_client(kafka: str, security: Security = OPEN) -> Iterator[KafkaAdminClient]:
    """Open a client for administration.

    Raises
    ------
    NoKafkaError
        Nothing answers.
    TopicError
        No broker answers at `kafka` (``host:port``, several separated by commas), or it refuses, or is not to
        be trusted.
    """
    nobody = f"{kafka}: no Kafka answers there: start it, or name another by --kafka"
    servers = kafka.split(",")
    # Asked first, because the client leaves its sockets open when it can't connect, and keeps to itself why.
    failures = [_knock(server, security.tls) for server in servers]
    if None not in failures:
        if not any(failures):
            raise NoKafkaError(nobody)
        raise TopicError(next(f"{kafka}: {failure}" for failure in failures if failure))
    try:
        client = KafkaAdminClient(
            bootstrap_servers=servers,
            client_id="culdesac",
            bootstrap_timeout_ms=ADMISSION_MS,
            **security.arguments(),
        )
    except (KafkaError, OSError, ValueError):
        raise TopicError(f"{kafka}: {_refusal(security)}") from None
    try:
        yield client
    except KafkaError as error:
        raise TopicError(f"{kafka}: Kafka refused ({type(error).__name__}: {error})") from None
    finally:
        client.close()


def partition_counts(kafka: str, topics: Iterable[str], security: Security = OPEN) -> dict[str, int]:
    """Look up the number of partitions of some topics, by their names in Kafka.

    Raises
    ------
    TopicError
        Kafka can't be asked, or one of them does not exist.
    """
    wanted = list(topics)
    with admin_client(kafka, security) as client:
        found = {topic["name"]: len(topic["partitions"]) for topic in client.describe_topics()}
    for topic in wanted:
        if not found.get(topic):
            raise TopicError(f"{kafka}: there is no topic {topic}: run culdesac topics --create first")
    return {topic: found[topic] for topic in wanted}


def check_topics(settings: WorkerSettings) -> list[TopicState]:
    """Compare every topic with the table, changing nothing.

    Raises
    ------
    TopicError
        Kafka can't be asked.
    """
    with admin_client(settings.kafka, security_of(settings)) as client:
        return _states(client, settings)


def ensure_topics(settings: WorkerSettings) -> list[TopicState]:
    """Create what is missing, and wait until every partition has a leader.

    Workers call this at once and alike: who comes second finds the topic there, which is well.

    Parameters
    ----------
    settings
        Where, under which prefix, with how many partitions and copies.

    Returns
    -------
    list
        A state a topic, none of them ``missing`` or ``wrong``. Inputs and outputs may have other partition
        counts than wanted: `partitions` says how many there are.

    Raises
    ------
    TopicError
        Kafka can't be asked or refuses, or a log or changelog has another number of partitions than wanted.
    """
    with admin_client(settings.kafka, security_of(settings)) as client:
        missing = {state.topic for state in _states(client, settings) if state.state in ("missing", "hidden")}
        wanted = settings.topic_partitions()
        new = {
            settings.topic_prefix + topic.name: {
                "num_partitions": wanted[topic.name],
                "replication_factor": settings.replication_factor,
                "configs": topic.config(),
            }
            for topic in TOPICS.values()
            if settings.topic_prefix + topic.name in missing
        }
        # Refusals are looked at one by one: a topic that another worker made meanwhile stops no other.
        answers = client.create_topics(new, raise_errors=False)["topics"] if new else []
        for answer in answers:
            error = for_code(answer["error_code"])
            if error not in (NoError, TopicAlreadyExistsError):
                raise TopicError(f"{answer['name']}: can't be created: {_reason(error)}")
        try:
            client.wait_for_topics(
                [settings.topic_prefix + name for name in TOPICS], timeout_ms=int(WAIT_S * 1000)
            )
        except KafkaTimeoutError:
            raise TopicError(
                f"topics have no leaders after {WAIT_S:.0f} s: see whether all brokers run"
            ) from None
        states = _states(client, settings)
    wrong = [state for state in states if state.state in ("wrong", "missing", "hidden")]
    if wrong:
        raise TopicError(f"{wrong[0].topic}: {wrong[0].mend}")
    return [
        msgspec.structs.replace(state, state="created") if state.topic in new else state for state in states
    ]


def _knock(server: str, tls: ssl.SSLContext | None) -> str | None:
    """Give None where a Kafka answers that we trust, else what is wrong; empty where nothing answers."""
    host, _, port = server.strip().rpartition(":")
    host = host.strip("[]")
    try:
        connection = socket.create_connection((host, int(port)), CONNECT_S)
    except (OSError, ValueError, OverflowError):
        return ""
    with connection:
        if tls is not None:
            try:
                connection = tls.wrap_socket(connection, server_hostname=host)
            except ssl.SSLCertVerificationError as error:
                return f"its certificate is not to be trusted ({error.verify_message}): see ssl_ca_file"
            except TimeoutError:
                return ""
            except OSError:
                return "does not speak TLS there: name its TLS listener, or set security_protocol"
        with connection:
            return _ask(connection, tls is not None)


def _ask(connection: socket.socket, with_tls: bool) -> str | None:
    connection.settimeout(ANSWER_S)
    try:
        connection.sendall(_VERSIONS_REQUEST)
        # An answer begins with its length in four bytes; the alert of a TLS listener does not begin with 0.
        if connection.recv(4)[:1] == b"\0":
            return None
    except TimeoutError:
        return ""
    except OSError:
        pass
    if with_tls:
        return "lets nobody in without a certificate, or is no Kafka: see ssl_certificate_file"
    return "is no Kafka, or one that wants TLS: see security_protocol"


def _refusal(security: Security) -> str:
    if security.mechanism is not None:
        return "lets nobody in by these credentials: see sasl_username, sasl_password and sasl_mechanism"
    return "lets nobody in without credentials: see security_protocol"


def _states(client: KafkaAdminClient, settings: WorkerSettings) -> list[TopicState]:
    names = {settings.topic_prefix + topic.name: topic for topic in TOPICS.values()}
    described_topics = client.describe_topics(list(names))
    found = {topic["name"]: len(topic["partitions"]) for topic in described_topics if not topic["error_code"]}
    hidden = {
        topic["name"]
        for topic in described_topics
        if topic["error_code"] == TopicAuthorizationFailedError.errno
    }
    resources = [ConfigResource("topic", name) for name in found]
    described = client.describe_configs(resources, config_filter="all") if resources else {}
    configs: dict[str, Any] = described.get("topic", {})
    return [
        TopicState(name, "hidden", 0, topic.partitions(settings.partitions), topic.config(), _HIDDEN)
        if name in hidden
        else _state(name, topic, settings, found.get(name, 0), configs.get(name, {}))
        for name, topic in names.items()
    ]


def _state(
    name: str, topic: Topic, settings: WorkerSettings, partitions: int, config: dict[str, Any]
) -> TopicState:
    wanted, wanted_config = topic.partitions(settings.partitions), topic.config()
    state: Literal["ok", "missing", "differs", "wrong"] = "ok"
    mend = ""
    differing = [
        f"{key}={value}"
        for key, value in wanted_config.items()
        if key in config and config[key].get("value") != value
    ]
    if not partitions:
        state, mend = "missing", "does not exist: run culdesac topics --create"
    elif partitions != wanted and topic.partitions_of not in _STATELESS:
        state = "wrong"
        mend = (
            f"has {partitions} partitions, not {wanted}, and holds state by partition: "
            f"set partitions {{ {topic.partitions_of} = {partitions} }}, or begin anew under another app_id "
            "and topic_prefix"
        )
    elif differing:
        state, mend = "differs", f"should have {', '.join(differing)}: set it with kafka-configs"
    elif partitions != wanted:
        state, mend = "differs", f"has {partitions} partitions, not {wanted}; they are used as they are"
    return TopicState(name, state, partitions, wanted, wanted_config, mend)


def _reason(error: type[KafkaError]) -> str:
    if error is InvalidReplicationFactorError:
        return "there are fewer brokers than replication_factor: lower it"
    if issubclass(error, AuthorizationError):
        return "this user may not: culdesac topics --acls prints what to allow, to whom"
    return f"Kafka says {error.__name__}"
