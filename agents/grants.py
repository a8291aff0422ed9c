"""Grants: what a Kafka with an authorizer has to allow, to whom; printed as commands, and looked for by doctor."""

from __future__ import annotations

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from kafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from agents.secret import CLAIMS
from agents.security import security_of
from agents.settings import WorkerSettings
from agents.topics import admin_client
from schemas.topics import TOPICS
from streams.board import TOPICS as BOARD_TOPICS
from streams.collected import TOPICS as COLLECTED
from streams.customers import Customers
from streams.event_files import INPUTS, REJECTED
from streams.intake import Intake
from streams.models import Models
from streams.pages import Pages
from streams.sessions import Sessions

Role: TypeAlias = Literal[
    "administrator", "worker", "publisher", "collector", "adapter", "notifier", "reader", "board"
]
Operation: TypeAlias = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs"]
ROLES: dict[Role, str] = {
    "administrator": "who runs culdesac topics --create",
    "worker": "culdesac worker and doctor",
    "publisher": "culdesac publish and shop; your own producers write the topics that they fill",
    "collector": "culdesac collect",
    "adapter": "culdesac adapt; with the names of its raw topic and of its group",
    "notifier": "culdesac notify; and Read on a group APP_ID-notify-ROUTE for each of its routes",
    "reader": "culdesac alerts; other readers want Read on a group of their own as well",
    "board": "culdesac board",
}


# Not `streams.flow.stages`: making an intake takes seconds, for it reads tables of user agents.
LOG_STAGES = (Sessions, Customers, Pages, Models)


class Grant(msgspec.Struct, frozen=True):
    """Some operations on one topic or group. Read and Write include Describe."""

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[Operation, ...]


class RawTopic(NamedTuple):
    """Whole names of a topic that adapt reads, and of its consumer group."""

    topic: str = "RAW_TOPIC"
    group: str = "culdesac-adapt-FORMAT-RAW_TOPIC"


ANY_RAW_TOPIC = RawTopic()


def grants(settings: WorkerSettings, role: Role, raw: RawTopic = ANY_RAW_TOPIC) -> list[Grant]:
    """All that a role needs; nothing on the cluster, and nothing on transactions.

    Parameters
    ----------
    settings
        Whose topics and group.
    role
        Who wants it.
    raw
        Of an adapter; by default words in capitals, to be replaced.

    Examples
    --------
    >>> grants(WorkerSettings(topic_prefix="x."), "reader")[-1]
    Grant(resource='topic', name='x.model-reports', operations=('Read',))
    """
    wanted: dict[str, set[Operation]] = defaultdict(set)
    groups: list[Grant] = []
    if role == "administrator":
        for name in TOPICS:
            wanted[name] |= {"Create", "Describe", "DescribeConfigs"}
    elif role in ("publisher", "adapter"):
        for name in (*INPUTS, REJECTED):
            wanted[name].add("Write")
        if role == "adapter":
            groups = [Grant("topic", raw.topic, ("Read",)), Grant("group", raw.group, ("Read",))]
    elif role == "notifier":
        wanted["dead-end-alerts"].add("Read")
        wanted["undelivered-notices"].add("Write")
    elif role == "collector":
        for name in (*COLLECTED, REJECTED):
            wanted[name].add("Write")
    elif role == "reader":
        for topic in TOPICS.values():
            # What was refused stands there as it came, personal data too: whoever needs it is given it by name.
            if topic.partitions_of == "outputs" and topic.name != REJECTED:
                wanted[topic.name].add("Read")
    elif role == "board":
        for name in BOARD_TOPICS:
            wanted[name].add("Read")
        wanted["alert-decisions"].add("Write")
    else:
        for name in TOPICS:
            wanted[name].add("DescribeConfigs")
            wanted[name].add("Describe")
        if "intake" in settings.stages:
            for name in Intake.inputs:
                wanted[name].add("Read")
            for name in Intake.outputs:
                wanted[name].add("Write")
        for stage in LOG_STAGES:
            if stage.name in settings.stages:
                wanted[stage.log].add("Read")
                wanted[f"culdesac-{stage.name}-changelog"] |= {"Read", "Write"}
                for name in stage.outputs:
                    wanted[name].add("Write")
        if settings.streams.pseudonymise and "intake" in settings.stages:
            wanted[CLAIMS] |= {"Read", "Write"}
        groups = [Grant("group", settings.app_id, ("Read",))]
    found = [
        Grant("topic", settings.topic_prefix + name, _least(wanted[name]))
        for name in TOPICS
        if name in wanted
    ]
    return found + groups


def _least(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    order: tuple[Operation, ...] = ("Read", "Write", "Create", "Describe", "DescribeConfigs")
    wanted = set(operations)
    if wanted & {"Read", "Write"}:
        wanted.discard("Describe")
    return tuple(operation for operation in order if operation in wanted)


def missing_grants(
    settings: WorkerSettings, role: Role = "worker", raw: RawTopic = ANY_RAW_TOPIC
) -> list[Grant]:
    """Look which grants of a role the user of these settings lacks, changing nothing.

    Kafka shows no difference between a topic that is not there and one that may not be seen.

    Raises
    ------
    TopicError
        Kafka can't be asked, or lets nobody in by these settings.
    """
    wanted = grants(settings, role, raw)
    held: dict[tuple[str, str], set[str]] = {}
    absent = set()
    with admin_client(settings.kafka, security_of(settings)) as client:
        names = [grant.name for grant in wanted if grant.resource == "topic"]
        for topic in client.describe_topics(names):
            if topic["error_code"] == UnknownTopicOrPartitionError.errno or (
                not topic["error_code"] and topic["authorized_operations"] is None
            ):
                absent.add(
                    topic["name"]
                )  # is not there, as `check_topics` says; or this Kafka tells no rights
            held["topic", topic["name"]] = set(topic["authorized_operations"] or ())
        for grant in wanted:
            if grant.resource == "group":
                try:
                    group = client.describe_groups([grant.name])[grant.name]
                    if group["authorized_operations"] is None:
                        absent.add(grant.name)  # may be asked for, and is not there yet
                    held["group", grant.name] = set(group["authorized_operations"] or ())
                except GroupAuthorizationFailedError:
                    held["group", grant.name] = set()
                except CoordinatorNotAvailableError:
                    absent.add(grant.name)  # a Kafka that never had a group: it may at least be asked for
    missing = []
    for grant in wanted:
        allowed = {name.replace("_", "") for name in held.get((grant.resource, grant.name), set())}
        lacks = tuple(operation for operation in grant.operations if operation.upper() not in allowed)
        if lacks and grant.name not in absent:
            missing.append(Grant(grant.resource, grant.name, lacks))
    return missing


def lacking(missing: Iterable[Grant]) -> str:
    """Name grants in a few words.

    Examples
    --------
    >>> lacking([Grant("topic", "orders", ("Read", "DescribeConfigs")), Grant("group", "g", ("Read",))])
    'Read and DescribeConfigs on topic orders, Read on group g'
    """
    return ", ".join(
        f"{' and '.join(grant.operations)} on {grant.resource} {grant.name}" for grant in missing
    )


def commands(wanted: Iterable[Grant], principal: str, servers: str) -> list[str]:
    """Write grants as commands of Kafka's own tool: one for all topics with the same operations.

    Examples
    --------
    >>> commands([Grant("group", "g", ("Read",))], "User:worker", "k:9092")
    ['kafka-acls.sh --bootstrap-server k:9092 --add --allow-principal User:worker --operation Read --group g']
    """
    together: dict[tuple[str, tuple[Operation, ...]], list[str]] = defaultdict(list)
    for grant in wanted:
        together[grant.resource, grant.operations].append(grant.name)
    lines = []
    for (resource, operations), names in together.items():
        words = ["kafka-acls.sh", "--bootstrap-server", servers, "--add", "--allow-principal", principal]
        words += [word for operation in operations for word in ("--operation", operation)]
        words += [word for name in names for word in (f"--{resource}", name)]
        lines.append(shlex.join(words))
    return lines


def show_grants(settings: WorkerSettings, as_json: bool) -> int:
    """Print the grants of every role, as commands or as JSON; asks no Kafka."""
    if as_json:
        rows = {role: msgspec.to_builtins(grants(settings, role)) for role in ROLES}
        sys.stdout.write(json.dumps(rows) + "\n")
        return 0
    for role, who in ROLES.items():
        sys.stdout.write(f"# {role}: {who}\n")
        for line in commands(grants(settings, role), f"User:culdesac-{role}", settings.kafka):
            sys.stdout.write(line + "\n")
    return 0
