"""The secret behind the pseudonyms: given, or made once and kept beside the state; one for a whole deployment."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from agents.security import security_of
from agents.settings import SECRET_CHARACTERS, SettingsError, WorkerSettings
from agents.topics import NoKafkaError
from schemas.secret_claims import SecretClaim

CLAIMS = "secret-claims"
CLAIM_S = 30.0
"""How long Kafka may take to take a claim."""


def load_secret(settings: WorkerSettings) -> tuple[str, str | None]:
    """Give the key of the pseudonyms, and a line to show if it was made just now.

    It is `settings.secret`, or what stands in `settings.secret_file`, or in ``secret`` in the data folder; if
    there is none, a random one is made there, that only its owner can read. Two that start at the same time
    agree on one.

    Raises
    ------
    SettingsError
        The file can't be read or written, or holds less than 16 characters.
    """
    if settings.secret is not None:
        return settings.secret, None
    if settings.secret_file is not None:
        return _read(settings.secret_file), None
    file = settings.data_dir / "secret"
    try:
        if file.exists():
            return _read(file), None
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        made = file.with_name(f".secret-{os.getpid()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(32))
        try:
            # A link fails where a name is taken; a rename would replace what another has read already.
            os.link(made, file)
        except FileExistsError:
            return _read(file), None
        finally:
            made.unlink()
    except OSError as error:
        raise SettingsError(
            f"{file}: {error.strerror}: set data_dir to a folder that can be written, or name a secret_file"
        ) from None
    return _read(file), f"Made a secret for pseudonyms in {file}: keep it, or visitors get new ids."


def claim_secret(settings: WorkerSettings, secret: str) -> None:
    """Make sure that all workers of a deployment have one secret, also those that start at the same time.

    Each says a fingerprint of its secret in a topic, if none stands there yet, and reads what stands first: a
    partition has one order for all. The fingerprint is slow to compute (50 ms), so that nobody guesses a secret
    by it.

    Parameters
    ----------
    settings
        Where; the topic must be there.
    secret
        This worker's.

    Raises
    ------
    SettingsError
        Another secret was there first.
    NoKafkaError
        Kafka does not answer.
    """
    mine = SecretClaim(fingerprint=fingerprint(secret))
    try:
        first = _first_claim(settings)
        if first is None:
            producer = KafkaProducer(
                bootstrap_servers=settings.kafka.split(","), acks="all", **security_of(settings).arguments()
            )
            try:
                value = msgspec.json.encode(mine)
                producer.send(settings.topic_prefix + CLAIMS, value, partition=0).get(CLAIM_S)
            finally:
                producer.close()
            first = _first_claim(settings)
    except KafkaError as error:
        raise NoKafkaError(f"{settings.kafka}: Kafka does not answer ({type(error).__name__})") from None
    if first is not None and first != mine:
        raise SettingsError(
            f"secret: other workers of {settings.app_id} have another one: set CULDESAC_SECRET (or …_FILE) to it"
        )


def fingerprint(secret: str) -> str:
    """Tell secrets apart without telling them: scrypt with a salt of ours (Percival, 2009).

    Examples
    --------
    >>> fingerprint("not a secret, this is a test")
    '760a06d1f73bd88643c03df11d6ef961'
    """
    salt = b"culdesac secret fingerprint"
    return hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=16).hex()


def _first_claim(settings: WorkerSettings) -> SecretClaim | None:
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.split(","), **security_of(settings).arguments())
    try:
        tp = TopicPartition(settings.topic_prefix + CLAIMS, 0)
        consumer.assign([tp])
        consumer.seek_to_beginning(tp)
        end = consumer.end_offsets([tp])[tp]
        while consumer.position(tp) < end:
            for records in consumer.poll(timeout_ms=1_000, max_records=1).values():
                return msgspec.json.decode(records[0].value, type=SecretClaim)
        return None
    except msgspec.MsgspecError as error:
        raise SettingsError(
            f"{tp.topic}: can't be read ({error}): does something else write to it?"
        ) from None
    finally:
        consumer.close()


def makes_secret(settings: WorkerSettings) -> bool:
    """Whether `load_secret` would make a new secret."""
    return (
        settings.secret is None
        and settings.secret_file is None
        and not (settings.data_dir / "secret").exists()
    )


def _read(file: Path) -> str:
    try:
        secret = file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"secret_file: {file}: {error.strerror}: name one that can be read") from None
    except UnicodeDecodeError:
        raise SettingsError(f"secret_file: {file}: is not text: write letters and digits into it") from None
    if len(secret) < SECRET_CHARACTERS:
        raise SettingsError(f"secret_file: {file}: write at least {SECRET_CHARACTERS} characters into it")
    return secret
