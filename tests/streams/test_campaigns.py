import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.campaigns import MAX_VALUE_LENGTH, PAID_CLICK_IDS, Campaign, read_campaign

SECRET = "5ecret5ecret"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("utm_source=news&utm_medium=email&utm_campaign=May%20Sale", Campaign("news", "email", "may sale")),
        ("UTM_Source=News", Campaign(source="news")),
        ("utm_source=a&utm_source=b", Campaign(source="a")),
        ("utm_source=&utm_medium=cpc", Campaign(medium="cpc")),
        ("fbclid=1&gclid=2", Campaign(click_id="gclid")),
        ("gclid=1&fbclid=2", Campaign(click_id="gclid")),
        ("fbclid=1", Campaign(click_id="fbclid")),
        ("utm_campaign=anna%40example.org", Campaign(name=":id")),
        ("utm_content=x&utm_id=9", None),
        ("xgclid=1", None),
        ("gclid=", None),
        ("", None),
    ],
)
def test_campaign_of_a_query(query: str, expected: Campaign | None) -> None:
    assert read_campaign(query) == expected


@pytest.mark.parametrize("name", PAID_CLICK_IDS)
def test_the_value_of_a_click_id_is_never_kept(name: str) -> None:
    campaign = read_campaign(f"a=1&{name}={SECRET}&b=2")
    assert campaign == Campaign(click_id=name)


@given(st.text(max_size=300))
def test_any_value_is_read_without_error_and_bounded(value: str) -> None:
    campaign = read_campaign(f"utm_source={value}&utm_medium=x")
    assert campaign is not None
    assert campaign.source is None or len(campaign.source) <= MAX_VALUE_LENGTH
