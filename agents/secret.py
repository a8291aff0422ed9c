"""The secret behind the pseudonyms: given, or made once and kept beside the state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from agents.settings import SECRET_CHARACTERS, SettingsError, WorkerSettings


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
