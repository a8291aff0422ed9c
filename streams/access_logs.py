r"""Web server logs in the combined format, read into page views.

A **page view** is a ``GET`` that was answered with 2xx or 304, of a page and not of an asset. What is passed
over is counted by reason in `AccessLog.skipped`:

- ``bad_request``: the request line is none (``"-"``, TLS bytes sent to a plain port);
- ``method``: not GET (POST, HEAD, OPTIONS);
- ``status``: neither 2xx nor 304 (redirects, which are followed by the view they lead to, and errors);
- ``asset``: the path's last part has the extension of a style, script, image, font, film, archive, document,
  program or source text, or is ``robots.txt``;
- ``feed``: an RSS or Atom feed or other XML, by extension, last part or query (``?flav=rss20``);
- ``service``: a path that serves programs (``/api/``, ``/static/``, ``/.well-known/`` and the like).

Extensions are those that are known, not those that aren't: ``/brand/s.oliver`` and ``/product/usb-2.0`` are
pages. Bots' views are page views; they are flagged later, by their user agent. The log holds no first-party
id, so `visitor_id` is a hash of address and user agent: two people with one browser behind one address are
one visitor.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from streams.malformed_lines import malformed_line

#: Distinct lines remembered to number identical ones. Those carry the same second, so in a log that is about
#: in order they stand close together; identical lines further apart than this would count once.
MAX_LINES_REMEMBERED = 200_000

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
# No part can begin where another might end, so a hostile line costs its length and not its square.
_LINE = re.compile(
    rf"(\S+) \S+ [^\[]*\[([^\]]{{1,40}})\] {_QUOTED} ([0-9]{{3}}) (?:[0-9]+|-) {_QUOTED} {_QUOTED}\s*"
)
_REQUEST = re.compile(r"([A-Z]+) (\S.*?)(?: HTTP/[0-9.]+)?")
_TIME = re.compile(
    r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_CONTROL = {"n": "%0A", "t": "%09", "r": "%0D", "v": "%0B", "b": "%08", "f": "%0C"}

_ASSET_EXTENSIONS = (
    "css less scss map m?js jsx tsx? wasm json ya?ml toml csv tsv png jpe?g gif svg ico webp avif bmp"
    " tiff? psd woff2? ttf otf eot mp[34] m4[av] webm og[gv] wav flac avi mov swf flv m3u8 zip t?gz"
    " bz2 xz zst 7z rar tar jar war deb rpm dmg exe msi apk iso img bin so dll pyc class pdf docx?"
    " xlsx? pptx? od[tsp] rtf ps eps tex txt md rst log conf cfg ini spec patch diff sh bat py rb pl"
    " pm lua c cc cpp h hpp java go rs xs vim mk sql pcap xsl xslt dtd xsd"
)
_ASSET = re.compile("|".join(_ASSET_EXTENSIONS.split()), re.IGNORECASE)
_EXTENSION = re.compile(r"[^/]\.[A-Za-z0-9]{1,5}$")
_FEED_PATH = re.compile(r"(?:/(?:feed|rss|atom|rss2)/?|\.(?:rss|atom|rdf|xml))$", re.IGNORECASE)
_FEED_QUERY = re.compile(r"(?:^|&)(?:flav|feed|format|output|type)=(?:rss|atom|rdf|feed)", re.IGNORECASE)
_SERVICE = re.compile(
    r"/(?:api|static|assets|_next|_nuxt|wp-json|wp-includes|\.well-known|graphql|cdn-cgi|server-status)"
    r"(?:/|$)|/(?:xmlrpc|admin-ajax|wp-cron)\.php$",
    re.IGNORECASE,
)


def why_no_page(target: str) -> str | None:
    """Tell why a request's target is no page: ``asset``, ``feed`` or ``service``; None where it is a page.

    Examples
    --------
    >>> [why_no_page(t) for t in ("/", "/brand/s.oliver", "/a.css?v=2", "/blog/feed", "/api/cart")]
    [None, None, 'asset', 'feed', 'service']
    """
    path, _, query = target.partition("#")[0].partition("?")
    if _FEED_PATH.search(path) or _FEED_QUERY.search(query):
        return "feed"
    extension = _EXTENSION.search(path)
    if extension is not None and _ASSET.fullmatch(extension[0][2:]):
        return "asset"
    return "service" if _SERVICE.match(path) else None


@lru_cache(maxsize=1024)
def rfc_3339(text: str) -> str | None:
    """Give a log's time as RFC 3339 with the log's own offset, or None where it is no time.

    Examples
    --------
    >>> rfc_3339("17/May/2015:10:05:03 +0200"), rfc_3339("31/Feb/2015:10:05:03 +0000")
    ('2015-05-17T10:05:03+02:00', None)
    """
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=zone
        )
    except ValueError:
        return None
    return moment.isoformat()


def _unescape(match: re.Match[str]) -> str:
    """Give a quoted character; a raw byte or control character as its percent-encoding."""
    if match[1]:
        return "%" + match[1].upper()
    control = _CONTROL.get(match[2])
    return match[2] if control is None else control


def _field(text: str) -> str:
    r"""Undo Apache's escapes (``\"``, ``\\``, ``\xhh``, ``\t``)."""
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


class AccessLog:
    """Reads lines of one log into ``(topic, event)`` pairs.

    Parameters
    ----------
    site
        Host of the site that the log is of: the log names none. It is the events' `site`.
    secret
        Key of the visitors' hashes. Without one, who has the log's addresses can test guesses.

    Attributes
    ----------
    skipped
        Well-formed lines that are no page view, by reason.
    rejected
        Malformed lines; each was also yielded as a ``rejected-events`` record.

    Examples
    --------
    >>> log = AccessLog("shop.example")
    >>> line = '192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /cart HTTP/1.1" 200 512 "-" "Firefox"'
    >>> [(topic, event)] = log.read([line])
    >>> topic, event["url"], event["occurred_at"]
    ('page-views', 'http://shop.example/cart', '2015-05-17T10:05:03+00:00')
    """

    def __init__(self, site: str, secret: str = "") -> None:
        self.site = site
        self.skipped: Counter[str] = Counter()
        self.rejected = 0
        self._key = blake2b(secret.encode()).digest() if secret else b""
        self._seen: dict[bytes, int] = {}

    def read(self, lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read lines; about 12 µs each. Empty ones are passed over, malformed ones become rejects.

        Yields
        ------
        tuple
            ``page-views`` and the event, or ``rejected-events`` and a record with the reason
            ``malformed_line`` and the line's number (from 0) as `offset`.
        """
        for number, raw in enumerate(lines):
            line = raw.rstrip("\r\n")
            if not line.strip():
                continue
            try:
                event = self.read_line(line)
            except ValueError as error:
                self.rejected += 1
                yield malformed_line("access-log", number, line, str(error))
                continue
            if event is not None:
                yield "page-views", event

    def read_line(self, line: str, mark: str | None = None) -> dict[str, Any] | None:
        """Give a line's page view, or None and count why it is none.

        Parameters
        ----------
        line
            Without its end.
        mark
            Tells identical lines apart, as the line's place does; by default they are numbered.

        Raises
        ------
        ValueError
            The line is malformed; the message says why.
        """
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError("no line of the combined log format")
        occurred_at = rfc_3339(match[2])
        if occurred_at is None:
            raise ValueError("its time is none")
        return self._page_view(line, match, occurred_at, mark)

    def _page_view(
        self, line: str, match: re.Match[str], occurred_at: str, mark: str | None
    ) -> dict[str, Any] | None:
        """Give the event, or None and count why not."""
        request = _REQUEST.fullmatch(_field(match[3]))
        if request is None:
            self.skipped["bad_request"] += 1
            return None
        method, target = request.groups()
        status = match[4]
        if method != "GET":
            reason: str | None = "method"
        elif status[0] != "2" and status != "304":
            reason = "status"
        else:
            reason = why_no_page(target)
        if reason is not None:
            self.skipped[reason] += 1
            return None
        host, referrer, user_agent = match[1], _field(match[5]), _field(match[6])
        event: dict[str, Any] = {
            "event_id": self._event_id(line, mark),
            "visitor_id": blake2b(
                f"{host}\n{user_agent}".encode(), key=self._key, digest_size=12
            ).hexdigest(),
            "occurred_at": occurred_at,
            "url": f"http://{self.site}{target}" if target.startswith("/") else target,
            "site": self.site,
        }
        if referrer not in ("", "-"):
            event["referrer"] = referrer
        if user_agent not in ("", "-"):
            event["user_agent"] = user_agent
        if _ADDRESS.fullmatch(host):
            event["ip"] = host
        return event

    def _visitor_id(self, host: str, user_agent: str) -> str:
        text = f"{host}\n{user_agent}".encode("utf-8", "surrogateescape")
        return blake2b(text, key=self._key, digest_size=12).hexdigest()

    def _event_id(self, line: str, mark: str | None) -> str:
        """Hash the line and number identical ones: two hits in one second are two, in every reading."""
        digest = blake2b(line.encode("utf-8", "surrogateescape"), digest_size=12).digest()
        if mark is not None:
            return f"{digest.hex()}-{mark}"
        count = self._seen.pop(digest, 0)
        self._seen[digest] = count + 1
        if len(self._seen) > MAX_LINES_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return f"{digest.hex()}-{count}"
