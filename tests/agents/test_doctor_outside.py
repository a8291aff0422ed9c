"""Doctor outside of Kafka: real servers that answer, hang up, or show a certificate that nobody trusts."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from agents.doctor_findings import Finding
from agents.doctor_outside import find_receivers, find_watching

Serve = Callable[..., int]


class Ready(BaseHTTPRequestHandler):
    """Says that it is ready, as Alertmanager does; it has no API of Prometheus."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if self.path == "/-/ready" else 404)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ThreadingHTTPServer] = []

    def serve(context: ssl.SSLContext | None = None) -> int:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is no error here
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    Ready.asked.clear()
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def looked_at(tmp_path: Path, *receivers: str) -> dict[str, Finding]:
    file = tmp_path / "notify.toml"
    rows = [f"[[receiver]]\nname = 'r{number}'\n{row}\n" for number, row in enumerate(receivers)]
    file.write_text("".join(rows) + "[[route]]\nreceiver = 'r0'\n")
    return {finding.name: finding for finding in find_receivers(file)}


def test_receivers_that_can_be_reached_are_well_and_none_is_told(tmp_path: Path, serve: Serve) -> None:
    port, post = serve(), Controller(Sink(), hostname="127.0.0.1", port=free_port())
    post.start()
    mail = "host = '127.0.0.1'\nfrom = 'c@s.example'\nto = ['t@s.example']\nsecurity = 'none'"
    try:
        found = looked_at(
            tmp_path,
            f"kind = 'webhook'\nurl = 'http://127.0.0.1:{port}/secret-path'",
            f"kind = 'alertmanager'\nurl = 'http://127.0.0.1:{port}'",
            f"kind = 'email'\nport = {post.port}\n{mail}",
        )
    finally:
        post.stop()
    assert {name: finding.state for name, finding in found.items()} == dict.fromkeys(
        ("notify", "receiver r0", "receiver r1", "receiver r2"), "ok"
    )
    assert Ready.asked == ["/-/ready"]
    assert "secret-path" not in str(found)
    assert "a mail server greets" in found["receiver r2"].text


def test_who_is_down_and_who_is_not_trusted_is_told_with_a_mend(tmp_path: Path, serve: Serve) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    down, shady = free_port(), serve(context)
    mail = "host = '127.0.0.1'\nfrom = 'c@s.example'\nto = ['t@s.example']"
    found = looked_at(
        tmp_path,
        f"kind = 'slack'\nurl = 'http://127.0.0.1:{down}/x'",
        f"kind = 'slack'\nurl = 'https://127.0.0.1:{shady}/x'",
        f"kind = 'email'\nport = {down}\n{mail}",
    )
    for number in range(3):
        assert found[f"receiver r{number}"].state == "broken"
        assert found[f"receiver r{number}"].mend
    assert "Connection refused" in found["receiver r0"].text
    assert "its certificate" in found["receiver r1"].text


def test_a_file_that_cannot_be_used_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "notify.toml").write_text("board = 'x'")
    [finding] = find_receivers(tmp_path / "notify.toml")
    assert (finding.state, "names no [[route]]" in finding.text) == ("broken", True)


def test_what_is_no_prometheus_is_a_finding(serve: Serve) -> None:
    for url in (f"http://127.0.0.1:{serve()}", f"http://127.0.0.1:{free_port()}", "nonsense"):
        [finding] = find_watching(url)
        assert (finding.name, finding.state) == ("Prometheus", "broken")
        assert "such as http://localhost:9090" in finding.mend
