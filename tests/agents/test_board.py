"""The board from a replay's folder: what it shows, to whom, and what it refuses."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, expect

from agents.board import BoardError, read_token, run_board
from agents.board_guard import Seal
from agents.board_hub import Hub
from agents.board_pages import FILES, Pages
from agents.settings import load_settings
from streams.event_files import EventFileError
from tests.agents.board_bench import (
    LIMIT_MS,
    Records,
    alerts_of,
    assert_clean,
    chromium,
    needs_chromium,
    open_page,
    records,
    serious,
    served,
    write_folder,
)

RECORDS = records()
BROKEN = "shop.example/category/c8"
XSS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "</textarea></title></style><iframe src=javascript:alert(1)>",
    "<div hx-get=/login hx-trigger=load hx-swap=outerHTML>x</div>",
    '" hx-on:click="alert(1)" autofocus onfocus="alert(1)',
    "{{ 7 * 7 }}{% raw %}${7*7}",
    "<!--<body onload=alert(1)>--!><style>*{display:none}</style>",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#x27;",
    "<meta http-equiv=refresh content='0;url=//evil.example'><base href=//evil.example>",
    "\u202e\u2028'\"`<math><mtext></form><form><button formaction=javascript:alert(1)>",
]
# A few together, as far as an id may be long: what is not escaped shows all the same.
ALL_XSS = [" ".join(XSS[start::4]) for start in range(4)]
NOT_TEXT = re.compile(r"\d{4}-\d\d-\d\dT.*|-?\d+(\.\d+)?|[a-z-]+/1")
KEPT = {
    "schema",
    "id",
    "alert_id",
    "status",
    "scope",
    "cause",
    "decision",
    "session_id",
    "currency",
    "outcome",
}


def hostile(value: Any, text: str) -> Any:
    """Put a text in the place of all text in a record but what its type does not let be free."""
    if isinstance(value, str):
        return value if NOT_TEXT.fullmatch(value) else text[:128]
    if isinstance(value, list):
        return [hostile(one, text) for one in value]
    if isinstance(value, dict):
        return {name: one if name in KEPT else hostile(one, text) for name, one in value.items()}
    return value


def folder_records() -> Records:
    """Real records; the same with hostile text; and a site of a hundred alerts and a thousand pages."""
    found = list(RECORDS)
    alert = next(value for value in alerts_of(RECORDS, "shop.example/product/p3") if value["revision"] == 12)
    score = next(value for topic, value in RECORDS if topic == "page-scores" and value["page"] == BROKEN)
    credit = next(
        value for topic, value in RECORDS if topic == "purchase-associations" and value.get("place")
    )
    session = next(value for topic, value in RECORDS if topic == "sessions" and len(value["pages"]) > 2)
    optional = {
        "upstream_page": "x",
        "upstream_share": 0.5,
        "upstream_usual_share": 0.1,
        "worst_pages": ["x", "y"],
    }
    for number, text in enumerate(ALL_XSS):
        name = {"id": f"x{number}", "alert_id": f"x{number}"}
        place = {"page": text, "site": text}
        found.append(
            ("dead-end-alerts", hostile(alert | optional, text) | place | name | {"scope": "template"})
        )
        found.append(
            ("page-scores", hostile(score, text) | place | {"exit_reasons": {text: 3, "dead_end": 2}})
        )
        credited = {"scope": "page", "value": text, "site": text, "id": f"x{number}"}
        found.append(("purchase-associations", hostile(credit, text) | credited))
        notice = {
            "schema": "undelivered-notices/1", "id": f"x{number}", "alert_id": f"x{number}", "alert_revision": 1,
            "status": "opened", "site": text[:256], "route": "r", "receiver": text[:128], "kind": "slack",
            "reason": "refused", "detail": text[:256], "attempts": 1,
            "undelivered_at": "2026-03-01T12:00:00.000Z",
        }  # fmt: skip
        found.append(("undelivered-notices", notice))
        visit = {"session_id": f"x{number}", "site": text, "pages": [text, "x", text]}
        found.append(("sessions", hostile(session, text) | visit))
    for number in range(1_000):
        place = {"page": f"big.example/{number}", "site": "big.example", "id": f"b{number}"}
        found.append(("page-scores", score | place))
        if number < 100:
            found.append(("dead-end-alerts", alert | place | {"alert_id": f"b{number}"}))
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_folder(tmp_path_factory.mktemp("board") / "out", folder_records())
    with (folder / "sessions.ndjson").open("a") as file:
        file.write('{"session_id": 5}\nnonsense\n')
    with served("--from", folder) as url:
        until = time.monotonic() + 60
        while ask(url, "/healthz")[2] != b"ok\n":
            assert time.monotonic() < until
            time.sleep(0.1)
        yield url


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def ask(
    url: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, Mapping[str, str], bytes]:
    """Ask for something, byte for byte as it stands here."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): text for name, text in answer.getheaders()}, content


FORM = "application/x-www-form-urlencoded"


def test_who_was_not_told_of_an_alert_is_seen(url: str) -> None:
    page = ask(url, "/")[2].decode()
    assert "Somebody was not told" in page
    assert '<a href="/alerts/x0">' in page
    assert "Somebody was not told" not in ask(url, "/?site=big.example")[2].decode()


@needs_chromium
def test_text_in_any_field_is_shown_as_text(url: str, browser: Browser) -> None:
    page = open_page(browser)
    page.goto(url)
    expect(page.locator(".alert")).to_have_count(100)
    assert page.locator("main img, main iframe, main math").count() == 0
    for number, text in enumerate(ALL_XSS):
        for path in (f"/alerts/x{number}", f"/page?{urlencode({'site': text, 'page': text})}"):
            page.goto(url + path, wait_until="load")
            shown = " ".join(page.locator("main").inner_text().split())
            assert " ".join(text.split()) in shown, path
            made = "main script, main img, main iframe, main math, main style, main form form, [onerror], [onload]"
            assert page.locator(f"{made}, [hx-on\\:click], main [hx-get]").count() == 0
            assert page.locator("main a[href^='javascript:'], base, meta[http-equiv=refresh]").count() == 0
    page.goto(f"{url}/pages?q={'%3Cimg+src%3Dx+onerror%3Dalert(1)%3E'}")
    assert page.locator("main img").count() == 0
    assert_clean(page)
    page.context.close()


ALERT = f"/alerts/{alerts_of(RECORDS, BROKEN)[-1]['id']}"
PAGE = f"/page?{urlencode({'site': 'shop.example', 'page': BROKEN})}"


@needs_chromium
@pytest.mark.parametrize(
    ("scheme", "width", "paths"),
    [
        ("light", 1440, ("/?site=shop.example", ALERT, PAGE, "/pages?q=c8")),
        ("dark", 390, ("/?site=shop.example", PAGE)),  # the rest in the walk on Kafka
    ],
)
def test_axe_finds_nothing_serious_and_nothing_overflows(
    url: str, browser: Browser, scheme: Any, width: int, paths: tuple[str, ...]
) -> None:
    page = open_page(browser, color_scheme=scheme, viewport={"width": width, "height": 844})
    for path in paths:
        page.goto(url + path)
        assert serious(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert_clean(page)
    page.context.close()


@needs_chromium
def test_a_thousand_pages_and_a_hundred_alerts_stay_small(url: str, browser: Browser) -> None:
    page = open_page(browser)
    page.goto(f"{url}/?site=big.example")
    expect(page.locator(".alert")).to_have_count(100)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    # A figure to be read with -s: no test depends on the clock's speed.
    print(f"first contentful paint of 100 alerts: {paint:.0f} ms")  # noqa: T201
    assert page.evaluate("document.querySelectorAll('*').length") < 2_000
    page.goto(f"{url}/pages?site=big.example")
    expect(page.locator("#list")).to_contain_text("1,000 pages, shown are 1 to 50")
    page.get_by_role("link", name="The next 50").click()
    expect(page.locator("#list")).to_contain_text("shown are 51 to 100")
    page.get_by_label("Address contains").press_sequentially("example/99")
    expect(page.locator("#list")).to_contain_text("11 pages", timeout=LIMIT_MS)
    assert page.locator("tbody tr").count() == 11
    page.goto(url)
    page.get_by_label("Site").select_option("shop.example")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("h1")).to_contain_text("on shop.example")
    expect(page.locator(".alert")).to_have_count(2)
    assert_clean(page)
    page.context.close()


def test_every_answer_tells_the_browser_what_it_may_do(url: str) -> None:
    for path in ("/", "/no", "/static/board.js", "/healthz", "/page?page=none", "/pages?start=x"):
        _, headers, _ = ask(url, path)
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    assert "httponly; samesite=lax" in ask(url, "/")[1]["set-cookie"].lower()


def test_what_can_not_be_read_is_said(url: str) -> None:
    text = " ".join(ask(url, "/")[2].decode().split())
    assert "left out: 2 of sessions" in text


def test_nothing_of_a_visitor_is_shown(url: str) -> None:
    visitors = {value["visitor_id"] for topic, value in RECORDS if topic == "sessions"}
    assert visitors
    for path in ("/", ALERT, PAGE):
        text = ask(url, path)[2].decode()
        assert not [visitor for visitor in visitors if visitor in text]


def test_empty_loading_and_broken_are_said_and_heal() -> None:
    hub = Hub("Kafka", writable=True)
    pages = Pages(hub)

    def said() -> str:
        return " ".join(re.sub("<[^>]+>", " ", pages.index(None, pages.index_parts(None))).split())

    assert "Reading what there is" in said()
    assert "Looking for alerts" in said()
    hub.loaded()
    assert "Reading what there is" not in said()
    assert "No open alert" in said()
    hub.breaks("Kafka does not answer", "12:00:00")
    hub.breaks("Kafka does not answer", "12:00:05")
    assert "Kafka does not answer, since 12:00:00 UTC" in said()
    hub.heals()
    assert "does not answer, since" not in said()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../board.py",
        "/static/..%2f..%2fboard.py",
        "/static/%2e%2e/%2e%2e/settings.py",
        "/static//etc/passwd",
        "/static/board.js%00.css",
        "/static/..\\board.py",
        "/alerts/..%2f..%2fetc%2fpasswd",
        "/alerts/%ff%fe",
        "/static/",
    ],
)
def test_no_path_leads_out(url: str, path: str) -> None:
    status, _, content = ask(url, path)
    assert status == 404
    assert b"root:" not in content
    assert b"import" not in content


@pytest.mark.parametrize(
    ("status", "said", "body", "headers"),
    [
        (403, "Only pages of this board", b"action=mute", {"Origin": "https://evil.example"}),
        (403, "Only pages of this board", b"action=mute", {"Origin": "null"}),
        (403, "Only pages of this board", b"action=mute", {"Sec_Fetch_Site": "cross-site"}),
        (403, "Only pages of this board", b"action=mute", {"Sec_Fetch_Site": "same-site"}),
        (403, "too old", b"action=mute&by=Ann", {"Sec_Fetch_Site": "same-origin"}),
        (403, "too old", b"action=mute&by=Ann&key=forged", {}),
        (413, "at most", b"why=" + b"x" * 20_000, {}),
        (413, "at most", b"why=x", {"Content_Length": "99999999999999999999"}),
        (415, "Send a form", b'{"action": "mute"}', {"Content_Type": "application/json"}),
        (415, "not compressed", b"\x1f\x8b\x08", {"Content_Encoding": "gzip"}),
        (400, "UTF-8", b"why=%ff%fe", {}),
        (400, "UTF-8", b"why=\xff\xfe", {}),
        (400, "20 fields", b"&".join(b"a=1" for _ in range(100)), {}),
    ],
)
def test_a_post_that_has_no_business_here_is_refused(
    url: str, status: int, said: str, body: bytes, headers: dict[str, str]
) -> None:
    sent = {"Content_Type": FORM} | headers
    found, _, content = ask(url, "/alerts/x1/decisions", "POST", body, **sent)
    [line] = content.decode().splitlines()
    assert found == status
    assert said in line


def test_a_form_is_of_one_browser_and_one_board() -> None:
    seal = Seal(None)
    key = seal.form_key("ann")
    assert seal.is_form_key(key, "ann")
    assert not seal.is_form_key(key, "bob")
    assert not Seal(None).is_form_key(key, "ann")
    assert seal.read(key) is None  # what a form carries lets nobody in
    assert seal.read(Seal(None).cookie(True)) is None


def test_slow_heads_and_slow_posts_are_cut_off_and_hold_up_nobody(url: str) -> None:
    place = urlsplit(url)
    address = (place.hostname or "", place.port or 0)
    with (
        socket.create_connection(address, 30) as silent,
        socket.create_connection(address, 30) as slow_head,
        socket.create_connection(address, 30) as slow_body,
    ):
        head = f"POST /alerts/x1/decisions HTTP/1.1\r\nHost: {place.netloc}\r\n"
        slow_head.sendall(head.encode())
        slow_body.sendall(f"{head}Content-Type: {FORM}\r\nContent-Length: 10\r\n\r\na=".encode())
        assert ask(url, "/healthz")[0] == 200
        assert slow_body.recv(100).startswith(b"HTTP/1.1 408")
        assert slow_head.recv(100) == b""
        assert silent.recv(100) == b""


def test_another_name_a_long_address_and_another_method_are_refused(url: str) -> None:
    assert ask(url, "/", Host="evil.example")[0] == 421
    assert ask(url, "/", Host="localhost:1")[0] == 200
    assert ask(url, "/pages?q=" + "x" * 9_000)[0] == 414
    assert ask(url, "/", "DELETE")[0] == 405
    assert ask(url, "/live?view=nonsense")[0] == 404


def test_a_folder_takes_no_decisions_even_with_a_right_form(url: str) -> None:
    content = ask(url, "/alerts/x1")[2]
    assert b"decide on Kafka" in content
    assert b'name="key"' not in content


def test_with_a_token_nobody_looks_in_without(tmp_path: Path) -> None:
    token = "not a secret, this is a test"
    (tmp_path / "token").write_text(f"{token}\n")
    folder = write_folder(tmp_path / "out", RECORDS[:20])
    with served("--from", folder, "--token-file", tmp_path / "token", "--host", "0.0.0.0") as url:
        url = url.replace("0.0.0.0", "127.0.0.1")
        status, headers, _ = ask(url, "/alerts/3f2a?x=1", Accept="text/html")
        assert (status, headers["location"]) == (303, "/login?next=/alerts/3f2a%3Fx%3D1")
        assert ask(url, "/")[0] == ask(url, "/live?view=index")[0] == 401
        assert ask(url, "/static/board.css")[0] == 200
        assert ask(url, "/pages", Authorization=f"Bearer {token}")[0] == 200
        assert ask(url, "/pages", Authorization="Bearer wrong")[0] == 401
        given = urlencode({"token": token, "next": "//evil.example"}).encode()
        assert ask(url, "/login", "POST", given, Content_Type=FORM, Origin="https://evil.example")[0] == 403
        status, headers, _ = ask(url, "/login", "POST", given, Content_Type=FORM)
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"].partition(";")[0]
        assert ask(url, "/pages", Cookie=cookie)[0] == 200
        assert ask(url, "/pages", Cookie=cookie[:-2])[0] == 401
        wrong = [ask(url, "/login", "POST", b"token=wrong", Content_Type=FORM)[0] for _ in range(10)]
        assert wrong == [403] * 9 + [429]  # one was wrong before
        assert ask(url, "/login", "POST", given, Content_Type=FORM)[0] == 429
        assert ask(url, "/pages", Cookie=cookie)[0] == 200  # who is in stays in


def test_what_a_user_can_mend_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="name a --token-file"):
        run_board(load_settings(None, {}, board_host="0.0.0.0", board_port=0), tmp_path)
    with pytest.raises(EventFileError, match="name a folder that culdesac replay"):
        run_board(load_settings(None, {}, board_port=0), tmp_path)
    with pytest.raises(BoardError, match="can be read"):
        read_token(tmp_path / "absent")
    (tmp_path / "short").write_text("short")
    with pytest.raises(BoardError, match="at least 16 characters"):
        read_token(tmp_path / "short")
    folder = write_folder(tmp_path / "out", RECORDS[:1])
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(BoardError, match=r"\(address already in use\): name another .* such as --port 0"),
    ):
        run_board(load_settings(None, {}, board_port=taken.getsockname()[1]), folder)


def test_a_board_that_can_read_no_more_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "out", RECORDS[:1])

    async def fails(hub: Hub, files: object) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr("agents.board.read_folder", fails)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    # Playwright has a loop in this thread.
    with (
        ThreadPoolExecutor(1) as thread,
        pytest.raises(RuntimeError, match="no more"),
    ):
        thread.submit(run_board, load_settings(None, {}, board_port=0), folder).result(60)


def test_vendored_files_are_as_published() -> None:
    folder = FILES / "static" / "vendor"
    written = dict(re.findall(r"\| `(\S+)` \|.*\| `([0-9a-f]{64})` \|", (folder / "README.md").read_text()))
    there = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.*s*")}
    there = {name: digest for name, digest in there.items() if name.endswith((".js", ".css"))}
    assert written == there
    assert json.dumps(there)


def test_no_template_holds_a_script_or_a_style_of_its_own() -> None:
    for file in (FILES / "templates").rglob("*.html"):
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?://\w", text), file.name
