"""A journal of results: what was found once by the same code is not looked for again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

import streams
from tests.benchmarks.truth.experiments import EXPERIMENTS
from tests.benchmarks.truth.grids import Asked
from tests.benchmarks.truth.verdicts import Figures


class JournalError(Exception):
    """A journal that is none; the message says where."""


class Journal:
    """Results by what was asked, in a file of JSON lines if one is given.

    They stand for the code of `streams/` that they were found with: others are kept and not used. What has changed
    in an experiment itself nobody checks.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._code = code_name()
        self._known: dict[str, Figures] = {}
        lines: list[str] = []
        if path is not None:
            path.touch()  # where nothing can be kept is seen before the first hour is spent
            lines = path.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                asked, figures = json.loads(line)
                self._known[asked] = figures
            except (ValueError, TypeError) as error:
                raise JournalError(f"{path}, line {number}: not a result of this benchmark") from error

    def find(self, asked: Iterable[Asked], jobs: int = 1) -> Iterator[Figures]:
        """Yield the results in order, and write down each that was not known as soon as it is there.

        Parameters
        ----------
        asked
            What to find out.
        jobs
            How many processes to do it with.
        """
        asked = list(asked)
        missing = [one for one in dict.fromkeys(asked) if self._name(one) not in self._known]
        if jobs > 1 and len(missing) > 1:
            # Started anew: a copy of this process would have the locks of its threads, and not the threads.
            with get_context("spawn").Pool(min(jobs, len(missing))) as pool:
                yield from self._in_order(asked, pool.imap(found, missing))
        else:
            yield from self._in_order(asked, map(found, missing))

    def _in_order(self, asked: Iterable[Asked], results: Iterator[Figures]) -> Iterator[Figures]:
        for one in asked:
            name = self._name(one)
            if name not in self._known:
                self._known[name] = next(results)
                if self._path is not None:
                    with self._path.open("a") as file:
                        file.write(json.dumps([name, self._known[name]]) + "\n")
            yield self._known[name]

    def _name(self, asked: Asked) -> str:
        return f"{asked.name} seed={asked.seed} rate={asked.rate:g} sigma={asked.sigma:g} {self._code}"


def found(asked: Asked) -> Figures:
    """Find one result; as JSON would give it back."""
    figures = EXPERIMENTS[asked.name].find(asked.seed, asked.rate, asked.sigma)
    given: Figures = json.loads(json.dumps(figures))
    return given


def code_name() -> str:
    """Name what is measured: a hash of all files of `streams/`."""
    digest = blake2b(digest_size=6)
    folder = Path(streams.__path__[0])
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
