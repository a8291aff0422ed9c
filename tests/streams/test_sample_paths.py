"""Sample paths: what is shown of a session, and which sessions are."""

from __future__ import annotations

import msgspec

from schemas.site_events import ExampleAction, ExampleView
from streams.sample_paths import MAX_PAGE, SamplePath, keep_latest, path_of, paths_since
from tests.streams.site_logs import BEGINNING, page_of, session


def path(name: str, seen_ms: int) -> SamplePath:
    return SamplePath(name, seen_ms, "paid", "mobile", False, (), ())


def test_the_last_views_and_actions_of_a_session_are_shown_with_its_own_clock() -> None:
    views = tuple(
        ExampleView(BEGINNING + 90_500 * number, page_of(f"p{number}"), "product") for number in range(15)
    )
    actions = tuple(ExampleAction(BEGINNING + number, f"a{number}") for number in range(10))
    example = msgspec.structs.replace(session(0, "x", returning=True), views=views, actions=actions)
    found = path_of(example, 7)
    assert [(step.page, step.seconds) for step in found.steps] == [
        (page_of(f"p{number}"), 90_500 * number // 1_000) for number in range(3, 15)
    ]
    assert found.actions == tuple(f"a{number}" for number in range(2, 10))
    assert (found.source, found.device, found.returning, found.seen_ms) == ("organic", "mobile", True, 7)


def test_a_long_page_is_cut() -> None:
    found = path_of(session(0, "x" * 300, "y"), 0)
    assert [len(step.page) for step in found.steps] == [MAX_PAGE, len(page_of("y"))]
    assert found.steps[0].page.endswith("x…")


def test_the_latest_are_kept_and_those_since_a_time_shown() -> None:
    kept: list[SamplePath] = []
    for number in range(30):
        keep_latest(kept, path(f"s{number}", number), most=20)
    assert [one.session_id for one in paths_since(kept, 0)] == [f"s{number}" for number in range(10, 30)]
    assert [one.session_id for one in paths_since(kept, 28)] == ["s28", "s29"]
