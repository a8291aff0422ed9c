"""Notify on a real Kafka and real receivers: each change once by its id, whatever becomes of who is told."""

from __future__ import annotations

import asyncio
import contextlib
import email
import hmac
import json
import shutil
import socket
import subprocess
import threading
import time
import traceback
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from email import policy
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import jsonschema_rs
import msgspec
import pytest
from aiosmtpd.controller import Controller
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents import notice_receivers, notify
from agents.broker import EmbeddedKafka
from agents.notice_places import Places
from agents.notice_receivers import Mailbox, Webhook
from agents.notify import MADE_UP
from agents.notify_settings import NotifySettings
from agents.settings import WorkerSettings, load_settings
from agents.topics import ensure_topics
from schemas.cloud_events import header_schema
from schemas.dead_end_alerts import AlertStatus, DeadEndAlert
from streams.notice_routes import Route, quiet_hours

SECRET = b"a key that nobody can guess"
LIMIT_S = 60.0
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


class Hook:
    """A real HTTP server that answers as it is told, and keeps what came."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.asked = 0
        self.answers: list[int | float] = []
        """Statuses to answer with, or seconds to hang; then 200."""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked += 1
                answer = hook.answers.pop(0) if hook.answers else 200
                if isinstance(answer, float):
                    time.sleep(answer)
                    answer = 500
                if answer == 200:
                    hook.got.append((dict(self.headers), body))
                with contextlib.suppress(OSError):  # who asked may be gone
                    self.send_response(answer)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._handler = Handler
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def open(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]


class Desk:
    """Topics of alerts, and a notify that runs in a thread of its own."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self.settings: WorkerSettings = load_settings(
            environment={}, kafka=kafka.bootstrap, topic_prefix=f"n{uuid.uuid4().hex[:8]}-"
        )
        self.settings = msgspec.structs.replace(self.settings, app_id=f"{self.settings.topic_prefix}app")
        ensure_topics(self.settings)
        self._producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)

    def write(self, alert_id: str, revision: int, status: AlertStatus, **fields: Any) -> str:
        """Write a change of an alert, as the worker does: all of an alert into one partition."""
        alert = msgspec.structs.replace(
            MADE_UP, id=alert_id, alert_id=alert_id, revision=revision, status=status, **fields
        )
        topic = self.settings.topic_prefix + "dead-end-alerts"
        self._producer.send(topic, msgspec.json.encode(alert), partition=len(alert_id) % 4).get(30)
        return f"{alert_id}.{revision}"

    @contextlib.contextmanager
    def running(self, wanted: NotifySettings, **options: Any) -> Iterator[None]:
        """Run it until the end of the block; what it raises is raised there."""
        loop, stop, errors = asyncio.new_event_loop(), asyncio.Event(), list[Exception]()

        def run() -> None:
            try:
                loop.run_until_complete(notify.notify(self.settings, wanted, stop, **options))
            except Exception as error:  # noqa: BLE001  # it is raised by the test
                traceback.print_exc()  # whoever waits meanwhile learns why in vain
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(LIMIT_S)
            loop.close()
        assert not thread.is_alive()
        assert not errors

    def first_time(self, wanted: NotifySettings) -> None:
        """Let its groups begin at the end of what is there now."""
        with self.running(wanted):
            wait_for(lambda: all(None not in self.committed(route) for route in wanted.routes))

    def write_nonsense(self) -> None:
        self._producer.send(self.settings.topic_prefix + "dead-end-alerts", b"[]", partition=1).get(30)

    def committed(self, route: Route) -> list[int | None]:
        group = f"{self.settings.app_id}-notify-{route.name}"
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka, group_id=group, enable_auto_commit=False
        )
        topic = self.settings.topic_prefix + "dead-end-alerts"
        found = [consumer.committed(TopicPartition(topic, number)) for number in range(4)]
        consumer.close()
        return found

    def undelivered(self) -> list[dict[str, Any]]:
        topic = self.settings.topic_prefix + "undelivered-notices"
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka)
        partitions = [TopicPartition(topic, number) for number in range(4)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        found: list[dict[str, Any]] = []
        fits = jsonschema_rs.Draft7Validator(header_schema("undelivered-notices"))
        while any(consumer.position(tp) < end for tp, end in ends.items()):
            for records in consumer.poll(timeout_ms=200).values():
                found += [json.loads(record.value) for record in records]
                for record in records:
                    fits.validate({name: text.decode() for name, text in record.headers})
        consumer.close()
        return found

    def close(self) -> None:
        self._producer.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


def webhook(name: str, hook: Hook, **fields: Any) -> Webhook:
    return Webhook(name=name, url=hook.url, secret=SECRET, **fields)


def routes(*receivers: Any, give_up_s: float = 3_600.0, **fields: Any) -> NotifySettings:
    return NotifySettings(
        {receiver.name: receiver for receiver in receivers},
        [Route(name=receiver.name, receiver=receiver.name, **fields) for receiver in receivers],
        give_up_s,
    )


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def desk(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(notify, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(notify, "MOST_PAUSE_S", 0.5)
    monkeypatch.setattr(notice_receivers, "ATTEMPT_S", 1.0)
    desk = Desk(kafka)
    yield desk
    desk.close()


def test_a_receiver_that_fails_hangs_is_gone_and_comes_back_gets_each_change_once(
    desk: Desk, hook: Hook
) -> None:
    other = Hook()
    desk.write("before", 1, "opened")
    wanted = routes(webhook("team", hook), webhook("other", other))
    desk.first_time(wanted)
    hook.answers = [500, 503, 429, 3.0]
    with desk.running(wanted):
        names = [desk.write("a", 1, "opened"), desk.write("a", 2, "confirmed")]
        wait_for(lambda: len(other.got) == 2)
        wait_for(lambda: not hook.answers)
        hook.close()
        names += [desk.write("b", 1, "opened"), desk.write("a", 3, "resolved")]
        desk.write("a", 4, "updated")
        wait_for(lambda: len(other.got) == 4)
        hook.open()
        wait_for(lambda: len(hook.got) == 4)
    assert hook.asked > 4
    assert sorted(hook.ids()) == sorted(other.ids()) == sorted(names), "nothing of before, and nothing twice"
    assert [name for name in hook.ids() if name.startswith("a.")] == ["a.1", "a.2", "a.3"]
    for headers, body in hook.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted_signature = "v1," + b64encode(hmac.digest(SECRET, signed, sha256)).decode()
        assert headers["webhook-signature"] == wanted_signature
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 300
        notice = json.loads(body)
        assert notice["id"] == f"{notice['data']['alert_id']}.{notice['data']['revision']}"
        msgspec.convert(notice["data"], DeadEndAlert)
    assert desk.undelivered() == []
    other.close()


def test_what_comes_while_it_is_down_is_told_when_it_is_up_again_and_nothing_else(
    desk: Desk, hook: Hook
) -> None:
    wanted = routes(webhook("team", hook))
    desk.first_time(wanted)
    with desk.running(wanted):
        desk.write("a", 1, "opened")
        wait_for(lambda: hook.ids() == ["a.1"])
    desk.write("a", 2, "resolved")
    hook.answers = [500] * 1_000
    with desk.running(wanted):
        wait_for(lambda: hook.asked > 2)
    hook.answers = []
    with desk.running(wanted):
        wait_for(lambda: len(hook.got) > 1)
        desk.write("a", 2, "resolved")
        desk.write("b", 1, "opened")
        wait_for(lambda: "b.1" in hook.ids())
    assert hook.ids() == ["a.1", "a.2", "b.1"]


def test_what_costs_more_after_a_restart_is_told_then(
    desk: Desk, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = Places._committed

    async def late(self: Places, partitions: Any) -> Any:
        # The consumer fetches meanwhile.
        await asyncio.sleep(1.0)
        return await committed(self, partitions)

    monkeypatch.setattr(Places, "_committed", late)
    wanted = routes(webhook("team", hook), least_money=Decimal(100))
    with desk.running(wanted, from_beginning=True):
        desk.write("a", 1, "opened", money_at_stake="20")
        desk.write("z", 1, "opened", money_at_stake="100")
        wait_for(lambda: hook.ids() == ["z.1"])
        wait_for(lambda: desk.committed(wanted.routes[0])[1] == 2)
    desk.write("a", 2, "updated", money_at_stake="150")
    with desk.running(wanted):
        wait_for(lambda: "a.2" in hook.ids())


def test_what_is_refused_or_takes_too_long_is_said_so_and_holds_nothing_up(
    desk: Desk, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = routes(webhook("team", hook), give_up_s=2.0)
    hook.answers = [404, *[500] * 1_000]
    with desk.running(wanted, from_beginning=True):
        desk.write_nonsense()
        desk.write("a", 1, "opened")
        wait_for(lambda: hook.asked == 1)
        desk.write("a", 2, "confirmed")
        wait_for(lambda: len(desk.undelivered()) == 2)
        hook.answers = []
        desk.write("a", 3, "resolved")
        wait_for(lambda: hook.ids() == ["a.3"])
    by_revision = {notice["alert_revision"]: notice for notice in desk.undelivered()}
    assert (by_revision[1]["reason"], by_revision[1]["detail"], by_revision[1]["attempts"]) == (
        "refused", "HTTP 404", 1,
    )  # fmt: skip
    assert (by_revision[2]["reason"], by_revision[2]["detail"]) == ("gave_up", "HTTP 500")
    assert by_revision[2]["attempts"] > 1
    assert hook.url not in json.dumps(list(by_revision.values()))
    assert "passed over a record of dead-end-alerts that is no alert" in capsys.readouterr().err


def test_in_quiet_hours_nobody_is_told_and_afterwards_he_is(desk: Desk, hook: Hook) -> None:
    now = [datetime(2026, 3, 1, 23, 0, tzinfo=UTC)]
    looked = [0]

    def clock() -> datetime:
        looked[0] += 1
        return now[0]

    wanted = routes(webhook("team", hook), quiet=quiet_hours("22:00-07:00"))
    with desk.running(wanted, from_beginning=True, clock=clock):
        desk.write("a", 1, "opened")
        wait_for(lambda: looked[0] > 2)
        assert hook.asked == 0
        now[0] = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
        wait_for(lambda: hook.ids() == ["a.1"])


class Letters:
    """Keeps what a real mail server takes; refuses one address for ever."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], Any]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, _: Any) -> str:
        if address.startswith("nobody"):
            return "550 there is no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        self.got.append((envelope.rcpt_tos, message))
        return "250 OK"


def test_mail_and_chat_show_hostile_names_as_text(desk: Desk, hook: Hook) -> None:
    letters = Letters()
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    post = Controller(letters, hostname="127.0.0.1", port=port)
    post.start()

    def mailbox(name: str, to: str) -> Mailbox:
        return Mailbox(
            name=name, to=[to], sender="c@shop.example", host="127.0.0.1", port=port, security="none"
        )

    chat = webhook("chat", hook, form="slack", board="https://board.example/")
    wanted = routes(mailbox("ann", "ann@shop.example"), mailbox("nobody", "nobody@shop.example"), chat)
    page = "shop.example/<!channel>\r\nBcc: x@evil.example\r\n\r\n<script>"
    with desk.running(wanted, from_beginning=True):
        desk.write("a", 1, "opened", page=page)
        wait_for(lambda: len(letters.got) == 1 and len(hook.got) == 1 and len(desk.undelivered()) == 1)
    post.stop()
    [(to, message)] = letters.got
    assert to == ["ann@shop.example"]
    assert message["Bcc"] is None
    assert message["Subject"].strip().startswith("Dead end: shop.example/<!channel>")
    assert message["Message-ID"] == "<a.1@shop.example>"
    assert "30 of 40 views" in message.get_content()
    [(headers, body)] = hook.got
    assert "webhook-signature" not in headers
    said = json.loads(body)
    assert "&lt;!channel&gt;" in said["text"]
    assert "<" not in said["text"]
    assert said["blocks"][-1]["elements"][0]["url"] == "https://board.example/alerts/a"
    [notice] = desk.undelivered()
    assert (notice["route"], notice["kind"], notice["detail"]) == (
        "nobody", "email", "SMTP 550: no recipient is taken",
    )  # fmt: skip


@pytest.mark.skipif(ALERTMANAGER is None, reason="no prometheus-alertmanager here")
def test_alertmanager_fires_until_it_is_over(desk: Desk, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        address = f"127.0.0.1:{found.getsockname()[1]}"
    file = tmp_path / "alertmanager.yml"
    file.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    process = subprocess.Popen(
        [str(ALERTMANAGER), f"--config.file={file}", f"--storage.path={tmp_path}/data",
         f"--web.listen-address={address}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def firing() -> list[dict[str, Any]]:
        try:
            with urlopen(f"http://{address}/api/v2/alerts", timeout=5) as answer:
                alerts: list[dict[str, Any]] = json.load(answer)
                return alerts
        except OSError:
            return []

    try:
        wanted = routes(Webhook(name="on-call", url=f"http://{address}", form="alertmanager"))
        with desk.running(wanted, from_beginning=True):
            desk.write("a", 1, "opened")
            wait_for(lambda: bool(firing()))
            [fired] = firing()
            assert fired["labels"]["alert_id"] == "a"
            assert fired["annotations"]["summary"] == "Dead end: shop.example/sizes (made-up)"
            assert fired["endsAt"].startswith("9999-")
            desk.write("a", 2, "resolved")
            wait_for(lambda: not firing())
    finally:
        process.terminate()
        process.wait(20)
    assert desk.undelivered() == []


def test_a_trial_says_who_can_be_reached(
    hook: Hook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Hook()
    gone.close()
    assert notify.show_trial(routes(webhook("team", hook))) == 0
    assert notify.show_trial(routes(webhook("team", hook), webhook("gone", gone))) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["team: delivered", "gone: ClientConnectorError"]
