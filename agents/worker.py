"""One worker process: topics first, then state, then work; ended by SIGTERM with code 0, or by its watchdog."""

from __future__ import annotations

import sys

import mode.loop
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

mode.loop.use("uvloop")

from agents import garbage, metrics  # noqa: E402  # Faust binds to the event loop that is chosen when it is imported
from agents.changelogs import StoreError  # noqa: E402
from agents.deployments import Deployment  # noqa: E402
from agents.grants import lacking, missing_grants  # noqa: E402
from agents.runner import Runner  # noqa: E402
from agents.secret import claim_secret, load_secret, makes_secret  # noqa: E402
from agents.security import security_of  # noqa: E402
from agents.settings import SettingsError, WorkerSettings  # noqa: E402
from agents.topics import NoKafkaError, TopicError, ensure_topics  # noqa: E402
from agents.watchdog import Watchdog  # noqa: E402
from streams.flow import stages  # noqa: E402


def make_deployment(settings: WorkerSettings) -> Deployment:
    """Make sure of the topics, and say what this worker is to run.

    Raises
    ------
    SettingsError, TopicError
        See `load_secret`, `security_of` and `ensure_topics`; or Kafka does not allow what a worker has to do.
    """
    prefix = settings.topic_prefix
    partitions = {state.topic.removeprefix(prefix): state.partitions for state in ensure_topics(settings)}
    if missing := missing_grants(settings):
        raise TopicError(
            f"{settings.kafka}: this user lacks {lacking(missing)}: culdesac doctor prints the commands"
        )
    if settings.streams.pseudonymise and makes_secret(settings) and not _is_empty(settings, "visitor-events"):
        # With a secret of its own this worker would take every visitor for someone else.
        raise SettingsError(
            f"secret: other workers of {settings.app_id} have one: set CULDESAC_SECRET (or …_FILE) to it"
        )
    secret, news = load_secret(settings)
    if settings.streams.pseudonymise and "intake" in settings.stages:
        try:
            claim_secret(settings, secret)
        except SettingsError:
            if news is not None:
                (settings.data_dir / "secret").unlink()  # of no use to anyone
            raise
    if news is not None:
        sys.stderr.write(news + "\n")
    flow = stages(settings.streams, secret, partitions)
    wanted = set(settings.stages)
    logs = [stage for stage in flow.stages if stage.name in wanted]
    for stage in flow.stages:
        if stage.name not in wanted and stage.log in {other.log for other in logs}:
            together = " and ".join(other.name for other in flow.stages if other.log == stage.log)
            raise SettingsError(
                f"stages: {together} read the same topic, and each of its partitions goes to one worker of "
                f"{settings.app_id}: name all of them, or none"
            )
    if "sessions" in wanted and "customers" not in wanted:
        # Who named his stages before there was this one would wait for alerts, and nothing would say why.
        raise SettingsError(
            "stages: sites have no time but what sessions and customers tell them both: name customers as well"
        )
    return Deployment(
        kafka=settings.kafka,
        app_id=settings.app_id,
        data_dir=settings.data_dir,
        partitions=partitions,
        sources=[flow.intake] if "intake" in wanted else [],
        logs=logs,
        out_of_orderness_ms=settings.streams.out_of_orderness_ms,
        prefix=prefix,
        session_s=settings.session_timeout_ms / 1000,
        send_limit_s=settings.send_limit_ms / 1000,
        instance_id=settings.group_instance_id,
        security=security_of(settings),
    )


def _is_empty(settings: WorkerSettings, topic: str) -> bool:
    try:
        with KafkaConsumer(
            bootstrap_servers=settings.kafka.split(","), **security_of(settings).arguments()
        ) as consumer:
            name = settings.topic_prefix + topic
            tps = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name) or ()]
            return not any(consumer.end_offsets(tps).values())
    except KafkaError as error:
        raise NoKafkaError(f"{settings.kafka}: Kafka does not answer ({type(error).__name__})") from None


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
    try:
        deployment = make_deployment(settings)
    except NoKafkaError as error:
        # For all that can be known here no setting is wrong: a supervisor is to try again, as it does not after 2.
        sys.stderr.write(f"culdesac: {error}\n")
        raise SystemExit(72) from None
    try:
        runner = Runner(deployment)
    except StoreError as error:
        raise SettingsError(f"data_dir: {error}") from None
    watchdog = Watchdog(
        runner,
        stall_s=settings.commit_limit_ms / 1000,
        unassigned_s=settings.ready_limit_ms / 1000,
        blocked_s=settings.loop_limit_ms / 1000,
    )
    watchdog.install()
    server = metrics.serve_at("metrics_port", settings.metrics_host, settings.metrics_port, watchdog.health)
    # Faust sets up logging later, and would swallow this.
    sys.stderr.write(f"metrics on http://{settings.metrics_host}:{server.port}/metrics\n")
    try:
        runner.app.Worker(loglevel=settings.log_level).execute_from_commandline()
    finally:
        server.close()
