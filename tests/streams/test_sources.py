import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.campaigns import Campaign
from streams.sources import DIRECT, Source, SourceReader

HOST = "shop.example"
GROUPS = {"direct", "organic", "paid", "email", "social", "referral", "internal", "other"}
READER = SourceReader(internal_hosts=("pay.example", "www.Sister.example"))


@pytest.mark.parametrize(
    ("referrer", "group", "name"),
    [
        (None, "direct", "direct"),
        ("", "direct", "direct"),
        ("-", "direct", "direct"),
        ("about:blank", "direct", "direct"),
        ("https://shop.example/cart", "internal", "shop.example"),
        ("https://www.shop.example/cart", "internal", "shop.example"),
        ("https://m.shop.example:8443/", "internal", "m.shop.example"),
        ("https://secure.pay.example/done", "internal", "secure.pay.example"),
        ("https://sister.example/", "internal", "sister.example"),
        ("https://notshop.example/", "referral", "notshop.example"),
        ("https://www.google.co.uk/search?q=shoes", "organic", "google"),
        ("https://www.google.de", "organic", "google"),
        ("android-app://com.google.android.googlequicksearchbox/", "organic", "google"),
        ("https://duckduckgo.com/", "organic", "duckduckgo"),
        ("https://search.brave.com/", "organic", "search.brave.com"),
        ("https://de.search.yahoo.com/", "organic", "yahoo"),
        ("https://mail.google.com/", "email", "gmail"),
        ("https://docs.google.com/x", "referral", "google.com"),
        ("https://l.facebook.com/l.php", "social", "facebook"),
        ("https://t.co/abc", "social", "t.co"),
        ("https://out.reddit.com/", "social", "reddit"),
        ("https://www.youtube.com/watch", "social", "youtube"),
        ("https://googleads.g.doubleclick.net/x", "paid", "google"),
        ("https://facebook.com.evil.example/", "referral", "evil.example"),
        ("https://user@blog.partner.co.uk/x", "referral", "partner.co.uk"),
        ("http://192.0.2.1/x", "referral", "192.0.2.1"),
        ("http://[2001:db8::1]/x", "referral", "[2001:db8::1]"),
        ("http://localhost/x", "referral", "localhost"),
        ("nonsense", "other", "other"),
        ("http://a..b/", "other", "other"),
    ],
)
def test_source_of_a_referrer(referrer: str | None, group: str, name: str) -> None:
    assert READER.read(referrer, None, HOST) == Source(group, name)


@pytest.mark.parametrize(
    ("campaign", "group", "name"),
    [
        (Campaign("google", "cpc"), "paid", "google"),
        (Campaign("newsletter", "email"), "email", "newsletter"),
        (Campaign("email"), "email", "email"),
        (Campaign("facebook", "social"), "social", "facebook"),
        (Campaign("facebook", "paid_social"), "paid", "facebook"),
        (Campaign("facebook.com", "post"), "social", "facebook.com"),
        (Campaign("adnet", "display"), "paid", "adnet"),
        (Campaign("adnet", "cpm"), "paid", "adnet"),
        (Campaign("google", "organic"), "organic", "google"),
        (Campaign("bing"), "organic", "bing"),
        (Campaign("partner", "affiliate"), "referral", "partner"),
        (Campaign("blog", "referral"), "referral", "blog"),
        (Campaign("app", "push"), "other", "app"),
        (Campaign(medium="cpc"), "paid", "cpc"),
        (Campaign(click_id="gclid"), "paid", "google"),
        (Campaign("news", "email", click_id="gclid"), "paid", "news"),
        (Campaign(click_id="fbclid"), "social", "facebook"),
        (Campaign("facebook", "cpc", click_id="fbclid"), "paid", "facebook"),
        (Campaign(click_id="mc_eid"), "email", "mailchimp"),
        (Campaign(click_id="srsltid"), "organic", "google"),
    ],
)
def test_source_of_campaign_parameters_wins_over_any_referrer(
    campaign: Campaign, group: str, name: str
) -> None:
    for referrer in (None, "https://other.example/", "https://shop.example/"):
        assert READER.read(referrer, campaign, HOST) == Source(group, name)


def test_a_campaign_without_source_and_medium_names_the_campaign_and_leaves_the_group_to_the_referrer() -> (
    None
):
    assert READER.read("https://www.bing.com/", Campaign(name="may"), HOST) == Source(
        "organic", "bing", "may"
    )
    assert READER.read(None, Campaign("google", "cpc", "may"), HOST) == Source("paid", "google", "may")


def test_the_same_referring_host_is_internal_to_one_shop_and_a_referral_to_another() -> None:
    assert READER.read("https://b.example/", None, "b.example").group == "internal"
    assert READER.read("https://b.example/", None, "a.example").group == "referral"
    assert READER.read("https://b.example/", None, "b.example:8080").group == "internal"


def test_the_cache_of_hosts_is_bounded() -> None:
    reader = SourceReader(cache_size=5)
    for number in range(20):
        reader.read(f"https://h{number}.example/", None, HOST)
    assert reader._of_host.cache_info().currsize == 5


@given(st.one_of(st.none(), st.text(max_size=40), st.text(max_size=30).map("https://".__add__)))
def test_any_referrer_has_one_of_the_eight_groups(referrer: str | None) -> None:
    assert READER.read(referrer, None, HOST).group in GROUPS
    assert DIRECT.group in GROUPS
