"""How a client gets into a Kafka that wants TLS or credentials: one value, in each library's own arguments."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.settings import SettingsError, WorkerSettings

MOST_PASSWORD_BYTES = 4_096
"""A longer file holds something else than a password."""


@dataclass(frozen=True)
class Security:
    """What a client shows the broker, and asks of it. Its text holds no password.

    Attributes
    ----------
    protocol
        As Kafka names them: ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``.
    tls
        What is asked of the broker's certificate, and our own; None without TLS.
    mechanism, username, password
        Of SASL; None without.
    """

    protocol: str = "PLAINTEXT"
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def arguments(self) -> dict[str, Any]:
        """Arguments of a client of aiokafka or of kafka-python, which name them alike.

        Examples
        --------
        >>> Security().arguments()
        {'security_protocol': 'PLAINTEXT'}
        """
        arguments: dict[str, Any] = {"security_protocol": self.protocol}
        if self.tls is not None:
            arguments["ssl_context"] = self.tls
        if self.mechanism is not None:
            arguments["sasl_mechanism"] = self.mechanism
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password
        return arguments

    def credentials(self) -> Any:
        """Faust's ``broker_credentials``; None where the broker asks for nothing.

        Examples
        --------
        >>> Security("SASL_PLAINTEXT", None, "PLAIN", "ann", "hush").credentials()
        <SASLCredentials: username=ann>
        """
        # Faust takes a second to import, and most who open a client do not run it.
        from faust.auth import SASLCredentials, SSLCredentials

        if self.mechanism is not None:
            return SASLCredentials(
                username=self.username,
                password=self.password,
                ssl_context=self.tls,
                mechanism=self.mechanism,
            )
        return None if self.tls is None else SSLCredentials(self.tls)


OPEN = Security()
"""A broker that asks for nothing."""


def security_of(settings: WorkerSettings) -> Security:
    """Read what the settings say about TLS and credentials, with the files that they name.

    Raises
    ------
    SettingsError
        Settings do not go together, or a file can't be read or holds something else.

    Examples
    --------
    >>> security_of(WorkerSettings(sasl_username="ann"))
    Traceback (most recent call last):
        ...
    agents.settings.SettingsError: sasl_username: security_protocol PLAINTEXT has no use for it: set ...
    """
    protocol = settings.security_protocol
    with_tls, with_sasl = protocol.endswith("SSL"), protocol.startswith("SASL")
    _refuse_useless(settings, with_tls, with_sasl)
    tls = _tls(settings) if with_tls else None
    if not with_sasl:
        return Security(protocol, tls)
    if settings.sasl_mechanism is None:
        raise SettingsError(f"sasl_mechanism: {protocol} needs one: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN")
    if settings.sasl_username is None:
        raise SettingsError(f"sasl_username: {protocol} needs one")
    if settings.sasl_password is not None:
        password = settings.sasl_password
    elif settings.sasl_password_file is not None:
        password = _password(settings.sasl_password_file)
    else:
        raise SettingsError(f"sasl_password: {protocol} needs one, or a sasl_password_file that holds it")
    return Security(protocol, tls, settings.sasl_mechanism, settings.sasl_username, password)


def _refuse_useless(settings: WorkerSettings, with_tls: bool, with_sasl: bool) -> None:
    """Refuse what would be left out in silence: who sets a password believes that it protects something."""
    protocol = settings.security_protocol
    names = [] if with_sasl else ["sasl_mechanism", "sasl_username", "sasl_password", "sasl_password_file"]
    wanted = "SASL_SSL"
    for name in names:
        if getattr(settings, name) is not None:
            raise SettingsError(f"{name}: security_protocol {protocol} has no use for it: set it to {wanted}")
    names = [] if with_tls else ["ssl_ca_file", "ssl_certificate_file", "ssl_key_file"]
    wanted = "SASL_SSL" if with_sasl else "SSL"
    for name in names:
        if getattr(settings, name) is not None:
            raise SettingsError(f"{name}: security_protocol {protocol} has no use for it: set it to {wanted}")


def _tls(settings: WorkerSettings) -> ssl.SSLContext:
    authority, certificate, key = settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file
    if authority is not None:
        _readable("ssl_ca_file", authority)
    try:
        context = ssl.create_default_context(cafile=authority)
    except ssl.SSLError:
        raise SettingsError(f"ssl_ca_file: {authority}: holds no certificate: write PEM into it") from None
    context.check_hostname = settings.ssl_check_hostname
    if certificate is None:
        if key is not None:
            raise SettingsError("ssl_key_file: is of no use without an ssl_certificate_file")
        return context
    _readable("ssl_certificate_file", certificate)
    if key is not None:
        _readable("ssl_key_file", key)
    try:
        # A key that wants a pass phrase would ask the terminal for it.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, ValueError):
        place = certificate if key is None else f"{certificate} and {key}"
        raise SettingsError(
            f"ssl_certificate_file: {place}: are no certificate (PEM) and its key without a pass phrase"
        ) from None
    return context


def _readable(name: str, file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as error:
        raise SettingsError(f"{name}: {file}: {error.strerror}: name one that can be read") from None


def _password(file: Path) -> str:
    _readable("sasl_password_file", file)
    try:
        password = file.read_bytes()[: MOST_PASSWORD_BYTES + 1].decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"sasl_password_file: {file}: is no text: write the password into it") from None
    if not password or len(password) > MOST_PASSWORD_BYTES or "\n" in password:
        raise SettingsError(f"sasl_password_file: {file}: write the password into it, as one line")
    return password
