"""Progress bars on the terminal (stderr); silent where nobody looks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from rich.progress import Progress

Unit = Literal["bytes", "events"]


class Bar:
    """One bar; `None` for the progress display: nobody looks."""

    def __init__(self, display: Progress | None, label: str, total: int | None, unit: Unit) -> None:
        self._display = display
        if display is not None:
            self._task = display.add_task(label, total=total, unit=unit)

    def advance(self, by: int) -> None:
        """Go on by so much."""
        if self._display is not None:
            self._display.advance(self._task, by)

    def reach(self, completed: int) -> None:
        """Be so far."""
        if self._display is not None:
            self._display.update(self._task, completed=completed)

    def set_total(self, total: int) -> None:
        """Say how much it is in all."""
        if self._display is not None:
            self._display.update(self._task, total=total)


class Bars:
    """Bars of one piece of work; a context manager.

    Parameters
    ----------
    wanted
        False: show nothing. Nothing is shown either where stderr is no terminal.
    """

    def __init__(self, wanted: bool = True) -> None:
        self._display: Progress | None = None
        if wanted and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self._display = Progress(
                TextColumn("{task.description:<10}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.completed:,.0f} {task.fields[unit]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()

    def start(self, label: str, total: int | None, unit: Unit) -> Bar:
        """Show another bar; `total` None: not known yet."""
        return Bar(self._display, label, total, unit)
