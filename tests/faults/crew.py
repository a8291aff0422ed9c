"""Workers under a supervisor, as an operator would run them: what exits is started again, until it is let go."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.agents.lives import Life
from tests.faults.switches import CLOCK

NAMED_EXITS = frozenset({2, *range(70, 80)})
"""What a worker may end with by itself: each says why in one line. -9 is ours."""
ASKED = frozenset({0, -signal.SIGTERM})
"""What it may end with after SIGTERM; the second when it has not begun yet."""


@dataclass
class Exit:
    """How a life ended; `asked` if we had told it to."""

    name: str
    code: int
    asked: bool


@dataclass
class Post:
    """A worker's place: one folder, one log, many lives.

    Attributes
    ----------
    environment, coming
        Switches of all lives; further ones of the next lives, one each.
    wanted
        Whether to start it again when it ends.
    asked
        Whether this life was asked to end.
    lives
        How many have ended.
    takeovers
        How often those had taken partitions over.
    """

    name: str
    directory: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    coming: deque[dict[str, str]] = field(default_factory=deque)
    process: Life | None = None
    wanted: bool = True
    asked: bool = False
    lives: int = 0
    takeovers: int = 0

    @property
    def clock(self) -> Path:
        """File that shifts the worker's clock."""
        return self.directory.with_suffix(".clock")

    def said(self) -> str:
        """What its lives wrote to their log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Crew:
    """Some workers, and the supervisor that restarts what exits.

    Parameters
    ----------
    directory
        Of their data and logs.
    environment
        Settings of all of them.
    on_exit
        Called by the supervisor before it starts one again.
    """

    def __init__(
        self, directory: Path, environment: dict[str, str], on_exit: Callable[[Post], None] = lambda _: None
    ) -> None:
        self.exits: list[Exit] = []
        self.posts: dict[str, Post] = {}
        self._directory = directory
        self._environment = environment
        self._on_exit = on_exit
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def hire(self, name: str, **environment: str) -> Post:
        """Start another worker, or one that was let go, with the folder that it left."""
        with self._lock:
            post = self.posts.get(name)
            if post is None:
                directory = self._directory / name
                post = Post(name, directory, self._directory / f"{name}.log")
                self.posts[name] = post
            post.environment |= environment
            post.wanted = True
            if post.process is None:
                self._start(post)
            return post

    def working(self) -> list[Post]:
        """Those that are not let go, in the order of their names."""
        return [post for _, post in sorted(self.posts.items()) if post.wanted]

    def kill(self, post: Post) -> None:
        """Kill -9; the supervisor starts it again."""
        self._signal(post, signal.SIGKILL)

    def terminate(self, post: Post) -> None:
        """SIGTERM, and wait for its end; the supervisor starts it again if it is wanted."""
        with self._lock:
            lives, post.asked = post.lives, True
            self._signal(post, signal.SIGTERM)
        self.wait_for_end(post, lives)

    def dismiss(self, post: Post, *, kindly: bool) -> None:
        """End it by SIGTERM or kill -9, and do not start it again."""
        post.wanted = False
        if kindly:
            self.terminate(post)
        else:
            lives = post.lives
            self.kill(post)
            self.wait_for_end(post, lives)

    def freeze(self, post: Post) -> None:
        """SIGSTOP."""
        self._signal(post, signal.SIGSTOP)

    def thaw(self, post: Post) -> None:
        """SIGCONT."""
        self._signal(post, signal.SIGCONT)

    def lose_disk(self, post: Post) -> None:
        """Kill it and remove its folder before it starts again."""
        with self._lock:
            self.kill(post)
            if post.process is not None:
                post.process.wait()
            shutil.rmtree(post.directory, ignore_errors=True)

    def set_clock(self, post: Post, seconds: float) -> None:
        """Shift the wall clock of a worker."""
        scratch = post.clock.with_suffix(".new")
        scratch.write_text(str(seconds))
        scratch.replace(post.clock)

    def wait_for_end(self, post: Post, lives: int, seconds: float = 60.0) -> None:
        """Until more than so many of its lives have ended.

        Raises
        ------
        AssertionError
            They do not in time.
        """
        limit = time.monotonic() + seconds
        while post.lives <= lives:
            assert time.monotonic() < limit, f"{post.name} lives on after {seconds:.0f} s\n{self.logs()}"
            time.sleep(0.02)

    def wait_until_ready(self, post: Post, seconds: float = 60.0) -> None:
        """Until the present life has taken over partitions."""
        limit = time.monotonic() + seconds
        while post.said().count("took over") <= post.takeovers:
            assert time.monotonic() < limit, f"{post.name} takes nothing over\n{self.logs()}"
            time.sleep(0.05)

    def unnamed_exits(self) -> list[Exit]:
        """Ends that no rule allows."""
        return [
            end
            for end in self.exits
            if not (
                end.code in NAMED_EXITS or end.code == -signal.SIGKILL or (end.asked and end.code in ASKED)
            )
        ]

    def logs(self) -> str:
        """End of the workers' logs."""
        return "\n".join(f"--- {post.name}\n{post.said()[-5000:]}" for post in self.posts.values())

    def close(self) -> None:
        """Kill all."""
        self._ending.set()
        self._supervisor.join()
        for post in self.posts.values():
            if post.process is not None:
                post.process.kill()
                post.process.wait()

    def _signal(self, post: Post, number: signal.Signals) -> None:
        with self._lock:
            if post.process is not None:
                post.process.send_signal(number)

    def _start(self, post: Post) -> None:
        environment = self._environment | post.environment | (post.coming.popleft() if post.coming else {})
        environment |= {"CULDESAC_DATA_DIR": str(post.directory), CLOCK: str(post.clock)}
        post.asked, post.takeovers = False, post.said().count("took over")
        post.process = Life(environment, post.log)

    def _supervise(self) -> None:
        while not self._ending.wait(0.02):
            with self._lock:
                for post in self.posts.values():
                    if post.process is None or (code := post.process.poll()) is None:
                        continue
                    self.exits.append(Exit(post.name, code, post.asked))
                    post.process = None
                    post.lives += 1
                    if post.wanted:
                        self._on_exit(post)
                        self._start(post)
