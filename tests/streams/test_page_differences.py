"""Page differences: whose rank score another setting changes, and what place that gives."""

from __future__ import annotations

from schemas.page_scores import PageScore
from streams.page_differences import page_differences


def scores(**rank_scores: float) -> dict[tuple[str, str], PageScore]:
    """Build scores; a page whose name ends in ``_young`` is not settled."""
    return {
        ("s", name): PageScore(
            id=name, revision=1, page=name, template="t", site="s", as_of="2026-03-01T12:00:00.000Z", views=100,
            exits=50, expected_exits=20, dead_end_exits=40, excess_exits=30, excess_low=20, excess_high=40,
            rank_score=rank_score, settled=not name.endswith("_young"),
        )
        for name, rank_score in rank_scores.items()
    }  # fmt: skip


def test_pages_that_change_most_come_first_with_their_places() -> None:
    before = scores(a=10, b=8, c=5, d_young=90, same=1)
    after = scores(a=2, b=9, c=5.5, d_young=80, same=1)
    found = page_differences(before, after)
    assert [(page.page, page.change) for page in found] == [("d_young", -10), ("a", -8), ("b", 1), ("c", 0.5)]
    assert [(page.place_before, page.place_after) for page in found] == [(None, None), (1, 3), (2, 1), (3, 2)]


def test_a_page_that_one_side_does_not_know_counts_as_nothing_there() -> None:
    [only] = page_differences(scores(a=3), {})
    assert (only.rank_score_before, only.rank_score_after, only.place_after, only.change) == (
        3,
        None,
        None,
        -3,
    )
    [mirrored] = page_differences({}, scores(a=3))
    assert (mirrored.rank_score_before, mirrored.rank_score_after, mirrored.change) == (None, 3, 3)


def test_equal_scores_are_no_difference() -> None:
    assert page_differences(scores(a=3, b=-1), scores(a=3, b=-1)) == []
