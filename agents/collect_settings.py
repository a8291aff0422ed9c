"""Settings of the collector: where it listens, for whom, and how much it takes at once."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, get_origin

import msgspec

from agents.durations import EXAMPLES, parse_duration

_SITE = re.compile(r"([A-Za-z0-9._~-]{1,128})=([A-Za-z0-9._-]{1,253})")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?|https?://\[[0-9A-Fa-f:]+\](:\d{1,5})?")
_RANGES = {"port": (0, 65_535), "metrics_port": (0, 65_535)}


class CollectSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the collector serves.

    Attributes
    ----------
    host, port
        Where it listens; port 0: any free one. Only a loopback address keeps it on this machine.
    metrics_host, metrics_port
        Where its ``/metrics`` and ``/healthz`` are.
    sites
        ``key=site``: the keys that trackers send (Segment's write key; Plausible's domain is a site's name), and
        whose events these are.
    origins
        Pages of these origins may send; none: ``https`` with a site's name, with ``www.`` before it or without.
    proxies
        Addresses or networks whose ``X-Forwarded-For`` is believed.
    max_body_kb
        A larger body is refused.
    body_timeout_ms
        A body that takes longer to come is refused, and so are headers.
    hold_ms
        How long a request waits for Kafka before it is told to come again.
    in_flight_mb
        So much may wait for Kafka; what would be more is told to come again.
    max_connections
        Further ones are closed at once.
    client_rate, client_burst
        Requests a second that one network (/24, /48) may send, and at once; a large body counts as several.
    site_rate, site_burst
        Events a second of one site, and at once.
    """

    host: str = "127.0.0.1"
    port: int = 9647
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9648
    sites: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    max_body_kb: int = 512
    body_timeout_ms: int = 10_000
    hold_ms: int = 20_000
    in_flight_mb: int = 64
    max_connections: int = 4_096
    client_rate: int = 100
    client_burst: int = 500
    site_rate: int = 2_000
    site_burst: int = 10_000

    def site_of_key(self) -> dict[str, str]:
        """Each key with its site.

        Examples
        --------
        >>> CollectSettings(sites=("k1=shop.example",)).site_of_key()
        {'k1': 'shop.example'}
        """
        pairs = (site.partition("=") for site in self.sites)
        return {key: site for key, _, site in pairs}

    def allowed_origins(self) -> frozenset[str]:
        """Origins whose pages may send.

        Examples
        --------
        >>> sorted(CollectSettings(sites=("k1=shop.example",)).allowed_origins())
        ['https://shop.example', 'https://www.shop.example']
        """
        if self.origins:
            return frozenset(origin.lower() for origin in self.origins)
        sites = set(self.site_of_key().values())
        return frozenset(f"https://{www}{site.lower()}" for site in sites for www in ("", "www."))


def collect_value(field: str, type_: Any, value: object) -> Any:
    """Convert a setting of the collector, from a file or from text.

    Raises
    ------
    ValueError
        It can't be used; the message says what to write.

    Examples
    --------
    >>> collect_value("hold_ms", int, "5s"), collect_value("sites", tuple[str, ...], "k1=shop.example")
    (5000, ('k1=shop.example',))
    """
    if field.endswith("_ms"):
        if not isinstance(value, str):
            raise ValueError(f"{value!r} has no unit: write a duration {EXAMPLES}, in quotes")
        duration_ms = parse_duration(value)
        if not 100 <= duration_ms <= 600_000:
            raise ValueError(f"{value} is out of range: write from 100ms to 10m")
        return duration_ms
    if get_origin(type_) is tuple:
        parts = (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise ValueError("write a list of texts")
        for part in parts:
            _check(field, part)
        return tuple(parts)
    if field.endswith("host"):
        if not isinstance(value, str) or not value:
            raise ValueError("write an address, such as 127.0.0.1")
        return value
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    least, most = _RANGES.get(field, (1, 1_000_000))
    if type(number) is not int or not least <= number <= most:
        raise ValueError(f"{value!r} can't be used: write a whole number from {least} to {most}")
    return number


def _check(field: str, part: str) -> None:
    if field == "sites" and not _SITE.fullmatch(part):
        raise ValueError(f"{part!r} is no site: write key=site, such as k1=shop.example")
    if field == "origins" and not _ORIGIN.fullmatch(part):
        raise ValueError(f"{part!r} is no origin: write one such as https://shop.example, without a path")
    if field == "proxies":
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ValueError(f"{part!r} is no network: write one such as 10.0.0.0/8") from None
