"""Where a visit came from: direct, organic, paid, email, social, referral, internal or other.

The rules are those of Google's default channel group ("[GA4] Default channel group", Google Analytics Help,
answer 9756891), its eighteen channels folded into eight:

=========  =====================================================================================
ours       theirs
=========  =====================================================================================
paid       Paid Search, Paid Social, Paid Video, Paid Shopping, Paid Other, Display
organic    Organic Search, Organic Shopping
social     Organic Social, Organic Video
email      Email
referral   Referral, Affiliates
direct     Direct
other      Cross-network, Audio, SMS, Mobile Push, Unassigned (tagged, but by no known words)
internal   none: a referrer of the shop's own, where Google keeps the session's first source
=========  =====================================================================================

The first that says something decides: a paid click id, ``utm_medium`` and ``utm_source``, another click id,
the referrer. So a campaign wins over an internal referrer. A service is known by its registrable name
(``google`` of ``www.google.co.uk``), found by the public suffix list that is packed with tldextract: nothing
is fetched.
"""

import re
from functools import lru_cache

import msgspec
import tldextract

from streams.campaigns import PAID_CLICK_IDS, WEAK_CLICK_IDS, Campaign
from streams.referring_sites import HOSTS, SEARCH_ENGINES, SOCIAL_NETWORKS
from streams.urls import MAX_CACHED_URL_LENGTH, UrlError, canonical_host

# The regular expressions and words of Google's definition.
_PAID_MEDIUM = re.compile(r".*cp.*|ppc|retargeting|paid.*")
_DISPLAY_MEDIA = frozenset({"display", "banner", "expandable", "interstitial", "cpm"})
_SOCIAL_MEDIA = frozenset(
    {"social", "social-network", "social-media", "sm", "social network", "social media"}
)
_EMAIL_WORDS = frozenset({"email", "e-mail", "e_mail", "e mail"})
_REFERRAL_MEDIA = frozenset({"referral", "app", "link", "affiliate", "affiliates"})
_REFERRER = re.compile(
    r"\s*(?:https?|android-app):/+(?:[^/?#]*@)?(\[[0-9a-f:.]+\]|[^/?#:\s]+)", re.IGNORECASE
)
_NO_REFERRER = frozenset({"", "-", "about:blank", "null", "(null)"})


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where a view came from.

    ``group`` is one of the eight groups; ``name`` the service or registrable domain (``utm_source`` where it
    is tagged), ``direct`` for direct; ``campaign`` is ``utm_campaign``.
    """

    group: str
    name: str
    campaign: str | None = None


DIRECT = Source("direct", "direct")


def tagged_group(source: str, medium: str) -> str | None:
    """Give the group that campaign parameters name, or None where both are empty.

    Parameters
    ----------
    source, medium
        Lower case, empty where missing.

    Examples
    --------
    >>> tagged_group("google", "cpc"), tagged_group("newsletter", "email"), tagged_group("partner", "magic")
    ('paid', 'email', 'other')
    """
    if not source and not medium:
        return None
    if medium in _EMAIL_WORDS or source in _EMAIL_WORDS:
        return "email"
    if medium in _DISPLAY_MEDIA or _PAID_MEDIUM.fullmatch(medium):
        return "paid"
    if medium in _SOCIAL_MEDIA or source in SOCIAL_NETWORKS or source.partition(".")[0] in SOCIAL_NETWORKS:
        return "social"
    if medium in ("organic", "(organic)") or source in SEARCH_ENGINES:
        return "organic"
    if medium in _REFERRAL_MEDIA:
        return "referral"
    return "direct" if source in ("direct", "(direct)") else "other"


class SourceReader:
    """Reads referrers and campaign parameters into sources, with a bounded cache of referring hosts.

    Parameters
    ----------
    internal_hosts
        Hosts of the shop beside the page's own, their subdomains included.
    cache_size
        Referring hosts remembered, least recently used forgotten first.

    Raises
    ------
    UrlError
        One of the internal hosts is no host name.

    Examples
    --------
    >>> sources = SourceReader(internal_hosts=("pay.example",))
    >>> sources.read("https://www.google.de/", None, "shop.example")
    Source(group='organic', name='google', campaign=None)
    >>> sources.read("https://shop.example/cart", None, "shop.example").group
    'internal'
    >>> sources.read(None, Campaign(source="google", medium="cpc", name="may sale"), "shop.example")
    Source(group='paid', name='google', campaign='may sale')
    """

    def __init__(self, internal_hosts: tuple[str, ...] = (), cache_size: int = 8_192) -> None:
        self._internal = tuple(canonical_host(host) for host in internal_hosts)
        self._extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
        self._of_host = lru_cache(maxsize=cache_size)(self._of_host_uncached)

    def read(self, referrer: str | None, campaign: Campaign | None, host: str) -> Source:
        """Read one view's source. About 0.6 µs where the referring host was read before, 6 µs where not.

        Parameters
        ----------
        referrer
            As it was sent; None, empty, ``-`` or ``about:blank`` is none.
        campaign
            What `streams.campaigns.read_campaign` found.
        host
            The page's own host, canonical.
        """
        if campaign is not None:
            tagged = self._of_campaign(campaign)
            if tagged is not None:
                return tagged
        source = self._of_referrer(referrer, host)
        if campaign is not None and campaign.name is not None:
            return Source(source.group, source.name, campaign.name)
        return source

    def _of_campaign(self, campaign: Campaign) -> Source | None:
        source, medium, click_id = campaign.source or "", campaign.medium or "", campaign.click_id
        if click_id is not None and click_id in PAID_CLICK_IDS:
            return Source("paid", source or PAID_CLICK_IDS[click_id], campaign.name)
        group = tagged_group(source, medium)
        if group is not None:
            return Source(group, source or medium, campaign.name)
        if click_id is not None:
            group, name = WEAK_CLICK_IDS[click_id]
            return Source(group, name, campaign.name)
        return None

    def _of_referrer(self, referrer: str | None, host: str) -> Source:
        if not referrer or referrer in _NO_REFERRER:
            return DIRECT
        match = _REFERRER.match(referrer)
        if match is None:
            return Source("other", "other")
        name = match[1]
        if name == host:
            return Source("internal", host)
        read = self._of_host if len(name) <= MAX_CACHED_URL_LENGTH else self._of_host_uncached
        return read(name, host.partition(":")[0] if not host.startswith("[") else host)

    def _of_host_uncached(self, raw: str, own: str) -> Source:
        try:
            host = canonical_host(raw)
        except UrlError:
            return Source("other", "other")
        if any(host == mine or host.endswith("." + mine) for mine in (own, *self._internal)):
            return Source("internal", host)
        if host in HOSTS:
            return Source(*HOSTS[host])
        if host.startswith("[") or host.replace(".", "").isdigit():
            return Source("referral", host)
        parts = self._extract.extract_str(host)
        domain = f"{parts.domain}.{parts.suffix}" if parts.suffix else ".".join(host.split(".")[-2:])
        for group, known in (("organic", SEARCH_ENGINES), ("social", SOCIAL_NETWORKS)):
            if parts.domain in known:
                return Source(group, parts.domain)
            if host in known or domain in known:
                return Source(group, host if host in known else domain)
        return Source("referral", domain)
