"""Lines of a web server's log as raw records of a topic; files of them are read by `streams.access_logs`."""

from __future__ import annotations

from streams.access_logs import AccessLog
from streams.adapters import Adapted, Adapter, RawError


class AccessLogLines(Adapter):
    """Reads one line of the combined format.

    Parameters
    ----------
    site, secret
        See `AccessLog`.

    Examples
    --------
    >>> line = b'192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 9 "-" "Mozilla/5.0"'
    >>> [(topic, view)] = AccessLogLines("shop.example").read(line, "raw-0-7")
    >>> topic, view["url"], view["event_id"].endswith("-raw-0-7")
    ('page-views', 'http://shop.example/a', True)
    """

    name = "access-log"
    has_ids = False
    cannot_know = (
        "a log has no first-party ids: two people with one browser behind one address are one visitor",
        "it has no orders, registrations and carts: without them every visit ends as a dead end, or is served",
    )

    def __init__(self, site: str, secret: str = "") -> None:
        super().__init__()
        self._log = AccessLog(site, secret)
        self.skipped = self._log.skipped

    def read(self, raw: bytes, mark: str) -> Adapted:
        """Read one line; see `Adapter.read`."""
        try:
            event = self._log.read_line(raw.decode("utf-8", "replace").rstrip("\r\n"), mark)
        except ValueError as error:
            raise RawError("malformed_line", str(error)) from None
        return [] if event is None else [("page-views", event)]
