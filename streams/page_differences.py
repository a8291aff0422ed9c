"""Page differences: how another setting would rank the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from schemas.page_scores import PageScore
from streams.summaries import ranked

Scores = Mapping[tuple[str, str], PageScore]
"""Site and page to the last score."""


class PageDifference(msgspec.Struct, kw_only=True, frozen=True):
    """A page with another rank score on both sides; a side that does not know the page has None.

    Attributes
    ----------
    site, page
        Which page.
    rank_score_before, rank_score_after
        What it is ranked by: excess exits that are all but sure.
    place_before, place_after
        Its place (from 1) among the dead ends of its side, all sites together; None where it is none of them.
    change
        Rank score after less that before; a page that is not there counts as 0.
    """

    site: str
    page: str
    rank_score_before: float | None
    rank_score_after: float | None
    place_before: int | None
    place_after: int | None
    change: float


def page_differences(before: Scores, after: Scores) -> list[PageDifference]:
    """Pages whose rank scores differ, those that changed most first."""
    places = [_places(scores.values()) for scores in (before, after)]
    found = []
    for name in before.keys() | after.keys():
        scores = [side[name].rank_score if name in side else None for side in (before, after)]
        if scores[0] == scores[1]:
            continue
        found.append(
            PageDifference(
                site=name[0],
                page=name[1],
                rank_score_before=scores[0],
                rank_score_after=scores[1],
                place_before=places[0].get(name),
                place_after=places[1].get(name),
                change=(scores[1] or 0.0) - (scores[0] or 0.0),
            )
        )
    return sorted(found, key=lambda page: (-abs(page.change), page.site, page.page))


def _places(scores: Iterable[PageScore]) -> dict[tuple[str, str], int]:
    return {(score.site, score.page): place for place, score in enumerate(ranked(scores), 1)}
