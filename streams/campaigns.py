"""What a page's query says about where the visitor came from: utm parameters and click ids.

Only these names are ever read. Values are short words that marketing wrote; a click id's value names one
click of one person, so only its parameter's name is kept.
"""

from urllib.parse import unquote_plus

import msgspec

from streams.tokens import PLACEHOLDER, holds_person

MAX_VALUE_LENGTH = 100

#: Click ids that an advertising system appends to its paid clicks only, and the system's name.
PAID_CLICK_IDS = {
    "gclid": "google",
    "gbraid": "google",
    "wbraid": "google",
    "dclid": "google",
    "msclkid": "bing",
    "yclid": "yandex",
    "ttclid": "tiktok",
    "twclid": "twitter",
    "li_fat_id": "linkedin",
    "rdt_cid": "reddit",
    "epik": "pinterest",
    "sccid": "snapchat",
}
#: Click ids that say which service a click came from, paid or not: Facebook appends its own to every link.
WEAK_CLICK_IDS = {
    "fbclid": ("social", "facebook"),
    "igshid": ("social", "instagram"),
    "igsh": ("social", "instagram"),
    "mc_cid": ("email", "mailchimp"),
    "mc_eid": ("email", "mailchimp"),
    "_hsenc": ("email", "hubspot"),
    "_kx": ("email", "klaviyo"),
    "vero_id": ("email", "vero"),
    "srsltid": ("organic", "google"),
}

_UTM_NAMES = frozenset({"utm_source", "utm_medium", "utm_campaign"})
PARAMETERS = _UTM_NAMES | PAID_CLICK_IDS.keys() | WEAK_CLICK_IDS.keys()


class Campaign(msgspec.Struct, frozen=True, gc=False):
    """The campaign parameters of one URL; at least one field is filled.

    ``source``, ``medium`` and ``name`` are lower case and at most 100 characters; ``click_id`` is the name of
    the click id's parameter (a paid one where there are several), never its value.
    """

    source: str | None = None
    medium: str | None = None
    name: str | None = None
    click_id: str | None = None


def _clean(raw: str) -> str | None:
    """Decode a value; what tells who somebody is becomes the placeholder."""
    value = unquote_plus(raw, errors="replace").strip().lower()
    if not value:
        return None
    return PLACEHOLDER if holds_person(value) else value[:MAX_VALUE_LENGTH]


def read_campaign(query: str) -> Campaign | None:
    """Read the campaign parameters of a query, or None where it has none.

    The first of several equal names counts; empty values count as missing. About 1 µs for a query of
    five parameters without any of the names.

    Parameters
    ----------
    query
        The query without its question mark.

    Examples
    --------
    >>> read_campaign("utm_source=Newsletter&utm_medium=email&utm_campaign=May+Sale&token=s3cret")
    Campaign(source='newsletter', medium='email', name='may sale', click_id=None)
    >>> read_campaign("gclid=Cj0KCQ&page=2")
    Campaign(source=None, medium=None, name=None, click_id='gclid')
    >>> read_campaign("page=2") is None
    True
    """
    found: dict[str, str] = {}
    click_id: str | None = None
    for pair in query.split("&"):
        raw_name, _, raw_value = pair.partition("=")
        name = raw_name.lower()
        if name not in PARAMETERS or not raw_value:
            continue
        if name in _UTM_NAMES:
            value = _clean(raw_value)
            if value is not None:
                found.setdefault(name, value)
        elif click_id is None or (name in PAID_CLICK_IDS and click_id not in PAID_CLICK_IDS):
            click_id = name
    if not found and click_id is None:
        return None
    return Campaign(found.get("utm_source"), found.get("utm_medium"), found.get("utm_campaign"), click_id)
