"""Beginnings: commented files to start from. Those of `deploy/` are made by ``python -m agents.beginnings``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

import tomli_w

from agents.notify_settings import load_notify_settings
from agents.settings import SettingsError, load_settings

FILES: Final = Path(__file__).parent / "beginning_files"
SETTINGS, NOTIFY = "settings.full.toml", "notify.toml"
_SETTING = re.compile(r"(\w+) = .*")


def write_settings(
    file: Path, site: str | None, kafka: str | None, notify_file: Path | None, force: bool
) -> list[str]:
    """Write a file of settings, and give lines that say how to go on.

    Parameters
    ----------
    file
        Holds every setting, explained; those that were not given stand there as comments, with their defaults.
    site, kafka
        Given ones.
    notify_file
        File of receivers and routes, if one is wanted.
    force
        Whether files that are there may be written anew.

    Raises
    ------
    SettingsError
        A value can't be used, or a file is there, or can't be written.
    """
    given = {name: value for name, value in {"kafka": kafka, "site": site}.items() if value is not None}
    text = beginning(given)
    for there in (file, notify_file):
        if there is not None and there.exists() and not force:
            raise SettingsError(f"{there}: is there already: name another, or add --force to write it anew")
    # A bad value is refused before anything is written.
    load_settings(None, {}, **{name: value for name, value in given.items() if name == "kafka"})
    try:
        file.write_text(text, encoding="utf-8")
        load_settings(file, {})
        if notify_file is not None:
            shutil.copyfile(FILES / NOTIFY, notify_file)
            load_notify_settings(notify_file)
    except OSError as error:
        raise SettingsError(f"{error.filename}: can't be written ({error.strerror})") from None
    told = [f"Wrote {file}. Read it, then:"]
    options = f"--settings {file}"
    told += [
        f"  culdesac doctor {options}",
        f"  culdesac topics --create {options}",
        f"  culdesac worker {options}",
    ]
    if notify_file is not None:
        told += [
            f"Wrote {notify_file}. Name your receivers there, then:",
            f"  culdesac notify {notify_file} --trial",
        ]
    return told


def beginning(given: dict[str, str]) -> str:
    """Give the text of a file of settings in which only given ones hold.

    Parameters
    ----------
    given
        Name to value.

    Examples
    --------
    >>> lines = beginning({"site": "shop.example"}).splitlines()
    >>> [line for line in lines if line and not line.startswith("#")]
    ['[worker]', '[streams]', 'site = "shop.example"', '[collect]', '[board]']
    >>> '#gap = "30m"' in lines
    True
    """
    lines = []
    for line in (FILES / SETTINGS).read_text(encoding="utf-8").splitlines():
        setting = _SETTING.fullmatch(line)
        if setting is None:
            lines.append(line)
        elif setting[1] in given:
            lines.append(tomli_w.dumps({setting[1]: given[setting[1]]}).rstrip())
        else:
            lines.append(f"#{line}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write those of `deploy/` anew."""
    for name in (SETTINGS, NOTIFY):
        shutil.copyfile(FILES / name, Path(__file__).parents[1] / "deploy" / name)


if __name__ == "__main__":
    main()
