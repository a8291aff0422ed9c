"""Notify: tells people and programs of alerts, each change at least once, however long somebody can't be reached.

Each route reads the alerts in a consumer group of its own, and commits a change when it was told: who is down holds
up nobody else, and what waits for him waits in Kafka and not in memory.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from agents import metrics, notify_metrics
from agents.notice_places import Places
from agents.notice_receivers import Failed, Mailbox, Receiver
from agents.notices import notice_id
from agents.notify_settings import NotifySettings
from agents.security import security_of
from agents.settings import WorkerSettings
from agents.topics import partition_counts
from schemas.cloud_events import envelope
from schemas.dead_end_alerts import DeadEndAlert
from schemas.timestamps import format_ms, parse_time
from schemas.topics import partition
from schemas.undelivered_notices import ReceiverKind, UndeliveredNotice
from streams.notice_routes import Route, Unheard

ALERTS, UNDELIVERED = "dead-end-alerts", "undelivered-notices"
FIRST_PAUSE_S, MOST_PAUSE_S = 1.0, 60.0
"""Pauses between attempts: they double, and vary by half, so that not all come at once to who is up again."""
REMEMBERED = 10_000
"""So many of the last notices are not told again if the topic holds them twice."""
POLL_MS = 500
SETTLE_S = 0.02
NEVER_MS = 2_000_000_000
"""A route that waits for its receiver for days is no dead member of its group."""
MADE_UP = DeadEndAlert(
    id="made-up",
    alert_id="made-up",
    revision=1,
    status="opened",
    page="shop.example/sizes",
    template="help",
    site="made-up",
    scope="page",
    opened_at="2026-01-07T14:08:00.000Z",
    updated_at="2026-01-07T14:08:00.000Z",
    cause="unknown",
    log_evidence=12.0,
    views=40,
    exits=30,
    expected_exits=12.0,
    summary="This is a trial: nothing is wrong.",
)
"""What receivers are told of to see whether they hear it."""
_decode = msgspec.json.Decoder(DeadEndAlert).decode

Clock = Callable[[], datetime]
Wait = Callable[[float], Awaitable[bool]]
"""Waits so many seconds, or until it is time to stop, and tells which: True for stop."""


def _now() -> datetime:
    return datetime.now(UTC)


def kind_of(receiver: Receiver) -> ReceiverKind:
    """Tell by which way somebody is told."""
    return "email" if isinstance(receiver, Mailbox) else receiver.form


class Teller:
    """Tells one receiver of the alerts of one route.

    Parameters
    ----------
    route, receiver
        Of what, and whom.
    give_up_s
        A notice that could not be delivered for so long is given up.
    undelivered
        Told of what is given up; what it raises ends the teller.
    wait, clock
        See `Wait`; the wall clock, for quiet hours.
    """

    def __init__(
        self,
        route: Route,
        receiver: Receiver,
        give_up_s: float,
        undelivered: Callable[[UndeliveredNotice], Awaitable[None]],
        wait: Wait,
        clock: Clock = _now,
    ) -> None:
        self.route = route
        self.receiver = receiver
        self._kind = kind_of(receiver)
        self._give_up_s = give_up_s
        self._undelivered = undelivered
        self._wait = wait
        self._clock = clock
        self._told: OrderedDict[str, None] = OrderedDict()

    async def take(self, session: aiohttp.ClientSession, value: bytes | None, unheard: Unheard) -> bool:
        """Handle a record of the topic; False: it is time to stop, and the record is still to be handled.

        `unheard` is that of the record's partition.
        """
        try:
            alert = _decode(value or b"")
        except (ValueError, RecursionError):
            # Nobody but the worker writes there; whoever did has to be found, and others are to be told meanwhile.
            notify_metrics.notices.labels(self._kind, "unreadable").inc()
            _say(f"route {self.route.name}: passed over a record of {ALERTS} that is no alert")
            return True
        name = notice_id(alert)
        if not self.route.wants(alert, unheard) or name in self._told:
            notify_metrics.notices.labels(self._kind, "left_out").inc()
            return True
        while self.route.quiet is not None and (quiet_s := self.route.quiet.wait_s(self._clock())) > 0:
            if await self._wait(min(quiet_s, MOST_PAUSE_S)):
                return False
        if not await self._deliver(session, alert):
            return False
        self._told[name] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return True

    async def _deliver(self, session: aiohttp.ClientSession, alert: DeadEndAlert) -> bool:
        began, attempts, pause_s = time.monotonic(), 0, FIRST_PAUSE_S
        waiting = notify_metrics.waiting_seconds.labels(self._kind)
        while True:
            answer = await self.receiver.tell(session, alert)
            attempts += 1
            if not isinstance(answer, Failed):
                notify_metrics.notices.labels(self._kind, "delivered").inc()
                waiting.set(0)
                return True
            notify_metrics.failed_attempts.labels(self._kind).inc()
            waited_s = time.monotonic() - began
            waiting.set(waited_s)
            if answer.final or waited_s >= self._give_up_s:
                await self._give_up(alert, answer, attempts)
                waiting.set(0)
                return True
            if attempts == 1:
                _say(f"route {self.route.name}: {answer.why}: it is tried again for {self._give_up_s:.0f} s")
            wanted_s = pause_s * random.uniform(0.5, 1.0) if answer.after_s is None else answer.after_s
            if await self._wait(min(wanted_s, max(0.0, self._give_up_s - waited_s))):
                return False
            pause_s = min(2 * pause_s, MOST_PAUSE_S)

    async def _give_up(self, alert: DeadEndAlert, answer: Failed, attempts: int) -> None:
        name = notice_id(alert)
        await self._undelivered(
            UndeliveredNotice(
                id=f"{self.route.name}.{name}"[:256],
                alert_id=alert.alert_id,
                alert_revision=alert.revision,
                status=alert.status,
                site=alert.site,
                route=self.route.name[:128],
                receiver=self.receiver.name[:128],
                kind=self._kind,
                reason="refused" if answer.final else "gave_up",
                detail=answer.why,
                attempts=attempts,
                undelivered_at=format_ms(int(self._clock().timestamp() * 1000)),
            )
        )
        notify_metrics.notices.labels(self._kind, "undelivered").inc()
        _say(f"route {self.route.name}: {answer.why}: notice {name} was not delivered, see {UNDELIVERED}")


async def notify(
    settings: WorkerSettings,
    wanted: NotifySettings,
    stop: asyncio.Event,
    from_beginning: bool = False,
    clock: Clock = _now,
) -> None:
    """Tell until `stop` is set.

    Raises
    ------
    TopicError
        Kafka can't be asked, or has no such topics.
    KafkaError
        Kafka refuses what has to be done.
    """
    security = security_of(settings)
    prefix, servers = settings.topic_prefix, settings.kafka.split(",")
    counts = partition_counts(settings.kafka, [prefix + ALERTS, prefix + UNDELIVERED], security)
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, **security.arguments()
    )

    async def wait(seconds: float) -> bool:
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def undelivered(notice: UndeliveredNotice) -> None:
        key = notice.alert_id.encode()
        topic, at_ms = prefix + UNDELIVERED, parse_time(notice.undelivered_at)
        headers = envelope(UNDELIVERED, "/culdesac/notify", notice.id, 1, at_ms)
        await producer.send_and_wait(
            topic, msgspec.json.encode(notice), key, partition(key, counts[topic]), headers=headers
        )

    await producer.start()
    try:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for route in wanted.routes:
                teller = Teller(
                    route, wanted.receivers[route.receiver], wanted.give_up_s, undelivered, wait, clock
                )
                group_id = f"{settings.app_id}-notify-{route.name}"
                asked = {
                    "bootstrap_servers": servers,
                    "client_id": f"culdesac-notify-{route.name}",
                    **security.arguments(),
                }
                consumer = AIOKafkaConsumer(
                    group_id=group_id,
                    enable_auto_commit=False,
                    auto_offset_reset="earliest",
                    max_poll_interval_ms=NEVER_MS,
                    max_partition_fetch_bytes=1 << 20,
                    **asked,
                )
                places = Places(consumer, group_id, asked, from_beginning)
                consumer.subscribe([prefix + ALERTS], listener=places)
                group.create_task(_follow(consumer, places, teller, session, stop))
    finally:
        await producer.stop()


async def _follow(
    consumer: AIOKafkaConsumer,
    places: Places,
    teller: Teller,
    session: aiohttp.ClientSession,
    stop: asyncio.Event,
) -> None:
    await consumer.start()
    try:
        _say(f"route {teller.route.name}: tells {teller.receiver.name} of alerts")
        while not stop.is_set():
            fetched: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=POLL_MS)
            while fetched and not places.settled:
                if stop.is_set():
                    return
                await asyncio.sleep(SETTLE_S)
            for tp, records in fetched.items():
                for record in records:
                    if record.offset < places.begins.get(tp, 0):
                        continue
                    unheard = places.unheard[tp]
                    if not await teller.take(session, record.value, unheard):
                        return
                    await _commit(consumer, tp, record.offset + 1, unheard)
    finally:
        await consumer.stop()


async def _commit(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int, unheard: Unheard) -> None:
    try:
        await consumer.commit({tp: (offset, unheard.text)})
    except KafkaError as error:
        # Somebody else has the partition now, or the broker is away: a notice may be told twice, none is lost.
        _say(f"commit failed: {type(error).__name__}")


def run_notify(
    settings: WorkerSettings, wanted: NotifySettings, from_beginning: bool, metrics_port: int | None
) -> int:
    """Tell until SIGTERM or SIGINT; the exit code: 0, or 72 where Kafka does not answer."""

    async def run() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await notify(settings, wanted, stop, from_beginning)

    server = None
    if metrics_port is not None:
        notify_metrics.begin({kind_of(receiver) for receiver in wanted.receivers.values()})
        server = metrics.serve_at(
            "--metrics-port",
            settings.metrics_host,
            metrics_port,
            lambda: (True, "telling"),
            notify_metrics.registry,
        )
    try:
        asyncio.run(run())
    except KafkaError as error:
        return _no_kafka(settings, error)
    except ExceptionGroup as errors:
        of_kafka, others = errors.split(KafkaError)
        if of_kafka is None or others is not None:
            raise
        return _no_kafka(settings, of_kafka.exceptions[0])
    finally:
        if server is not None:
            server.close()
    return 0


def _no_kafka(settings: WorkerSettings, error: Exception) -> int:
    _say(f"{settings.kafka}: {type(error).__name__}: start it again when Kafka answers")
    return 72


async def try_out(wanted: NotifySettings, alert: DeadEndAlert) -> dict[str, str]:
    """Tell every receiver of a made-up alert once; give what came of it, by the receiver's name."""
    async with aiohttp.ClientSession() as session:
        answers = {name: await receiver.tell(session, alert) for name, receiver in wanted.receivers.items()}
    return {name: answer.why if isinstance(answer, Failed) else "" for name, answer in answers.items()}


def _say(line: str) -> None:
    sys.stderr.write(f"culdesac notify: {line}\n")


def show_trial(wanted: NotifySettings) -> int:
    """Tell every receiver of a made-up alert, and print what came of it; exit code 1 if one has not got it."""
    failures = asyncio.run(try_out(wanted, MADE_UP))
    for name, why in failures.items():
        sys.stdout.write(f"{name}: {why or 'delivered'}\n")
    return 1 if any(failures.values()) else 0
