"""Drift detectors as rivals: River's ADWIN and Page-Hinkley, one a page, with their defaults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from river.drift import ADWIN, PageHinkley

from tests.benchmarks.truth.habits import DAY
from tests.benchmarks.truth.played import Said
from tests.benchmarks.truth.rivals import LABELLED_AFTER, Alerts
from tests.benchmarks.truth.views import Ints, Views
from tests.benchmarks.truth.worlds import World


class DriftDetectors:
    """A drift detector a page, fed with its stalls one by one.

    An alert opens where the detector says that stalls have risen, and is over where it says that they have fallen,
    or a day later: it may have missed that, and nobody would hear of the page again.

    Parameters
    ----------
    make
        Makes the detector of a page: it takes a stall (0 or 1) and says whether they have risen (1), fallen (−1)
        or neither (0).
    """

    def __init__(self, world: World, name: str, make: Callable[[], Callable[[int], int]]) -> None:
        self._alerts = Alerts(world, name)
        self._pages: defaultdict[int, Callable[[int], int]] = defaultdict(make)
        self._over_at: dict[int, int] = {}

    def hour(self, hour: int, views: Views) -> Iterator[Said]:
        """Look at each view."""
        columns: tuple[Ints, ...] = (views.minute, views.page, views.stalled)
        for minute, page, stalled in zip(*(column.tolist() for column in columns), strict=True):
            moved, at = self._pages[page](stalled), minute + LABELLED_AFTER
            if moved < 0 or self._over_at.get(page, at) < at:
                self._over_at.pop(page, None)
                yield from self._alerts.close(page, at)
            if moved > 0:
                self._over_at.setdefault(page, at + DAY)
                yield from self._alerts.open(page, at)


class _Detector(Protocol):
    @property
    def drift_detected(self) -> bool: ...

    def update(self, x: float) -> object: ...


class _Window(_Detector, Protocol):
    @property
    def estimation(self) -> float: ...


# River's methods have no types: these names say what is used of them.
_WINDOW: Callable[[], _Window] = ADWIN
_UP: Callable[[], _Detector] = partial(PageHinkley, mode="up")
_DOWN: Callable[[], _Detector] = partial(PageHinkley, mode="down")


def adwin() -> Callable[[int], int]:
    """River's ADWIN with its defaults; the mean of its window says which way it went."""
    detector = _WINDOW()

    def update(stalled: int) -> int:
        before = detector.estimation
        detector.update(stalled)
        if not detector.drift_detected:
            return 0
        return 1 if detector.estimation > before else -1

    return update


def page_hinkley() -> Callable[[int], int]:
    """River's Page-Hinkley with its defaults, one that looks up and one that looks down."""
    up, down = _UP(), _DOWN()

    def update(stalled: int) -> int:
        up.update(stalled)
        down.update(stalled)
        return int(up.drift_detected) - int(down.drift_detected)

    return update
