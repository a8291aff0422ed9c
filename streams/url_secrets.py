"""URLs as browsers have them, without what nobody but their visitor is to know.

A page's address may hold a password reset's token, an e-mail address or a session. What a collector keeps is what
some stage reads, and no more: scheme, host and path, of the query the campaign parameters and those of the
keep-list, never user name, password and fragment. Parts of the path that are tokens or personal (`streams.tokens`)
become ``:id``. The page that is read from it is the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import unquote_plus

from streams.campaigns import PAID_CLICK_IDS, PARAMETERS, WEAK_CLICK_IDS
from streams.tokens import PLACEHOLDER, holds_person, is_token

MAX_DEPTH: Final = 16
"""What is nested deeper in properties is not looked into, and left out."""

_CLICK_IDS = PAID_CLICK_IDS.keys() | WEAK_CLICK_IDS.keys()
_PLACE = re.compile(r"\s*((?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?)([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.DOTALL)
_WEB = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)


def strip_secrets(url: str, keep_query: Collection[str] = ()) -> str:
    """Give a URL without secrets; a text that is no URL of the web is cut at its query.

    Parameters
    ----------
    url
        An http or https URL, or a path.
    keep_query
        Parameters kept beside those of campaigns. Of a click id only the name is kept.

    Examples
    --------
    >>> strip_secrets("https://ann:pw@shop.example/reset/eyJhbGciOi.eyJzdWIi.sig?token=1&utm_source=mail&gclid=x#top")
    'https://shop.example/reset/:id?utm_source=mail&gclid=1'
    >>> strip_secrets("/search?q=shoes&page=2&mail=ann%40example.org", keep_query=("q", "mail"))
    '/search?q=shoes&mail=:id'
    """
    match = _PLACE.match(url)
    assert match is not None  # every group may be empty
    scheme, authority, path, query = match.groups()
    if not scheme.endswith("//"):
        authority, path = "", authority + path
    parts = path.split("/")
    for position, part in enumerate(parts):
        name, semicolon, _ = part.partition(";")
        # Numbers are left to who knows the shop's catalogue: products are numbers too.
        if name and (holds_person(name) or is_token(name, after_catalogue=True)):
            parts[position] = PLACEHOLDER
        elif semicolon:
            parts[position] = name
    pairs = query.split("&") if query else ()
    kept = [kept for pair in pairs if (kept := _kept(pair, keep_query))]
    return scheme + authority.rpartition("@")[2] + "/".join(parts) + ("?" + "&".join(kept) if kept else "")


def _kept(pair: str, keep_query: Collection[str]) -> str | None:
    raw_name, equals, raw_value = pair.partition("=")
    name = unquote_plus(raw_name, errors="replace")
    if name not in keep_query and name.lower() not in PARAMETERS:
        return None
    if name.lower() in _CLICK_IDS and name not in keep_query:
        return f"{raw_name}=1"
    value = unquote_plus(raw_value, errors="replace")
    return f"{raw_name}={PLACEHOLDER}" if equals and holds_person(value) else pair


def strip_within(value: Any, keep_query: Collection[str] = (), depth: int = MAX_DEPTH) -> Any:
    """Give a JSON value with all URLs in it stripped.

    Examples
    --------
    >>> strip_within({"to": "https://pay.example/?card=4111", "seconds": 3})
    {'to': 'https://pay.example/', 'seconds': 3}
    """
    if isinstance(value, str):
        return strip_secrets(value, keep_query) if _WEB.match(value) else value
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return None
    if isinstance(value, dict):
        return {name: strip_within(inner, keep_query, depth - 1) for name, inner in value.items()}
    return [strip_within(inner, keep_query, depth - 1) for inner in value]
