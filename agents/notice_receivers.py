"""Receivers: who is told, by which way, and what their answer means."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import smtplib
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import ClassVar, Literal, TypeAlias

import aiohttp
import msgspec

from agents.notices import alertmanager_body, mail, notice_id, slack_body, webhook_body
from schemas.dead_end_alerts import DeadEndAlert

ATTEMPT_S = 15.0
"""One attempt takes no longer: a receiver that hangs is one that is down."""
AGAIN = frozenset({408, 425, 429})
"""Of the 4xx those that say "not now"; the others say "never"."""
MAX_AFTER_S = 3_600.0
"""A receiver that asks for a longer pause is asked again after this."""


class Delivered(msgspec.Struct, frozen=True):
    """It has arrived."""


class Failed(msgspec.Struct, frozen=True):
    """It has not.

    Attributes
    ----------
    why
        In a few words, without address, token or text of the receiver's.
    final
        Whether another attempt would be in vain.
    after_s
        Pause that the receiver asks for.
    """

    why: str
    final: bool = False
    after_s: float | None = None


Answer: TypeAlias = Delivered | Failed


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that is posted to.

    Attributes
    ----------
    form
        ``webhook``: our JSON, signed; ``slack``: a message with blocks; ``alertmanager``: `url` is that of
        Alertmanager itself.
    secret
        Key of the signature; the first of the two while it is changed.
    """

    name: str
    url: str
    form: Literal["webhook", "slack", "alertmanager"] = "webhook"
    secret: bytes | None = None
    board: str | None = None
    _BODIES: ClassVar = {"webhook": webhook_body, "slack": slack_body, "alertmanager": alertmanager_body}

    async def tell(self, session: aiohttp.ClientSession, alert: DeadEndAlert) -> Answer:
        """Post it once."""
        body = self._BODIES[self.form](alert, self.board)
        headers = {"Content-Type": "application/json", "User-Agent": "culdesac-notify"}
        if self.form == "webhook":
            headers |= signature(notice_id(alert), int(time.time()), body, self.secret)
        url = self.url.rstrip("/") + "/api/v2/alerts" if self.form == "alertmanager" else self.url
        try:
            # Who is sent elsewhere by a redirect might sign for somebody else.
            async with session.post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=ATTEMPT_S),
            ) as response:
                return _read(response.status, response.headers)
        except TimeoutError:
            return Failed(f"no answer within {ATTEMPT_S:.0f} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Failed(type(error).__name__)


class Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is written to by SMTP.

    Attributes
    ----------
    security
        ``starttls``; ``tls`` from the first byte on; or ``none``, for a relay of one's own.
    """

    name: str
    to: list[str]
    sender: str
    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    board: str | None = None

    async def tell(self, session: aiohttp.ClientSession, alert: DeadEndAlert) -> Answer:
        """Send it once."""
        try:
            # A server that drips byte by byte would hold the thread on; nobody waits for it.
            return await asyncio.wait_for(asyncio.to_thread(self._send, alert), ATTEMPT_S)
        except TimeoutError:
            return Failed(f"no answer within {ATTEMPT_S:.0f} s")

    def connect(self, timeout_s: float) -> smtplib.SMTP:
        """Connect, encrypt and log in, as far as the settings say.

        Raises
        ------
        OSError, smtplib.SMTPException
            It can't be reached, its certificate is no good, or it lets nobody in so.
        """
        context = ssl.create_default_context() if self.security != "none" else None
        smtp = (
            smtplib.SMTP_SSL(self.host, self.port, timeout=timeout_s, context=context)
            if self.security == "tls"
            else smtplib.SMTP(self.host, self.port, timeout=timeout_s)
        )
        try:
            if self.security == "starttls":
                smtp.starttls(context=context)
            if self.username is not None:
                smtp.login(self.username, self.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _send(self, alert: DeadEndAlert) -> Answer:
        try:
            with self.connect(ATTEMPT_S) as smtp:
                smtp.send_message(mail(alert, self.board, self.sender, self.to))
        except smtplib.SMTPRecipientsRefused as error:
            code = max((code for code, _ in error.recipients.values()), default=0)
            return Failed(f"SMTP {code}: no recipient is taken", final=code >= 500)
        except smtplib.SMTPResponseException as error:
            return Failed(f"SMTP {error.smtp_code}", final=error.smtp_code >= 500)
        except (smtplib.SMTPException, OSError) as error:
            return Failed(type(error).__name__)
        return Delivered()


Receiver: TypeAlias = Webhook | Mailbox


def signature(name: str, at_s: int, body: bytes, secret: bytes | None) -> dict[str, str]:
    """Give the headers of a signed webhook, as the Standard Webhooks specification has them.

    What is signed holds the id and the time, so an old post can't be passed on as a new one: a receiver refuses
    what is older than some minutes, and an id that it has seen.

    Parameters
    ----------
    name
        Id of the notice.
    at_s
        Time of this attempt (s since 1970).
    body
        What is posted.
    secret
        Key of the HMAC-SHA256; None: nothing is signed.

    Examples
    --------
    That of the specification's own libraries:

    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> headers = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', key)
    >>> headers["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    headers = {"webhook-id": name, "webhook-timestamp": str(at_s)}
    if secret is not None:
        digest = hmac.digest(secret, f"{name}.{at_s}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _read(status: int, headers: Mapping[str, str]) -> Answer:
    if 200 <= status < 300:
        return Delivered()
    final = 300 <= status < 500 and status not in AGAIN
    return Failed(f"HTTP {status}", final=final, after_s=_pause(headers.get("Retry-After")))


def _pause(text: str | None) -> float | None:
    """Read a pause: seconds, or a date."""
    if text is None:
        return None
    try:
        seconds = (
            float(text) if text.strip().isdecimal() else parsedate_to_datetime(text).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), MAX_AFTER_S)
