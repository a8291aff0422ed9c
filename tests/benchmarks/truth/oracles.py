"""An oracle: what nobody can know but who made the shop, to see how soon a fault can be told at all.

It knows of every view by which probability it ends the visit where nothing is broken, by how many points a fault
moves that, how much pages vary from hour to hour, and at once and for certain who has left: all but which page
breaks when, and the noise of the hour. It is Page's (1954) CUSUM of the logarithm of the likelihood ratio; none is
quicker at the same rate of false alerts (Moustakides, 1986, *Optimal Stopping Times for Detecting Changes in
Distributions*). The noise is integrated out of an hour's views (Gauss and Hermite's quadrature). Whoever has to
learn what is usual, and to wait for labels, is slower.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.benchmarks.truth.played import Said
from tests.benchmarks.truth.rivals import Alerts
from tests.benchmarks.truth.views import Floats, Views
from tests.benchmarks.truth.worlds import World

ORACLE_OPEN, ORACLE_CLOSE = 12.0, 6.0
"""Evidence, in nats, from which it opens an alert, and from which it takes a page for repaired. It has more false
alerts then than we aim at, about one a week of great faults and two of small ones: that flatters it."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
KNOWN = np.log(WEIGHTS / WEIGHTS.sum())
MOST = 0.98
"""No page loses more of its visitors than this."""


class Oracle:
    """Tells of faults of one size.

    Parameters
    ----------
    world
        The shop, of normal noise.
    points
        By how much a fault makes the probability of leaving greater.
    """

    def __init__(self, world: World, points: float) -> None:
        self._world, self._points = world, points
        self._alerts = Alerts(world, f"oracle {points}")
        self._evidence = np.zeros(world.pages)  # for a fault, or for a repair while there is an alert

    def hour(self, hour: int, views: Views) -> Iterator[Said]:
        """Look at each view of an hour."""
        world = self._world
        usual = world.usual_logit(views.page, views.source, views.device, views.first, views.minute)
        logit = (usual - world.noises[hour, views.page])[:, None] + world.sigma * NODES
        p = 1.0 / (1.0 + np.exp(-logit))
        worse = np.minimum(p + self._points, MOST)
        left = (views.left > 0)[:, None]
        sound = np.log(np.where(left, p, 1.0 - p))
        broken = np.log(np.where(left, worse, 1.0 - worse))
        for page in np.unique(views.page).tolist():
            seen = np.flatnonzero(views.page == page)
            yield from self._look(page, sound[seen], broken[seen], views.minute[seen].tolist())

    def _look(self, page: int, sound: Floats, broken: Floats, minutes: list[int]) -> Iterator[Said]:
        before = evidence = float(self._evidence[page])
        if_sound = if_broken = KNOWN
        for one_sound, one_broken, minute in zip(sound, broken, minutes, strict=True):
            is_open = page in self._alerts
            if_sound, if_broken = if_sound + one_sound, if_broken + one_broken
            gained = float(np.logaddexp.reduce(if_broken) - np.logaddexp.reduce(if_sound))
            evidence = before - gained if is_open else before + gained
            if 0.0 <= evidence <= (ORACLE_CLOSE if is_open else ORACLE_OPEN):
                continue
            if evidence > 0.0:
                yield from (self._alerts.close if is_open else self._alerts.open)(page, minute)
            before = evidence = 0.0
            if_sound = if_broken = KNOWN
        self._evidence[page] = evidence
