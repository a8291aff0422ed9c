"""A child process that never outlives us: our side of `broker_guard`."""

import contextlib
import fcntl
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from agents import broker_guard


class GuardGoneError(Exception):
    """The guard process was killed; Linux kills what it guarded, too."""


class GuardedProcess:
    """One child at a time, in its folder; both end with us, also by a kill -9 of ours.

    Parameters
    ----------
    folder
        The child's working directory.
    log
        The file that the child's output is appended to.
    temporary
        Whether `folder` is removed at the end.

    Raises
    ------
    BlockingIOError
        When another child lives in `folder`.
    OSError
        When the guard cannot be started or the log cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> child = GuardedProcess(folder, folder / "log", temporary=True)
    >>> _ = child.start(sys.executable, "-c", "raise SystemExit(3)")
    >>> child.wait(10)
    3
    >>> child.close()
    >>> folder.exists()
    False
    """

    def __init__(self, folder: Path, log: Path, *, temporary: bool) -> None:
        self._lent = folder if temporary else None
        guard = [sys.executable, "-I", "-S", broker_guard.__file__, str(self._lent or "")]
        with log.open("ab") as output, (folder / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._guard = subprocess.Popen(
                guard,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=folder,
                start_new_session=True,
                pass_fds=[lock.fileno()],  # locked for as long as the guard lives
            )

    def start(self, *command: str) -> int:
        """Start the child, and give its process id; raises `GuardGoneError`."""
        return int(self._ask("start", *command))

    def signal(self, number: signal.Signals) -> None:
        """Send the child a signal (nothing happens when it has ended); raises `GuardGoneError`."""
        self._ask("signal", number)

    def wait(self, seconds: float) -> int | None:
        """Wait up to `seconds` for the child's end.

        Returns
        -------
        int or None
            Its exit code, −N when signal N ended it, and −9 when the guard is gone; None while it runs.
        """
        try:
            answer = self._ask("wait", seconds)
        except GuardGoneError:
            return -signal.SIGKILL
        return None if answer == "running" else int(answer)

    def close(self) -> None:
        """End the child and the guard, and remove a temporary folder; may be called again."""
        for pipe in (self._guard.stdin, self._guard.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._guard.wait()
        if self._lent is not None:  # the guard did this, unless it was killed
            shutil.rmtree(self._lent, ignore_errors=True)

    def _ask(self, *order: str | float) -> str:
        orders, answers = self._guard.stdin, self._guard.stdout
        answer = b""
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed
            if orders is not None and answers is not None:
                orders.write(json.dumps(order).encode() + b"\n")
                orders.flush()
                answer = answers.readline()
        if not answer:
            raise GuardGoneError("the process that guards the child was killed")
        return answer.decode().strip()
