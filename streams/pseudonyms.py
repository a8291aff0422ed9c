"""Who somebody is, made unreadable at the door: keyed hashes of ids, truncated addresses.

Hashes are BLAKE2b with a key (Saarinen, Aumasson, 2015, RFC 7693), 128 bits, 22 characters of URL-safe base64
behind a prefix that tells the kind. Without the key nobody can test a guess; whoever has it can, so these are
pseudonyms, not anonymous data. Another secret gives other pseudonyms: it must not change while a shop runs.
"""

import ipaddress
import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Literal

IdentifierKind = Literal["email", "phone", "loyalty"]

MIN_SECRET_LENGTH = 16

_HASHED = re.compile(r"[0-9A-Fa-f]{64}")
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# What nearly every address is, at a fifth of the cost of the standard library's parser.
_IPV4 = re.compile(rf"((?:{_OCTET}\.){{3}}){_OCTET}")
_IDENTIFIER_PREFIXES = {"email": "e_", "phone": "p_", "loyalty": "l_"}


#: Visitors remembered, and addresses: what one does comes in a row. Least recently used forgotten first.
_CACHED = 16_384


@lru_cache(maxsize=_CACHED)
def truncate_ip(text: str | None) -> str | None:
    """Truncate an address to its network: IPv4 to /24, IPv6 to /48; None where it is none.

    IPv4 inside IPv6 (``::ffff:192.0.2.7``) counts as IPv4, a zone (``%eth0``) is dropped. An address with a
    port, or a list of addresses, is none.

    Examples
    --------
    >>> truncate_ip("192.0.2.77"), truncate_ip("2001:db8:1:2:3::4"), truncate_ip("nonsense")
    ('192.0.2.0', '2001:db8:1::', None)
    """
    if not text:
        return None
    match = _IPV4.fullmatch(text)
    if match is not None:
        return match[1] + "0"
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Address(int(address) >> 80 << 80))
        address = address.ipv4_mapped
    return str(ipaddress.IPv4Address(int(address) >> 8 << 8))


def normal_phone(value: str) -> str:
    """Give a phone number as its digits, with ``+`` where it is international (E.164 written plainly).

    ``00`` at the front is ``+``; ``(0)`` in an international number is dropped. A national number keeps its
    digits and is another number than its international form, for nothing here tells the country.

    Examples
    --------
    >>> normal_phone("+49 (0)30 / 123-45"), normal_phone("0049 30 12345"), normal_phone("030 12345")
    ('+493012345', '+493012345', '03012345')
    """
    text = value.strip()
    international = text.startswith(("+", "00"))
    if international:
        text = text.replace("(0)", "")
    digits = re.sub(r"[^0-9]", "", text)
    if not digits:
        return ""
    return "+" + digits.lstrip("0") if international else digits


class Pseudonymiser:
    """Turns ids into pseudonyms under one secret; 1 to 2 µs each, 0.2 µs where a visitor was seen just before.

    Parameters
    ----------
    secret
        At least 16 characters; as long as it is kept, the same id gives the same pseudonym. The caller keeps
        it: nothing here can make one that survives a restart.
    enabled
        Where False, ids and (normalised) identifiers pass through, and the secret may be empty. Addresses are
        truncated all the same.

    Raises
    ------
    ValueError
        Enabled with a secret that is too short. The message does not repeat it.

    Examples
    --------
    >>> hidden = Pseudonymiser("correct horse battery staple")
    >>> hidden.visitor("shop.example", "anna-1")
    'v_SzFtuusA_m-97clAUAwDwA'
    >>> hidden.identifier("email", " Anna@Example.org ") == hidden.identifier("email", "anna@example.org")
    True
    >>> Pseudonymiser("", enabled=False).customer("42")
    '42'
    """

    def __init__(self, secret: str, enabled: bool = True) -> None:
        if enabled and len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(
                f"the pseudonym secret has {len(secret)} characters, at least {MIN_SECRET_LENGTH} are needed"
            )
        self.enabled = enabled
        key = blake2b(secret.encode("utf-8", "surrogatepass")).digest()
        # One keyed state a kind, copied for each id: absorbing the key again would double the cost.
        kinds = ("visitor", "customer", *_IDENTIFIER_PREFIXES)
        self._states = {kind: blake2b(key=key, digest_size=16, person=kind.encode()) for kind in kinds}
        self._visitor = lru_cache(maxsize=_CACHED)(self._visitor_uncached)

    def _token(self, kind: str, prefix: str, text: str) -> str:
        state = self._states[kind].copy()
        state.update(text.encode("utf-8", "surrogatepass"))
        return prefix + urlsafe_b64encode(state.digest())[:22].decode("ascii")

    def visitor(self, site: str | None, visitor_id: str) -> str:
        """Give a visitor's pseudonym (``v_…``); equal ids on two sites are two visitors."""
        if not self.enabled:
            return visitor_id
        return self._visitor(site or "", visitor_id)

    def _visitor_uncached(self, site: str, visitor_id: str) -> str:
        # The length keeps ("a", "bc") and ("ab", "c") apart.
        return self._token("visitor", "v_", f"{len(site)}:{site}{visitor_id}")

    def customer(self, customer_id: str) -> str:
        """Give a customer's pseudonym (``c_…``), the same on every site and channel."""
        return self._token("customer", "c_", customer_id) if self.enabled else customer_id

    def identifier(self, kind: IdentifierKind, value: str) -> str | None:
        """Give an identifier's pseudonym (``e_…``, ``p_…``, ``l_…``), or None where the value is empty.

        An e-mail is trimmed and lower-cased, a phone number as `normal_phone` gives it, a loyalty number
        trimmed. Then its SHA-256 goes under the key. A value of 64 hex digits counts as hashed already, and
        goes under the key as it is: so the plain value and the plain SHA-256 of its normal form, which
        advertising systems exchange, lead to one customer. Hashes under a key of the sender's own stay apart
        from both.

        Examples
        --------
        >>> hidden = Pseudonymiser("correct horse battery staple")
        >>> hashed = sha256(b"anna@example.org").hexdigest().upper()
        >>> hidden.identifier("email", hashed) == hidden.identifier("email", "anna@example.org")
        True
        """
        text = value.strip()
        if _HASHED.fullmatch(text):
            normal = hashed = text.lower()
        else:
            normal = text.lower() if kind == "email" else normal_phone(text) if kind == "phone" else text
            hashed = ""
        if not normal:
            return None
        if not self.enabled:
            return normal
        hashed = hashed or sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()
        return self._token(kind, _IDENTIFIER_PREFIXES[kind], hashed)

    def ip(self, text: str | None) -> str | None:
        """Truncate an address, enabled or not; see `truncate_ip`."""
        return truncate_ip(text)
