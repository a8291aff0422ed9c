"""Transitions between a site's pages, counted for removal effects: bounded, and forgotten slowly.

The pages with the most views are states of their own; all others share a state with their template. Every day
the counts fade, and the busiest pages are chosen anew: a page that is no longer among them goes into its
template's state, one that is new begins without a past.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

import msgspec

from streams.removal_effects import Removal, removal_effects
from streams.states import KeyedState
from streams.visitors import SEPARATOR

CHAIN_PAGES, CHAIN_TEMPLATES = 64, 24
"""States of their own: pages, and templates for all other pages; of templates the last takes those beyond."""
START, FIRST_PAGE = 0, 1
FIRST_TEMPLATE = FIRST_PAGE + CHAIN_PAGES
CHAIN_STATES = FIRST_TEMPLATE + CHAIN_TEMPLATES
PURCHASE, DEAD_END, ELSEWHERE = CHAIN_STATES, CHAIN_STATES + 1, CHAIN_STATES + 2
"""Ends of a session."""
_PLACES = [f"{place:03d}" for place in range(CHAIN_STATES)]
FADING, LEAST_COUNT = 0.9, 0.05
"""What is left of a count after a day: half in a week; and below which it is forgotten."""


class Chain(msgspec.Struct, array_like=True, dict=True):
    """Which pages (with their templates) and templates are states, in order."""

    pages: list[tuple[str, str]] = []
    templates: list[str] = []

    @cached_property
    def places(self) -> dict[str, int]:
        """Page to its state."""
        return {page: FIRST_PAGE + number for number, (page, _) in enumerate(self.pages)}

    def place_of(self, template: str) -> int:
        """State of a template, which becomes one while there is room.

        >>> chain = Chain()
        >>> [chain.place_of(f"t{number % 30}") - FIRST_TEMPLATE for number in (0, 1, 30, 28, 29)]
        [0, 1, 0, 2, 3]
        """
        if template in self.templates:
            return FIRST_TEMPLATE + self.templates.index(template)
        if len(self.templates) < CHAIN_TEMPLATES - 1:
            self.templates.append(template)
            return FIRST_TEMPLATE + len(self.templates) - 1
        return CHAIN_STATES - 1


class Successors(msgspec.Struct, array_like=True):
    """How often which state came next."""

    counts: dict[int, float] = {}


def count_path(state: KeyedState, site: str, views: Iterable[tuple[str, str]], end: int) -> None:
    """Count the way of a session. About 1 µs a view.

    Parameters
    ----------
    state
        Of the pages stage.
    site
        Whose.
    views
        Page and template of each view, up to the purchase. A page that is shown again at once counts once.
    end
        `PURCHASE`, `DEAD_END` or `ELSEWHERE`.
    """
    key = f"m{site}"
    chain: Chain = state.get(key) or Chain()
    templates = len(chain.templates)
    way, last = [START], None
    for page, template in views:
        if page != last:
            way.append(chain.places.get(page) or chain.place_of(template))
            last = page
    way.append(end)
    # Looked up once: this is done for every view.
    get, put, prefix = state.get, state.put, f"k{site}{SEPARATOR}"
    for place, successor in pairwise(way):
        row_key = prefix + _PLACES[place]
        row: Successors = get(row_key) or Successors()
        row.counts[successor] = row.counts.get(successor, 0.0) + 1.0
        put(row_key, row)
    if len(chain.templates) != templates:
        put(key, chain)


def removals(state: KeyedState, site: str) -> dict[str, Removal]:
    """Return the removal effects of the busiest pages, as far as anyone has seen them."""
    chain: Chain = state.get(f"m{site}") or Chain()
    counts = [_successors(state, site, place).counts for place in range(CHAIN_STATES)]
    effects = removal_effects(counts, PURCHASE, DEAD_END)
    return {page: effects[place] for page, place in chain.places.items() if counts[place]}


def renew_chain(state: KeyedState, site: str, busiest: Sequence[tuple[str, str]]) -> None:
    """Let all counts fade, and make the busiest pages the states.

    Parameters
    ----------
    state
        Of the pages stage.
    site
        Whose.
    busiest
        Page and template of the pages with the most views; those beyond `CHAIN_PAGES` are left out.
    """
    old: Chain = state.get(f"m{site}") or Chain()
    new = Chain(list(busiest[:CHAIN_PAGES]))
    moved = {START: START, PURCHASE: PURCHASE, DEAD_END: DEAD_END, ELSEWHERE: ELSEWHERE}
    for page, template in old.pages:
        place = new.places.get(page)
        moved[old.places[page]] = new.place_of(template) if place is None else place
    for number, template in enumerate(old.templates):
        moved[FIRST_TEMPLATE + number] = new.place_of(template)
    moved[CHAIN_STATES - 1] = CHAIN_STATES - 1
    rows: defaultdict[int, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    for place, target in moved.items():
        if place < CHAIN_STATES:
            for successor, count in _successors(state, site, place).counts.items():
                rows[target][moved[successor]] += count * FADING
    for place in range(CHAIN_STATES):
        left = {
            successor: round(count, 3)
            for successor, count in sorted(rows[place].items())
            if count >= LEAST_COUNT
        }
        key = _key(site, place)
        if left:
            state.put(key, Successors(left))
        elif state.get(key) is not None:
            state.delete(key)
    state.put(f"m{site}", new)


def _key(site: str, place: int) -> str:
    return f"k{site}{SEPARATOR}{_PLACES[place]}"


def _successors(state: KeyedState, site: str, place: int) -> Successors:
    return state.get(_key(site, place)) or Successors()
