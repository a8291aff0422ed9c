"""What the pages stage keeps of a site for its purchase associations: the placebo, and the names of all pages."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.placebos import Placebo
from streams.states import KeyedState
from streams.visitors import SEPARATOR

NAMES_A_ROW = 256
"""Names of pages that share a row of state: a new page writes so many again."""
MAX_TEMPLATES = 200
"""Templates of a site of which something is said, in the order of their first session."""


class SiteAssociations(msgspec.Struct, array_like=True):
    """What is kept of a site beside its pages: the placebo, and what there is to say something of.

    `pages` is the number of pages listed; their names stand in rows of 256.
    """

    placebo: Placebo = msgspec.field(default_factory=Placebo)
    pages: int = 0
    templates: list[str] = []
    groups: list[str] = []
    revision: int = 0
    as_of_ms: int = 0


class PageNames(msgspec.Struct, array_like=True):
    """Names of some pages of a site."""

    names: list[str] = []


def list_page(state: KeyedState, site: str, of_site: SiteAssociations, page: str) -> None:
    """Remember the name of a page that is seen for the first time; its caller puts `of_site`."""
    key = _key(site, of_site.pages // NAMES_A_ROW)
    names: PageNames = state.get(key) or PageNames()
    names.names.append(page)
    state.put(key, names)
    of_site.pages += 1


def next_association(of_site: SiteAssociations, at_ms: int, every_ms: int) -> int:
    """First full day (or other pace) that is not before a time, and not done already."""
    return -(-max(at_ms, of_site.as_of_ms + 1) // every_ms) * every_ms


def listed_pages(state: KeyedState, site: str, of_site: SiteAssociations) -> Iterator[str]:
    """Names of all pages of a site, in the order in which they were first seen."""
    for row in range(-(-of_site.pages // NAMES_A_ROW)):
        yield from state.get(_key(site, row)).names


def _key(site: str, row: int) -> str:
    return f"l{site}{SEPARATOR}{row:04d}"
