import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.settings import TemplateRule
from streams.urls import MAX_PAGE_LENGTH, MAX_URL_LENGTH, PageRules, UrlError, UrlReader

READER = UrlReader()
SITE = "shop.example"
SECRET = "5ecretW0rd"


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://shop.example", "shop.example/"),
        ("https://shop.example/", "shop.example/"),
        ("HTTP://WWW.Shop.Example/", "shop.example/"),
        ("https://www.www.shop.example/", "shop.example/"),
        ("https://www.example/", "www.example/"),
        ("https://shop.example./", "shop.example/"),
        ("https://shop.example:443/a", "shop.example/a"),
        ("http://shop.example:80/a", "shop.example/a"),
        ("https://shop.example:80/a", "shop.example:80/a"),
        ("http://shop.example:8080/a", "shop.example:8080/a"),
        ("https://user:pass@shop.example/a", "shop.example/a"),
        ("//shop.example/a", "shop.example/a"),
        ("https://shop.example/a/", "shop.example/a"),
        ("https://shop.example//a///b/", "shop.example/a/b"),
        ("https://shop.example/a\\b", "shop.example/a/b"),
        ("https://shop.example/a/./b/../c", "shop.example/a/c"),
        ("https://shop.example/../../a", "shop.example/a"),
        ("https://shop.example/a/%2E%2E/b", "shop.example/b"),
        ("https://shop.example/index.html", "shop.example/"),
        ("https://shop.example/a/Index.PHP?x=1", "shop.example/a"),
        ("https://shop.example/a/default.aspx", "shop.example/a"),
        ("https://shop.example/index.php/a", "shop.example/index.php/a"),
        ("https://shop.example/a?x=1#top", "shop.example/a"),
        ("https://shop.example/a#top?x=1", "shop.example/a"),
        ("https://shop.example?x=1", "shop.example/"),
        ("https://shop.example/a;jsessionid=1/b", "shop.example/a/b"),
        ("https://shop.example/%7Eanna/%c3%b6", "shop.example/~anna/%C3%B6"),
        ("https://shop.example/ö", "shop.example/%C3%B6"),
        ("https://shop.example/a%2fb", "shop.example/a%2Fb"),
        ("https://shop.example/100%", "shop.example/100%25"),
        ("https://shop.example/a b", "shop.example/a%20b"),
        ("https://shop.example/Aa", "shop.example/Aa"),
        ("  https://shop.example/a\n", "shop.example/a"),
        ("https://bücher.example/", "xn--bcher-kva.example/"),
        ("https://XN--BCHER-KVA.example/", "xn--bcher-kva.example/"),
        ("https://straße.example/", "xn--strae-oqa.example/"),
        ("http://[2001:DB8:0:0::1]:8080/a", "[2001:db8::1]:8080/a"),
        ("http://192.0.2.1/a", "192.0.2.1/a"),
        ("https://shop.example/product/1517085", "shop.example/product/1517085"),
        ("https://shop.example/PRODUCT/1517085", "shop.example/PRODUCT/1517085"),
        ("https://shop.example/order/1517085", "shop.example/order/:id"),
        ("https://shop.example/reset/anna@example.org/", "shop.example/reset/:id"),
        ("https://shop.example/reset/anna%40example.org", "shop.example/reset/:id"),
        ("https://shop.example/d41d8cd98f00b204e9800998ecf8427e/x", "shop.example/:id/x"),
        ("/a/b?c=d", "shop.example/a/b"),
        ("?c=d", "shop.example/"),
    ],
)
def test_page_of_a_url(url: str, page: str) -> None:
    assert READER.read(url, SITE).page == page


@pytest.mark.parametrize(
    ("url", "site", "reason"),
    [
        ("", SITE, "empty"),
        (" \n", SITE, "empty"),
        ("#top", SITE, "empty"),
        ("javascript:alert(1)", SITE, "scheme"),
        ("about:blank", SITE, "scheme"),
        ("file:///home/anna/shop.html", SITE, "scheme"),
        ("android-app://com.example", SITE, "scheme"),
        ("product/5", SITE, "relative"),
        ("https:/a", SITE, "relative"),
        ("https:///a", SITE, "host"),
        ("https://a b/", SITE, "host"),
        ("https://shop..example/", SITE, "host"),
        ("https://[nonsense]/", SITE, "host"),
        ("https://shop.example:x/", SITE, "host"),
        ("https://" + "a." * 130 + "example/", SITE, "host"),
        ("/a", None, "no_host"),
        ("/" + "a" * MAX_URL_LENGTH, SITE, "too_long"),
    ],
)
def test_what_is_no_url_of_a_page_is_refused_with_its_reason(url: str, site: str | None, reason: str) -> None:
    with pytest.raises(UrlError) as caught:
        READER.read(url, site)
    assert caught.value.reason == reason


def test_a_site_may_be_written_as_a_url_or_with_www() -> None:
    assert READER.read("/a", "https://www.shop.example/").page == "shop.example/a"
    assert READER.read("/a", "www.shop.example").page == "shop.example/a"


def test_kept_parameters_are_sorted_decoded_alike_and_hold_no_person() -> None:
    reader = UrlReader(PageRules(keep_query=("b", "a", "mail")))
    assert reader.read("/x?b=2&token=s&a=%31&a=&c=3", SITE).page == "shop.example/x?a=1&b=2"
    assert reader.read("/x?a=1&b=2", SITE).page == "shop.example/x?a=1&b=2"
    assert reader.read("/x?mail=anna%40example.org", SITE).page == "shop.example/x?mail=:id"
    assert reader.read("/x?a=1+2%26", SITE).page == "shop.example/x?a=1%202%26"
    assert reader.read("/x?c=3", SITE).page == "shop.example/x"


def test_a_rule_may_use_a_kept_parameter() -> None:
    rules = PageRules(
        keep_query=("route",), template_rules=(TemplateRule("re:[?&]route=product", "product"),)
    )
    assert UrlReader(rules).read("/shop.php?route=product&id=5", SITE).template == "product"


def test_campaign_parameters_are_read_and_the_page_is_the_same_without_them() -> None:
    tagged = READER.read("/a?utm_source=news&gclid=1", SITE)
    assert tagged.campaign is not None
    assert tagged.campaign.source == "news"
    assert tagged.page == READER.read("/a", SITE).page
    assert READER.read("/a?x=1", SITE).campaign is None


def test_a_long_page_is_cut_and_pages_with_a_long_equal_beginning_stay_apart() -> None:
    one, other = (READER.read(f"/a/{'lorem-' * 300}{end}", SITE).page for end in ("x", "y"))
    assert len(one) == MAX_PAGE_LENGTH
    assert one != other
    assert READER.read("/a/" + "ö" * 600, SITE).page == READER.read("/a/" + "%c3%b6" * 600, SITE).page


def test_the_cache_is_bounded_and_takes_no_long_urls() -> None:
    reader = UrlReader(cache_size=10)
    for number in range(50):
        reader.read(f"/a/{number}", SITE)
    reader.read("/" + "b" * 2_000, SITE)
    info = reader._read.cache_info()
    assert (info.currsize, info.misses) == (10, 50)


def test_a_refused_url_is_refused_again_and_its_message_does_not_repeat_it() -> None:
    for _ in range(2):
        with pytest.raises(UrlError) as caught:
            READER.read(f"https://{SECRET} {SECRET}/{SECRET}", SITE)
        assert SECRET not in str(caught.value)


PART = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=150)
@given(
    st.lists(PART, max_size=6), st.sampled_from(["https://www.Shop.example:443/", "/", "http://u:p@b.de:81/"])
)
@example(["index.html", "index.php"], "/")
@example(["%", "41", "%2", "%25"], "/")
@example(["ö" * 20] * 6, "/")
@example(["a" * 200, "b" * 200, "%c3%b6" * 40], "/")
def test_a_page_read_again_is_the_same_page(parts: list[str], start: str) -> None:
    page = READER.read(start + "/".join(parts).lstrip("/\\"), SITE)
    again = READER.read("https://" + page.page)
    assert again.page == page.page
    if "~" not in page.page:  # a cut page has lost its depth
        assert again.template == page.template
    assert page.page.isascii()
    assert len(page.page) <= MAX_PAGE_LENGTH


@settings(max_examples=100)
@given(PART, st.sampled_from(["token", "password", "email", "gclid", "sid"]), PART)
def test_secrets_of_query_fragment_and_user_part_reach_nothing(before: str, name: str, after: str) -> None:
    before = before.replace("=", "")
    url = f"https://{SECRET}:{SECRET}@shop.example/a;{SECRET}?{before}&{name}={SECRET}#{after}{SECRET}"
    assert SECRET not in repr(READER.read(url))


@settings(max_examples=300)
@given(st.one_of(st.text(max_size=60), PART.map("https://".__add__), PART.map("//[".__add__)))
@example("https://\ud800/\udfff")
@example("/\ud800")
@example("https://①.example/")
@example("https://xn--a.example/")
def test_any_text_is_a_page_or_refused(text: str) -> None:
    try:
        outcome = READER.read(text, SITE).page
    except UrlError as error:
        outcome = error.reason
    assert outcome in {"empty", "scheme", "host", "relative"} or "/" in outcome
