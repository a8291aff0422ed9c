"""The process between us and the broker's JVM: it ends the JVM and clears its folder, however we end.

Runs by its path in an isolated interpreter (nothing of ours is imported), in a session of its own, so that a
terminal's Ctrl-C ends the broker only by our word. It takes one JSON list a line and answers with one line:

=======================  =====================================================================
`["start", COMMAND...]`  starts the JVM; answers with its process id
`["signal", NUMBER]`     sends it a signal; answers `sent`
`["wait", SECONDS]`      waits for its end; answers its exit code (−N: signal N), or `running`
=======================  =====================================================================

The end of the input, or of the parent process, is the order to end: the JVM is killed and the folder removed
where that is temporary; where it stays, the JVM gets an orderly stop first.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

_ORDERLY_SECONDS = 10.0
_POLL_SECONDS = 0.02
_PARENT_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class Guard:
    """Holds one JVM at a time."""

    def __init__(self, remove: str | None) -> None:
        self._remove = remove
        self._parent = os.getppid()
        self._jvm: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        """Obey until the input or the parent ends, then clear up."""
        pending = b""
        try:
            while True:
                if not self._orders_within(_PARENT_POLL_SECONDS):
                    # A forked child of the parent may hold the pipe open after the parent's end.
                    if os.getppid() != self._parent:
                        return
                    continue
                read = os.read(0, 65536)
                if not read:
                    return
                *lines, pending = (pending + read).split(b"\n")
                for line in lines:
                    os.write(1, f"{self._answer(json.loads(line))}\n".encode())
        except BrokenPipeError:
            return
        finally:
            self._clear()

    def _answer(self, order: list[object]) -> str:
        match order:
            case ["start", *command]:
                self._jvm = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=sys.stderr,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                )
                return str(self._jvm.pid)
            case ["signal", int(number)] if self._jvm is not None:
                self._jvm.send_signal(number)
                return "sent"
            case ["wait", int() | float() as seconds] if self._jvm is not None:
                deadline = time.monotonic() + seconds
                while self._jvm.poll() is None and time.monotonic() < deadline:
                    if self._orders_within(_POLL_SECONDS):  # only the end of the input comes while we wait
                        break
                return "running" if self._jvm.returncode is None else str(self._jvm.returncode)
        return "unknown order"

    def _clear(self) -> None:
        jvm = self._jvm
        if jvm is not None and jvm.poll() is None:
            if self._remove is None:
                jvm.send_signal(signal.SIGCONT)
                jvm.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    jvm.wait(_ORDERLY_SECONDS)
            jvm.kill()
            jvm.wait()
        if self._remove is not None:
            shutil.rmtree(self._remove, ignore_errors=True)

    @staticmethod
    def _orders_within(seconds: float) -> bool:
        return bool(select.select([0], [], [], seconds)[0])


def _die_with_parent() -> None:
    """Let Linux kill the JVM where the guard itself is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    Guard(sys.argv[1] or None).serve()
