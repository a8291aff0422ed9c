"""One worker process: topics first, then state, then work; ended by SIGTERM with code 0, or by its watchdog."""

from __future__ import annotations

import sys

import mode.loop
from kafka import KafkaConsumer, TopicPartition

mode.loop.use("uvloop")

from agents import garbage, metrics  # noqa: E402  # Faust binds to the event loop that is chosen when it is imported
from agents.deployments import Deployment  # noqa: E402
from agents.runner import Runner  # noqa: E402
from agents.secret import load_secret, makes_secret  # noqa: E402
from agents.settings import SettingsError, WorkerSettings  # noqa: E402
from agents.stores import StoreError  # noqa: E402
from agents.topics import ensure_topics  # noqa: E402
from agents.watchdog import Watchdog  # noqa: E402
from streams.flow import stages  # noqa: E402


def make_deployment(settings: WorkerSettings) -> Deployment:
    """Make sure of the topics, and say what this worker is to run.

    Raises
    ------
    SettingsError, TopicError
        See `load_secret` and `ensure_topics`.
    """
    prefix = settings.topic_prefix
    partitions = {state.topic.removeprefix(prefix): state.partitions for state in ensure_topics(settings)}
    if settings.streams.pseudonymise and makes_secret(settings) and not _is_empty(settings, "visitor-events"):
        # With a secret of its own this worker would take every visitor for someone else.
        raise SettingsError(
            f"secret: other workers of {settings.app_id} have one: set CULDESAC_SECRET (or …_FILE) to it"
        )
    secret, news = load_secret(settings)
    if news is not None:
        sys.stderr.write(news + "\n")
    flow = stages(settings.streams, secret, partitions)
    wanted = set(settings.stages)
    return Deployment(
        kafka=settings.kafka,
        app_id=settings.app_id,
        data_dir=settings.data_dir,
        partitions=partitions,
        sources=[flow.intake] if "intake" in wanted else [],
        logs=[stage for stage in flow.stages if stage.name in wanted],
        out_of_orderness_ms=settings.streams.out_of_orderness_ms,
        prefix=prefix,
        session_s=settings.session_timeout_ms / 1000,
    )


def _is_empty(settings: WorkerSettings, topic: str) -> bool:
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.split(","))
    try:
        name = settings.topic_prefix + topic
        tps = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
        return not any(consumer.end_offsets(tps).values())
    finally:
        consumer.close()


def run_worker(settings: WorkerSettings) -> None:
    """Work until SIGTERM or SIGINT; never returns (`SystemExit` with code 0).

    Raises
    ------
    SettingsError
        The metrics port is taken, or the data folder or the secret can't be used.
    TopicError
        The topics are not what the stages need.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"data_dir: {settings.data_dir}: {error.strerror}: name another folder") from None
    garbage.look_seldom()
    deployment = make_deployment(settings)
    try:
        runner = Runner(deployment)
    except StoreError as error:
        raise SettingsError(f"data_dir: {error}") from None
    watchdog = Watchdog(runner)
    watchdog.install()
    try:
        server = metrics.serve(settings.metrics_host, settings.metrics_port, watchdog.health)
    except OSError as error:
        raise SettingsError(
            f"metrics_port: {settings.metrics_host}:{settings.metrics_port}: {error.strerror}: choose another one"
        ) from None
    # Faust sets up logging later, and would swallow this.
    sys.stderr.write(f"metrics on http://{settings.metrics_host}:{server.port}/metrics\n")
    try:
        runner.app.Worker(loglevel=settings.log_level).execute_from_commandline()
    finally:
        server.close()
