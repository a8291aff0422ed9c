import gzip
import re
from base64 import b64decode
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.page_views import PageView
from schemas.rejected_events import RejectedEvent
from streams import access_logs
from streams.access_logs import AccessLog, rfc_3339, why_no_page
from tests.streams.real_data import APACHE_EXTRACT, APACHE_LOGS, needs

SITE = "shop.example"
LINE = (
    '192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /cart HTTP/1.1" 200 512 "https://a.example/" "Firefox"'
)


def read(*lines: str) -> tuple[list[dict[str, Any]], AccessLog]:
    log = AccessLog(SITE)
    return [event for topic, event in log.read(lines) if topic == "page-views"], log


def line(request: str = "GET /cart HTTP/1.1", status: str = "200") -> str:
    return LINE.replace("GET /cart HTTP/1.1", request).replace(" 200 ", f" {status} ")


def test_a_line_becomes_a_page_view_of_the_contract() -> None:
    [event], _ = read(LINE)
    assert event == {
        "event_id": event["event_id"],
        "visitor_id": event["visitor_id"],
        "occurred_at": "2015-05-17T10:05:03+00:00",
        "url": "http://shop.example/cart",
        "site": SITE,
        "referrer": "https://a.example/",
        "user_agent": "Firefox",
        "ip": "192.0.2.7",
    }
    decoded = msgspec.json.decode(msgspec.json.encode(event), type=PageView)
    assert decoded.occurred_at == 1431857103000


def test_a_dash_is_an_absent_field() -> None:
    [event], _ = read(LINE.replace("https://a.example/", "-").replace('"Firefox"', '"-"'))
    assert "referrer" not in event
    assert "user_agent" not in event


def test_a_visitor_is_an_address_with_a_user_agent_and_his_hash_depends_on_the_secret() -> None:
    events, _ = read(
        LINE, line("GET /b HTTP/1.1"), LINE.replace("Firefox", "Chrome"), LINE.replace(".7 ", ".8 ")
    )
    one, again, other_browser, other_address = (event["visitor_id"] for event in events)
    assert one == again
    assert len({one, other_browser, other_address}) == 3
    [(_, keyed)] = AccessLog(SITE, secret="s3cret").read([LINE])
    assert keyed["visitor_id"] != one


def test_identical_lines_are_events_of_their_own_and_the_same_in_every_reading() -> None:
    events, _ = read(LINE, line("GET /b HTTP/1.1"), LINE, LINE)
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == 4
    assert ids == [event["event_id"] for event in read(LINE, line("GET /b HTTP/1.1"), LINE, LINE)[0]]
    assert ids[0] == read(LINE)[0][0]["event_id"]


def test_the_memory_for_identical_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_logs, "MAX_LINES_REMEMBERED", 10)
    _, log = read(*(line(f"GET /{number} HTTP/1.1") for number in range(50)))
    assert len(log._seen) == 10


@pytest.mark.parametrize(
    ("request_line", "status", "reason"),
    [
        ("POST /cart HTTP/1.1", "200", "method"),
        ("HEAD /cart HTTP/1.1", "200", "method"),
        ("GET /cart HTTP/1.1", "301", "status"),
        ("GET /cart HTTP/1.1", "404", "status"),
        ("GET /cart HTTP/1.1", "500", "status"),
        ("GET /style.css?v=2 HTTP/1.1", "200", "asset"),
        ("GET /favicon.ico HTTP/1.1", "200", "asset"),
        ("GET /robots.txt HTTP/1.1", "200", "asset"),
        ("GET /blog/feed/ HTTP/1.1", "200", "feed"),
        ("GET /blog/tags/x?flav=rss20 HTTP/1.1", "200", "feed"),
        ("GET /api/cart HTTP/1.1", "200", "service"),
        ("-", "408", "bad_request"),
        ("\\x16\\x03\\x01", "400", "bad_request"),
    ],
)
def test_what_is_no_page_view_is_passed_over_and_counted(request_line: str, status: str, reason: str) -> None:
    events, log = read(line(request_line, status))
    assert events == []
    assert log.skipped == {reason: 1}
    assert log.rejected == 0


@pytest.mark.parametrize("status", ["200", "206", "304"])
def test_success_and_not_modified_are_page_views(status: str) -> None:
    assert len(read(line(status=status))[0]) == 1


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/",
        "/a.html",
        "/a.php?x=style.css",
        "/brand/s.oliver",
        "/product/usb-2.0",
        "/feeding",
        "/apiary",
        "/.x",
    ],
)
def test_pages_are_not_taken_for_assets(target: str) -> None:
    assert why_no_page(target) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        LINE[:-1],
        LINE.replace("[", "").replace("]", ""),
        LINE.replace("17/May", "31/Feb"),
        LINE.replace("17/May", "17/Mai"),
        LINE.replace("+0000", "+9900"),
        LINE.replace(" 200 ", " ok "),
        '{"json": true}',
        "\x00" * 50,
    ],
)
def test_a_malformed_line_is_a_reject_that_tells_its_position(text: str) -> None:
    log = AccessLog(SITE)
    outputs = list(log.read([LINE, text + "\n", LINE]))
    if not text:
        assert [topic for topic, _ in outputs] == ["page-views", "page-views"]
        return
    assert [topic for topic, _ in outputs] == ["page-views", "rejected-events", "page-views"]
    reject = outputs[1][1]
    assert (reject["reason"], reject["offset"], log.rejected) == ("malformed_line", 1, 1)
    assert b64decode(reject["payload"]).decode() == text
    msgspec.json.decode(msgspec.json.encode(reject), type=RejectedEvent)


def test_escaped_quotes_and_bytes_are_read_as_apache_wrote_them() -> None:
    agent = LINE.replace("Firefox", r"a \"b\" \\ c")
    assert read(agent)[0][0]["user_agent"] == 'a "b" \\ c'
    assert read(line(r"GET /caf\xc3\xa9\t HTTP/1.1"))[0][0]["url"] == "http://shop.example/caf%C3%A9%09"


def test_a_host_name_instead_of_an_address_and_a_user_name_with_spaces_are_read() -> None:
    [event], _ = read(LINE.replace("192.0.2.7 - -", "host.example - Anna B"))
    assert "ip" not in event
    assert read(LINE.replace("192.0.2.7", "2001:db8::1"))[0][0]["ip"] == "2001:db8::1"


def test_the_logs_offset_is_kept() -> None:
    assert rfc_3339("01/Jan/2024:00:00:00 -0130") == "2024-01-01T00:00:00-01:30"


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_lines_are_read_and_each_is_counted_once(texts: list[str]) -> None:
    log = AccessLog(SITE)
    outputs = list(log.read(texts))
    lines = [text for text in texts if text.strip()]
    assert len(outputs) + log.skipped.total() == len(lines)


def test_a_hostile_line_costs_its_length_and_not_its_square() -> None:
    for piece in ("[", '"', "\\", " ", "a ", '" "'):
        assert read("1 - - " + piece * 100_000)[1].rejected == 1


ASSETS = (
    "css js png jpg jpeg gif ico svg ttf woff txt pdf jar exe gz deb doc swf rb py pyc c cpp h sh lua conf"
    " log spec patch diff java tex"
    " xsl mk vim xs pcap zip md"
)


def plain_count(path: Path) -> tuple[int, int]:
    """Count page views and malformed lines by splitting at quotes, without our own expressions."""
    assets = set(ASSETS.split())
    views = malformed = 0
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for row in text.decode().splitlines():
        pieces = row.split('"')
        if len(pieces) != 7 or pieces[6] != "":
            malformed += 1
            continue
        method, target = pieces[1].split(" ")[:2]
        status = pieces[2].split()[0]
        address, _, query = target.partition("?")
        ending = address.rpartition("/")[2].rpartition(".")
        extension = ending[2].lower() if ending[0] else ""
        is_feed = "flav=rss" in query or "flav=atom" in query or extension in ("xml", "rss", "atom", "rdf")
        is_feed = is_feed or address.rstrip("/").rpartition("/")[2] in ("feed", "rss", "atom")
        successful = status == "304" or 200 <= int(status) < 300
        if method == "GET" and successful and extension not in assets and not is_feed:
            views += 1
    return views, malformed


def counted(path: Path) -> tuple[int, int, Counter[str]]:
    log = AccessLog("semicomplete.com")
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = text.decode().splitlines()
    outputs = list(log.read(lines))
    assert len(outputs) + log.skipped.total() == len(lines)
    ids = [event["event_id"] for topic, event in outputs if topic == "page-views"]
    assert len(set(ids)) == len(ids)
    for topic, event in outputs:
        kind = {"page-views": PageView, "rejected-events": RejectedEvent}[topic]
        msgspec.json.decode(msgspec.json.encode(event), type=kind)
    return len(ids), log.rejected, log.skipped


def test_the_extract_gives_what_a_plain_count_gives() -> None:
    views, malformed, _ = counted(APACHE_EXTRACT)
    assert (views, malformed) == plain_count(APACHE_EXTRACT)
    assert malformed == 1
    assert views > 20


@needs(APACHE_LOGS)
def test_the_full_log_gives_what_a_plain_count_gives() -> None:
    views, malformed, skipped = counted(APACHE_LOGS)
    assert (views, malformed) == plain_count(APACHE_LOGS)
    assert malformed == 1
    assert views + malformed + skipped.total() == 10_000
    text = gzip.decompress(APACHE_LOGS.read_bytes()).decode()
    assert skipped["method"] == len(re.findall(r'\] "(?!GET )', text))
