"""What one request to the collector comes to: records for the input topics, rejections, and what was left out.

The one shape between trackers and our events. Whatever a tracker says, a record gets its site from the key, its
address truncated, its URLs without secrets, identifiers hashed, and passes the same door as everybody's
(`schemas.decoding`). Who asks for privacy (Global Privacy Control) is nobody's customer here, and another visitor
tomorrow.
"""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from hashlib import blake2b, sha256
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from schemas.decoding import RejectedError, decode_input
from schemas.rejected_events import Reason, RejectedEvent
from schemas.timestamps import format_ms, parse_time
from streams.pseudonyms import normal_phone, truncate_ip
from streams.rejections import MAX_PAYLOAD_BYTES
from streams.settings import DAY_MS, MINUTE_MS
from streams.url_secrets import strip_secrets, strip_within

TOPICS: Final = ("page-views", "interactions", "orders", "identities")
"""What may be collected: the others are not for the open network."""
REJECTED: Final = "rejected-events"
SKEW_MS: Final = MINUTE_MS
"""A browser's clock that is wrong by no more is left alone, so that an event sent again has the same time."""
Skip: TypeAlias = Literal["gpc", "anonymous_traits", "order_line", "group", "alias", "screen", "other_type"]
SKIPS: Final = get_args(Skip)

_HASHED = re.compile(r"[0-9A-Fa-f]{64}")
_SAFE = ("Expected `", "Object missing required field `", "Integer value", "Number out of range")
_encode = msgspec.json.encode


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request beside its body; no raw address.

    Attributes
    ----------
    id
        Names the request; random.
    at_ms
        When it came (epoch ms).
    site
        Whose key it has.
    salt
        Of the day; see `day_salt`.
    network
        The client's address, truncated.
    user_agent
        Its User-Agent header.
    private
        Whether Global Privacy Control is on.
    keep_query
        Query parameters that belong to the page.
    """

    id: str
    at_ms: int
    site: str
    salt: bytes
    network: str | None = None
    user_agent: str | None = None
    private: bool = False
    keep_query: tuple[str, ...] = ()


class CollectedRecord(NamedTuple):
    """A record for a topic, keyed."""

    topic: str
    key: str
    value: bytes


def day_salt(secret: str, at_ms: int) -> bytes:
    """Key of a day's visitor ids (UTC): with another day's nobody can tell that two ids are one visitor.

    Who holds the secret can make it again; nobody else can.

    Examples
    --------
    >>> day_salt("a secret", 0) == day_salt("a secret", DAY_MS - 1), day_salt("a secret", DAY_MS).hex()[:8]
    (True, '4463d4a9')
    """
    key = blake2b(secret.encode("utf-8", "surrogatepass")).digest()
    return blake2b(b"culdesac day %d" % (at_ms // DAY_MS), key=key, digest_size=32).digest()


def day_visitor(received: Received, *parts: str) -> str:
    """Give an id (``d_…``) that holds for a day on a site.

    Examples
    --------
    >>> day_visitor(Received(id="r", at_ms=0, site="shop", salt=b"salt"), "192.0.2.0", "Firefox")[:2]
    'd_'
    """
    state = blake2b(key=received.salt, digest_size=16)
    for part in (received.site, *parts):
        encoded = part.encode("utf-8", "surrogatepass")
        state.update(b"%d:" % len(encoded) + encoded)
    return "d_" + urlsafe_b64encode(state.digest())[:22].decode("ascii")


def corrected_ms(occurred_at: Any, sent_at: Any, received_ms: int) -> int:
    """Event time by a browser's clock, put right where that is wrong by more than a minute.

    Parameters
    ----------
    occurred_at
        As the browser says, RFC 3339 or epoch milliseconds; None: when it was received.
    sent_at
        When it sent it, by the same clock; None or nonsense: unknown.
    received_ms
        When it came.

    Raises
    ------
    RejectedError
        `occurred_at` is no time.

    Examples
    --------
    >>> corrected_ms("1999-01-01T00:00:00Z", "1999-01-01T00:00:02Z", 1_772_362_800_000)
    1772362798000
    """
    if occurred_at is None:
        return received_ms
    try:
        occurred_ms = parse_time(occurred_at)
    except ValueError:
        raise RejectedError("schema_violation", "`timestamp` is no time") from None
    try:
        sent_ms = received_ms if sent_at is None else parse_time(sent_at)
    except ValueError:
        return occurred_ms
    if abs(received_ms - sent_ms) <= SKEW_MS:
        return occurred_ms
    return received_ms - max(sent_ms - occurred_ms, 0)


def safe_detail(error: Exception) -> str:
    """Say what is wrong without repeating a value, which may be personal."""
    text = str(error)
    return text if text.startswith(_SAFE) else "not as it is to be"


class Collected:
    """Gathers what one request comes to.

    Parameters
    ----------
    received
        What is known of the request.

    Attributes
    ----------
    records
        For the input topics.
    rejected
        For `rejected-events`.
    reasons
        Rejections by reason.
    details
        What was wrong with the first ones, without values.
    skipped
        What was left out because it says nothing that is read, or must not be kept, by reason.

    Examples
    --------
    >>> collected = Collected(Received(id="r", at_ms=7, site="shop", salt=b"s", network="192.0.2.0"))
    >>> fields = {"event_id": "e", "visitor_id": "v", "occurred_at": 7, "url": "https://shop.example/?pw=x"}
    >>> collected.add("page-views", fields, b"")
    >>> msgspec.json.decode(collected.records[0].value)["url"], collected.records[0].key
    ('https://shop.example/', 'v')
    """

    def __init__(self, received: Received) -> None:
        self.received = received
        self.records: list[CollectedRecord] = []
        self.rejected: list[CollectedRecord] = []
        self.reasons: Counter[Reason] = Counter()
        self.details: list[str] = []
        self.skipped: Counter[Skip] = Counter()

    def skip(self, reason: Skip) -> None:
        """Count what is left out."""
        self.skipped[reason] += 1

    def add(self, topic: str, fields: dict[str, Any], payload: bytes) -> None:
        """Take one record, or reject it.

        Parameters
        ----------
        topic
            One of `TOPICS`; another is rejected.
        fields
            Of the record; those that are None are left out.
        payload
            What it was made of: what a rejection shows.
        """
        if topic not in TOPICS:
            self.reject("unknown_topic", "no topic that is collected", payload)
            return
        if topic == "identities" and self.received.private:
            self.skip("gpc")
            return
        finished = self._finished(topic, fields)
        try:
            value = _encode(finished)
            decode_input(topic, value)
        except RejectedError as error:
            self.reject(error.reason, error.detail, payload)
        except (ValueError, TypeError, RecursionError):
            self.reject("schema_violation", "can't be written as JSON", payload)
        else:
            key = finished["order_id"] if topic == "orders" else finished.get("visitor_id")
            self.records.append(CollectedRecord(topic, key or finished.get("customer_id") or "", value))

    def reject(self, reason: Reason, detail: str, payload: bytes) -> None:
        """Write down what can't be used; of who asked for privacy only that there was something."""
        number = len(self.rejected)
        id_ = f"collector/{self.received.id}/{number}"
        shown = None if self.received.private else b64encode(payload[:MAX_PAYLOAD_BYTES]).decode()
        event = RejectedEvent(
            id=id_,
            reason=reason,
            detail=detail[:500],
            topic="collector",
            payload=shown,
            rejected_at=format_ms(self.received.at_ms),
        )
        self.rejected.append(CollectedRecord(REJECTED, id_, _encode(event)))
        self.reasons[reason] += 1
        if len(self.details) < 5:
            self.details.append(f"{reason}: {detail[:200]}")

    def _finished(self, topic: str, fields: dict[str, Any]) -> dict[str, Any]:
        received = self.received
        keep = received.keep_query
        done = {name: value for name, value in fields.items() if value is not None}
        done["site"] = received.site
        for name in ("url", "referrer"):
            if isinstance(done.get(name), str):
                done[name] = strip_secrets(done[name], keep)
        for name in ("properties", "traits"):
            if name in done:
                done[name] = strip_within(done[name], keep)
        if topic in ("page-views", "interactions") and received.user_agent:
            done.setdefault("user_agent", received.user_agent)
        if topic == "page-views":
            said = done.pop("ip", None)
            network = received.network or (truncate_ip(said) if isinstance(said, str) else None)
            if network is not None:
                done["ip"] = network
        if isinstance(done.get("identifiers"), dict):
            done["identifiers"] = _hashed(done["identifiers"])
        if received.private:
            for name in ("customer_id", "identifiers", "ip", "traits"):
                done.pop(name, None)
            if isinstance(done.get("visitor_id"), str) and not done["visitor_id"].startswith("d_"):
                done["visitor_id"] = day_visitor(received, done["visitor_id"])
        return done


def _hashed(identifiers: dict[str, Any]) -> dict[str, Any]:
    """Hash plain identifiers in their normal form, as `streams.pseudonyms` would: Kafka holds no e-mail address."""
    done = dict(identifiers)
    for kind in ("email", "phone", "loyalty"):
        value = done.get(kind)
        if isinstance(value, str) and not _HASHED.fullmatch(value.strip()):
            text = value.strip()
            normal = text.lower() if kind == "email" else normal_phone(text) if kind == "phone" else text
            done[kind] = sha256(normal.encode("utf-8", "surrogatepass")).hexdigest() if normal else None
    return done
