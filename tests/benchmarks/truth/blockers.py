"""Views that happen and that nobody hears of: tracking blockers, and what such visits then look like."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.habits import STALL_S
from tests.benchmarks.truth.views import Ints, Views, chosen


def hidden_of(
    rng: np.random.Generator, faults: Iterable[Fault], views: Views, template: Ints
) -> npt.NDArray[np.bool_]:
    """Tell which views are hidden.

    Parameters
    ----------
    rng
        Of its own, so that a shop with blockers is walked as it is without.
    faults
        Of any kinds; only those that hide are looked at.
    views, template
        Whole visits, and the template of each view.
    """
    hidden = np.zeros(len(views.page), dtype=np.bool_)
    _, visitor = np.unique(views.session, return_inverse=True)
    for fault in faults:
        if not fault.kind.startswith("hidden_"):
            continue
        single = fault.kind == "hidden_views"
        unlucky = rng.random(len(hidden) if single else int(visitor.max(initial=-1)) + 1) < fault.size
        some = unlucky if single else unlucky[visitor]
        if fault.kind == "hidden_template":
            some = some & (template == fault.value)
        hidden |= some & fault.at(views.minute)
    return hidden


def without(views: Views, second: Ints, hidden: npt.NDArray[np.bool_]) -> Views:
    """Give visits as they look to a tracker that does not hear of hidden views.

    A view stalls if neither a view nor an order is heard of within the horizon. An order is heard of although the
    page was not: the shop sends it. A visit whose first views are hidden begins with a page that says which other
    page it comes from.

    Examples
    --------
    Of three views the second is hidden. The third came six minutes after the first.

    >>> column = [np.array(values) for values in ([0, 5, 6], [7, 8, 9], *[[0, 0, 0]] * 10, [0, 0, 0])]
    >>> visit = Views(*column, np.zeros(3))._replace(orphan_of=np.full(3, -1), left=np.array([0, 0, 1]))
    >>> heard = without(visit, np.array([0, 300, 360]), np.array([False, True, False]))
    >>> heard.page.tolist(), heard.stalled.tolist(), heard.left.tolist()
    ([7, 9], [1, 1], [0, 1])
    """
    order = np.argsort(views.session, kind="stable")
    views, second, hidden = chosen(views, order), second[order], hidden[order]
    count = len(second)
    if not count:
        return views
    bought = views.bought > 0
    ordered = bought & hidden & (views.stalled == 0)
    event = ~hidden | ordered
    place = np.where(event, np.arange(count), count)
    after = np.append(np.minimum.accumulate(place[::-1])[::-1][1:], count)
    later = np.minimum(after, count - 1)
    goes_on = (after < count) & (views.session[later] == views.session)
    soon = goes_on & (second[later] - second <= STALL_S)
    purchase = goes_on & ordered[later]
    stalled = np.where(bought, views.stalled, ~soon)
    # The first that is heard of, where the one before it is of the same visit and hidden.
    before = np.maximum(np.arange(count) - 1, 0)
    _, visit = np.unique(views.session, return_inverse=True)
    first_heard = np.full(int(visit.max(initial=-1)) + 1, count)
    np.minimum.at(first_heard, visit[~hidden], np.flatnonzero(~hidden))
    heard_before = first_heard[visit] < np.arange(count)
    begins = ~heard_before & (views.first == 0)
    seen = views._replace(
        stalled=stalled.astype(np.int64),
        left=((~goes_on & ~bought) | (views.left > 0)).astype(np.int64),
        bought=(bought | purchase).astype(np.int64),
        unengaged=views.unengaged * stalled,
        first=np.where(begins, 1, views.first),
        orphan_of=np.where(begins, views.page[before], views.orphan_of),
    )
    return chosen(seen, ~hidden)
