"""Which parts of a path name one visitor, one order or one link, and not a page.

Pages are counted, so a part that is different for everybody (a token) would give every visitor a page of his
own, and a part that tells who he is (an e-mail, a phone number) must not be kept at all. Both become ``:id``.

=================  ===========================================================================
token              rule
=================  ===========================================================================
UUID               8-4-4-4-12 hex digits, any case
long hex           ≥ 16 hex digits (half of an MD5; no English word of a to f is that long)
JWT                ``eyJ…`` and two dots
ULID               26 characters of Crockford's alphabet
long base64        ≥ 20 characters of the URL-safe alphabet that look random (see below)
long number        ≥ 6 digits, no date (``20240131``); after a catalogue word (``/product/1517085``) ≥ 15
e-mail             ``x@y.z``, also with ``%40``
phone              ``+`` or ``00`` and ≥ 7 digits, with separators
IBAN               two letters, two digits, 11 to 30 letters or digits, capitals only
=================  ===========================================================================

Numbers need the catalogue word because a shop's products are numbers too: merging them would merge every
product page into one, the very pages that are looked at. 14 digits are the longest trade item number
(GTIN-14), so what is longer is no product anywhere. Elsewhere five digits pass (years, page numbers, sizes),
six do not.

"Looks random" means capitals, small letters and digits, a piece of ≥ 12 characters between ``-`` and ``_``,
and ≥ 0.38 runs of one kind a character. Product names such as ``Galaxy-S23-Ultra-256GB`` stay below; of
random 128-bit tokens about one in seven is missed (drawn 20,000 times), of 256-bit ones one in a hundred.
The rule leans that way because a miss costs one page with one view, and a false hit merges products.
"""

import re

PLACEHOLDER = ":id"

MIN_NUMBER_DIGITS = 6
MAX_CATALOGUE_DIGITS = 14
MIN_BASE64_LENGTH = 20
MIN_BASE64_PIECE = 12
MIN_RUNS_PER_CHARACTER = 0.38

# One alternation: a part that holds no token, nearly every part, costs one match.
_TOKEN = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
    r"|[0-9A-Fa-f]*[A-Fa-f][0-9A-Fa-f]*(?<=.{16})"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"
    r"|[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}",
)
_NUMBER = re.compile(rf"[0-9]{{{MIN_NUMBER_DIGITS},}}")
_DATE = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])?")
_BASE64 = re.compile(rf"([A-Za-z0-9_-]{{{MIN_BASE64_LENGTH},}})(?:=|%3D){{0,2}}")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_EMAIL = re.compile(r"[^@%\s/]+(?:%(?!40)[0-9A-F]{2}[^@%\s/]*)*(?:@|%40)[^@\s/]+\.[^@\s/.]+")
_PHONE = re.compile(r"(?:\+|%2B|00)(?:[0-9]|[-.()/ ]|%20|%28|%29){7,}")
_DIGITS = re.compile(r"[0-9]")


def holds_person(text: str) -> bool:
    """Tell whether a text is, or contains, an e-mail address, or is an international phone number.

    Examples
    --------
    >>> holds_person("anna%40example.org"), holds_person("+49-30-1234567"), holds_person("@anna")
    (True, True, False)
    """
    if "@" in text or "%40" in text:
        return _EMAIL.search(text) is not None
    if text.startswith(("+", "%2B", "00")):
        return _PHONE.fullmatch(text) is not None and len(_DIGITS.findall(text.replace("%2", ""))) >= 7
    return False


def _looks_random(text: str) -> bool:
    """Tell random base64 from a product's name."""
    match = _BASE64.fullmatch(text)
    if match is None:
        return False
    body = match[1]
    if body.islower() or body.isupper() or not _DIGITS.search(body):
        return False
    pieces = body.replace("_", "-").split("-")
    if max(map(len, pieces)) < MIN_BASE64_PIECE:
        return False
    return len(_RUN.findall(body)) >= MIN_RUNS_PER_CHARACTER * sum(map(len, pieces))


def is_token(part: str, *, after_catalogue: bool = False) -> bool:
    """Tell whether a part of a path is a token or personal, by the table of this module.

    Parameters
    ----------
    part
        One part of a path, percent-encoding normalised, without slashes.
    after_catalogue
        Whether the part before it is a catalogue word, so that a number of ≤ 14 digits is a product.

    Examples
    --------
    >>> is_token("123e4567-e89b-12d3-a456-426614174000"), is_token("2024"), is_token("summer-sale")
    (True, False, False)
    >>> is_token("1517085"), is_token("1517085", after_catalogue=True), is_token("20240131")
    (True, False, False)
    """
    if len(part) < MIN_NUMBER_DIGITS:
        return "@" in part and holds_person(part)
    if _NUMBER.fullmatch(part):
        if after_catalogue:
            return len(part) > MAX_CATALOGUE_DIGITS
        return _DATE.fullmatch(part) is None
    if _TOKEN.fullmatch(part) or holds_person(part):
        return True
    return len(part) >= MIN_BASE64_LENGTH and _looks_random(part)
