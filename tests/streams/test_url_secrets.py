"""URLs without secrets, and the same page as before."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.url_secrets import MAX_DEPTH, strip_secrets, strip_within
from streams.urls import PageRules, UrlError, UrlReader

UUID = "123e4567-e89b-12d3-a456-426614174000"
SHOP = "https://shop.example"


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        (f"{SHOP}/a?token=x&utm_source=s&UTM_Medium=m", f"{SHOP}/a?utm_source=s&UTM_Medium=m"),
        (f"{SHOP}/a?gclid=abc&fbclid=d", f"{SHOP}/a?gclid=1&fbclid=1"),
        (f"{SHOP}/a?utm_campaign=ann%40example.org", f"{SHOP}/a?utm_campaign=:id"),
        (f"{SHOP}/reset/{UUID}/ann@example.org", f"{SHOP}/reset/:id/:id"),
        (f"{SHOP}/a;jsessionid=1F2A/b;c", f"{SHOP}/a/b"),
        (f"{SHOP}/product/1517085", f"{SHOP}/product/1517085"),
        ("https://ann:pw@shop.example:8443/a#access_token=1", "https://shop.example:8443/a"),
        ("//ann@shop.example/a?x", "//shop.example/a"),
        ("/a?x=1", "/a"),
        ("android-app://com.example/?q=secret", "android-app://com.example/"),
        ("mailto:ann@example.org?subject=x", "mailto::id"),
        ("not a URL? no", "not a URL"),
        ("", ""),
    ],
)
def test_what_is_kept(url: str, stripped: str) -> None:
    assert strip_secrets(url) == stripped
    assert strip_secrets(stripped) == stripped


def test_the_keep_list_is_kept_but_for_persons() -> None:
    assert strip_secrets("/s?q=a&q=%2B49-30-1234567&x=1", ("q",)) == "/s?q=a&q=:id"


PARTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12).map(quote),
    st.sampled_from(
        [UUID, "a;b=c", "..", "", "index.html", "1517085", "ann%40example.org", "A1b2C3d4E5f6G7h8I9j0"]
    ),
)


@given(
    st.lists(PARTS, max_size=5),
    st.sampled_from(["", "?q=a&token=b", "?utm_source=m&q=ann@example.org", "?#x"]),
)
def test_the_page_is_the_same(parts: list[str], query: str) -> None:
    reader = UrlReader(PageRules(keep_query=("q",)))
    url = f"{SHOP}/{'/'.join(parts)}{query}"
    try:
        page = reader.read(url)
    except UrlError:
        return
    assert reader.read(strip_secrets(url, ("q",))) == page


def test_all_urls_in_properties_and_no_bottomless_ones() -> None:
    nested: object = f"{SHOP}/?pw=1"
    for _ in range(MAX_DEPTH + 1):
        nested = [nested]
    value = {
        "to": f"{SHOP}/a?pw=1",
        "list": [{"b": f"{SHOP}/b?pw=1"}],
        "text": "what? yes",
        "n": 1,
        "deep": nested,
    }
    stripped = strip_within(value)
    assert "pw=1" not in str(stripped)
    assert (stripped["text"], stripped["n"]) == ("what? yes", 1)
