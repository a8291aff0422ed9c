import gzip
import re
from collections import Counter
from functools import cache

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler
from hypothesis import given
from hypothesis import strategies as st

from streams.user_agents import UNKNOWN, UserAgent, UserAgentReader
from tests.streams.real_data import APACHE_LOGS, needs

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
ANDROID = "Mozilla/5.0 (Linux; Android 14; {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 "
READER = UserAgentReader()


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (WINDOWS + "Chrome/124.0.0.0 Safari/537.36", UserAgent("desktop", "Chrome", "Windows", False)),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/17.4 Safari/605.1.15",
            UserAgent("desktop", "Safari", "Mac OS X", False),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/17.4 Mobile/15E148 Safari/604.1",
            UserAgent("mobile", "Mobile Safari", "iOS", False),
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
            " Version/17.4 Mobile/15E148 Safari/604.1",
            UserAgent("tablet", "Mobile Safari", "iOS", False),
        ),
        (
            ANDROID.format("Pixel 8") + "Mobile Safari/537.36",
            UserAgent("mobile", "Chrome Mobile", "Android", False),
        ),
        (ANDROID.format("SM-X710") + "Safari/537.36", UserAgent("tablet", "Chrome", "Android", False)),
        (
            ANDROID.format("CUBOT KINGKONG") + "Mobile Safari/537.36",
            UserAgent("mobile", "Chrome Mobile", "Android", False),
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
            UserAgent("desktop", "Firefox", "Ubuntu", False),
        ),
    ],
)
def test_browsers_of_people(user_agent: str, expected: UserAgent) -> None:
    assert READER.read(user_agent) == expected


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ANDROID.format("Nexus 5X")
        + "Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://google.com/bot.html)",
        WINDOWS + "HeadlessChrome/124.0.0.0 Safari/537.36",
        WINDOWS + "PhantomJS/2.1.1 Safari/538.1",
        "python-requests/2.31.0",
        "Python/3.11 aiohttp/3.9.1",
        "curl/8.5.0",
        "Wget/1.21.4",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "Java/17.0.2",
        "axios/1.6.7",
        "node-fetch/1.0",
        "Apache-HttpClient/4.5.14 (Java/17.0.2)",
        "HTTP_Request2/2.1.1 (http://pear.php.net/package/http_request2) PHP/5.3.2",
        "PostmanRuntime/7.37.0",
        "Ruby",
        "SomeNewBot/1.0",
        "Mozilla/5.0",
        "Mozilla/5.0 (compatible; Acme; +https://acme.example/why)",
    ],
)
def test_crawlers_headless_browsers_and_http_libraries_are_bots(user_agent: str) -> None:
    read = READER.read(user_agent)
    assert read.is_bot
    assert read.device == "bot"


@pytest.mark.parametrize("user_agent", [None, "", "-", "  "])
def test_no_user_agent_is_unknown_and_no_bot(user_agent: str | None) -> None:
    assert READER.read(user_agent) == UNKNOWN == UserAgent("other", "other", "other", False)


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 Version/7.0 TV Safari/537.36",
        "Mozilla/5.0 (PlayStation; PlayStation 5/6.00) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    ],
)
def test_televisions_and_consoles_are_other(user_agent: str) -> None:
    assert READER.read(user_agent).device == "other"


def test_every_example_of_the_crawler_list_is_a_bot() -> None:
    examples = [example for entry in CRAWLER_USER_AGENTS_DATA for example in entry["instances"]]
    assert len(examples) > 1_500
    assert [example for example in examples if not READER.read(example).is_bot] == []


def test_the_fast_matcher_says_what_the_package_and_one_joined_expression_say() -> None:
    joined = re.compile("|".join(entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA))
    patterns = [re.sub(r"\\(.)", r"\1", entry["pattern"]) for entry in CRAWLER_USER_AGENTS_DATA]
    examples = [example for entry in CRAWLER_USER_AGENTS_DATA for example in entry["instances"][:1]]
    browsers = [WINDOWS + "Chrome/124.0.0.0 Safari/537.36", "Mozilla/5.0", "x", "Bot", "CURL/8", " curl/8"]
    for text in browsers + examples + patterns:
        fast = READER.is_crawler(text)
        assert fast == is_crawler(text), text
        assert fast == (joined.search(text) is not None), text


@cache
def logged_user_agents() -> list[str]:
    with gzip.open(APACHE_LOGS, "rt", encoding="utf-8") as lines:
        return [match[1] for line in lines if (match := re.search(r'"([^"]*)"$', line.rstrip()))]


@needs(APACHE_LOGS)
def test_the_fast_matcher_says_what_the_package_says_of_real_traffic() -> None:
    distinct = sorted(set(logged_user_agents()))
    assert len(distinct) == 558
    assert [text for text in distinct if READER.is_crawler(text) != is_crawler(text)] == []


@needs(APACHE_LOGS)
def test_a_quarter_of_a_real_sites_requests_comes_from_bots() -> None:
    counts = Counter(logged_user_agents())
    bots = sum(count for text, count in counts.items() if READER.read(text).is_bot)
    listed = sum(count for text, count in counts.items() if READER.is_crawler(text))
    assert listed <= bots
    assert 0.23 < bots / counts.total() < 0.26


def test_the_cache_is_bounded_and_long_user_agents_are_cut() -> None:
    reader = UserAgentReader(cache_size=3)
    for number in range(10):
        reader.read(f"Browser/{number}")
    assert reader._read.cache_info().currsize == 3
    assert reader.read("x" * 100_000) == reader.read("x" * 1_024)


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    read = READER.read(text)
    assert read.device in {"desktop", "mobile", "tablet", "bot", "other"}
    assert (read.device == "bot") is read.is_bot
