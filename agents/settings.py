"""Settings of a worker: where it runs, and (from `streams`) what decides results.

They come from a TOML file with the tables ``[worker]``, ``[streams]``, ``[collect]`` and ``[board]``, and from the
environment (``CULDESAC_`` and the setting's name in capitals, of the last two as ``CULDESAC_BOARD_PORT``), which
wins.
Durations are written as people write them, under the setting's name without its ``_ms``: ``gap = "30m"``,
``CULDESAC_GAP=30m``.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec

from agents.board_settings import BoardSettings, board_value
from agents.collect_settings import CollectSettings, collect_value
from agents.durations import EXAMPLES, parse_duration
from schemas.topics import TOPICS, PartitionCounts
from streams.content_groups import group_reader
from streams.settings import ContentGroup, Settings, TemplateRule
from streams.templates import template_reader

PREFIX = "CULDESAC_"
FILE_VARIABLE = "CULDESAC_SETTINGS"
SECRET_CHARACTERS = 16
"""A shorter secret can be guessed."""
StageName = Literal["intake", "sessions", "customers", "pages", "models"]
_SERVICES: dict[str, Callable[[str, Any, object], Any]] = {"collect": collect_value, "board": board_value}
"""Tables of what runs beside workers, with what converts their settings."""
_TABLES = ("worker", "streams", *_SERVICES)
_NOT_SETTINGS = (FILE_VARIABLE, "CULDESAC_CACHE", "CULDESAC_NOTIFY", "CULDESAC_NOTIFY_METRICS_PORT")
_PATHS = (
    "data_dir",
    "secret_file",
    "sasl_password_file",
    "ssl_ca_file",
    "ssl_certificate_file",
    "ssl_key_file",
)
_MAY_BE_EMPTY = ("group_instance_id", "sasl_mechanism", "sasl_username", "sasl_password", *_PATHS[2:])
"""Empty is unset: in containers a variable is often there without a value."""
_SECRETS = ("secret", "sasl_password", "token")
_NAME = re.compile(r"[A-Za-z0-9._-]*")
_ADDRESSES = re.compile(r"[^\s:,]+:\d{1,5}(,[^\s:,]+:\d{1,5})*")


class SettingsError(Exception):
    """A setting can't be used; the message is one line that names it and says how to mend it."""


def _default_data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "culdesac"


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker runs; none of it decides what comes out.

    Attributes
    ----------
    kafka
        ``host:port`` of some brokers, separated by commas.
    app_id
        Names the consumer groups and changelogs: workers with the same one share the work.
    data_dir
        Folder of the local state and of the secret; each worker of a machine needs its own.
    topic_prefix
        Stands before the name of every topic.
    partitions
        How many partitions each kind of topic has.
    replication_factor
        Of the topics that we create.
    stages
        Which stages this worker runs; those that read the same topic, as pages and models do, all or none.
    metrics_host, metrics_port
        Where ``/metrics`` and ``/healthz`` are served; port 0: any free one.
    secret
        Key of the pseudonyms, ≥ 16 characters. Never change it: everybody would be someone else.
    secret_file
        File that holds it instead.
    session_timeout_ms
        The others take over from a worker that has been silent for so long.
    commit_limit_ms, ready_limit_ms, loop_limit_ms, send_limit_ms
        A worker ends itself when, for longer than this, records wait and nothing is committed; it can't take over
        partitions or the broker does not answer; its event loop stands still; a record is not acknowledged.
    group_instance_id
        Name of this worker in the group, its own: who comes back under it within `session_timeout_ms` gets its
        partitions back, and the others go on meanwhile.
    security_protocol, sasl_mechanism, sasl_username, sasl_password
        How Kafka is spoken to; see `agents.security`.
    sasl_password_file
        File that holds the password instead.
    ssl_ca_file
        Certificates (PEM) of those who vouch for the broker; None: those that the machine trusts.
    ssl_certificate_file, ssl_key_file
        Our own certificate and key (PEM), where the broker asks for one.
    ssl_check_hostname
        Whether the broker's certificate has to name its host.
    log_level
        From ``DEBUG`` to ``ERROR``.
    streams
        What decides results.
    collect, board
        Of the collector and of the board.
    """

    kafka: str = "127.0.0.1:9092"
    app_id: str = "culdesac"
    data_dir: Path = msgspec.field(default_factory=_default_data_dir)
    topic_prefix: str = ""
    partitions: PartitionCounts = PartitionCounts()
    replication_factor: int = 1
    stages: tuple[StageName, ...] = ("intake", "sessions", "customers", "pages", "models")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9646
    secret: str | None = None
    secret_file: Path | None = None
    session_timeout_ms: int = 10_000
    commit_limit_ms: int = 60_000
    ready_limit_ms: int = 180_000
    loop_limit_ms: int = 60_000
    send_limit_ms: int = 75_000
    group_instance_id: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    sasl_password_file: Path | None = None
    ssl_ca_file: Path | None = None
    ssl_certificate_file: Path | None = None
    ssl_key_file: Path | None = None
    ssl_check_hostname: bool = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    streams: Settings = Settings()
    collect: CollectSettings = CollectSettings()
    board: BoardSettings = BoardSettings()

    def topic_partitions(self) -> dict[str, int]:
        """Each topic (without prefix) with its number of partitions."""
        return {name: topic.partitions(self.partitions) for name, topic in TOPICS.items()}


_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "worker": WorkerSettings,
    "streams": Settings,
    "collect": CollectSettings,
    "board": BoardSettings,
}
_TYPES = {
    table: {field.name: field.type for field in msgspec.structs.fields(struct) if field.name not in _TABLES}
    for table, struct in _STRUCTS.items()
}
_LEAST = {"metrics_port": 0}
_MOST = {"metrics_port": 65_535, "replication_factor": 32_767, "max_views": 1_000}


def setting_names(table: str) -> dict[str, str]:
    """Names of a table's settings as one writes them, to their names inside.

    Examples
    --------
    >>> setting_names("streams")["gap"]
    'gap_ms'
    """
    return {name.removesuffix("_ms"): name for name in _TYPES[table]}


def load_settings(
    file: Path | None = None, environment: Mapping[str, str] | None = None, **overrides: object
) -> WorkerSettings:
    """Read the settings.

    Parameters
    ----------
    file
        A TOML file; None: the one that ``CULDESAC_SETTINGS`` names, if any.
    environment
        None: that of the process.
    overrides
        Settings of the worker from the command line, and of the others as ``collect_…`` and ``board_…``, which win
        over all; those that are None are left out.

    Raises
    ------
    SettingsError
        The file is missing or is not TOML, a setting is unknown, or its value can't be used.

    Examples
    --------
    >>> load_settings(environment={"CULDESAC_GAP": "10m"}).streams.gap_ms
    600000
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get(FILE_VARIABLE):
        file = Path(environment[FILE_VARIABLE])
    document: dict[str, dict[str, Any]] = {table: {} for table in _TABLES}
    if file is not None:
        document |= read_tables(file)
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in _NOT_SETTINGS:
            continue
        table, name = _place(variable.removeprefix(PREFIX).lower())
        field, converted = _value(table, name, environment[variable], variable)
        document[table][field] = converted
    for override, value in overrides.items():
        if value is not None:
            table, name = _place(override)
            field, converted = _value(table, name, value, f"--{name.replace('_', '-')}")
            document[table][field] = converted
    return WorkerSettings(
        streams=Settings(**document["streams"]),
        collect=CollectSettings(**document["collect"]),
        board=BoardSettings(**document["board"]),
        **document["worker"],
    )


def _place(name: str) -> tuple[str, str]:
    """Table of a setting that is named without one, and its name there."""
    if name in setting_names("worker"):
        return "worker", name
    table, _, own = name.partition("_")
    return (table, own) if table in _SERVICES else ("streams", name)


def read_file(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what a TOML file sets: the tables ``[worker]`` and ``[streams]``, by the settings' names inside.

    Raises
    ------
    SettingsError
        The file is missing or is not TOML, a setting is unknown, or its value can't be used.
    """
    tables = read_tables(file)
    return tables["worker"], tables["streams"]


def read_tables(file: Path) -> dict[str, dict[str, Any]]:
    """Read all tables of a TOML file, those that it has not as empty ones; as `read_file`."""
    document = _document(file)
    return {
        table: dict(
            _value(table, name, value, f"{file}: [{table}] {name}")
            for name, value in document.get(table, {}).items()
        )
        for table in _TABLES
    }


def _document(file: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{file}: can't be read ({reason}): name a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: is not TOML: {error}") from None
    for table, content in document.items():
        if table not in _TABLES or not isinstance(content, dict):
            raise SettingsError(
                f"{file}: {table}: settings stand in the tables [worker], [streams], [collect] and [board]"
            )
    return document


def _value(table: str, name: str, value: object, where: str) -> tuple[str, Any]:
    """Name inside and converted value of a setting."""
    names = setting_names(table)
    if name not in names:
        if name.removesuffix("_ms") in names:
            raise SettingsError(f'{where}: write {name.removesuffix("_ms")} = "…", a duration {EXAMPLES}')
        raise SettingsError(f"{where}: unknown setting; there are {', '.join(sorted(names))}")
    field = names[name]
    type_ = _TYPES[table][field]
    try:
        if table in _SERVICES:
            return field, _SERVICES[table](field, type_, value)
        return field, _converted(field, type_, value)
    except msgspec.ValidationError:
        shown = "this" if field in _SECRETS else repr(value)
        raise SettingsError(f"{where}: {shown} can't be used: write {_wanted(field, type_)}") from None
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None


def _converted(field: str, type_: Any, value: object) -> Any:
    if field.endswith("_ms"):
        if not isinstance(value, str):
            raise ValueError(f"{value!r} has no unit: write a duration {EXAMPLES}, in quotes")
        duration_ms = parse_duration(value)
        # Longer than a request to the broker may take, the client library refuses it.
        if field == "session_timeout_ms" and not 1_000 <= duration_ms <= 60_000:
            raise ValueError(f"{value} is out of range: write from 1s to 60s")
        return duration_ms
    if value == "" and field in _MAY_BE_EMPTY:
        return None
    if field in _PATHS:
        if not isinstance(value, str) or not value:
            raise ValueError("write a path, in quotes")
        return Path(value).expanduser()
    if isinstance(value, str):
        converted = msgspec.convert(_from_text(field, type_, value), type_, strict=type_ is str)
    else:
        converted = msgspec.convert(value, type_)
    numbers = msgspec.structs.astuple(converted) if field == "partitions" else (converted,)
    least, most = _LEAST.get(field, 1), _MOST.get(field, 1_000_000)
    if any(type(number) is int and not least <= number <= most for number in numbers):
        raise ValueError(f"{value} is out of range: write a whole number from {least} to {most}")
    if type_ is float and not 0.01 <= converted <= 100:
        raise ValueError(f"{value} is out of range: write a number from 0.01 to 100")
    if field in ("app_id", "topic_prefix", "group_instance_id") and not _NAME.fullmatch(converted):
        raise ValueError(
            f"{converted!r} can't stand in a topic's name: use letters, digits, '.', '_' and '-'"
        )
    if field == "kafka" and not _ADDRESSES.fullmatch(converted):
        raise ValueError(f"{converted!r} is no address: write host:port, several separated by commas")
    if field == "secret" and len(converted) < SECRET_CHARACTERS:
        raise ValueError(f"too short: write at least {SECRET_CHARACTERS} characters, or name a secret_file")
    # They say what is wrong with a rule, here rather than in a worker that has begun.
    if field == "template_rules":
        template_reader(converted)
    if field == "content_groups":
        group_reader(converted)
    return converted


def _wanted(field: str, type_: Any) -> str:
    if type_ is bool:
        return "true or false"
    if type_ is int:
        return "a whole number"
    if type_ is float:
        return "a number"
    if field == "partitions":
        return f"counts of {', '.join(PartitionCounts.__struct_fields__)}, such as visitors=8"
    if field == "template_rules":
        return "rules with path and template"
    if field == "content_groups":
        return "rules with path and group"
    words = get_args(type_)
    if type(None) in words and get_origin(words[0]) is Literal:
        words = get_args(words[0])
    if words and words[-1] is ...:
        words = get_args(words[0])
        return f"a list out of {', '.join(words)}" if words else "a list of texts"
    return f"one of {', '.join(words)}" if words and type(None) not in words else "a text, in quotes"


def _from_text(field: str, type_: Any, text: str) -> object:
    """Take apart what the environment can only hold as text: lists by commas, pairs by ``=``."""
    if field == "template_rules":
        return [TemplateRule(path, template) for path, template in _pairs(text)]
    if field == "content_groups":
        return [ContentGroup(path, group) for path, group in _pairs(text)]
    if field == "partitions":
        return {kind: int(number) if number.isdecimal() else number for kind, number in _pairs(text)}
    if get_origin(type_) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise ValueError(f"{text!r}: write name=value, separated by commas")
    return [(name.strip(), value.strip()) for name, _, value in pairs]
